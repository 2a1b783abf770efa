#!/usr/bin/env python3
"""`./dev bench connections [--count N]`: what a connection costs, and whether N of them hold.

Server and client on one memif link, never sleeping, the server on core 0, the client on core 1.
At each of 1k, 10k, 100k, 1M, 10M connections up to N, and at N: all are opened and have an answer,
rest for a second, then go round with 256 requests under way for some seconds, rest again, and are
closed.
Prints memory per connection, and the server's busy cycles per request; writes
docs/benchmarks/connections.json and the section of docs/benchmarks.md unless --quick is given. The
exit code is 1 when a connection or a request was lost. Root, for hugepages; without it a link of
plain pages is measured.
"""
import argparse
import contextlib
import json
import os
import pathlib
import re
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.setdefault("LEAT_BUILD", str(ROOT / "build")))
sys.path[1:1] = [str(ROOT / "test/cli")]

import hugepages  # noqa: E402
import machine  # noqa: E402
import process  # noqa: E402
import report  # noqa: E402
import report_connections  # noqa: E402
import servers  # noqa: E402

COUNT = 100_000
POINTS = (1000, 10_000, 100_000, 1_000_000, 10_000_000)
COUNT_MAX = 14_000_000  # ports of the client's addresses, STACK_ADDRS_MAX - 1 of them
IN_FLIGHT = 256
PORTS = 28000  # leat load's LOAD_PORTS
RANGE = 250    # addresses of one --ip
HUGEPAGES = 256
BYTES_EACH = 1000    # client and server together, with room for what is under way
BYTES_SPARED = 1 << 31
ROUNDS = 3
# Within the second of rest: by then the retransmission timers have looked once, and gone.
REST_FROM_S, REST_TO_S = 0.6, 0.9
POINT_SECONDS_MAX = 1800


def points_up_to(count):
    return sorted({point for point in POINTS if point < count} | {count})


