"""The same raw segments to Leat and to Linux, in each state of a connection: what each answers, and
whether the connection lives on. Where they differ the reason stands in DIFFERENCES; a difference
that is not listed fails, and so does a listed one that is none any more.

Connections do not meet: all segments are sent at once, each to a connection of its own. What was
already sent before, such as a SYN-ACK that comes again, is no answer."""
import fcntl
import os
import select
import socket
import struct
import sys
import threading
import time

import process
import world

OWN, ASKER = "10.9.0.2", "10.9.0.77"
ASKER_MAC = bytes.fromhex("020000000077")
FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32
ISS = 1_000_000
QUIET_S = 1.2  # longer than delayed ACKs and limits on invalid segments, of both

# name: (flags, offset from the next sequence number, offset from the next ACK, payload)
SEGMENTS = {
    "no flags": (0, 0, 0, b""),
    "SYN as before": (SYN, -1, 0, b""),
    "SYN in the window": (SYN, 10, 0, b""),
    "SYN ACK": (SYN | ACK, 0, 0, b""),
    "SYN FIN": (SYN | FIN, -1, 0, b""),
    "FIN": (FIN, 0, 0, b""),
    "FIN ACK": (FIN | ACK, 0, 0, b""),
    "ACK of what was not sent": (ACK, 0, 1000, b""),
    "ACK of long ago": (ACK, 0, -1_000_000_000, b""),
    "ACK below the window": (ACK, -1000, 0, b""),
    "ACK beyond the window": (ACK, 1 << 25, 0, b""),
    "data": (PSH | ACK, 0, 0, b"data"),
    "data without ACK": (PSH, 0, 0, b"data"),
    "data behind a hole": (PSH | ACK, 100, 0, b"data"),
    "data beyond the window": (PSH | ACK, 1 << 25, 0, b"data"),
    "urgent data": (PSH | ACK | URG, 0, 0, b"data"),
    "FIN PSH URG": (FIN | PSH | URG, 0, 0, b""),
    "RST": (RST, 0, 0, b""),
    "RST ACK": (RST | ACK, 0, 0, b""),
    "RST in the window": (RST, 10, 0, b""),
    "RST beyond the window": (RST, 1 << 25, 0, b""),
}
STATES = ("CLOSED", "LISTEN", "SYN-RECEIVED", "ESTABLISHED", "LAST-ACK")
CONNECTED = ("ESTABLISHED", "LAST-ACK")

EMBRYO = "what is not the handshake's next step is dropped: it cannot end the handshake of another"
DIFFERENCES = {
    ("SYN-RECEIVED", "SYN in the window"): EMBRYO,
    ("SYN-RECEIVED", "SYN ACK"): EMBRYO,
    ("LAST-ACK", "ACK below the window"): "the ACK of a segment that was overtaken still counts",
}


def names(flags):
    return "".join(letter for letter, bit in zip("SFRPAU", (SYN, FIN, RST, PSH, ACK, URG))
                   if flags & bit) or "none"


class Link:
    """Frames to and from one host under test; what came, by the asker's port."""

    def __init__(self, send, receive, fd):
        self.send, self.receive, self.fd = send, receive, fd
        self.mac = None
        self.heard = {}

    def arp(self):
        who = struct.pack("!6s6sHHHBBH6s4s6s4s", b"\xff" * 6, ASKER_MAC, 0x806, 1, 0x800, 6, 4, 1,
                          ASKER_MAC, socket.inet_aton(ASKER), b"", socket.inet_aton(OWN))
        deadline = time.monotonic() + world.LIMIT_S
        while self.mac is None and time.monotonic() < deadline:
            self.send(who)
            self.listen(0.2)
        assert self.mac is not None, "no answer to ARP"

    def take(self, frame):
        kind = frame[12:14]
        if kind == b"\x08\x06" and frame[28:32] == socket.inet_aton(OWN):
            if frame[20:22] == b"\0\1" and frame[38:42] == socket.inet_aton(ASKER):
                self.send(frame[6:12] + ASKER_MAC + b"\x08\x06" + frame[14:20] + b"\0\2" +
                          ASKER_MAC + frame[38:42] + frame[22:32])
            self.mac = frame[22:28]
        if kind != b"\x08\0" or frame[23] != socket.IPPROTO_TCP:
            return
        at = 14 + (frame[14] & 15) * 4
        _, port, seq, ack, offset, flags = struct.unpack("!HHIIBB", frame[at:at + 14])
        length = struct.unpack("!H", frame[16:18])[0] - (at - 14) - (offset >> 4) * 4
        if flags & SYN and port in self.heard and not flags & RST:
            self.heard[port].setdefault("iss", seq)
        self.heard.setdefault(port, {}).setdefault("all", []).append((flags & 63, seq, ack, length))

    def listen(self, seconds):
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if select.select([self.fd], [], [], left)[0]:
                frame = self.receive()
                if frame is not None and len(frame) >= 42:
                    self.take(frame)

    def segment(self, port, to, flags, seq, ack, payload=b""):
        seq, ack = seq & 0xffffffff, ack & 0xffffffff
        tcp = struct.pack("!HHIIBBHHH", port, to, seq, ack, 5 << 4, flags, 65535, 0,
                          len(payload) if flags & URG else 0) + payload
        ends = socket.inet_aton(ASKER) + socket.inet_aton(OWN)
        total = world.checksum(ends + struct.pack("!HH", 6, len(tcp)) + tcp)
        tcp = tcp[:16] + struct.pack("!H", total) + tcp[18:]
        head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0x4000, 64, 6, 0) + ends
        head = head[:10] + struct.pack("!H", world.checksum(head)) + head[12:]
        self.send(self.mac + ASKER_MAC + b"\x08\0" + head + tcp)


