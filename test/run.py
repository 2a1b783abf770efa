#!/usr/bin/env python3
"""Runs the tests and ends with one line of counts. Called by `./dev test [RING]`.

Counts are test cases where a program says how many it ran (cmocka, unittest), else programs; each
build and each check of `./dev check` counts as one. The rings, each a list of stages (RINGS):

  fast    the fast suites of the default build: under 5 minutes on two cores. `./dev test`.
  all     every suite but peers, also under ASan and UBSan, under TSan and built by clang, the
          checks, the bugs of test/bugs, and the fuzz targets; there, a skipped test is a failure.
          What CI runs: LEAT_TEST_ALL=1 ./dev test.
  peers   clients, servers, tools and the kernel's own stack against Leat; there, too, nothing may
          be skipped. `./dev test peers`.
  long    what takes hours: 10,000 seeds, 1 GiB for each pair of hosts, the soak, the fuzz targets.
          `./dev test long`.

A new stage is a row of its ring: a name, and what it runs with its bound in time. A script whose
lines are `ok NAME` and `FAILED NAME` is scripted(PATH, ..., timeout_s=N).
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

import compilers
import tally

ROOT = pathlib.Path(__file__).resolve().parent.parent
HUGEPAGES = "16"
END_SECONDS_MAX = 10  # for a program that is told to end
SEEDS_LONG = "10000"
SOAK_MINUTES = "9"  # less than what `./dev bench soak` writes down

SANITIZER_ENV = {
    "ASAN_OPTIONS": "detect_stack_use_after_return=1:strict_string_checks=1:abort_on_error=1",
    "LSAN_OPTIONS": f"suppressions={ROOT / 'test/lsan.txt'}:print_suppressions=0",
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
    "TSAN_OPTIONS": "halt_on_error=1:report_signal_unsafe=0",
}


def end_group(process):
    """Ends a program and what it started: asked first, so that it cleans up after itself."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        try:
            return process.communicate(timeout=END_SECONDS_MAX)[0]
        except subprocess.TimeoutExpired:
            continue
    return ""


def hang_up_counts():
    """Under nohup SIGHUP is ignored, and what was ignored at the start stays so in Leat."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def run(command, timeout_s, env=None):
    """Runs command in its own group; returns (status, None when it took too long; output)."""
    process = subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        start_new_session=True, preexec_fn=hang_up_counts)
    try:
        output, _ = process.communicate(timeout=timeout_s)
        return process.returncode, output
    except subprocess.TimeoutExpired:
        return None, end_group(process) + f"\nended after {timeout_s} s"
    except BaseException:
        end_group(process)
        raise


def targets_of(directory, suites):
    """What tests of these suites need built, as ninja's targets."""
    def introspect(what):
        return json.loads(run(["meson", "introspect", directory, what], 60)[1])
    wanted = {target for test in introspect("--tests") for target in test["depends"]
              if any(suite.split(":")[-1] in suites for suite in test["suite"])}
    return [os.path.relpath(name, ROOT / directory) for target in introspect("--targets")
            if target["id"] in wanted for name in target["filename"]]


def build(counts, directory, options=(), env=None, suites=()):
    """Sets up and builds, all or what the suites need; True when it worked, which counts as one
    passed test."""
    path = ROOT / directory
    output = ""
    if not (path / "build.ninja").exists():
        shutil.rmtree(path, ignore_errors=True)
        status, output = run(["meson", "setup", directory, *options], 120, env)
        if status != 0:
            counts.fail(f"meson setup {directory}", output)
            return False
    status, output = run(["ninja", "-C", directory, *targets_of(directory, suites)], 900, env)
    if status != 0 or "warning: " in output:
        noise = re.compile(r"^\[\d+/\d+\] (Compiling|Linking|Generating)")
        shown = "\n".join(l for l in output.splitlines() if not noise.match(l))
        counts.fail(f"build in {directory}", shown)
        return False
    counts.passed += 1
    return True


