#!/usr/bin/env python3
"""Shows that each bug that home-made TCP stacks have would be caught: `./dev bugs [NN...]`.

Each NN-NAME.patch of this folder puts one such bug into a copy of the tree; its head says what
breaks and which test is to notice. The copy is built once; then each patch is applied, what changed
is built, the scripts of test/script run, and if they all pass, seeds of the simulator, until
something fails; then the patch is taken out again. A checker that never caught anything proves
nothing. Exit code 1 if a bug goes unnoticed, a patch does not apply or build, or the tree without
any bug fails.
"""
import argparse
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SCRIPT_CPU_SECONDS_MAX = 10  # more is an endless loop
SEEDS_CPU_SECONDS_MAX = 3600  # of one process that plays many
MEMORY_BYTES_MAX = 4 << 30  # of one process
BUILD_SECONDS_MAX = 900


class Bug:
    """One patch: its name, what it breaks, and which test is to catch it."""

    def __init__(self, path):
        self.path = path
        self.number, self.name = path.stem.split("-", 1)
        text = path.read_text()
        expected = re.search(r"^Caught by: (.*)$", text, re.M)
        self.expected = expected[1] if expected else ""
        self.files = re.findall(r"^\+\+\+ b/(.*)$", text, re.M)


class Tree:
    """A copy of the tracked files, with a build of its own."""

    def __init__(self, folder):
        self.folder = folder
        self.tests = {}

    def run(self, command, seconds, cpu_seconds=0):
        """Exit code, or None when it took too long; and its output."""
        def limit():
            resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 1))
            resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

        process = subprocess.Popen(
            command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True,
            preexec_fn=limit if cpu_seconds else None)
        try:
            output, _ = process.communicate(timeout=max(seconds, 1))
            return process.returncode, output
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return None, process.communicate()[0]
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise

    def copy(self):
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, text=True,
                                stdout=subprocess.PIPE).stdout
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_file():
                (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.folder / name)
        code, output = self.run(["meson", "setup", "build", "-Dbenchmarks=disabled",
                                 "-Ddebug=false"], 300)
        if code != 0:
            sys.exit(f"meson failed in the copy:\n{output}")
        code, output = self.run(["meson", "introspect", "build", "--tests"], 60)
        self.tests = {test["name"]: test["cmd"][0] for test in json.loads(output)
                      if test["name"].startswith("script-")}

    def build(self):
        """None, or the first line that says what is wrong."""
        targets = ["leat-sim"] + [os.path.relpath(path, self.folder / "build")
                                  for path in self.tests.values()]
        code, output = self.run(["ninja", "-C", "build", *targets], BUILD_SECONDS_MAX)
        if code == 0:
            return None
        found = re.search(r"^.*error:.*$", output, re.M)
        return found[0] if found else (output.strip().splitlines() or ["no end"])[-1]


def how_it_ended(code):
    if code is None or code == -signal.SIGXCPU:
        return "does not end"
    if code < 0:
        return f"{signal.Signals(-code).name}"
    return f"exit code {code}"


def failing_script(tree, expected, seconds):
    """"script NAME, CASE", or None. The one that is expected to fail goes first."""
    names = sorted(tree.tests, key=lambda name: (name[len("script-"):] not in expected, name))
    for name in names:
        code, output = tree.run([tree.tests[name]], seconds, SCRIPT_CPU_SECONDS_MAX)
        if code == 0:
            continue
        failed = re.findall(r"^\[  FAILED  \] (?!\d)(\w+)$", output, re.M)
        if failed:
            return f"script {name[len('script-'):]}, {failed[0]}"
        begun = re.findall(r"^\[ RUN      \] (\w+)$", output, re.M)
        where = f", {begun[-1]}" if begun else ""
        return f"script {name[len('script-'):]}{where} ({how_it_ended(code)})"
    return None


