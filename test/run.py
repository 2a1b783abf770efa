#!/usr/bin/env python3
"""Runs the tests and ends with one line of counts. Called by `./dev test`.

Counts are test cases where a program says how many it ran (cmocka, unittest), else programs; each
build and each check of `./dev check` counts as one. By default: the fast suites of the default
build. With LEAT_TEST_ALL=1: every suite, also under ASan and UBSan, under TSan and built by clang,
the checks, and the fuzz targets; there, a skipped test is a failure.
"""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
ALL = os.environ.get("LEAT_TEST_ALL") == "1"
OUTPUT_LINES_SHOWN = 60

SANITIZER_ENV = {
    "ASAN_OPTIONS": "detect_stack_use_after_return=1:strict_string_checks=1:abort_on_error=1",
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
    "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1",
}


class Tally:
    """Counts, and what is worth showing."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def skip(self, name, count, reason):
        if ALL:
            self.failed += count
            print(f"FAILED {name}: skipped where nothing may be: {reason}")
        else:
            self.skipped += count
            print(f"skipped {name}: {reason}")

    def fail(self, name, output):
        self.failed += 1
        show_failure(name, output)


def show_failure(name, output):
    print(f"FAILED {name}")
    for line in output.splitlines()[-OUTPUT_LINES_SHOWN:]:
        print("    " + line)


def run(command, timeout_s, env=None):
    """Runs command in its own group; returns (status, None when it took too long; output)."""
    process = subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        start_new_session=True)
    try:
        output, _ = process.communicate(timeout=timeout_s)
        return process.returncode, output
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        return None, output + f"\nended after {timeout_s} s"


def cases_of(output):
    """(passed, failed, {skipped name: reason}) as the program's own output says, or None."""
    ran = re.search(r"^Ran (\d+) tests? in", output, re.M)
    if ran:  # unittest
        tail = output[ran.end():]
        bad = re.findall(r"(?:failures|errors|unexpected successes)=(\d+)", tail)
        bad = sum(int(n) for n in bad)
        skips = dict(re.findall(r"^(.*) \.\.\. skipped ['\"](.*)['\"]$", output, re.M))
        count = re.search(r"skipped=(\d+)", tail)
        for i in range(len(skips), int(count[1]) if count else 0):
            skips[f"case {i + 1}"] = "run the program with -v for the reason"
        return int(ran[1]) - bad - len(skips), bad, skips
    if re.search(r"^\[==========\] .*\d+ test\(s\)", output, re.M):  # cmocka
        named = r"^\[  %s \] (?!\d+ test\(s\))(.*)$"
        failed = len(set(re.findall(named % "FAILED ", output, re.M)))
        skipped = set(re.findall(named % "SKIPPED", output, re.M))
        reason = re.search(r"^skip(?:ped)?: (.*)$", output, re.M)
        why = reason[1] if reason else "the program gives no reason"
        passed = len(re.findall(r"^\[       OK \] ", output, re.M))
        return passed, failed, {name: why for name in sorted(skipped)}
    return None


def count_program(tally, name, result, output):
    """Adds one test program's outcome to tally."""
    cases = cases_of(output)
    if result == "SKIP":
        lines = output.strip().splitlines()
        tally.skip(name, 1, lines[-1] if lines else "the program gives no reason")
    elif result == "OK":
        passed, failed, skips = cases or (1, 0, {})
        tally.passed += passed
        tally.failed += failed
        for case, reason in skips.items():
            tally.skip(f"{name}: {case}", 1, reason)
    else:
        passed, failed, _ = cases or (0, 1, {})
        tally.passed += passed
        tally.failed += max(failed, 1)
        show_failure(f"{name} ({result.lower()})", output)


def stage(tally, label, work):
    """Runs work(tally) and says in one line how it went."""
    before = (tally.passed, tally.failed)
    start = time.monotonic()
    work(tally)
    passed, failed = tally.passed - before[0], tally.failed - before[1]
    seconds = time.monotonic() - start
    print(f"{label:<28} {passed:5} passed {failed:3} failed {seconds:6.1f} s", flush=True)


