"""`leat top` and `leat ss` on a program whose stack has connections, idle ones and busy ones."""
import json
import os
import socket
import tempfile
import time

import process
import world

OWN, PEER = "10.9.0.2", "10.9.0.1/24"
LIMIT_S = 30


def tool(*words):
    code, out, err = process.finish(process.BUILD / "leat", *words)
    assert (code, err) == (0, ""), (words, code, out, err)
    return out


def connections():
    return [json.loads(row) for row in tool("ss", "--json").splitlines()]


def counters():
    return json.loads(tool("top", "--once", "--json", "--interval", "50ms"))["cores"][0]["counters"]


def until(look, wanted, what):
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        seen = look()
        if wanted(seen):
            return seen
    raise AssertionError(f"{what} never came: {seen}")


def check_states():
    """A listener, a connection in each direction's state, and its end."""
    rows = connections()
    assert [(r["state"], r["local"]) for r in rows] == [("LISTEN", f"{OWN}:80")], rows
    with socket.create_connection((OWN, 80), timeout=10) as peer:
        rows = until(connections, lambda rows: len(rows) == 2, "the connection")
        row = rows[1]
        here = "%s:%u" % peer.getsockname()
        assert (row["state"], row["peer"]) == ("ESTABLISHED", here), row
        assert row["core"] == 0 and row["rtt_us"] > 0 and row["cwnd"] >= row["mss"] > 500, row
        peer.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert peer.recv(4096).startswith(b"HTTP/1.1 200")
        row = until(connections, lambda rows: rows[1]["send_queue"] == 0, "the last ACK")[1]
        assert row["received"] == 27 and row["sent"] > 50, row
    until(connections, lambda rows: all(r["state"] != "ESTABLISHED" for r in rows), "its end")
    text = tool("ss")
    assert text.splitlines()[0].split()[:3] == ["state", "recv-q", "send-q"], text
    assert "LISTEN" in text and "LISTEN" not in tool("ss", "--state", "time-wait"), text


def check_many(count):
    """More than one piece of the list."""
    peers = [socket.create_connection((OWN, 80), timeout=10) for _ in range(count)]
    rows = until(connections, lambda rows: sum(r["state"] == "ESTABLISHED" for r in rows) == count,
                 f"{count} connections")
    wanted = {"%s:%u" % peer.getsockname() for peer in peers}
    assert wanted == {r["peer"] for r in rows if r["state"] == "ESTABLISHED"}
    until(counters, lambda c: c["tcp.connections"] == count, "their number")
    for peer in peers:
        peer.close()


def check_drops():
    """What nobody waits for is counted under its name."""
    before = counters()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _ in range(5):
            probe.sendto(b"anybody?", (OWN, 9))
    try:
        socket.create_connection((OWN, 81), timeout=10)
        raise AssertionError("port 81 is open")
    except ConnectionRefusedError:
        pass
    now = until(counters, lambda c: c["drop.udp_no_port"] >= before["drop.udp_no_port"] + 5,
                "the drops")
    assert now["drop.tcp_no_port"] > before["drop.tcp_no_port"], now
    assert now["stack.rx_packets"] == now["port.rx_packets"] > before["stack.rx_packets"], now
    text = tool("top", "--once", "--interval", "1ms")
    assert "udp_no_port" in text and "dropped because" in text, text


def main():
    world.enter()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["LEAT_RUN_DIR"] = folder
        with world.serve("tun:leat0", "--ip", f"{OWN}/24", "--listen", f"{OWN}:80") as program:
            world.ip("addr", "add", PEER, "dev", "leat0")
            check_states()
            check_many(300)
            check_drops()
            assert program.end(process.TERM) == 0, program.text
            assert not os.listdir(folder), os.listdir(folder)


main()
