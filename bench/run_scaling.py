#!/usr/bin/env python3
"""`./dev bench scaling [--quick]`: one loop and two, on a machine of two cores.

`leat serve --hello` and `leat load`, three ways: a loop of each on a core of its own (apart), two
loops of each that share both cores (both), a loop of each on one core (together). Apart and both
have the same two cores and the same work, so what a second loop costs is the CPU time per request
of both by that of apart. Together has one core, and nothing passes between two: what it saves is
what that costs. Over the kernel's sockets (epoll), and with root on Leat's own stack over tun.
Interleaved rounds. Results go to docs/benchmarks/scaling.json and docs/benchmarks.md, unless
--quick is given. What they stand for is docs/scaling.md.
"""
import argparse
import json
import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.setdefault("LEAT_BUILD", str(ROOT / "build")))
sys.path[1:1] = [str(ROOT / "test/cli"), str(ROOT / "test/interop")]

import machine  # noqa: E402
import network  # noqa: E402
import process  # noqa: E402
import report  # noqa: E402
import report_scaling  # noqa: E402
import servers  # noqa: E402
import world  # noqa: E402

CONNECTIONS = 128
ROUNDS = 9
WAYS = {"apart": ("0,", "1,"), "both": ("0,1", "0,1"), "together": ("0,", "0,")}
TUN, OWN, PEER = "leatg0", "10.9.4.2", "10.9.4.1"


def served(net, cores):
    """(the server's words, where it listens, what is to be done once it does)"""
    words = [BUILD / "leat", "serve", "--hello", "--log-level", "error", "--cores", cores,
             "--net", net]
    if net == "epoll":
        address = f"127.0.0.1:{process.free_port()}"
        return [*words, "--listen", address], address, lambda: None

    def prepare():
        world.ip("addr", "add", f"{PEER}/24", "dev", TUN)
        world.ip("link", "set", TUN, "up")
    return [*words, "--ip", f"{OWN}/24", "--listen", f"{OWN}:80"], f"{OWN}:80", prepare


def measure(net, way, seconds):
    server_cores, client_cores = WAYS[way]
    words, address, prepare = served(net, server_cores)
    disturbance = machine.Disturbance(lambda: 0.0)  # all that was started has ended then
    with process.Program(*words, env=dict(os.environ, LEAT_MODULES=str(BUILD))) as server:
        server.until(r"^listening")
        prepare()
        pid = server.process.pid
        before, cpu = servers.counters(pid), machine.cpu_seconds(pid)
        code, out, err = process.finish(
            BUILD / "leat", "load", f"http://{address}/", "-c", CONNECTIONS, "-d",
            f"{round(seconds * 1000)}ms", "--cores", client_cores, "--net", "epoll", "--log-level",
            "error", "--json")
        cpu, after = machine.cpu_seconds(pid) - cpu, servers.counters(pid)
        if code != 0:
            raise RuntimeError(f"leat load: {err.strip()[-300:]}")
        server.end(process.TERM)
    said = json.loads(out[out.index('{"url"'):])
    moved = {name: after.get(name, 0) - before.get(name, 0)
             for name in ("stack.rx_packets", "stack.steered_in")}
    steal, foreign = disturbance.shares()
    return {"per_second": said["requests_per_second"], "cpu_us": cpu / said["requests"] * 1e6,
            "p50_us": said["latency_us"]["p50"], "p99_us": said["latency_us"]["p99"],
            "passed_on": moved["stack.steered_in"] / max(1, moved["stack.rx_packets"]),
            "steal": steal, "foreign": foreign}


def run(options):
    rounds, seconds = (2, 0.5) if options.quick else (ROUNDS, 2.0)
    nets = ["epoll"] + ([f"tun:{TUN}"] if os.geteuid() == 0 else [])
    result = {"rounds": rounds, "seconds": seconds, "connections": CONNECTIONS,
              "nets": {net: {way: [] for way in WAYS} for net in nets}}
    for number in range(rounds):
        print(f"measuring, round {number + 1} of {rounds} ...", file=sys.stderr, flush=True)
        for net in nets:
            for way in WAYS:
                result["nets"][net][way].append(measure(net, way, seconds))
    return result


def main():
    parser = argparse.ArgumentParser(prog="./dev bench scaling")
    parser.add_argument("--quick", action="store_true", help="a sanity run; nothing is written")
    options = parser.parse_args()
    os.chdir(ROOT)
    servers.end_on_term()
    if len(os.sched_getaffinity(0)) < 2:
        print("bench: needs two cores")
        return 1
    network.enter()
    try:
        result = run(options)
    except RuntimeError as error:
        print(f"bench: {error}")
        return 1
    result["machine"] = machine.describe()
    result["limits"] = {"disturbed": machine.DISTURBED_SHARE_MAX}
    print(report_scaling.section(result))
    if not options.quick:
        report.keep(ROOT, "scaling", result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