def sources(count):
    """Flags of the client: as many addresses as it takes."""
    needed = -(-count // PORTS)
    flags = []
    for number in range(1, -(-needed // RANGE) + 1):
        last = min(RANGE, needed - (number - 1) * RANGE)
        span = f"10.9.{number}.1-10.9.{number}.{last}"
        flags += ["--ip", span + "/24", "--from", span]
    return flags


def stats(program):
    """What its core says of itself now."""
    seen = program.text["stderr"].count('{"core"')
    program.send(process.signal.SIGUSR1)
    match = program.until(r'^(\{"core".*\})$', "stderr", seen + 1)
    return json.loads(match[1])


def memory_free():
    found = re.search(r"^MemAvailable:\s+(\d+)", machine.read("/proc/meminfo"), re.M)
    return int(found[1]) * 1024


def commands(path, count, seconds):
    environment = ["--busy-poll", "--stats", "--log-level", "error"]
    server = [BUILD / "leat", "serve", "--hello", *environment, "--cores", "0,", "--net",
              f"memif:{path},server", "--ip", "10.9.0.2/24", "--gateway", "10.9.0.1", "--listen",
              "10.9.0.2:80", "--max-connections", COUNT_MAX, "--keepalive", "1h"]
    client = [BUILD / "leat", "load", "http://10.9.0.2/", *environment, "--cores", "1,", "--net",
              f"memif:{path}", "--ip", "10.9.0.1/24", *sources(count), "-c", count, "--ramp",
              "--in-flight", min(IN_FLIGHT, count), "-d", seconds, "--timeout", "60s", "--json"]
    return server, client


def measure(folder, count, seconds):
    """One round of one point; raises when something was lost."""
    path = os.path.join(folder, f"link{count}")
    server_words, client_words = commands(path, count, seconds)
    environment = dict(os.environ, LEAT_MODULES=str(BUILD))
    with process.Program(*server_words, env=environment) as server:
        server.until(r"^listening")
        rest = stats(server), machine.memory_kib(server.process.pid)
        with process.Program(*client_words, env=environment) as client:
            client.until(r"each had an answer|^leat load: (?!measured)", "stderr")
            time.sleep(REST_FROM_S)
            resting = stats(server)
            held = machine.memory_kib(server.process.pid), machine.memory_kib(client.process.pid)
            client_held = stats(client)
            time.sleep(REST_TO_S - REST_FROM_S)
            before = stats(server)
            client.until(r"^leat load: measured", "stderr")
            after = stats(server)
            code = client.end()
            said = json.loads([line for line in client.text["stdout"].splitlines()
                               if line.startswith("{")][-1])
            lost = sum(said["errors"].values()) + abs(said["connects"] - count)
            if code != 0 or lost or said["unfinished"]:
                raise RuntimeError(f"{count} connections: {lost} lost, {said['unfinished']} "
                                   f"unfinished: {client.text['stderr'].strip()[-300:]}")
        if server.end(process.TERM) != 0:
            raise RuntimeError(f"the server ended badly: {server.text['stderr'][-300:]}")
    return {"connections": count, "requests": said["requests"], "ramp_s": said["ramp_s"],
            "per_second": said["requests_per_second"], "p50_us": said["latency_us"]["p50"],
            "p99_us": said["latency_us"]["p99"], "max_us": said["latency_us"]["max"],
            "cycles": (after["work_cycles"] - before["work_cycles"]) / said["requests"],
            "client_busy": said["busy"], "timers_at_rest": before["timers"] - resting["timers"],
            "heap_bytes": (before["heap_bytes"] - rest[0]["heap_bytes"]) / count,
            "rss_bytes": (held[0] - rest[1]) * 1024 / count,
            "client_heap_bytes": client_held["heap_bytes"] / count,
            "rss_mib": (held[0] + held[1]) / 1024}


def disturbed(folder, count, seconds):
    disturbance = machine.Disturbance(lambda: 0.0)  # all that was started has ended then
    result = measure(folder, count, seconds)
    result["steal"], result["foreign"] = disturbance.shares()
    return result


def too_little_memory(count):
    needed, free = count * BYTES_EACH + BYTES_SPARED, memory_free()
    if needed <= free:
        return None
    return (f"{count} connections take {needed >> 20} MiB, and {free >> 20} are free: end other "
            "programs, or say fewer with --count")


def most_that_fit():
    """What `./dev bench all` opens here; at least the default, which says what is missing."""
    fitting = [point for point in POINTS if too_little_memory(point) is None]
    return max([COUNT, *fitting])


def run(options):
    rounds = 1 if options.quick else ROUNDS
    result = {"count": options.count, "points": [], "in_flight": IN_FLIGHT, "rounds": rounds}
    with (tempfile.TemporaryDirectory(prefix="leat-bench-") as folder,
          contextlib.ExitStack() as held):
        if os.geteuid() == 0:
            try:
                held.enter_context(hugepages.Hugepages(HUGEPAGES))
            except OSError as error:
                print(f"bench: no hugepages ({error})", file=sys.stderr)
        for point in [options.count] if options.quick else points_up_to(options.count):
            print(f"measuring {point} connections ...", file=sys.stderr, flush=True)
            result["points"].append([disturbed(folder, point, options.seconds) for _ in
                                     range(rounds if point < 1_000_000 else 1)])
    return result


def main():
    parser = argparse.ArgumentParser(prog="./dev bench connections")
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--seconds", type=int, default=3, help="of each measurement")
    parser.add_argument("--quick", action="store_true",
                        help="--count connections, once; nothing is written")
    options = parser.parse_args()
    why = too_little_memory(options.count)
    if not 1 <= options.count <= COUNT_MAX:
        why = f"--count takes 1 to {COUNT_MAX}"
    elif not (BUILD / "leat-dpdk.so").exists():
        why = "the DPDK module was not built: ./dev deps dpdk && ./dev build"
    elif len(os.sched_getaffinity(0)) < 2:
        why = "needs two cores, one for the server and one for the client"
    if why is not None:
        print(f"bench: {why}")
        return 1
    process.LIMIT_S = POINT_SECONDS_MAX
    servers.end_on_term()
    try:
        result = run(options)
    except (RuntimeError, AssertionError) as error:
        print(f"bench: {error}")
        return 1
    result["machine"] = machine.describe()
    result["limits"] = {"disturbed": machine.DISTURBED_SHARE_MAX}
    print(report_connections.section(result))
    if not options.quick:
        report.keep(ROOT, "connections", result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
