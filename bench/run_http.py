#!/usr/bin/env python3
"""`./dev bench http [--quick] [--node] [--only SECTION]`: Leat beside other servers.

Servers run on core 0, clients on core 1; every figure is taken in interleaved rounds, in one run.
Sections: hello, pipelined, file, memory, idle. Results go to docs/benchmarks/http.json and, with
those of the other benchmarks, to docs/benchmarks.md. --quick is a sanity run, whose figures are
printed and not kept.
"""
import argparse
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
os.environ.setdefault("LEAT_BUILD", str(ROOT / "build"))
sys.path[1:1] = [str(ROOT / "test/cli"), str(ROOT / "test/interop")]

import machine  # noqa: E402
import network  # noqa: E402
import report  # noqa: E402
import servers  # noqa: E402

IDLE_CONNECTIONS = 10000
FILE_BYTES = 1 << 20
FLOOR_SPREAD_MAX = 0.05


class Run:
    """What is common to the sections."""

    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        self.seconds = 0.5 if options.quick else 1.0
        self.rounds = 3 if options.quick else 15
        self.root = os.path.join(folder, "root")
        os.mkdir(self.root)
        with open(os.path.join(self.root, "hello"), "w", encoding="utf-8") as file:
            file.write(servers.HELLO)
        with open(os.path.join(self.root, "1m.bin"), "wb") as file:
            file.write(os.urandom(FILE_BYTES))
        self.started, self.unmeasured = [], []

    def start(self, server):
        if server is None:
            return None
        try:
            self.started.append(server.start())
        except (RuntimeError, OSError) as error:
            self.unmeasured.append(f"{server.name}: {error}")
            return None
        return server

    def stop_all(self):
        for server in self.started:
            server.stop()
        self.started = []

    def server_cpu(self):
        return sum(server.cpu() for server in self.started)

    def leats(self, *arguments, path="/hello"):
        """Leat on both kinds of sockets."""
        both = [servers.leat(f"leat ({net})", net, *arguments, path=path)
                for net in ("epoll", "uring")]
        return [s for s in map(self.start, both) if s is not None]

    def floor(self, leats):
        """The floor program, with the answer that they give."""
        answer = leats[0].answer if leats else servers.DEFAULT_ANSWER
        return self.start(servers.floor(self.folder, answer))

    def peers(self, *names):
        found = []
        for name in names:
            server = self.start(servers.peer(name, self.folder, self.root))
            if server is None and not any(u.startswith(name) for u in self.unmeasured):
                self.unmeasured.append(f"{name}: not installed")
            found += [server] if server else []
        return found


