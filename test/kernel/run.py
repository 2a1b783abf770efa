#!/usr/bin/env python3
"""Runs the tests of the sockets transport, of tasks and of files on the kernel of Debian 12 (`./dev
kernel`), in a virtual machine without acceleration: what io_uring can do differs between kernels,
and the one that builds is seldom the one that serves.

The guest has that kernel, the test programs with their libraries, busybox, and a loopback
interface. It needs no rights here and reaches no network. Prints a line for each program, then
'N passed, N failed'; the guest's whole console stays in build/kernel/console.log.
"""
import pathlib
import re
import subprocess
import sys

import image

ROOT, BUILD = image.ROOT, image.BUILD
WORK = BUILD / "kernel"
GUEST_SECONDS_MAX = 1500
PROGRAM_SECONDS_MAX = 300
SOCKETS = ["contract/test-contract", "socket/test-socket", "http/test-http-sockets"]
# What asks the kernel for something that newer ones have: guards of stacks, openat2, O_TMPFILE.
UNITS = [f"unit/test-{name}" for name in ("stacks", "task", "task_many", "pool", "fs", "fs_stream",
                                          "watch_fs")]
PROGRAMS = [f"{pathlib.PurePath(program).name} {net}".strip()
            for programs, nets in ((SOCKETS, ("epoll", "uring")), (UNITS, ("",)))
            for net in nets for program in programs]
BINARIES = ["leat", *(f"test/{program}" for program in SOCKETS + UNITS)]

INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin LD_LIBRARY_PATH=/lib
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
mkdir -p /dev/shm; mount -t tmpfs shm /dev/shm; mount -t tmpfs tmp /tmp
ip link set lo up; ulimit -n 100000; cd /tmp
echo 262120 > /proc/sys/vm/max_map_count # as the sentence says: a guard is two mappings here
echo "KERNEL $(uname -r)"
run() { name=$1; shift; timeout %(seconds)d "$@"; echo "RESULT $? $name"; }
%(runs)s
serve() {
    leat serve --hello --listen 127.0.0.1:8080 --net $1 & server=$!
    sleep 5; answer=$(wget -q -O - http://127.0.0.1:8080/); kill $server; wait $server
    [ $? = 0 ] && [ "$answer" = "Hello, World!" ]
}
run "leat doctor" leat doctor
for net in epoll uring; do serve $net; echo "RESULT $? leat serve --net $net"; done
poweroff -f
"""


def guest():
    """Packs the guest's file system; returns the archive's path."""
    root = WORK / "root"
    image.new_root(root)
    for binary in BINARIES:
        image.add(root, BUILD / binary)
    runs = "\n".join(f'run "{program}" {program}' for program in PROGRAMS)
    return image.pack(root, INIT % {"seconds": PROGRAM_SECONDS_MAX, "runs": runs},
                      WORK / "guest.cpio")


def boot(kernel, archive):
    """Returns what the guest printed."""
    command = ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2",
               "-m", "2G", "-nographic", "-no-reboot", "-nic", "none", "-kernel", kernel,
               "-initrd", archive, "-append", "console=ttyS0 quiet panic=-1 no_timer_check"]
    console = WORK / "console.log"
    with open(console, "wb") as file:
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file,
                              stderr=subprocess.STDOUT) as machine:
            try:
                machine.wait(GUEST_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                print(f"kernel: the guest did not end within {GUEST_SECONDS_MAX} s")
            finally:
                machine.kill()
    return console.read_text(encoding="utf-8", errors="replace")


def main():
    WORK.mkdir(parents=True, exist_ok=True)
    printed = boot(image.kernel(), guest())
    release = re.search(r"KERNEL (\S+)", printed)
    print(f"Linux {release[1]}" if release else "the guest did not start")
    results = re.findall(r"^RESULT (\d+) (.+?)\r?$", printed, re.M)
    for code, name in results:
        print(f"{'ok' if code == '0' else 'FAILED'}  {name}")
    passed = sum(code == "0" for code, _ in results)
    wanted = len(PROGRAMS) + 3
    if passed < wanted:
        print(f"the console is in {(WORK / 'console.log').relative_to(ROOT)}")
    print(f"{passed} passed, {wanted - passed} failed")
    return passed < wanted


if __name__ == "__main__":
    sys.exit(main())
