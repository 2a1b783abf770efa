#!/usr/bin/env python3
"""`./dev bench micro [PATTERN]`: ns, TSC cycles and instructions of every micro benchmark.

Times come from Google Benchmark (medians of repetitions), instructions from callgrind. Without
PATTERN the results go to docs/benchmarks/micro.json and docs/benchmarks.md; with it, only the
cases whose name contains it are run and printed.
"""
import json
import os
import pathlib
import re
import subprocess
import sys

import instructions
import machine
import report

ROOT = pathlib.Path(__file__).resolve().parent.parent
MICRO = str(ROOT / "build/bench/micro")
REPETITIONS = 5
SECONDS_PER_REPETITION = 0.1


def times(pattern):
    """Case -> what Google Benchmark says, each repetition."""
    done = subprocess.run(
        [MICRO, "--benchmark_format=json", f"--benchmark_filter={re.escape(pattern)}",
         f"--benchmark_repetitions={REPETITIONS}",
         f"--benchmark_min_time={SECONDS_PER_REPETITION}"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True, timeout=1800)
    found = {}
    for run in json.loads(done.stdout)["benchmarks"]:
        if run.get("run_type") == "iteration":
            found.setdefault(run["run_name"], []).append(run)
    return found


def by_group(cases):
    """The cases of a group together, in the order in which groups and cases first come."""
    groups = {}
    for case in cases:
        groups.setdefault(case["name"].split("/")[0], []).append(case)
    return [case for group in groups.values() for case in group]


def case_of(name, runs, counted):
    if any(run.get("error_occurred") for run in runs):
        return None
    values = [run["cpu_time"] for run in runs]
    known = {"cycles", "bytes_per_second", "items_per_second"}
    standard = {"name", "run_name", "run_type", "repetitions", "repetition_index", "threads",
                "iterations", "real_time", "cpu_time", "time_unit", "family_index",
                "per_family_instance_index"}
    case = {"name": name, "ns": machine.median(values), "ns_min": min(values),
            "ns_max": max(values), "cycles": machine.median([run["cycles"] for run in runs]),
            "instructions": counted.get(name),
            "counters": {k: v for k, v in runs[0].items() if k not in known | standard}}
    if "bytes_per_second" in runs[0]:
        case["bytes_per_second"] = machine.median([run["bytes_per_second"] for run in runs])
    return case


def main():
    pattern = sys.argv[1] if len(sys.argv) > 1 else ""
    os.chdir(ROOT)
    if not os.path.exists(MICRO):
        print("bench: build/bench/micro was not built: libbenchmark-dev is missing "
              "(./dev deps bench), or the build was set up without it (./dev clean)")
        return 1
    disturbance = machine.Disturbance(lambda: 0.0)
    counted = instructions.of_cases(MICRO, "--count", pattern)
    measured = [case_of(name, runs, counted) for name, runs in times(pattern).items()]
    steal, foreign = disturbance.shares()
    result = {"cases": by_group(filter(None, measured)), "machine": machine.describe(),
              "samples": {}, "steal": steal, "foreign": foreign,
              "limits": {"disturbed": machine.DISTURBED_SHARE_MAX}}
    if not result["cases"]:
        print(f"bench: no case has '{pattern}' in its name; {MICRO} --list shows them")
        return 1
    print(report.micro_section(result))
    if not pattern:
        report.keep(ROOT, "micro", result)
    return 0 if all(measured) else 1


if __name__ == "__main__":
    sys.exit(main())
