"""The machine that the cards are in: QEMU without acceleration, Debian's kernel, a file system in
memory with leat, its DPDK module and DPDK's drivers. Commands go in, and what they say comes out,
by a virtio port; the serial line is the console."""
import ctypes
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "kernel"))
import image  # noqa: E402

DRIVERS = pathlib.Path("/usr/lib/x86_64-linux-gnu/dpdk")
DRIVERS_WANTED = ("bus_pci", "bus_vdev", "mempool_ring", "net_e1000", "net_vmxnet3", "net_virtio")
MODULES = ("irqbypass", "vfio", "vfio_virqfd", "vfio_iommu_type1", "vfio-pci-core", "vfio-pci",
           "failover", "net_failover", "virtio_ring", "virtio", "virtio_pci_modern_dev",
           "virtio_pci_legacy_dev", "virtio_pci", "virtio_net",
           "virtio_console", "llc", "stp", "garp", "mrp",
           "8021q", "uio", "uio_pci_generic")
BOOT_SECONDS_MAX = 180
COMMAND_SECONDS_MAX = 120

INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin LD_LIBRARY_PATH=/lib HOME=/tmp
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
mkdir -p /dev/shm; mount -t tmpfs shm /dev/shm; mount -t tmpfs tmp /tmp
ip link set lo up; ulimit -n 100000; cd /tmp
for module in %(modules)s; do insmod /modules/$module.ko || echo "no module $module"; done
echo 300 >/proc/sys/vm/nr_hugepages
exec 3<>"$(ls /dev/vport* | head -n 1)"
echo "READY $(uname -r)" >&3
while read -r number line <&3; do
    sh -c "$line" >/tmp/said 2>&1 </dev/null 3>&-
    code=$?
    { echo "BEGIN $number"; cat /tmp/said; echo; echo "END $number $code"; } >&3
done
poweroff -f
"""


def pack(work, programs, files):
    """programs: (path, folder in the guest); files: name and contents. Returns the archive's path.
    """
    root = work / "root"
    image.kernel()
    image.new_root(root)
    image.add(root, image.BUILD / "leat")
    image.add(root, image.BUILD / "leat-dpdk.so")
    folder, = DRIVERS.glob("pmds-*")
    inside = root / str(folder)[1:]
    inside.mkdir(parents=True)
    for name in DRIVERS_WANTED:  # with their links: copies would register twice
        for path in sorted(folder.glob(f"librte_{name}.so*")):
            if path.is_symlink():
                (inside / path.name).symlink_to(os.readlink(path))
            else:
                image.add(root, path, inside.relative_to(root))
        for path in sorted(folder.parent.parent.glob(f"librte_{name}.so*")):
            if path.is_symlink():
                link = root / str(path)[1:]
                link.unlink(missing_ok=True)
                link.symlink_to(os.readlink(path))
    for path, inside in programs:
        image.add(root, path, inside)
    for name, contents in files.items():
        (root / name).write_bytes(contents)
    for path in image.modules(MODULES):
        shutil.copy(path, root / "modules")
    return image.pack(root, INIT % {"modules": " ".join(MODULES)}, work / "guest.cpio")


def end_with_parent():
    """However this process ends, the machine ends with it."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class Guest:
    """A machine that runs. `with Guest(work, archive, devices, iommu) as guest:`"""

    def __init__(self, work, archive, devices, iommu):
        self.work = work
        self.number = 0
        self.said = b""
        command = self._command(archive, devices, iommu)
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL,
                                        stdout=open(work / "qemu.log", "wb"),
                                        stderr=subprocess.STDOUT, preexec_fn=end_with_parent)
        try:
            self.line = self._connect("line")
            self.monitor = self._connect("monitor").makefile("rw")
            self.qmp("qmp_capabilities")
            self.release = self._until(rb"^READY (\S+)\r?\n", BOOT_SECONDS_MAX)[1].decode()
        except BaseException:
            self.__exit__()
            raise

    def _command(self, archive, devices, iommu):
        for name in ("line", "monitor"):
            (self.work / name).unlink(missing_ok=True)
        words = ["nice", "-n", "10", "qemu-system-x86_64", "-machine", "q35", "-accel",
                 "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1800", "-nodefaults",
                 "-display", "none", "-no-reboot",
                 "-serial", f"file:{self.work / 'console.log'}",
                 "-chardev", f"socket,id=line,path={self.work / 'line'},server=on,wait=off",
                 "-device", "virtio-serial-pci", "-device", "virtserialport,chardev=line",
                 "-qmp", f"unix:{self.work / 'monitor'},server=on,wait=off",
                 "-kernel", image.kernel(), "-initrd", archive,
                 "-append", "console=ttyS0 quiet panic=-1" +
                 (" intel_iommu=on" if iommu else "")]
        if iommu:
            words += ["-device", f"intel-iommu,intremap={'on' if iommu == 'remapped' else 'off'},"
                      "caching-mode=on,device-iotlb=on"]
        return [str(word) for word in words + devices]

    def _connect(self, name):
        deadline = time.monotonic() + 20
        while True:
            try:
                line = socket.socket(socket.AF_UNIX)
                line.connect(str(self.work / name))
                return line
            except OSError:
                line.close()
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise
                time.sleep(0.05)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.process.kill()
        self.process.wait(20)

    def _until(self, pattern, seconds):
        deadline = time.monotonic() + seconds
        while True:
            match = re.search(pattern, self.said, re.M | re.S)
            if match:
                self.said = self.said[match.end():]
                return match
            self.line.settimeout(max(deadline - time.monotonic(), 0.01))
            try:
                piece = self.line.recv(65536)
            except TimeoutError:
                piece = b""
            if not piece:
                raise AssertionError(f"the guest does not say {pattern}: {self.said[-500:]} "
                                     f"{self.console()[-1500:]}")
            self.said += piece

    def run(self, command, seconds=COMMAND_SECONDS_MAX):
        """(exit code, output) of a shell command in the guest."""
        self.number += 1
        self.line.sendall(f"{self.number} {command}\n".encode())
        match = self._until(rb"^BEGIN %d\r?\n(.*?)\r?\nEND %d (\d+)\r?$" %
                            (self.number, self.number), seconds)
        return int(match[2]), match[1].decode(errors="replace").replace("\r\n", "\n").strip()

    def check(self, command, seconds=COMMAND_SECONDS_MAX):
        code, said = self.run(command, seconds)
        assert code == 0, f"{command}: {code}: {said}"
        return said

    def qmp(self, command, **arguments):
        """A command of the machine's monitor; returns what it returns."""
        if command == "qmp_capabilities":
            json.loads(self.monitor.readline())  # the greeting
        self.monitor.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.monitor.flush()
        while True:
            answer = json.loads(self.monitor.readline())
            if "event" not in answer:
                assert "error" not in answer, answer
                return answer["return"]

    def console(self):
        return (self.work / "console.log").read_text(encoding="utf-8", errors="replace")
