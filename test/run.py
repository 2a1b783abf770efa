#!/usr/bin/env python3
"""Runs the tests and ends with one line of counts. Called by `./dev test`.

Counts are test cases where a program says how many it ran (cmocka, unittest), else programs; each
build and each check of `./dev check` counts as one. By default: the fast suites of the default
build. With LEAT_TEST_ALL=1: every suite, also under ASan and UBSan, under TSan and built by clang,
the checks, the bugs of test/bugs, and the fuzz targets; there, a skipped test is a failure.
"""
import contextlib
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
HUGEPAGES = "16"

SANITIZER_ENV = {
    "ASAN_OPTIONS": "detect_stack_use_after_return=1:strict_string_checks=1:abort_on_error=1",
    "LSAN_OPTIONS": f"suppressions={ROOT / 'test/lsan.txt'}:print_suppressions=0",
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
    "TSAN_OPTIONS": "halt_on_error=1:report_signal_unsafe=0",
}


class Tally:
    """Counts, and what is worth showing. A case that one build skips counts as run when another
    build passed it."""

    def __init__(self):
        self.passed = self.failed = 0
        self.ran, self.skips = set(), {}

    def add(self, name, outcome, reason=""):
        """outcome: "ok", "failed" or "skipped"."""
        if outcome == "ok":
            self.passed += 1
            self.ran.add(name)
        elif outcome == "failed":
            self.failed += 1
        else:
            self.skips.setdefault(name, reason)

    def fail(self, name, output):
        self.failed += 1
        show_failure(name, output)

    def finish(self):
        """Prints the last lines; returns the exit code."""
        skipped = 0
        for name, reason in sorted(self.skips.items()):
            if name in self.ran:
                continue
            if ALL:
                self.failed += 1
                print(f"FAILED {name}: skipped where nothing may be: {reason}")
            else:
                skipped += 1
                print(f"skipped {name}: {reason}")
        line = f"{self.passed} passed, {self.failed} failed"
        print(line + (f", {skipped} skipped" if skipped else ""))
        return 1 if self.failed or not self.passed else 0


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


def unittest_cases(output):
    """(name, outcome, reason) of each case of a program that uses unittest with -v."""
    cases = []
    line = r"^(\w+ \([\w.]+\)).*?\.\.\. ?.*?(ok|FAIL|ERROR|skipped [^\n]*)$"
    for name, result in re.findall(line, output, re.M | re.S):
        if result == "ok":
            cases.append((name, "ok", ""))
        elif result.startswith("skipped"):
            cases.append((name, "skipped", result[len("skipped "):].strip("'\"")))
        else:
            cases.append((name, "failed", ""))
    return cases


def cmocka_cases(output):
    """The same of a cmocka program; a skipping case says why with print_message("skip: ...")."""
    said = {"       OK ": "ok", "  FAILED  ": "failed", "  SKIPPED ": "skipped"}
    cases, reason = {}, "the program gives no reason"
    for line in output.splitlines():
        match = re.match(r"^\[(       OK |  FAILED  |  SKIPPED )\] (?!\d+ test\(s\))(.*)$", line)
        if match:
            cases.setdefault(match[2], (match[2], said[match[1]], reason))
        elif line.startswith("skip: "):
            reason = line[len("skip: "):]
    return list(cases.values())


def cases_of(output):
    """What the program's own output says of its cases; None when it does not count them."""
    if re.search(r"^\[==========\] .*\d+ test\(s\)", output, re.M):
        return cmocka_cases(output)
    checks = re.findall(r"^(ok|FAILED) (check \w+)$", output, re.M)
    if checks:
        return [(name, "ok" if word == "ok" else "failed", "") for word, name in checks]
    ran = re.search(r"^Ran (\d+) tests? in", output, re.M)
    if not ran:
        return None
    cases = unittest_cases(output)
    if len(cases) >= int(ran[1]):
        return cases
    numbers = dict(re.findall(r"(failures|errors|skipped)=(\d+)", output[ran.end():]))
    failed = int(numbers.get("failures", 0)) + int(numbers.get("errors", 0))
    skipped = int(numbers.get("skipped", 0))
    outcomes = ["failed"] * failed + ["skipped"] * skipped
    outcomes += ["ok"] * (int(ran[1]) - failed - skipped)
    return [(f"case {i + 1}", outcome, "run it with -v for the reason")
            for i, outcome in enumerate(outcomes)]


