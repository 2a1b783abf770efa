"""A network namespace for one test: it ends with the last process in it."""
import ctypes
import os
import re
import shutil
import subprocess
import sys

import process

CLONE_NEWNET = 0x40000000
SKIPPED = 77


def skip(why):
    print(f"skipped: {why}")
    sys.exit(SKIPPED)


def enter(*commands):
    """Moves this process, and what it starts from now on, into a new namespace; or skips."""
    for command in ("ip", *commands):
        if shutil.which(command) is None:
            skip(f"{command} is not installed")
    if os.geteuid() != 0:
        skip("only root can make a network namespace")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0:
        skip(f"no network namespace: {os.strerror(ctypes.get_errno())}")
    ip("link", "set", "lo", "up")


def ip(*words):
    done = subprocess.run(["ip", *words], capture_output=True, text=True, timeout=10)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"
    return done.stdout


def serve(net, *flags):
    """`leat serve` with a stack of its own on net; .mac is its address."""
    program = process.serve("--hello", "--net", net, *flags)
    try:
        banner = program.until(r"^net \S+ driver (\S+), ([0-9a-f:]{17}), MTU (\d+)")
        program.driver, program.mac, program.mtu = banner[1], banner[2], int(banner[3])
    except BaseException:
        program.__exit__()
        raise
    return program


def ping(address, size, count=3, interval_s=0.05, options=()):
    """Fails unless every one of count pings of size bytes is answered with the same bytes."""
    words = ["ping", "-n", "-q", "-c", str(count), "-i", str(interval_s), "-w", "10",
             "-s", str(size), *options, address]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30)
    match = re.search(r"(\d+) packets transmitted, (\d+) received", done.stdout)
    assert done.returncode == 0 and match and match[1] == match[2] and "wrong data" not in \
        done.stdout, f"{' '.join(words)}: {done.stdout}{done.stderr}"