def wrk(port, path, seconds):
    """Requests that wrk counts over 64 connections."""
    done = subprocess.run(
        ["taskset", "-c", "1", "wrk", "-t1", "-c64", f"-d{max(1, round(seconds))}s",
         f"http://127.0.0.1:{port}{path}"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, timeout=seconds + 30)
    count = re.search(r"(\d+) requests in ([\d.]+)s", done.stdout)
    if not count or "Socket errors" in done.stdout or "Non-2xx" in done.stdout:
        raise RuntimeError("wrk: " + done.stdout.strip()[-300:])
    return {"requests": int(count[1]), "seconds": float(count[2])}


def loadgen(port, path, connections, depth, seconds):
    done = subprocess.run(
        ["taskset", "-c", "1", "build/bench/loadgen", str(port), path, str(connections),
         str(depth), str(seconds)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=seconds + 30)
    if done.returncode != 0:
        raise RuntimeError("loadgen: " + done.stdout.strip()[-300:])
    return json.loads(done.stdout)


def interleaved(run, measured, load, unit):
    """Rounds over all servers in turn; CPU seconds by what load() counted as unit. What else it
    counted, and the resident set, is kept in more."""
    samples = {server.name: [] for server in measured}
    rates = {server.name: [] for server in measured}
    more = {server.name: {} for server in measured}
    steals, foreigns = [], []
    for number in range(run.rounds):
        order = measured[number % len(measured):] + measured[:number % len(measured)]
        for server in order:
            disturbance = machine.Disturbance(run.server_cpu)
            before, start = server.cpu(), time.monotonic()
            counted = load(server)
            cpu = server.cpu() - before
            rates[server.name].append(cpu / (time.monotonic() - start))
            samples[server.name].append(counted.get("cpu_s", cpu) / counted[unit])
            for key, value in {"rss_kib": server.rss_kib(), **counted}.items():
                more[server.name].setdefault(key, []).append(value)
            steal, foreign = disturbance.shares()
            steals.append(steal)
            foreigns.append(foreign)
    return {"samples": samples, "more": more,
            "busy": {n: machine.median(v) for n, v in rates.items()},
            "steal": sum(steals) / len(steals), "foreign": sum(foreigns) / len(foreigns)}


def section_hello(run):
    """`--hello` beside everybody; the same servers then pipelined by 16."""
    leats = run.leats("--hello")
    floor = run.floor(leats)
    names = ["nginx", "h2o", "lighttpd", "haproxy"] + (["node"] if run.options.node else [])
    measured = [floor, *leats, *run.peers(*names)]
    hello = interleaved(run, measured, lambda s: wrk(s.port, s.path, run.seconds), "requests")
    pipelined = interleaved(
        run, measured, lambda s: loadgen(s.port, s.path, 64, 16, run.seconds), "requests")
    return {"hello": hello, "pipelined": pipelined}


def section_file(run):
    measured = [*run.leats(run.root, path="/1m.bin"), *run.peers("nginx", "lighttpd", "h2o")]
    return {"file": interleaved(
        run, measured, lambda s: loadgen(s.port, "/1m.bin", 16, 1, run.seconds), "body_bytes")}


def hold_connections(server, count):
    """That many keep-alive connections that each had one answer."""
    clients = []
    request = f"GET {server.path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode()
    for _ in range(count):
        client = socket.create_connection(("127.0.0.1", server.port), 5)
        client.sendall(request)
        servers.receive_answer(client)
        clients.append(client)
    return clients


def section_memory(run):
    results = {}
    measured = [*run.leats("--hello"), *run.peers("nginx", "h2o", "lighttpd", "haproxy")]
    for server in measured:
        time.sleep(0.5)
        rest = server.rss_kib()
        count = min(IDLE_CONNECTIONS, server.connections_max - 100)
        clients = hold_connections(server, count)
        time.sleep(1.0)
        held = server.rss_kib()
        for client in clients:
            client.close()
        results[server.name] = {
            "rest_kib": rest, "held_kib": held, "connections": len(clients),
            "bytes_per_connection": (held - rest) * 1024 / len(clients)}
        server.stop()
    return {"memory": results}


def section_idle(run):
    results = {}
    seconds = 2 if run.options.quick else 8
    measured = run.leats("--hello")
    measured.append(run.floor(measured))
    disturbance = machine.Disturbance(run.server_cpu)
    for server in measured:
        os.sched_setaffinity(0, {1})
        client = hold_connections(server, 1)[0]
        request = f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode()
        time.sleep(1.0)
        before = server.cpu()
        time.sleep(seconds)
        share = (server.cpu() - before) / seconds
        firsts = []
        for _ in range(5):
            time.sleep(1.0)
            start = time.perf_counter()
            client.sendall(request)
            servers.receive_answer(client)
            firsts.append(time.perf_counter() - start)
        client.close()
        os.sched_setaffinity(0, range(os.cpu_count()))
        results[server.name] = {"cpu_share": share, "first_answer_s": firsts}
    steal, foreign = disturbance.shares()
    return {"idle": {"servers": results, "samples": {}, "steal": steal, "foreign": foreign}}


SECTIONS = {"hello": section_hello, "file": section_file, "memory": section_memory,
            "idle": section_idle}


def measure(options):
    with tempfile.TemporaryDirectory(prefix="leat-bench-") as folder:
        run = Run(options, folder)
        result = {"sections": {}, "rounds": run.rounds, "seconds": run.seconds}
        for name, section in SECTIONS.items():
            if options.only not in (None, name):
                continue
            print(f"measuring {name} ...", file=sys.stderr, flush=True)
            try:
                result["sections"].update(section(run))
            finally:
                run.stop_all()
        result["not_measured"] = sorted(set(run.unmeasured))
        names = ["nginx", "h2o", "lighttpd", "haproxy"] + (["node"] if options.node else [])
        result["versions"] = {name: servers.version(name) for name in names}
        result["versions"]["wrk"] = machine.first_line("wrk", "--version").split()[1]
    return result


def main():
    parser = argparse.ArgumentParser(prog="./dev bench http")
    parser.add_argument("--quick", action="store_true", help="a sanity run; nothing is written")
    parser.add_argument("--node", action="store_true", help="measure Node's http, too")
    parser.add_argument("--only", choices=list(SECTIONS), help="one section; nothing is written")
    options = parser.parse_args()
    os.chdir(ROOT)
    servers.end_on_term()
    if os.cpu_count() < 2:
        print("bench: needs two cores, one for the server and one for the client")
        return 1
    network.enter()
    result = measure(options)
    result["machine"] = machine.describe()
    result["limits"] = {"disturbed": machine.DISTURBED_SHARE_MAX, "floor_spread": FLOOR_SPREAD_MAX}
    print(report.http_section(result))
    if not options.quick and options.only is None:
        report.keep(ROOT, "http", result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
