#!/usr/bin/env python3
"""The switch of stacks on a processor that is not this machine's: cross-compiled, and run by QEMU.

Skips where the compiler or the emulator is missing, unless LEAT_TEST_ALL is set.
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
COMPILER, EMULATOR, SYSROOT = "aarch64-linux-gnu-gcc", "qemu-aarch64", "/usr/aarch64-linux-gnu"
SOURCES = ("test/unit/switch.c", "runtime/async/switch_frame.c", "runtime/async/switch_aarch64.S")
SKIPPED = 77
# How a distribution may build: with and without enforced branch targets and signed addresses.
FLAGS = ((), ("-mbranch-protection=standard",), ("-O0",))


def run(*command):
    done = subprocess.run(command, cwd=ROOT, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=120)
    if done.returncode != 0:
        print(*command)
        print(done.stdout)
        sys.exit(1)
    return done.stdout


def main():
    missing = [tool for tool in (COMPILER, EMULATOR) if shutil.which(tool) is None]
    if missing:
        print(f"skip: {' and '.join(missing)}: ./dev deps test installs the packages")
        sys.exit(1 if os.environ.get("LEAT_TEST_ALL") else SKIPPED)
    public = pathlib.Path(os.environ["MESON_BUILD_ROOT"]) / "include"
    with tempfile.TemporaryDirectory() as folder:
        program = f"{folder}/switch"
        for flags in FLAGS:
            run(COMPILER, "-std=gnu17", "-O2", "-Wall", "-Wextra", "-Werror",
                "-Wno-unused-parameter", *flags, "-I.",
                f"-I{public}", *SOURCES, "-o", program)
            run(EMULATOR, "-L", SYSROOT, program)


main()
