#!/usr/bin/env python3
"""How much of net/stack the scripts and the simulator's seeds run: `./dev coverage`.

Builds the scripts and the simulator with gcov in build-coverage, runs all scripts and some seeds,
and prints lines and branches for each file. Branches of CHECK and DCHECK, which only a bug of ours
takes, are left out. With --missing FILE the lines are printed of which a branch was never taken.
"""
import argparse
import collections
import gzip
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build-coverage"
FOLDER = "net/stack"
SCRIPT_SECONDS_MAX = 300
SIM_SECONDS_MAX = 3600
BUILD_SECONDS_MAX = 3600


def run(command, seconds, **more):
    return subprocess.run(command, timeout=seconds, check=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, **more).stdout


def build():
    """The paths of the scripts; leat-sim beside them."""
    if not (BUILD / "build.ninja").exists():
        run(["meson", "setup", str(BUILD), "-Db_coverage=true", "-Doptimization=0"], 300,
            cwd=ROOT)
    listed = json.loads(run(["meson", "introspect", "--targets", str(BUILD)], 60))
    scripts = [pathlib.Path(t["filename"][0]) for t in listed
               if t["name"].startswith("test-script-")]
    wanted = [str(p.relative_to(BUILD)) for p in scripts + [BUILD / "leat-sim"]]
    run(["ninja", "-C", str(BUILD)] + wanted, BUILD_SECONDS_MAX)
    return scripts


def play(scripts, seeds):
    for old in BUILD.rglob("*.gcda"):
        old.unlink()
    for script in scripts:
        run([str(script)], SCRIPT_SECONDS_MAX)
    if seeds > 0:
        run([str(BUILD / "leat-sim"), "--seeds", str(seeds)], SIM_SECONDS_MAX)


def gathered():
    """{file: {line: [line count, [branch counts]]}}"""
    files = collections.defaultdict(dict)
    data = [p for p in BUILD.rglob("net_stack_*.gcda")]
    with tempfile.TemporaryDirectory() as folder:
        for path in data:
            run(["gcov", "--json-format", "--branch-probabilities", str(path)], 60, cwd=folder)
            for out in pathlib.Path(folder).glob("*.json.gz"):
                for file in json.loads(gzip.decompress(out.read_bytes()))["files"]:
                    add(files, file)
                out.unlink()
    return files


def add(files, file):
    name = os.path.normpath(os.path.join(BUILD, file["file"]))
    name = os.path.relpath(name, ROOT)
    if not name.startswith(FOLDER):
        return
    for line in file["lines"]:
        have = files[name].setdefault(line["line_number"], [0, []])
        have[0] += line["count"]
        counts = [b["count"] for b in line["branches"]]
        if len(have[1]) < len(counts):
            have[1] += [0] * (len(counts) - len(have[1]))
        for i, count in enumerate(counts):
            have[1][i] += count


def without_checks(files):
    for name, lines in files.items():
        text = (ROOT / name).read_text().splitlines()
        for number, (_, branches) in lines.items():
            if "CHECK(" in text[number - 1]:
                branches.clear()


def share(part, whole):
    return f"{100 * part / whole:5.1f}%" if whole else "     -"


def print_table(files):
    print(f"{'file':34} {'lines':>6} {'run':>6} {'branches':>9} {'taken':>6}")
    total = [0, 0, 0, 0]
    for name in sorted(files):
        lines = files[name]
        row = [len(lines), sum(1 for count, _ in lines.values() if count > 0),
               sum(len(b) for _, b in lines.values()),
               sum(1 for _, b in lines.values() for count in b if count > 0)]
        total = [a + b for a, b in zip(total, row)]
        print(f"{name:34} {row[0]:6} {share(row[1], row[0])} {row[2]:9} {share(row[3], row[2])}")
    print(f"{'all':34} {total[0]:6} {share(total[1], total[0])} {total[2]:9} "
          f"{share(total[3], total[2])}")


def print_missing(files, name):
    lines = files.get(name)
    if lines is None:
        sys.exit(f"coverage: {name} is no file that was run")
    text = (ROOT / name).read_text().splitlines()
    for number in sorted(lines):
        count, branches = lines[number]
        never = sum(1 for b in branches if b == 0)
        if count == 0 or never > 0:
            print(f"{number:5} {'never run' if count == 0 else f'{never} of {len(branches)}':>10}"
                  f"  {text[number - 1]}")


def main():
    parser = argparse.ArgumentParser(prog="./dev coverage", description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=100, help="of the simulator [100]")
    parser.add_argument("--missing", action="append", default=[], metavar="FILE",
                        help="lines of FILE of which something never ran")
    parser.add_argument("--again", action="store_true", help="print what the last run gathered")
    options = parser.parse_args()
    try:
        if not options.again:
            play(build(), options.seeds)
    except subprocess.CalledProcessError as error:
        sys.exit(f"coverage: {' '.join(error.cmd[:3])} failed:\n"
                 + error.stdout.decode(errors="replace")[-2000:])
    files = gathered()
    without_checks(files)
    for name in options.missing:
        print_missing(files, name)
    if not options.missing:
        print_table(files)
    return 0


if __name__ == "__main__":
    sys.exit(main())