def cases():
    return enumerate(((state, name) for state in STATES for name in SEGMENTS), 40000)


def prepare(link):
    """Brings each connection to its state."""
    for port, (state, _) in cases():
        link.heard[port] = {"all": []}
        if state not in ("CLOSED", "LISTEN"):
            link.segment(port, 80, SYN, ISS - 1, 0)
    link.listen(QUIET_S)
    for flags, states in ((ACK, CONNECTED), (FIN | ACK, ("LAST-ACK",))):
        for port, (state, _) in cases():
            if state in states:
                link.segment(port, 80, flags, ISS, link.heard[port]["iss"] + 1)
        link.listen(QUIET_S)


def relative(link, port, replies):
    iss = link.heard[port].get("iss")
    said = []
    ended = {(seq, ack) for flags, seq, ack, _ in replies if flags & FIN}
    for flags, seq, ack, length in replies:
        if flags == ACK and (seq, ack) in ended:
            continue  # whether it goes before the FIN is a question of the program's speed
        seq = "" if iss is None or flags & RST and not seq else f" seq {signed(seq - iss - 1)}"
        ack = f" ack {signed(ack - ISS)}" if flags & ACK else ""
        said.append(f"{names(flags)}{seq}{ack}" + (f" +{length}" if length else ""))
    return ", ".join(dict.fromkeys(said)) or "nothing"


def signed(number):
    return (number + (1 << 31)) % (1 << 32) - (1 << 31)


def new_replies(link, port, before):
    return [reply for reply in link.heard[port]["all"] if reply not in before[port]]


def ask(link):
    """{(state, segment): what came of it}"""
    link.arp()
    prepare(link)
    before = {port: set(link.heard[port]["all"]) for port, _ in cases()}
    for port, (state, name) in cases():
        flags, seq, ack, payload = SEGMENTS[name]
        own = link.heard[port].get("iss", 7000) + 1 + (state == "LAST-ACK")
        base = ISS + (state == "LAST-ACK")
        link.segment(port, 81 if state == "CLOSED" else 80, flags, base + seq,
                     own + ack if flags & ACK else 0, payload)
    link.listen(QUIET_S)
    said = {case: relative(link, port, new_replies(link, port, before)) for port, case in cases()}
    # An old segment is answered with an ACK by a connection that lives, and reset by one that is
    # gone.
    before = {port: len(link.heard[port]["all"]) for port, _ in cases()}
    for port, (state, _) in cases():
        if state in CONNECTED:
            link.segment(port, 80, ACK, ISS - 50000, link.heard[port]["iss"] + 1)
    link.listen(QUIET_S)
    for port, (state, name) in cases():
        if state in CONNECTED:
            after = {flags for flags, *_ in link.heard[port]["all"][before[port]:]}
            fate = "gone" if any(flags & RST for flags in after) else "lives" if after else "mute"
            said[state, name] += f"; {fate}"
    return said


def serve_linux(fd_pipe):
    """A TAP device whose wire is our descriptor, and a sink; runs until it is killed."""
    world.enter()
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, 0x400454ca, struct.pack("16sH22x", b"linux0", 0x1002))  # TUNSETIFF, TAP
    world.ip("link", "set", "linux0", "up")
    world.ip("addr", "add", f"{OWN}/24", "dev", "linux0")
    listener = socket.create_server((OWN, 80), backlog=256)
    socket.send_fds(fd_pipe, [b"x"], [fd])

    def swallow(peer):
        try:
            while peer.recv(65536):
                pass
        except OSError:
            pass
        peer.close()
    while True:
        threading.Thread(target=swallow, args=(listener.accept()[0],), daemon=True).start()


def ask_linux():
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        try:
            serve_linux(theirs)
        finally:
            os._exit(1)
    try:
        ours.settimeout(world.LIMIT_S)
        fd = socket.recv_fds(ours, 1, 1)[1][0]
        return ask(Link(lambda frame: os.write(fd, frame), lambda: os.read(fd, 65536), fd))
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)


def ask_leat():
    """In this process's namespace, on a TAP device without an address of the kernel's."""
    words = [process.BUILD / "leat", "echo", "--sink", "--net", "tun:leat0", "--ip", f"{OWN}/24",
             "--listen", f"{OWN}:80"]
    with process.Program(*words) as program, socket.socket(
            socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as wire:  # ETH_P_ALL
        program.until(r"^listening on")
        wire.bind(("leat0", 3))

        def receive():
            frame, address = wire.recvfrom(65536)
            return frame if address[2] != socket.PACKET_OUTGOING else None
        said = ask(Link(wire.send, receive, wire.fileno()))
        assert program.end(process.TERM) == 0, program.text
        assert "never freed" not in program.text["stderr"], program.text
        return said


def main():
    if os.geteuid() != 0:
        world.skip("only root can make a network namespace")
    linux = ask_linux()
    world.enter()
    leat = ask_leat()
    found = {case for case in leat if leat[case] != linux[case]}
    for state, name in leat:
        if "--all" in sys.argv or (state, name) in found:
            why = DIFFERENCES.get((state, name), "NOT LISTED")
            print(f"| {state} | {name} | {leat[state, name]} | {linux[state, name]} | "
                  f"{why if (state, name) in found else ''} |")
    assert found == set(DIFFERENCES), \
        f"not listed: {sorted(found - set(DIFFERENCES))}; gone: {sorted(set(DIFFERENCES) - found)}"


main()