def failing_seed(tree, seeds, seconds, jobs=0):
    """What the simulator says of the first seed that it finds failing, or None; and how many were
    played. leat-sim itself bounds the processor time of a seed and survives its crash."""
    play = [str(tree.folder / "build/leat-sim"), "--seeds", str(seeds), "--from", "1",
            "--stop", "1"] + (["--jobs", str(jobs)] if jobs else [])
    code, output = tree.run(play, seconds, SEEDS_CPU_SECONDS_MAX)
    found = re.search(r"^seed (\d+): (.*)$", output, re.M)
    if found:
        return f"seed {found[1]}: {found[2]}", 0
    played = re.findall(r"^(\d+) (?:of \d+ )?seeds", output, re.M)
    if code == 0 or code is None:
        return None, int(played[-1]) if played else 0
    return f"the simulator ended with {how_it_ended(code)}", 0


def judge(tree, expected, options):
    """(caught, by what) of the tree as it is."""
    if not options.sim:
        said = failing_script(tree, expected, options.seconds)
        if said:
            return True, said
    if options.scripts:
        return False, "every script passes"
    said, played = failing_seed(tree, options.seeds, options.seconds, options.jobs)
    passed = f"{played} seeds pass" if options.sim else f"every script and {played} seeds pass"
    return (True, said) if said else (False, passed)


def apply_and_judge(tree, bug, options):
    before = {name: (tree.folder / name).read_bytes() for name in bug.files}
    code, output = tree.run(["patch", "-p1", "-f", "--no-backup-if-mismatch", "-r", "-",
                             "-i", str(bug.path)], 60)
    try:
        if code != 0:
            return False, "the patch does not apply: " + output.strip().splitlines()[-1]
        wrong = tree.build()
        if wrong:
            return False, f"the patch does not build: {wrong}"
        return judge(tree, bug.expected, options)
    finally:
        for name, content in before.items():
            (tree.folder / name).write_bytes(content)


def show(caught, name, by, started):
    seconds = time.monotonic() - started
    print(f"{'ok' if caught else 'FAILED':<6} {name:<46} {seconds:6.1f} s  {by}", flush=True)


def sound_tree(tree):
    """The tree without a bug passes, or nothing that fails later means anything."""
    started = time.monotonic()
    tree.copy()
    wrong = tree.build()
    if wrong:
        sys.exit(f"FAILED the tree does not build: {wrong}")
    said = failing_script(tree, "", 300) or failing_seed(tree, 100, 300)[0]
    show(not said, "without a bug", said or "every script and 100 seeds pass", started)
    return not said


def arguments():
    parser = argparse.ArgumentParser(prog="./dev bugs", description=__doc__.split("\n")[0])
    parser.add_argument("numbers", nargs="*", metavar="NN", help="only these; default: all")
    parser.add_argument("--seeds", type=int, default=10000, help="at most, of the simulator")
    parser.add_argument("--jobs", type=int, default=0, help="processes that play; 0: each CPU")
    parser.add_argument("--seconds", type=int, default=600, help="at most, for a bug")
    parser.add_argument("--sim", action="store_true", help="without the scripts")
    parser.add_argument("--scripts", action="store_true", help="without the simulator")
    return parser.parse_args()


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    wanted = set(options.numbers)
    bugs = [Bug(path) for path in sorted(HERE.glob("*.patch"))]
    bugs = [bug for bug in bugs if not wanted or bug.number in wanted]
    unknown = wanted - {bug.number for bug in bugs}
    if unknown:
        sys.exit(f"there is no bug {', '.join(sorted(unknown))}")
    missed = 0
    with tempfile.TemporaryDirectory(prefix="leat-bugs-") as folder:
        tree = Tree(pathlib.Path(folder))
        if not sound_tree(tree):
            return 1
        for bug in bugs:
            started = time.monotonic()
            caught, by = apply_and_judge(tree, bug, options)
            show(caught, f"{bug.number} {bug.name}", by, started)
            missed += not caught
    print(f"{len(bugs) - missed} of {len(bugs)} bugs caught")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
