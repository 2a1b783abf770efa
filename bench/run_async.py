#!/usr/bin/env python3
"""`./dev bench async [--quick]`: futures, tasks, files, pipes and compression beside others.

What one operation costs, in batches, in CPU time: Leat's futures and tasks by the micro benchmarks
of bench/future.c and bench/task.c, Node's by bench/async.js; what programs do with them by
bench/async.c, beside libuv (bench/peers/uv_fs.c), Node (bench/async_fs.js), and what the machine or
the library alone takes. All in interleaved rounds. Results go to docs/benchmarks/async.json and
docs/benchmarks.md, unless --quick is given.
"""
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys

import machine
import report
import report_async

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("LEAT_BUILD") or ROOT / "build") / "bench"
MICRO, WORKS, LIBUV = BUILD / "micro", BUILD / "async", BUILD / "peer-uv_fs"
SCRIPT, FILES_SCRIPT = ROOT / "bench/async.js", ROOT / "bench/async_fs.js"
ROUNDS, SECONDS, SECONDS_MICRO, SECONDS_MAX = 9, 0.5, 0.2, 120
GROUPS = "^(future|task)/"


def said(*words):
    """What a program printed, as JSON."""
    done = subprocess.run([str(word) for word in words], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=SECONDS_MAX)
    if done.returncode != 0:
        sys.exit(f"bench: {' '.join(map(str, words))} ended with {done.returncode}: "
                 f"{done.stderr.strip()}")
    return json.loads(done.stdout)


def named(prefix, figures):
    return {f"{prefix}/{name}": value for name, value in figures.items()}


def micro_round(seconds):
    """Case -> ns of CPU time per operation."""
    found = {}
    for run in said(MICRO, "--benchmark_format=json", f"--benchmark_filter={GROUPS}",
                    f"--benchmark_min_time={seconds}")["benchmarks"]:
        per_second = run.get("items_per_second")
        found[run["name"]] = 1e9 / per_second if per_second else run["cpu_time"]
    return found


def works_round(seconds):
    """Each work by Leat, with what the machine alone takes, and by the others that have it."""
    for work in ("read", "uncached", "files", "pipe", "gzip", "parked"):
        yield said(WORKS, work, seconds)
        if work in ("read", "files"):
            yield named("node", said("node", FILES_SCRIPT, work, seconds))
            if LIBUV.exists():
                yield named("libuv", said(LIBUV, work, seconds))


def a_round(seconds, seconds_micro):
    yield micro_round(seconds_micro)
    yield named("node", said("node", SCRIPT, seconds_micro))
    yield from works_round(seconds)


def main():
    parser = argparse.ArgumentParser(prog="./dev bench async")
    parser.add_argument("--quick", action="store_true", help="a round of each; keeps nothing")
    options = parser.parse_args()
    if not MICRO.exists():
        print("bench: build/bench/micro was not built: libbenchmark-dev is missing "
              "(./dev deps bench), or the build was set up without it (./dev clean)")
        return 1
    rounds, seconds, micro = (1, 0.05, 0.01) if options.quick else (ROUNDS, SECONDS, SECONDS_MICRO)
    disturbance = machine.Disturbance(lambda: 0.0)
    samples = {}
    for _ in range(rounds):
        for found in a_round(seconds, micro):
            for name, value in found.items():
                samples.setdefault(name, []).append(value)
    steal, foreign = disturbance.shares()
    version = re.sub("^v", "", machine.first_line("node", "--version"))
    result = {"samples": samples, "machine": machine.describe(), "rounds": rounds,
              "node": version, "steal": steal, "foreign": foreign,
              "file_system": machine.first_line("stat", "-f", "-c", "%T", "/tmp"),
              "limits": {"disturbed": machine.DISTURBED_SHARE_MAX}}
    print(report_async.section(result))
    if not options.quick:
        report.keep(ROOT, "async", result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
