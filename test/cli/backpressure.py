"""Backpressure to the wire, on the transport that is named (epoll, uring or tun): a large upload to
a disk that stops, and a large download by a client that reads nothing for a while. The server's
memory stays, the sender stops and goes on, and every byte arrives. The program is backpressure.c.

    backpressure.py NET [MiB of each transfer, 24]

Who is slow stops until the other side is seen to stand still, then goes on at full speed. Over
memif no kernel is the peer whose window could be looked at: it is the same stack as over tun.
A range of a real file, which goes to the same kernel or stack, is compared on the way."""
import contextlib
import fcntl
import json
import os
import pathlib
import re
import socket
import struct
import sys
import tempfile
import time

import world
from process import BUILD, LIMIT_S, Listening, finish

PROGRAM = BUILD / "test" / "cli" / "backpressure"
OWN, PEER = "10.9.6.2", "10.9.6.1"
GROWTH_BYTES_MAX = 1 << 20
CHUNK_BYTES = 2 << 20  # LEAT_CHUNK_BYTES: memory is taken from the system, and given back, by these
WARM_BYTES = 24 << 20
STILL_S = 0.5  # in which nothing moves: far more than a probe of a window takes to be answered
TABLE_BYTES = 65521
TABLE = bytes(((i * 2654435761) & 0xFFFFFFFF) >> 13 & 0xFF for i in range(TABLE_BYTES))
TABLES = TABLE * 32  # a piece of 1 MiB at any place of it
PIECE_BYTES = 1 << 20
SEND_WINDOW_AT = 228  # tcpi_snd_wnd, of struct tcp_info in linux/tcp.h: what the peer offers
FIONREAD, SIOCOUTQ = 0x541B, 0x5411


def bytes_at(place, length):
    start = place % TABLE_BYTES
    return memoryview(TABLES)[start:start + length]


def has_sanitizer():
    """Whether the program is built with one: these keep what was freed, for reports."""
    with open(PROGRAM, "rb") as file:
        return re.search(rb"__(asan|tsan)_init", file.read()) is not None


def queue_of(connection, request):
    return struct.unpack("i", fcntl.ioctl(connection, request, bytes(4)))[0]


def send_window(connection):
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    assert len(info) >= SEND_WINDOW_AT + 4, "this kernel does not say the peer's window"
    return struct.unpack_from("I", info, SEND_WINDOW_AT)[0]


def until(condition, what, limit_s=LIMIT_S):
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def until_still(look):
    """What look() says when it has been the same for STILL_S."""
    end = time.monotonic() + LIMIT_S
    seen, since = look(), time.monotonic()
    while time.monotonic() - since < STILL_S:
        assert time.monotonic() < end, f"it never stands still: {seen}"
        time.sleep(0.05)
        if (now := look()) != seen:
            seen, since = now, time.monotonic()
    return seen


class Server(Listening):
    def __init__(self, net, folder):
        flags = {"tun": ["--net", "tun:leatbp0", "--ip", f"{OWN}/24", "--listen", f"{OWN}:80"]}
        super().__init__(PROGRAM, *flags.get(net, ["--net", net]),
                         tun=("leatbp0", PEER) if net == "tun" else None,
                         env={**os.environ, "BACKPRESSURE_FOLDER": folder})

    def connect(self):
        connection = super().connect()
        connection.settimeout(LIMIT_S)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def ask(self, path, fields=""):
        """(status, body) on a connection of its own."""
        with self.connect() as client, client.makefile("rb") as answer:
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n{fields}"
                           "Connection: close\r\n\r\n".encode())
            head, _, body = answer.read().partition(b"\r\n\r\n")
            if b"chunked" in head:
                body = joined(body)
            return int(head.split()[1]), body

    def told(self):
        status, body = self.ask("/told")
        assert status == 200
        return tuple(map(int, body.split()))

    def used_bytes(self):
        """Of the buffers and the heap of its core."""
        code, out, err = finish(BUILD / "leat", "top", "--once", "--json", "--interval", "100ms",
                                self.program.process.pid)
        assert code == 0, err
        counters = json.loads(out)["cores"][0]["counters"]
        return counters["buffers.live_bytes"] + counters["heap.bytes"]

    def resident_bytes(self, field):
        text = pathlib.Path(f"/proc/{self.program.process.pid}/status").read_text()
        return int(re.search(rf"{field}:\s*(\d+) kB", text)[1]) << 10

    def forget_peak(self):
        pathlib.Path(f"/proc/{self.program.process.pid}/clear_refs").write_text("5")


def joined(chunked):
    whole = b""
    while True:
        size, _, chunked = chunked.partition(b"\r\n")
        if (length := int(size, 16)) == 0:
            return whole
        whole, chunked = whole + chunked[:length], chunked[length + 2:]