def meson_tests(counts, directory, arguments=(), timeout_s=1200, multiplier="1"):
    """Runs the tests of a build folder and counts them from meson's log."""
    log = ROOT / directory / "meson-logs" / "testlog.json"
    log.unlink(missing_ok=True)
    status, output = run(["meson", "test", "-C", directory, "--no-rebuild", "--quiet",
                          "--timeout-multiplier", multiplier, *arguments], timeout_s, SANITIZER_ENV)
    if not log.exists():
        if "no tests defined" in output.lower():
            counts.add(directory, "skipped", "the build has no tests: no cmocka (./dev deps test)")
        else:
            counts.fail(f"meson test in {directory}", output)
        return
    for line in log.read_text(errors="replace").splitlines():
        entry = json.loads(line)
        counts.program(entry["name"].split(" / ")[-1], entry["result"],
                       entry.get("stdout", "") + "\n" + entry.get("stderr", ""))
    if status is None:
        counts.fail(f"meson test in {directory}", output)


def suites_of(how, names):
    return [word for name in names for word in (how, name)]


# ---- What a stage runs: each gives a function of the counts. ----

def default_build(*without):
    """Builds as users do, and runs every suite but these."""
    def work(counts):
        if not build(counts, "build"):
            return
        if not list((ROOT / "build").glob("test/unit/test-*")):
            counts.add("unit tests", "skipped", "libcmocka-dev is not installed (./dev deps test)")
        meson_tests(counts, "build", suites_of("--no-suite", without))
    return work


def default_suites(*suites, timeout_s=1200):
    """Suites of the default build, which an earlier stage made."""
    return lambda counts: meson_tests(counts, "build", suites_of("--suite", suites), timeout_s)


def only_build(counts):
    build(counts, "build")


def sanitizer_build(directory, sanitizers, *suites):
    def work(counts):
        options = [f"-Db_sanitize={sanitizers}", "-Db_lundef=false", "-Dbenchmarks=disabled",
                   "-Doptimization=1"]
        if build(counts, directory, options, suites=suites):
            # Figures are the same in every build: these take minutes to come to them again.
            meson_tests(counts, directory, suites_of("--suite", suites)
                        + suites_of("--no-suite", ["figures", "peers"]), multiplier="5")
    return work


def clang_build(counts):
    if build(counts, "build-clang", ["-Dwerror=true", "-Ddcheck=true"],
             compilers.environment("clang", "clang++")):
        meson_tests(counts, "build-clang", suites_of("--suite", ["unit", "contract", "http"]))


def scripted(*command, timeout_s, env=None):
    """A script whose lines are `ok NAME` or `FAILED NAME`, with details indented by four."""
    def work(counts):
        status, output = run([sys.executable, *command], timeout_s, env)
        passed = len(re.findall(r"^ok ", output, re.M))
        failed = len(re.findall(r"^FAILED ", output, re.M))
        counts.passed += passed
        counts.failed += failed
        if status != 0 and failed == 0:
            counts.fail(command[0], output)
        elif failed:
            print("\n".join(l for l in output.splitlines() if not l.startswith("ok ")))
    return work


def program(*command, timeout_s, env=None):
    """A program that says by its exit code whether all is well: it counts as one."""
    def work(counts):
        status, output = run([str(word) for word in command], timeout_s, env)
        if status == 0:
            counts.passed += 1
        else:
            counts.fail(" ".join(str(word) for word in command[:3]), output)
    return work


# ---- The rings: (name of the stage, what it runs) in their order. ----

