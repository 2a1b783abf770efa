#!/usr/bin/env python3
"""Runs the tests of the sockets transport on the kernel of Debian 12 (`./dev kernel`), in a virtual
machine without acceleration: what io_uring can do differs between kernels, and the one that builds
is seldom the one that serves.

The guest has that kernel, the test programs with their libraries, busybox, and a loopback
interface. It needs no rights here and reaches no network. Prints a line for each program, then
'N passed, N failed'; the guest's whole console stays in build/kernel/console.log.
"""
import os
import pathlib
import re
import shutil
import stat
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / "build"
WORK = BUILD / "kernel"
GUEST_SECONDS_MAX = 1500
PROGRAM_SECONDS_MAX = 300
PROGRAMS = [f"{program} {net}"
            for net in ("epoll", "uring")
            for program in ("test-contract", "test-socket", "test-http-sockets")]
BINARIES = ["leat", "test/contract/test-contract", "test/socket/test-socket",
            "test/http/test-http-sockets"]

INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin LD_LIBRARY_PATH=/lib
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
mkdir -p /dev/shm; mount -t tmpfs shm /dev/shm; mount -t tmpfs tmp /tmp
ip link set lo up; ulimit -n 100000; cd /tmp
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


def kernel():
    """The path of Debian's kernel image, fetched once as a package and not installed."""
    found = sorted(WORK.glob("image/boot/vmlinuz-*"))
    if found:
        return found[-1]
    depends = subprocess.run(["apt-cache", "depends", "linux-image-amd64"], check=True,
                             capture_output=True, text=True).stdout
    name = re.search(r"Depends: (linux-image-\d\S+)", depends)
    if not name:
        sys.exit("kernel: apt knows no linux-image-amd64: run apt-get update")
    subprocess.run(["apt-get", "-qq", "download", name[1]], cwd=WORK, check=True,
                   stderr=subprocess.DEVNULL)
    package, = WORK.glob("linux-image-*.deb")
    subprocess.run(["dpkg-deb", "-x", package, WORK / "image"], check=True)
    package.unlink()
    return sorted(WORK.glob("image/boot/vmlinuz-*"))[-1]


def libraries_of(binary):
    environment = dict(os.environ, LD_LIBRARY_PATH=str(BUILD))
    listed = subprocess.run(["ldd", binary], check=True, capture_output=True, text=True,
                            env=environment).stdout
    return re.findall(r"(/\S+) \(0x", listed)


def guest():
    """Packs the guest's file system; returns the archive's path."""
    root = WORK / "root"
    shutil.rmtree(root, ignore_errors=True)
    for folder in ("bin", "proc", "sys", "dev", "tmp", "lib"):
        (root / folder).mkdir(parents=True)
    shutil.copy("/bin/busybox", root / "bin")
    for binary in BINARIES:
        shutil.copy(BUILD / binary, root / "bin")
        for library in libraries_of(BUILD / binary):
            inside = root / ("lib/" + os.path.basename(library)
                             if library.startswith(str(BUILD)) else library[1:])
            inside.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(library, inside)
    runs = "\n".join(f'run "{program}" {program}' for program in PROGRAMS)
    init = root / "init"
    init.write_text(INIT % {"seconds": PROGRAM_SECONDS_MAX, "runs": runs}, encoding="utf-8")
    init.chmod(init.stat().st_mode | stat.S_IXUSR)
    archive = WORK / "guest.cpio"
    names = subprocess.run(["find", "."], cwd=root, check=True, capture_output=True).stdout
    with open(archive, "wb") as file:
        subprocess.run(["cpio", "--quiet", "-o", "-H", "newc"], cwd=root, input=names, check=True,
                       stdout=file)
    return archive


def boot(image, archive):
    """Returns what the guest printed."""
    command = ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2",
               "-m", "2G", "-nographic", "-no-reboot", "-nic", "none", "-kernel", image,
               "-initrd", archive, "-append", "console=ttyS0 quiet panic=-1"]
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
    printed = boot(kernel(), guest())
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
