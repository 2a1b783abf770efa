#!/usr/bin/env python3
"""Shows that each classic bug of home-made TCP stacks is caught: run.py [--seeds N] [NAME...]

Applies each NAME.patch of this folder to a copy of the tree, builds the scripts and leat-sim there,
and runs them until one fails. A checker that never caught anything proves nothing. Exit code 1 if a
bug went unnoticed, or if the tree without any fails.
"""
import argparse
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SCRIPTS = ["ip", "tcp_data", "tcp_states"]
SECONDS_MAX = 120


def run(tree, *command, seconds=SECONDS_MAX):
    """Exit code, or "no end"; and the last line that it printed."""
    try:
        done = subprocess.run(command, cwd=tree, stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=seconds, errors="replace")
    except subprocess.TimeoutExpired:
        return "no end", ""
    return done.returncode, (done.stdout.strip().splitlines() or [""])[-1]


def build(tree):
    targets = ["leat-sim"] + [f"test/script/test-script-{name}" for name in SCRIPTS]
    code, line = run(tree, "ninja", "-C", "build", *targets, seconds=900)
    if code != 0:
        sys.exit(f"the tree does not build: {line}")


def first_failure(tree, seeds):
    """What failed, or None."""
    for name in SCRIPTS:
        code, _ = run(tree, f"build/test/script/test-script-{name}")
        if code != 0:
            return f"script {name}" if code != "no end" else f"script {name}, which did not end"
    for first in range(1, seeds + 1, 10):
        code, line = run(tree, "build/leat-sim", "--from", str(first), "--seeds", "10")
        if code != 0:
            return f"the simulator, seeds {first} to {first + 9} ({line[:60]})"
    return None


def copy_tree(to):
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, text=True,
                           stdout=subprocess.PIPE).stdout.split("\n")
    for name in filter(None, names):
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, to / name)
    code, line = run(to, "meson", "setup", "build", seconds=300)
    if code != 0:
        sys.exit(f"meson failed in the copy: {line}")
    build(to)


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seeds", type=int, default=300)
    arguments.add_argument("names", nargs="*")
    options = arguments.parse_args()
    patches = [path for path in sorted(HERE.glob("*.patch"))
               if not options.names or path.stem in options.names]
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        tree = pathlib.Path(folder)
        copy_tree(tree)
        found = first_failure(tree, min(options.seeds, 50))
        if found:
            sys.exit(f"without any bug {found} fails")
        for path in patches:
            applied, line = run(tree, "patch", "-p1", "-i", str(path))
            if applied != 0:
                sys.exit(f"{path.name} does not apply: {line}")
            build(tree)
            found = first_failure(tree, options.seeds)
            print(f"{'caught' if found else 'MISSED'} {path.stem}"
                  f"{': ' + found if found else ''}", flush=True)
            missed += found is None
            run(tree, "patch", "-R", "-p1", "-i", str(path))
    print(f"{len(patches) - missed} of {len(patches)} bugs caught")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
