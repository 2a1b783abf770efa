#!/usr/bin/env python3
"""`./dev bench async [--quick]`: futures and tasks beside Node's promises and async functions.

What one operation costs, in batches, in CPU time: Leat's by the micro benchmarks of bench/future.c
and bench/task.c, Node's by bench/async.js, in interleaved rounds. Results go to
docs/benchmarks/async.json and docs/benchmarks.md, unless --quick is given.
"""
import argparse
import json
import pathlib
import re
import subprocess
import sys

import machine
import report
import report_async

ROOT = pathlib.Path(__file__).resolve().parent.parent
MICRO, SCRIPT = ROOT / "build/bench/micro", ROOT / "bench/async.js"
ROUNDS, SECONDS_MAX = 9, 120
GROUPS = "^(future|task)/"


def leat_round(seconds):
    """Case -> ns of CPU time per operation."""
    done = subprocess.run(
        [MICRO, "--benchmark_format=json", f"--benchmark_filter={GROUPS}",
         f"--benchmark_min_time={seconds}"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True,
        timeout=SECONDS_MAX)
    found = {}
    for run in json.loads(done.stdout)["benchmarks"]:
        per_second = run.get("items_per_second")
        found[run["name"]] = 1e9 / per_second if per_second else run["cpu_time"]
    return found


def node_round(seconds):
    done = subprocess.run(["node", SCRIPT, str(seconds)], stdout=subprocess.PIPE, text=True,
                          check=True, timeout=SECONDS_MAX)
    return {f"node/{name}": ns for name, ns in json.loads(done.stdout).items()}


def main():
    parser = argparse.ArgumentParser(prog="./dev bench async")
    parser.add_argument("--quick", action="store_true", help="a round of each; keeps nothing")
    options = parser.parse_args()
    if not MICRO.exists():
        print("bench: build/bench/micro was not built: libbenchmark-dev is missing "
              "(./dev deps bench), or the build was set up without it (./dev clean)")
        return 1
    rounds, seconds = (1, 0.01) if options.quick else (ROUNDS, 0.2)
    disturbance = machine.Disturbance(lambda: 0.0)
    samples = {}
    for _ in range(rounds):
        for found in (leat_round(seconds), node_round(seconds)):
            for name, ns in found.items():
                samples.setdefault(name, []).append(ns)
    steal, foreign = disturbance.shares()
    version = re.sub("^v", "", subprocess.run(["node", "--version"], stdout=subprocess.PIPE,
                                              text=True, check=True, timeout=10).stdout.strip())
    result = {"samples": samples, "machine": machine.describe(), "rounds": rounds,
              "node": version, "steal": steal, "foreign": foreign,
              "limits": {"disturbed": machine.DISTURBED_SHARE_MAX}}
    print(report_async.section(result))
    if not options.quick:
        report.keep(ROOT, "async", result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
