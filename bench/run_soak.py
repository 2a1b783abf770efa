#!/usr/bin/env python3
"""`./dev bench soak [--minutes N]`: as good at the end as at the start, among bad clients.

`leat serve DIR` over sockets, and with root over a tun device on Leat's own stack, the two after
each other, half of the time each. Good clients ask at a fixed rate, in segments whose latency is
kept; bad ones meanwhile send what is no HTTP, heads that do not end, half of a request, pipelines
whose answers they do not read, reset in the middle of a file, or only connect. At the end: resident
set flat, latency as at the start (no verdict on its p99 where others kept the server from its core
for 1% of the time), no request of a good client failed, no connection, request or buffer left over,
the server's exit clean. The exit code is 1 otherwise. Results go to docs/benchmarks/soak.json and
docs/benchmarks.md when --minutes is 10 or more.
"""
import argparse
import json
import os
import pathlib
import random
import socket
import struct
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.setdefault("LEAT_BUILD", str(ROOT / "build")))
sys.path[1:1] = [str(ROOT / "test/cli"), str(ROOT / "test/interop")]

import machine  # noqa: E402
import network  # noqa: E402
import process  # noqa: E402
import report  # noqa: E402
import report_soak  # noqa: E402
import servers  # noqa: E402
import world  # noqa: E402

RATE = 500
SEGMENT_SECONDS = 5
SEGMENTS_MIN = 6
BAD_CLIENTS = 4
SETTLE_SECONDS_MAX = 30
KEPT_FROM_MINUTES = 10
FILE_BYTES = 30_000
GET = b"GET /file.bin HTTP/1.1\r\nHost: soak\r\n"
OWN, PEER = "10.9.3.2", "10.9.3.1"


# ---- bad clients: each function is one visit ----

def nonsense(client, rng):
    client.sendall(rng.randbytes(rng.randrange(1, 3000)))


def slow_head(client, rng):
    for at in range(0, len(GET), 7):
        client.sendall(GET[at:at + 7])
        time.sleep(rng.random() * 0.02)


def huge_head(client, _rng):
    client.sendall(GET + b"X-Long: " + b"x" * 70000)


def half_request(client, _rng):
    client.sendall(b"POST / HTTP/1.1\r\nHost: soak\r\nContent-Length: 1000\r\n\r\nabc")
    client.shutdown(socket.SHUT_WR)


def deaf_pipeline(client, rng):
    client.sendall((GET + b"\r\n") * rng.randrange(2, 40))
    time.sleep(rng.random() * 0.1)


def reset_in_a_file(client, rng):
    client.sendall(GET + b"\r\n")
    client.recv(rng.randrange(1, 5000))
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def only_connect(_client, rng):
    time.sleep(rng.random() * 0.05)


BAD = (nonsense, slow_head, huge_head, half_request, deaf_pipeline, reset_in_a_file, only_connect)


def misbehave(address, seed, is_over, counts):
    """On the good client's core, and only when that has nothing to do."""
    os.sched_setaffinity(0, {1})
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    rng = random.Random(seed)
    while not is_over.is_set():
        visit = rng.choice(BAD)
        try:
            with socket.create_connection(address, 10) as client:
                client.settimeout(10)
                visit(client, rng)
        except OSError:
            pass  # the server may well close first
        counts[visit.__name__] = counts.get(visit.__name__, 0) + 1
        is_over.wait(0.01)


# ---- the server ----

def left_over(now):
    """What must be none when nobody is there."""
    wanted = ("http.connections", "http.requests_now", "tcp.connections", "tcp.embryos")
    return {name: now[name] for name in wanted if now.get(name)}


def settled(pid):
    """Counters once nothing is left over, or the last of them."""
    end = time.monotonic() + SETTLE_SECONDS_MAX
    while True:
        now = servers.counters(pid)
        if not left_over(now) or time.monotonic() > end:
            return now
        time.sleep(1)