def send_all_that_goes(client, sent, length):
    """Sends until nothing goes and nothing is acknowledged any more; where it came to."""
    def go():
        nonlocal sent
        with contextlib.suppress(BlockingIOError):
            while sent < length:
                sent += client.send(bytes_at(sent, min(PIECE_BYTES, length - sent)))
        return sent, queue_of(client, SIOCOUTQ)
    client.setblocking(False)
    until_still(go)
    client.settimeout(LIMIT_S)
    return sent


def upload(server, length):
    stop = length // 4
    with server.connect() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, PIECE_BYTES)
        client.sendall(f"PUT /up/{stop} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}"
                       "\r\n\r\n".encode())
        sent = send_all_that_goes(client, 0, length)
        written, is_stopped, _ = server.told()
        assert is_stopped and stop <= written < sent < length, (written, is_stopped, sent)
        until(lambda: send_window(client) == 0, "the window offered never reached 0")
        while_stopped = server.used_bytes(), server.resident_bytes("VmRSS")
        assert server.told()[0] == written, "the disk wrote although it had stopped"
        assert server.ask("/go")[0] == 204
        until(lambda: send_window(client) > 0, "the window never opened again")
        while sent < length:
            sent += client.send(bytes_at(sent, min(PIECE_BYTES, length - sent)))
        answer = client.recv(4096)
        assert b" 200 " in answer, answer
    assert server.told()[:2] == (length, 0)
    return while_stopped


def download(server, length, net):
    with server.connect() as client:
        client.sendall(f"GET /down/{length} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        waiting = until_still(lambda: queue_of(client, FIONREAD))
        given = until_still(lambda: server.told()[2])
        while_stopped = server.used_bytes(), server.resident_bytes("VmRSS")
        assert waiting < given < length, (waiting, given)
        if net == "tun":  # elsewhere the kernel's queue of what is to be sent counts too
            assert given - waiting < GROWTH_BYTES_MAX, (waiting, given)
        with client.makefile("rb", PIECE_BYTES) as answer:
            while answer.readline() != b"\r\n":
                pass
            got = 0
            while got < length:
                piece = answer.read(min(PIECE_BYTES, length - got))
                assert piece and bytes_at(got, len(piece)) == piece, f"wrong after byte {got}"
                got += len(piece)
    assert server.told()[2] == length
    return while_stopped


def check_memory(server, name, transfer):
    """transfer() returns (bytes used, bytes resident) while it is stopped. What is used grows by
    less than 1 MiB; what is resident by one chunk more, if that which is there was full."""
    used, resident = server.used_bytes(), server.resident_bytes("VmRSS")
    server.forget_peak()
    while_stopped = transfer()
    used_grown = while_stopped[0] - used
    resident_grown = [value - resident for value in (while_stopped[1],
                      server.resident_bytes("VmHWM"), server.resident_bytes("VmRSS"))]
    print(f"{name}: {used >> 10} KiB used, {used_grown >> 10} more while it stood; resident "
          f"{resident >> 10} KiB, {[value >> 10 for value in resident_grown]} more then, at most, "
          "after")
    assert used_grown < GROWTH_BYTES_MAX, f"{name}: {used_grown} bytes more are used"
    if not has_sanitizer():
        assert max(resident_grown) < GROWTH_BYTES_MAX + CHUNK_BYTES, \
            f"{name}: resident memory grew by {resident_grown} bytes"


def check_ranges(server, folder):
    """A range of a real file, as a stream and by a header."""
    data = bytes(bytes_at(0, 1 << 20)) * 3
    (folder / "file").write_bytes(data)
    for start, length in ((0, 1), (0, len(data)), (4095, 4098), (65536, 1_000_000),
                          (len(data) - 1, 1)):
        wanted = data[start:start + length]
        assert server.ask(f"/range/{start}/{length}") == (200, wanted), (start, length)
        fields = f"Range: bytes={start}-{start + length - 1}\r\n"
        assert server.ask("/files/file", fields) == (206, wanted), (start, length)
    assert server.ask(f"/range/{len(data) - 10}/100") == (200, data[-10:])  # to its end
    assert server.ask(f"/range/{len(data)}/100") == (200, b"")


def main():
    net = sys.argv[1]
    length = int(sys.argv[2] if len(sys.argv) > 2 else 24) << 20
    if net == "tun":
        world.enter()
    with tempfile.TemporaryDirectory() as run, tempfile.TemporaryDirectory() as name:
        os.environ["LEAT_RUN_DIR"] = run
        check(net, length, name)


def check(net, length, name):
    with Server(net, name) as server:
        check_ranges(server, pathlib.Path(name))
        upload(server, WARM_BYTES)  # what the first ones need is kept for the next
        download(server, WARM_BYTES, net)
        check_memory(server, "upload", lambda: upload(server, length))
        check_memory(server, "download", lambda: download(server, length, net))


if __name__ == "__main__":
    main()
