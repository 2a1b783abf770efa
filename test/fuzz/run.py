#!/usr/bin/env python3
"""Builds the fuzz targets with clang and runs them.

./dev fuzz [NAME [SECONDS]]   each for a minute, or that long
./dev fuzz --short            each for a few seconds
./dev fuzz --long [NAME]      each for twenty minutes at least, and for a million inputs at least
./dev fuzz NAME FILE          one input, such as a crash
./dev fuzz NAME --merge       chooses from corpus and found inputs what covers all that they cover

One line `ok NAME` or `FAILED NAME` for each. As many run at a time as there are cores, two at
most. New inputs go to build-fuzz/found/NAME, crashes to build-fuzz/crash/NAME-*.
"""
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.append(str(ROOT / "test"))
import compilers  # noqa: E402

BUILD = ROOT / "build-fuzz"
CORPUS = ROOT / "test/fuzz/corpus"
SHORT_SECONDS = 15
DEFAULT_SECONDS = 60
INPUT_SECONDS = 300  # of wall clock: a machine that stands still for a while is no finding
LONG_SECONDS = 1200
LONG_RUNS = 1_000_000
AT_ONCE = 2
INPUT_BYTES = {"net_frames": 2048, "net_reassembly": 1024}  # what their steps take
# Memory that was given back soon serves again, and is then still in the caches. Few inputs give
# back as much as this, so that a use after it is found.
ASAN_OPTIONS = "quarantine_size_mb=8:malloc_context_size=8"


def names():
    text = (ROOT / "test/fuzz/meson.build").read_text()
    listed = re.search(r"^fuzz_names = \[(.*?)\]", text, re.M | re.S)
    return re.findall(r"'([^']+)'", listed[1])


def fail(name, output, more=()):
    lines = output.splitlines()
    cause = [l for l in lines[:-40] if re.search("check failed|runtime error|ERROR: ", l)]
    shown = [f"FAILED {name}", *("    " + l for l in [*cause[:4], *lines[-40:], *more])]
    # in one piece: another target may run beside it
    print("\n".join(shown) + "\n", end="", flush=True)


def build():
    options = ["-Dfuzzers=true", "-Db_sanitize=address,undefined", "-Db_lundef=false",
               "-Dbenchmarks=disabled", "-Dc_args=-fsanitize=fuzzer-no-link"]
    commands = [["ninja", "-C", str(BUILD), *(f"test/fuzz/{name}" for name in names())]]
    if not (BUILD / "build.ninja").exists():
        commands.insert(0, ["meson", "setup", str(BUILD), *options])
    for command in commands:
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True,
                              env={**os.environ, **compilers.environment("clang", "clang++")})
        if done.returncode != 0:
            fail("build-fuzz", done.stdout)
            return False
    return True


def environment():
    """What a sanitizer or a check finds ends the run, and libFuzzer saves the input."""
    asan = ":".join(filter(None, [ASAN_OPTIONS, os.environ.get("ASAN_OPTIONS")]))
    return {**os.environ, "ASAN_OPTIONS": asan,
            "UBSAN_OPTIONS": "halt_on_error=1:abort_on_error=1:print_stacktrace=1"}


def run(name, seconds):
    """(number of inputs that were run, edges seen), or None when one failed."""
    found, crash = BUILD / "found" / name, BUILD / "crash"
    crash.mkdir(exist_ok=True)
    found.mkdir(parents=True, exist_ok=True)
    command = [str(BUILD / "test/fuzz" / name), f"-max_total_time={seconds}", "-entropic=0",
               f"-timeout={INPUT_SECONDS}", "-rss_limit_mb=2048", "-print_final_stats=1",
               "-print_funcs=0", f"-artifact_prefix={crash}/{name}-",
               *([f"-max_len={INPUT_BYTES[name]}"] if name in INPUT_BYTES else []),
               str(found), str(CORPUS / name)]
    before = set(crash.glob(f"{name}-*"))
    try:
        done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace",
                              timeout=seconds + 600, env=environment())
        output, status = done.stdout, done.returncode
    except subprocess.TimeoutExpired as late:
        output, status = (late.stdout or b"").decode(errors="replace") + "did not end in time", 1
    ran = re.search(r"number_of_executed_units: *(\d+)", output)
    seen = re.findall(r"cov: (\d+) ft:", output)
    if status == 0 and ran and seen:
        return int(ran[1]), int(seen[-1])
    artifacts = sorted(set(crash.glob(f"{name}-*")) - before)
    fail(name, output,
         [f"replay it: ./dev fuzz {name} {a.relative_to(ROOT)}" for a in artifacts])
    return None


def fuzz(name, seconds, runs=0):
    """For that long at least, and for that many inputs at least."""
    began, total, result = time.monotonic(), 0, None
    while total < runs or result is None:
        result = run(name, seconds)
        if result is None:
            return False
        total += result[0]
    took_s = int(time.monotonic() - began)
    print(f"ok {name}: {total:,} inputs, {took_s:,} s, {result[1]:,} edges\n", end="", flush=True)
    return True


def fuzz_all(chosen, *until):
    with concurrent.futures.ThreadPoolExecutor(min(AT_ONCE, os.cpu_count() or 1)) as pool:
        results = list(pool.map(lambda name: fuzz(name, *until), chosen))
    return 0 if all(results) else 1


def replay(name, path):
    return subprocess.run([str(BUILD / "test/fuzz" / name), f"-timeout={INPUT_SECONDS}", path],
                          env=environment(), timeout=120).returncode


def merge(name):
    """The corpus and what was found become the smallest set of inputs that covers as much."""
    kept = BUILD / "kept" / name
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True)
    before = len(list((CORPUS / name).iterdir()))
    subprocess.run([str(BUILD / "test/fuzz" / name), "-merge=1", f"-timeout={INPUT_SECONDS}",
                    str(kept), str(CORPUS / name), str(BUILD / "found" / name)], check=True,
                   cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    print(f"{name}: {before} inputs in the corpus, {len(list(kept.iterdir()))} in {kept}")
    return 0


def main(arguments):
    how = [a for a in arguments if a in ("--short", "--long", "--merge")]
    words = [a for a in arguments if a not in how]
    chosen = words[:1] or names()
    unknown = [n for n in chosen if n not in names()]
    if unknown:
        print(f"fuzz: no target '{unknown[0]}'; there are: {', '.join(names()) or 'none'}")
        return 2
    if not build():
        return 1
    if "--merge" in how:
        return max(merge(name) for name in chosen)
    if len(words) > 1 and not words[1].isdigit():
        return replay(chosen[0], words[1])
    seconds = SHORT_SECONDS if "--short" in how else DEFAULT_SECONDS
    if "--long" in how:
        return fuzz_all(chosen, LONG_SECONDS, LONG_RUNS)
    if len(words) > 1:
        seconds = int(words[1])
    return fuzz_all(chosen, seconds)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