def build(tally, directory, options=(), env=None):
    """Sets up and builds; True when it worked, which counts as one passed test."""
    path = ROOT / directory
    output = ""
    if not (path / "build.ninja").exists():
        shutil.rmtree(path, ignore_errors=True)
        status, output = run(["meson", "setup", directory, *options], 120, env)
        if status != 0:
            tally.fail(f"meson setup {directory}", output)
            return False
    status, output = run(["ninja", "-C", directory], 900, env)
    if status != 0 or "warning: " in output:
        noise = re.compile(r"^\[\d+/\d+\] (Compiling|Linking|Generating)")
        shown = "\n".join(l for l in output.splitlines() if not noise.match(l))
        tally.fail(f"build in {directory}", shown)
        return False
    tally.passed += 1
    return True


def meson_tests(tally, directory, arguments=(), timeout_s=1200, multiplier="1"):
    """Runs the tests of a build folder and counts them from meson's log."""
    log = ROOT / directory / "meson-logs" / "testlog.json"
    log.unlink(missing_ok=True)
    status, output = run(["meson", "test", "-C", directory, "--no-rebuild", "--quiet",
                          "--timeout-multiplier", multiplier, *arguments], timeout_s, SANITIZER_ENV)
    if not log.exists():
        if "No tests defined" in output or "no tests defined" in output.lower():
            tally.skip(directory, 1, "the build has no tests: cmocka is missing (./dev deps test)")
        else:
            tally.fail(f"meson test in {directory}", output)
        return
    for line in log.read_text(errors="replace").splitlines():
        entry = json.loads(line)
        count_program(tally, entry["name"], entry["result"],
                      entry.get("stdout", "") + "\n" + entry.get("stderr", ""))
    if status is None:
        tally.fail(f"meson test in {directory}", output)


def default_build(tally):
    if not build(tally, "build"):
        return
    if not list((ROOT / "build").glob("test/unit/test-*")):
        tally.skip("unit tests", 1, "libcmocka-dev is not installed (./dev deps test)")
    meson_tests(tally, "build", [] if ALL else ["--no-suite", "long"])


def sanitizer_build(directory, sanitizers, suites):
    def work(tally):
        options = [f"-Db_sanitize={sanitizers}", "-Db_lundef=false", "-Dbenchmarks=disabled",
                   "-Doptimization=1"]
        if build(tally, directory, options):
            arguments = [word for suite in suites for word in ("--suite", suite)]
            meson_tests(tally, directory, arguments, multiplier="5")
    return work


def clang_build(tally):
    if build(tally, "build-clang", ["-Dwerror=true", "-Ddcheck=true"],
             {"CC": "clang", "CXX": "clang++"}):
        meson_tests(tally, "build-clang", ["--suite", "unit", "--suite", "contract"])


def counted_script(*command, timeout_s):
    """A script whose lines are `ok NAME` or `FAILED NAME`, with details indented by four."""
    def work(tally):
        status, output = run([sys.executable, *command], timeout_s)
        passed = len(re.findall(r"^ok ", output, re.M))
        failed = len(re.findall(r"^FAILED ", output, re.M))
        tally.passed += passed
        tally.failed += failed
        if status != 0 and failed == 0:
            tally.fail(command[0], output)
        elif failed:
            print("\n".join(l for l in output.splitlines() if not l.startswith("ok ")))
    return work


def main():
    tally = Tally()
    stage(tally, "build, all suites" if ALL else "build, fast suites", default_build)
    if ALL:
        stage(tally, "ASan and UBSan", sanitizer_build("build-asan", "address,undefined", []))
        stage(tally, "TSan", sanitizer_build(
            "build-tsan", "thread", ["unit", "contract", "http", "threads"]))
        stage(tally, "clang", clang_build)
        stage(tally, "checks", counted_script("test/check/run.py", "--all", timeout_s=900))
        stage(tally, "fuzz targets", counted_script("test/fuzz/run.py", "--short", timeout_s=900))
    line = f"{tally.passed} passed, {tally.failed} failed"
    print(line + (f", {tally.skipped} skipped" if tally.skipped else ""))
    return 1 if tally.failed or not tally.passed else 0


if __name__ == "__main__":
    sys.exit(main())
