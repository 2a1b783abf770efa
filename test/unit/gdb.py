"""The commands of runtime/async/gdb.py, in gdb: of a program that runs, and of its core file.

usage: gdb.py PROGRAM SCRIPT"""
import os
import pathlib
import re
import resource
import shutil
import subprocess
import sys
import tempfile

LIMIT_S = 100
SKIPPED = 77


def core_of(program, folder):
    """The kernel's core file of the program, which ends itself; None: it may not
    have one here, or they go to another program or folder."""
    limit = resource.getrlimit(resource.RLIMIT_CORE)[1]
    pattern = pathlib.Path("/proc/sys/kernel/core_pattern").read_text()
    if limit == 0 or re.match(r"[|/]", pattern):
        return None
    subprocess.run([program, "--cores", "1"], cwd=folder, timeout=LIMIT_S, check=False,
                   stdin=subprocess.DEVNULL, capture_output=True,
                   env={**os.environ, "LEAT_TEST_ABORT": "1"},
                   preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (limit, limit)))
    cores = list(pathlib.Path(folder).glob("core*"))
    assert len(cores) == 1, cores
    return cores[0]


def gdb(program, *commands, core=None):
    words = ["gdb", "-nx", "-batch", "-iex", "set debuginfod enabled off", "-ex",
             "set confirm off", "-ex", f"source {sys.argv[2]}"]
    words += [word for command in commands for word in ("-ex", command)]
    words += [program] + ([core] if core else [])
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=LIMIT_S, check=False,
                          env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"})
    return done.stdout + done.stderr


def expect(said, *patterns):
    for pattern in patterns:
        assert re.search(pattern, said, re.M | re.S), f"{pattern!r} is not in:\n{said}"


def check(said):
    expect(said, r"^1 +core 0  awaits first  first_task, started at \S*parked.c:\d+$",
           r"^2 +core 0  yields second  second_task, started",
           r"^3 +core 0  runs   third  running_task, started", r"^3 tasks$",
           # the whole of the first's stack, and nothing behind its beginning
           r"in leat_await .*in wait_inside .*in wait_inside .*in wait_inside .*in first_task ",
           r"in leat_task_yield .*in second_task ", r"it runs: see the backtrace of thread \d",
           r"a number of `leat tasks`, 1 to 3")
    assert "corrupt" not in said and "#50" not in said, said


def main():
    if shutil.which("gdb") is None:
        print("gdb is not installed: its commands for tasks are not tested")
        sys.exit(SKIPPED)
    program = pathlib.Path(sys.argv[1]).resolve()
    looks = ["leat tasks", "leat bt 1", "leat bt 2", "leat bt 3", "leat bt 4"]
    said = gdb(program, "break everything_waits", "run --cores 1", *looks, "bt", "continue")
    check(said)
    expect(said, r"in running_task ", r"exited normally")  # nothing was changed by looking
    expect(gdb(program, "leat tasks"), "no program runs, and no core file is loaded")
    with tempfile.TemporaryDirectory() as folder:
        core = core_of(program, folder)
        if core is not None:
            check(gdb(program, *looks, core=core))
    print("gdb lists tasks and their backtraces, in a program that runs and in its core file"
          + (", but for the latter: this machine's kernel leaves none" if core is None else ""))


main()