IN_BUILD = {"LEAT_BUILD": str(ROOT / "build"), "PYTHONPATH": str(ROOT / "test/cli")}
RINGS = {
    "fast": [("build, fast suites", default_build("long", "peers", "interop"))],
    "all": [
        ("build, all suites", default_build("peers")),
        ("ASan and UBSan", sanitizer_build("build-asan", "address,undefined")),
        ("TSan", sanitizer_build("build-tsan", "thread", "unit", "contract", "http", "socket")),
        ("clang", clang_build),
        # The checks of gcc's build look at the one of the first stage: it has no warnings.
        ("checks", scripted("test/check/run.py", "--all", timeout_s=900,
                            env={"LEAT_CHECK_BUILD": "build"})),
        ("bugs that must be caught", scripted("test/bugs/run.py", "--seeds", "1000", "--seconds",
                                              "60", timeout_s=900)),
        ("cards", scripted("test/card/run.py", "--short", timeout_s=900)),
        ("fuzz targets", scripted("test/fuzz/run.py", "--short", timeout_s=900)),
    ],
    "peers": [
        ("build", only_build),
        ("HTTP clients", default_suites("clients", "peers", timeout_s=900)),
        ("the kernel's stack", default_suites("interop", timeout_s=1200)),
        ("other servers", program(sys.executable, "bench/run_compare.py", "--quick",
                                  timeout_s=900)),
    ],
    "long": [
        ("build", only_build),
        ("long suites, figures", default_suites("long", "figures", timeout_s=3600)),
        (f"{SEEDS_LONG} seeds", program("build/leat-sim", "--from", "1", "--seeds", SEEDS_LONG,
                                        timeout_s=2 * 3600)),
        ("1 GiB for each pair", program(sys.executable, "test/interop/matrix.py", "--long",
                                        timeout_s=4 * 3600, env=IN_BUILD)),
        ("soak", program(sys.executable, "bench/run_soak.py", "--minutes", SOAK_MINUTES,
                         timeout_s=1200)),
        ("Debian's own kernel", program(sys.executable, "test/kernel/run.py", timeout_s=1800)),
        ("cards, every IOMMU", scripted("test/card/run.py", timeout_s=2 * 3600)),
        ("fuzz targets", scripted("test/fuzz/run.py", "--long", timeout_s=6 * 3600)),
    ],
}


@contextlib.contextmanager
def hugepages(may_reserve):
    """A few huge pages, for the tests that want them, where there are none and we may reserve."""
    path = pathlib.Path("/proc/sys/vm/nr_hugepages")
    before = path.read_text().strip() if path.exists() else ""
    reserve = may_reserve and before == "0" and os.access(path, os.W_OK)
    try:
        if reserve:
            path.write_text(HUGEPAGES)
        yield
    finally:
        if reserve:
            path.write_text(before)


def run_stages(counts, stages):
    """Runs each and says in one line how it went; returns the lines with their seconds."""
    lines = []
    for label, work in stages:
        passed, failed, start = counts.passed, counts.failed, time.monotonic()
        work(counts)
        seconds = time.monotonic() - start
        lines.append((seconds, f"{label:<28} {counts.passed - passed:5} passed "
                               f"{counts.failed - failed:3} failed {seconds:7.1f} s"))
        print(lines[-1][1], flush=True)
    return lines


def show_seconds(lines):
    """Where the time went: the stages, the longest first, and their sum."""
    print("\nby time:")
    for _, line in sorted(lines, reverse=True):
        print("  " + line)
    total = sum(seconds for seconds, _ in lines)
    print(f"  {'in all':<28} {total:33.1f} s, {total / 60:.1f} minutes\n")


def main(words):
    ring = words[0] if words else "all" if os.environ.get("LEAT_TEST_ALL") == "1" else "fast"
    if ring not in RINGS or len(words) > 1:
        print(f"test: no ring '{' '.join(words)}'; there are: {', '.join(RINGS)}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    counts = tally.Tally(skips_fail=ring != "fast")
    with hugepages(ring != "fast"):
        lines = run_stages(counts, RINGS[ring])
    if len(lines) > 1:
        show_seconds(lines)
    return counts.finish()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