def segment(url, pid):
    waited = machine.waited_seconds(pid)
    code, out, err = process.finish(BUILD / "leat", "load", url, "-c", "32", "--rate", RATE, "-d",
                                    f"{SEGMENT_SECONDS}s", "--cores", "1,", "--net", "epoll",
                                    "--log-level", "error", "--json")
    waited = machine.waited_seconds(pid) - waited
    said = json.loads(out[out.index('{"url"'):]) if '{"url"' in out else {}
    if code != 0:
        raise RuntimeError(f"a good client's request failed: {said.get('errors')}: {err[-300:]}")
    return {"rss_kib": machine.memory_kib(pid), "requests": said["requests"],
            "p50_us": said["latency_us"]["p50"], "p99_us": said["latency_us"]["p99"],
            "late_us": said["late_us"]["p99"], "unfinished": said["unfinished"],
            "waited": waited / SEGMENT_SECONDS}


def soak(name, words, address, seconds, prepare):
    environment = dict(os.environ, LEAT_MODULES=str(BUILD))
    with process.Program(*words, env=environment) as server:
        server.until(r"^listening")
        prepare()
        pid = server.process.pid
        url = f"http://{address[0]}:{address[1]}/file.bin"
        segment(url, pid)  # what is made once and kept, is made
        before = settled(pid)
        is_over, bad_counts, segments = threading.Event(), {}, []
        bad = [threading.Thread(target=misbehave, args=(address, seed, is_over, bad_counts))
               for seed in range(BAD_CLIENTS)]
        disturbance = machine.Disturbance(lambda: machine.cpu_seconds(pid))
        for thread in bad:
            thread.start()
        begin = time.monotonic()
        try:
            while time.monotonic() - begin < seconds or len(segments) < SEGMENTS_MIN:
                segments.append(segment(url, pid))
                left_s = max(0, seconds - (time.monotonic() - begin))
                print(f"soak over {name}: {len(segments)} segments, {left_s:.0f} s left, "
                      f"{segments[-1]['rss_kib']} KiB", file=sys.stderr, flush=True)
        finally:
            is_over.set()
            for thread in bad:
                thread.join(60)
        steal, foreign = disturbance.shares()
        after = settled(pid)
        code = server.end(process.TERM)
        return {"segments": segments, "bad": bad_counts, "left_over": left_over(after),
                "buffers_before": before.get("buffers.live", 0),
                "buffers_after": after.get("buffers.live", 0),
                "answered": after["http.requests"], "exit_code": code, "steal": steal,
                "foreign": foreign, "said": server.text["stderr"][-500:]}


def run(minutes, folder):
    root = os.path.join(folder, "root")
    os.mkdir(root)
    with open(os.path.join(root, "file.bin"), "wb") as file:
        file.write(os.urandom(FILE_BYTES))
    network.enter()
    with_tun = os.geteuid() == 0
    seconds = minutes * 60 / (2 if with_tun else 1)
    words = [BUILD / "leat", "serve", root, "--cores", "0,", "--log-level", "error"]
    port = process.free_port()
    result = {"sockets": soak("sockets", [*words, "--listen", f"127.0.0.1:{port}"],
                              ("127.0.0.1", port), seconds, lambda: None)}
    if with_tun:
        def prepare():
            world.ip("addr", "add", f"{PEER}/24", "dev", "leats0")
            world.ip("link", "set", "leats0", "up")
        result["tun"] = soak("tun", [*words, "--net", "tun:leats0", "--ip", f"{OWN}/24",
                                     "--listen", f"{OWN}:80"], (OWN, 80), seconds, prepare)
    return result


def main():
    parser = argparse.ArgumentParser(prog="./dev bench soak")
    parser.add_argument("--minutes", type=float, default=30.0)
    options = parser.parse_args()
    os.chdir(ROOT)
    servers.end_on_term()
    with tempfile.TemporaryDirectory(prefix="leat-bench-") as folder:
        try:
            soaked = run(options.minutes, folder)
        except RuntimeError as error:
            print(f"bench: {error}")
            return 1
    result = {"soaked": soaked, "minutes": options.minutes, "rate": RATE,
              "segment_seconds": SEGMENT_SECONDS, "machine": machine.describe(),
              "limits": {"disturbed": machine.DISTURBED_SHARE_MAX}}
    text, is_well = report_soak.text(result)
    print(text)
    if options.minutes >= KEPT_FROM_MINUTES:
        report.keep(ROOT, "soak", result)
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())
