#!/usr/bin/env python3
"""Builds the fuzz targets with clang and runs each for a while: `./dev fuzz [NAME [SECONDS]]`.

With --short, every target for a few seconds, and one line `ok NAME` or `FAILED NAME` each. New
inputs go to build-fuzz/found/NAME, crashes to build-fuzz/crash/NAME-*; what is worth keeping is
copied into test/fuzz/corpus/NAME by hand.
"""
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / "build-fuzz"
SHORT_SECONDS = 15
DEFAULT_SECONDS = 60


def names():
    text = (ROOT / "test/fuzz/meson.build").read_text()
    listed = re.search(r"^fuzz_names = \[(.*?)\]", text, re.M | re.S)
    return re.findall(r"'([^']+)'", listed[1])


def fail(name, output):
    print(f"FAILED {name}\n" + "\n".join("    " + l for l in output.splitlines()[-40:]))


def build():
    options = ["-Dfuzzers=true", "-Db_sanitize=address,undefined", "-Db_lundef=false",
               "-Dbenchmarks=disabled", "-Dc_args=-fsanitize=fuzzer-no-link"]
    commands = [["ninja", "-C", str(BUILD)]]
    if not (BUILD / "build.ninja").exists():
        commands.insert(0, ["meson", "setup", str(BUILD), *options])
    for command in commands:
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              env={**os.environ, "CC": "clang", "CXX": "clang++"}, text=True)
        if done.returncode != 0:
            fail("build-fuzz", done.stdout)
            return False
    return True


def fuzz(name, seconds):
    found = BUILD / "found" / name
    (BUILD / "crash").mkdir(exist_ok=True)
    found.mkdir(parents=True, exist_ok=True)
    command = [str(BUILD / "test/fuzz" / name), f"-max_total_time={seconds}", "-timeout=10",
               "-rss_limit_mb=2048", "-entropic=0", "-print_final_stats=1",
               f"-artifact_prefix={BUILD}/crash/{name}-", str(found),
               str(ROOT / "test/fuzz/corpus" / name)]
    try:
        done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace",
                              timeout=seconds + 120)
        output, status = done.stdout, done.returncode
    except subprocess.TimeoutExpired:
        output, status = "did not end in time", 1
    if status == 0:
        ran = re.search(r"number_of_executed_units: *(\d+)", output)
        print(f"ok fuzz {name} ({ran[1] if ran else '?'} inputs)", flush=True)
        return True
    fail(f"fuzz {name}", output)
    return False


def main(arguments):
    short = "--short" in arguments
    arguments = [a for a in arguments if a != "--short"]
    chosen = arguments[:1] or names()
    seconds = SHORT_SECONDS if short else DEFAULT_SECONDS
    if len(arguments) > 1:
        seconds = int(arguments[1])
    unknown = [n for n in chosen if n not in names()]
    if unknown:
        print(f"fuzz: no target '{unknown[0]}'; there are: {', '.join(names()) or 'none'}")
        return 2
    if not chosen:
        return 0
    if not build():
        return 1
    return 0 if all([fuzz(name, seconds) for name in chosen]) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
