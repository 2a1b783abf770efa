"""Floods over a real link: a raw socket beside the kernel's TCP. While they last the tools answer;
after each the server answers within a second; at the end no buffer is lost."""
import http.client
import json
import os
import random
import socket
import struct
import tempfile
import threading
import time

import process
import world

OWN, PEER = "10.9.0.2", "10.9.0.1/24"
FLOOD_S = 1.5
SYN, ACK = 2, 16


def ethernet(mac, kind, payload):
    return bytes.fromhex(mac.replace(":", "")) + b"\x02\x00\x00\x00\x00\x63" + \
        struct.pack("!H", kind) + payload


def ipv4(source, protocol, payload, fragment=0, number=0):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), number, fragment, 64, protocol,
                       0, source, socket.inet_aton(OWN))
    return head[:10] + struct.pack("!H", world.checksum(head)) + head[12:] + payload


def tcp(source, flags, seed):
    segment = struct.pack("!HHIIBBHHH", seed.randrange(1024, 65536), 80, seed.getrandbits(32),
                          seed.getrandbits(32), 5 << 4, flags, 65535, 0, 0)
    pseudo = source + socket.inet_aton(OWN) + struct.pack("!BBH", 0, 6, len(segment))
    total = world.checksum(pseudo + segment)
    return segment[:16] + struct.pack("!H", total) + segment[18:]


def address(seed):
    return bytes((10, 9, 0, seed.randrange(3, 255)))


def syns(mac, seed):
    for _ in range(400):
        source = address(seed)
        yield ethernet(mac, 0x800, ipv4(source, 6, tcp(source, SYN, seed)))


def acks(mac, seed):
    for _ in range(400):
        source = address(seed)
        yield ethernet(mac, 0x800, ipv4(source, 6, tcp(source, ACK, seed)))


def fragments(mac, seed):
    for _ in range(400):
        payload = seed.randbytes(8 * seed.randrange(1, 180))
        yield ethernet(mac, 0x800, ipv4(address(seed), 17, payload, 0x2000 | seed.randrange(8000),
                                        seed.getrandbits(16)))


def garbage(mac, seed):
    for _ in range(400):
        yield ethernet(mac, seed.choice((0x800, 0x86dd, 0x806, 0x8100, seed.getrandbits(16))),
                       seed.randbytes(seed.randrange(0, 200)))


def flood(frames, until):
    """Sends them over and over; returns how many."""
    sent = 0
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as link:
        link.bind(("leat0", 0))
        while time.monotonic() < until:
            for frame in frames:
                try:
                    link.send(frame)
                    sent += 1
                except (BlockingIOError, OSError):  # the queue is full
                    time.sleep(0.001)
    return sent


def fetch(timeout_s):
    connection = http.client.HTTPConnection(OWN, 80, timeout=timeout_s)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def counters():
    code, out, err = process.finish(process.BUILD / "leat", "top", "--once", "--json",
                                    "--interval", "20ms")
    assert (code, err) == (0, ""), (code, err)
    return json.loads(out)["cores"][0]["counters"]


def check_tools():
    """They answer while the flood lasts."""
    counters()
    code, out, err = process.finish(process.BUILD / "leat", "ss", "--state", "listen")
    assert (code, err) == (0, "") and "LISTEN" in out, (code, out, err)


def check_flood(kind, mac):
    before = counters()
    frames = list(kind(mac, random.Random(kind.__name__)))
    until, sent = time.monotonic() + FLOOD_S, []
    flooder = threading.Thread(target=lambda: sent.append(flood(frames, until)))
    flooder.start()
    served = 0
    check_tools()
    while time.monotonic() < until:
        served += fetch(FLOOD_S)
    flooder.join()
    deadline = time.monotonic() + process.LIMIT_S  # of a loaded machine; the server has a second
    began = time.monotonic()
    while not fetch(1):
        assert time.monotonic() < deadline, f"deaf after {kind.__name__}"
    took = time.monotonic() - began
    after = counters()
    drops = {name[5:]: after[name] - before[name] for name in after
             if name.startswith("drop.") and after[name] != before[name]}
    print(f"{kind.__name__}: {sent[0]} sent, {served} fetched meanwhile, the next took "
          f"{took * 1000:.0f} ms; dropped {drops}")
    assert sent[0] > 1000, "that was no flood"
    assert sum(drops.values()) > 0 or kind is syns, "nothing was dropped"
    assert took < 1 or os.getloadavg()[0] > 8, f"{took} s after {kind.__name__}"


def main():
    world.enter()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["LEAT_RUN_DIR"] = folder
        with world.serve("tun:leat0", "--ip", f"{OWN}/24", "--listen", f"{OWN}:80") as program:
            world.ip("addr", "add", PEER, "dev", "leat0")
            assert fetch(10)
            for kind in (syns, acks, fragments, garbage):
                check_flood(kind, program.mac)
            held = counters()["port.rx_held"]
            assert held <= 40, f"{held} received frames are held"  # fragments wait in other memory
            assert program.end(process.TERM) == 0, program.text
            assert "never freed" not in program.text["stderr"], program.text


main()
