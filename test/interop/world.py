"""A network namespace for one test: it ends with the last process in it."""
import ctypes
import errno
import fcntl
import hashlib
import http.client
import os
import random
import select
import shutil
import socket
import struct
import subprocess
import sys
import time

import process

CLONE_NEWNET, CLONE_NEWNS = 0x40000000, 0x20000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
HUGEPAGES = "/sys/kernel/mm/hugepages"
SKIPPED = 77
LIMIT_S = 10


def skip(why):
    print(f"skipped: {why}")
    sys.exit(SKIPPED)


def hide_hugepages(libc):
    """From this process and what it starts: tests that run at a time would count on the same."""
    assert libc.unshare(CLONE_NEWNS) == 0 and \
        libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None) == 0
    for folder in os.listdir(HUGEPAGES) if os.path.isdir(HUGEPAGES) else ():
        path = f"{HUGEPAGES}/{folder}/free_hugepages".encode()
        assert libc.mount(b"/dev/null", path, None, MS_BIND, None) == 0, folder


def enter(*commands, with_hugepages=False):
    """Moves this process, and what it starts from now on, into a new namespace; or skips."""
    for command in ("ip", *commands):
        if shutil.which(command) is None:
            skip(f"{command} is not installed")
    if os.geteuid() != 0:
        skip("only root can make a network namespace")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0:
        skip(f"no network namespace: {os.strerror(ctypes.get_errno())}")
    if not with_hugepages:
        hide_hugepages(libc)
    ip("link", "set", "lo", "up")


def run(*words):
    done = subprocess.run(words, capture_output=True, text=True, timeout=10)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
    return done.stdout


def ip(*words):
    return run("ip", *words)


def serve(net, *flags, what="--hello"):
    """`leat serve` with a stack of its own on net; .mac is its address."""
    program = process.serve(what, "--net", net, *flags)
    try:
        banner = program.until(r"^net \S+ driver (\S+), ([0-9a-f:]{17}), MTU (\d+)")
        program.driver, program.mac, program.mtu = banner[1], banner[2], int(banner[3])
    except BaseException:
        program.__exit__()
        raise
    return program


# Of linux/ethtool.h.
TX_CHECKSUM, SCATTER, RX_CHECKSUM, TSO, GSO, GRO = 0x17, 0x19, 0x15, 0x1f, 0x24, 0x2c


def ethtool(interface, command, is_on):
    value = ctypes.create_string_buffer(struct.pack("II", command, int(is_on)))
    request = struct.pack("16sP16x", interface.encode(), ctypes.addressof(value))
    with socket.socket() as control:
        fcntl.ioctl(control, 0x8946, request)  # SIOCETHTOOL


def finish_checksums(interface):
    """What the kernel sends through interface has its checksums filled in: on a veth pair it leaves
    that to a card that never comes."""
    ethtool(interface, TX_CHECKSUM, False)


def set_offloads(interface, is_on):
    """What ethtool -K calls tx, sg, tso, gso and gro."""
    commands = (TX_CHECKSUM, SCATTER, TSO, GSO, GRO)
    for command in commands if is_on else reversed(commands):
        try:
            ethtool(interface, command, is_on)
        except OSError as error:
            if is_on or error.errno != errno.EOPNOTSUPP:  # what a device cannot do is off
                raise


def digest(data):
    return hashlib.sha256(data).hexdigest()


def check_download(address, name, wanted):
    """The file comes over the kernel's TCP as it lies in the folder."""
    connection = http.client.HTTPConnection(address, 80, timeout=60)
    connection.request("GET", f"/{name}")
    data = connection.getresponse().read()
    connection.close()
    assert len(data) == len(wanted) and digest(data) == digest(wanted), \
        f"{len(data)} of {len(wanted)} bytes from {address}"


def check_echo(address, port, length):
    """Bytes go both ways at once, in pieces of random size, and come back the same."""
    seed = random.Random(length)
    data = seed.randbytes(length)
    got = bytearray()
    deadline = time.monotonic() + 60
    with socket.create_connection((address, port), timeout=60) as peer:
        peer.setblocking(False)
        at = 0
        while len(got) < length and time.monotonic() < deadline:
            wants = [peer] if at < length else []
            readable, writable, _ = select.select([peer], wants, [], 1)
            if writable:
                try:
                    at += peer.send(data[at:at + seed.randrange(1, 200000)])
                except BlockingIOError:
                    pass
            if readable:
                piece = peer.recv(1 << 20)
                assert piece, f"the echo ended after {len(got)} bytes"
                got += piece
    assert digest(got) == digest(data), f"{len(got)} of {length} bytes came back, or others"


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data[:len(data) & ~1]))
    total += data[-1] << 8 if len(data) % 2 else 0
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def echo_socket(address, is_whole):
    if ":" in address:
        return socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    probe = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    if is_whole:
        probe.setsockopt(socket.IPPROTO_IP, 10, 2)  # IP_MTU_DISCOVER, IP_PMTUDISC_DO
    return probe


def await_reply(probe, address, kind, tail, deadline):
    """Until the reply with exactly this tail has come."""
    while time.monotonic() < deadline:
        if not select.select([probe], [], [], 0.1)[0]:
            continue
        data, source = probe.recvfrom(70000)
        if source[0] == address and ":" not in address:
            data = data[(data[0] & 15) * 4:]
            assert checksum(data) == 0, "the reply's checksum is wrong"
        if source[0] == address and data[0] == kind and data[4:] == tail:
            return
    raise AssertionError(f"no echo of {len(tail) - 4} bytes from {address}")


def ping(address, size, count=3, is_whole=False):
    """Fails unless every one of count echo requests of size bytes comes back unchanged; none is
    repeated. is_whole: not to be sent in fragments."""
    request, reply = (128, 129) if ":" in address else (8, 0)
    body = bytes(i * 7 % 256 for i in range(size))
    with echo_socket(address, is_whole) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        for number in range(count):
            tail = struct.pack("!HH", os.getpid() & 0xffff, number) + body
            head = struct.pack("!BBH", request, 0, 0)
            head = struct.pack("!BBH", request, 0, checksum(head + tail))
            probe.sendto(head + tail, (address, 0))
            await_reply(probe, address, reply, tail, time.monotonic() + LIMIT_S)