def count_program(tally, name, result, output):
    """Adds one test program's outcome to tally."""
    if result == "SKIP":
        lines = output.strip().splitlines()
        tally.add(name, "skipped", lines[-1] if lines else "the program gives no reason")
        return
    cases = cases_of(output) or [("the program", "ok" if result == "OK" else "failed", "")]
    for case, outcome, reason in cases:
        tally.add(f"{name}: {case}", outcome, reason)
    if result != "OK":
        if not any(outcome == "failed" for _, outcome, _ in cases):
            tally.failed += 1
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
            tally.add(directory, "skipped", "the build has no tests: no cmocka (./dev deps test)")
        else:
            tally.fail(f"meson test in {directory}", output)
        return
    for line in log.read_text(errors="replace").splitlines():
        entry = json.loads(line)
        count_program(tally, entry["name"].split(" / ")[-1], entry["result"],
                      entry.get("stdout", "") + "\n" + entry.get("stderr", ""))
    if status is None:
        tally.fail(f"meson test in {directory}", output)


def default_build(tally):
    if not build(tally, "build"):
        return
    if not list((ROOT / "build").glob("test/unit/test-*")):
        tally.add("unit tests", "skipped", "libcmocka-dev is not installed (./dev deps test)")
    meson_tests(tally, "build", [] if ALL else ["--no-suite", "long"])


def sanitizer_build(directory, sanitizers, suites):
    def work(tally):
        options = [f"-Db_sanitize={sanitizers}", "-Db_lundef=false", "-Dbenchmarks=disabled",
                   "-Doptimization=1"]
        if build(tally, directory, options):
            arguments = [word for suite in suites for word in ("--suite", suite)]
            # Figures are the same in every build: these take minutes to come to them again.
            arguments += ["--no-suite", "figures"]
            meson_tests(tally, directory, arguments, multiplier="5")
    return work


def clang_build(tally):
    if build(tally, "build-clang", ["-Dwerror=true", "-Ddcheck=true"],
             {"CC": "clang", "CXX": "clang++"}):
        meson_tests(tally, "build-clang", ["--suite", "unit", "--suite", "contract",
                                           "--suite", "http"])


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


@contextlib.contextmanager
def hugepages():
    """A few huge pages, for the tests that want them, where there are none and we may reserve."""
    path = pathlib.Path("/proc/sys/vm/nr_hugepages")
    before = path.read_text().strip() if path.exists() else ""
    reserve = ALL and before == "0" and os.access(path, os.W_OK)
    try:
        if reserve:
            path.write_text(HUGEPAGES)
        yield
    finally:
        if reserve:
            path.write_text(before)


def run_stages(tally):
    stage(tally, "build, all suites" if ALL else "build, fast suites", default_build)
    if not ALL:
        return
    stage(tally, "ASan and UBSan", sanitizer_build("build-asan", "address,undefined", []))
    stage(tally, "TSan", sanitizer_build(
        "build-tsan", "thread", ["unit", "contract", "http", "socket"]))
    stage(tally, "clang", clang_build)
    stage(tally, "checks", counted_script("test/check/run.py", "--all", timeout_s=900))
    stage(tally, "bugs that must be caught", counted_script(
        "test/bugs/run.py", "--seeds", "1000", "--seconds", "60", timeout_s=900))
    stage(tally, "fuzz targets", counted_script("test/fuzz/run.py", "--short", timeout_s=900))


def main():
    tally = Tally()
    with hugepages():
        run_stages(tally)
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
