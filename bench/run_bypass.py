#!/usr/bin/env python3
"""`./dev bench bypass [--quick] [--only SECTION]`: what a packet and a request cost without the
kernel. Eight minutes at most.

Two processes on one memif link: the server on core 0, the client on core 1, never sleeping, with
hugepages that are reserved for the run and given back. Every round has the link alone (bare frames,
bench/forward.c) beside what is measured; rounds in which time was stolen or used by others are
left out. Sections: link, connections, rest, kernel. Results go to docs/benchmarks.md and
docs/benchmarks/bypass.json, unless --quick or --only is given or the machine was disturbed. Root.
"""
import argparse
import contextlib
import json
import os
import pathlib
import signal
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.setdefault("LEAT_BUILD", str(ROOT / "build")))
sys.path[1:1] = [str(ROOT / "test/cli"), str(ROOT / "test/interop")]

import hugepages  # noqa: E402
import machine  # noqa: E402
import process  # noqa: E402
import report  # noqa: E402
import report_bypass  # noqa: E402
import servers  # noqa: E402
import world  # noqa: E402

LEAT, FORWARD = BUILD / "leat", BUILD / "bench/forward"
HUGEPAGES = 512
OWN, PEER = "10.9.0.2", "10.9.0.1"
TRIP_BYTES = 64
TRIP_FRAME_BYTES = 14 + 20 + 32 + TRIP_BYTES  # Ethernet, IP, TCP with timestamps
FULL_FRAME_BYTES, FULL_PAYLOAD_BYTES = 1514, 1448
CONNECTIONS = 64
NAP_S = 0.001
ROUNDS_KEPT_MIN = 3
ROUNDS_EXTRA_MAX = 2
LIMIT_S, EXTRA_UNTIL_S = 480, 360  # of all; rounds in place of disturbed ones begin before that
SERVER_SECONDS = 30  # it is told to end before
MANY, MANY_QUICK = 1000000, 20000  # idle connections
MANY_FROM = "10.9.1.1-10.9.1.40"  # 28,000 from each


def json_line(text):
    """The last line that is a JSON object."""
    return json.loads([line for line in text.splitlines() if line.startswith("{")][-1])


class Run:
    """What is common to the sections."""

    def __init__(self, options, folder):
        self.rounds = 2 if options.quick else 5
        self.seconds = 1 if options.quick else 2
        self.bare_seconds = 1
        self.rounds_extra = 0 if options.quick else ROUNDS_EXTRA_MAX
        self.began = time.monotonic()
        self.many = MANY_QUICK if options.quick else MANY
        self.path = os.path.join(folder, "memif.sock")

    def net(self, *more):
        return ["--net", f"memif:{self.path}" + ",server" * ("server" in more)]

    def leat(self, command, core, *flags):
        """A leat that never sleeps, on the link."""
        side = ["server"] if core == 0 else []
        return [LEAT, command, *flags, "--busy-poll", "--stats", "--log-level", "error", "--cores",
                f"{core},", *self.net(*side), "--ip", f"{OWN if core == 0 else PEER}/24"]

    def forward(self, core, *words):
        side = ",server" if core == 0 else ""
        return ["taskset", "-c", str(core), FORWARD, f"memif:{self.path}{side}", *words]


def both(server, client):
    """What the server and the client said at their end. A client that holds the link goes last."""
    environment = dict(os.environ, LEAT_MODULES=str(BUILD))
    with process.Program(*server, env=environment) as program:
        program.until(r"^(listening|ready)")
        with process.Program(*client, env=environment) as asking:
            if FORWARD in client:
                asking.until(r"^\{.*\}$")
            elif asking.end() != 0:
                raise RuntimeError(f"{client[1]}: {asking.text['stderr'].strip()[-300:]}")
            code = program.end(process.TERM)
            if code != 0 or asking.end(process.TERM) != 0:
                raise RuntimeError(f"{code}: {program.text} {asking.text}")
            return program.text["stdout"] + program.text["stderr"], \
                asking.text["stdout"] + "\n" + asking.text["stderr"]


# ---- the link: each function is one round of one measurement ----

def bare(run, window):
    server, client = both(run.forward(0, "reflect"),
                          run.forward(1, "ask", run.bare_seconds, 64, window))
    server, client = json_line(server), json_line(client)
    return {"cycles": server["work_cycles"] / server["frames"],
            "per_second": client["frames"] / client["seconds"], "client_busy": client["busy"],
            "server_busy": server["busy"]}


def bare_trip(run):
    _, client = both(run.forward(0, "reflect"),
                     run.forward(1, "ask", run.bare_seconds, TRIP_FRAME_BYTES, 1))
    return json_line(client)["round_trip_us"]


def bare_bulk(run, modes):
    """Payload of full frames: modes are the server's and the client's."""
    words = [[mode, SERVER_SECONDS if core == 0 else run.bare_seconds, FULL_FRAME_BYTES]
             for core, mode in enumerate(modes)]
    server, client = map(json_line, both(run.forward(0, *words[0]), run.forward(1, *words[1])))
    taken = server if modes[0] == "sink" else client
    sent = client if modes[0] == "sink" else server
    return {"gbits": taken["frames"] * FULL_PAYLOAD_BYTES * 8e-9 / taken["seconds"],
            "sender": sent["work_cycles"] / (sent["frames"] * FULL_PAYLOAD_BYTES),
            "receiver": taken["work_cycles"] / (taken["frames"] * FULL_PAYLOAD_BYTES)}


def loaded(run, *flags):
    server, client = both(
        run.leat("serve", 0, "--hello", "--listen", f"{OWN}:80"),
        run.leat("load", 1, f"http://{OWN}/", "-c", CONNECTIONS, "-d", run.seconds, "--json",
                 *flags))
    said = json_line(client[:client.rindex('{"core"')])
    if sum(said["errors"].values()):
        raise RuntimeError(f"leat load: {said['errors']}")
    stats = json_line(server)
    return {"cycles": stats["work_cycles"] / said["requests"],
            "per_second": said["requests_per_second"], "client_busy": said["busy"],
            "server_busy": stats["work_ns"] * 1e-9 / said["duration_s"],
            "p50_us": said["latency_us"]["p50"], "p99_us": said["latency_us"]["p99"],
            "requests_per_turn": said["requests"] / max(1, stats["work_turns"]),
            **layers_of(stats, said["requests"])}


def echoed(run):
    _, client = both(
        run.leat("echo", 0, "--listen", f"{OWN}:7"),
        run.leat("echo", 1, "--connect", f"{OWN}:7", "--bytes", TRIP_BYTES, "-d", run.seconds,
                 "--json"))
    return json_line(client[:client.rindex('{"core"')])["round_trip_us"]


def bulk(run, modes, connections=1):
    server, client = both(
        run.leat("echo", 0, f"--{modes[0]}", "--listen", f"{OWN}:7"),
        run.leat("echo", 1, f"--{modes[1]}", "--connect", f"{OWN}:7", "-d", run.seconds, "--json",
                 "-c", connections))
    said = json_line(client[:client.rindex('{"core"')])
    cycles = {mode: json_line(text)["work_cycles"] for mode, text in zip(modes, (server, client))}
    return {"gbits": said["bytes_per_second"] * 8e-9,
            "sender": cycles["source"] / said["bytes"], "receiver": cycles["sink"] / said["bytes"]}


def layers_of(stats, requests):
    return {f"layer_{name}": cycles / requests for name, cycles in stats["layer_cycles"].items()}


LINK = {
    "bare": lambda run: bare(run, CONNECTIONS),
    "bare_full": lambda run: bare(run, 1024),
    "hello": loaded,
    "connect": lambda run: loaded(run, "--connection-per-request"),
    "bare_trip": bare_trip,
    "echo": echoed,
    "bare_in": lambda run: bare_bulk(run, ("sink", "pour")),
    "bulk_in": lambda run: bulk(run, ("sink", "source")),
    "bare_out": lambda run: bare_bulk(run, ("pour", "sink")),
    "bulk_out": lambda run: bulk(run, ("source", "sink")),
    "many_in": lambda run: bulk(run, ("sink", "source"), CONNECTIONS),
    "many_out": lambda run: bulk(run, ("source", "sink"), CONNECTIONS),
}


def is_undisturbed(result):
    return max(result["steal"], result["foreign"]) <= machine.DISTURBED_SHARE_MAX


def interleaved(run, measurements, rounds):
    """name -> one result a round, with the shares of the machine that were others' in it. What was
    disturbed too often gets a few rounds more."""
    results = {name: [] for name in measurements}
    needed = min(rounds, ROUNDS_KEPT_MIN)
    for number in range(rounds + run.rounds_extra):
        for name, measure in measurements.items():
            is_late = time.monotonic() - run.began > EXTRA_UNTIL_S
            if number < rounds or (sum(map(is_undisturbed, results[name])) < needed
                                   and not is_late):
                results[name].append(measured(run, measure))
    return {"needed": needed, "results": results}


def measured(run, measure):
    disturbance = machine.Disturbance(lambda: 0.0)  # all that is started has ended then
    result = measure(run)
    result["steal"], result["foreign"] = disturbance.shares()
    return result


# ---- connections that are idle ----

def stats_now(program, number):
    """What the only core of a program says of itself, for the number-th time."""
    program.send(signal.SIGUSR1)
    said = program.until(r'^\{"core":0.*\}$', where="stderr", count=number)
    return json.loads(said[0]), machine.memory_kib(program.process.pid)


def idle_connections(run):
    """Memory and timer events of connections that are open and had one answer each."""
    environment = dict(os.environ, LEAT_MODULES=str(BUILD))
    server = [word.replace("/24", "/16") if isinstance(word, str) else word for word in
              run.leat("serve", 0, "--hello", "--listen", f"{OWN}:80", "--max-connections",
                       run.many + 1000, "--keepalive", "10m")]
    client = [word.replace("/24", "/16") if isinstance(word, str) else word for word in
              run.leat("load", 1, f"http://{OWN}/", "-c", run.many, "--ramp", "--in-flight",
                       CONNECTIONS * 4, "--timeout", "60s", "-d", 1, "--json", "--ip",
                       f"{MANY_FROM}/16", "--from", MANY_FROM)]
    with process.Program(*server, env=environment) as program:
        program.until(r"^listening")
        before, before_kib = stats_now(program, 1)
        with process.Program(*client, env=environment) as asking:
            asking.until(r"connections are open", where="stderr")
            time.sleep(0.5)  # of the second for which the client lets all rest
            open_stats, open_kib = stats_now(program, 2)
            time.sleep(0.3)
            later, _ = stats_now(program, 3)
            if asking.end() != 0:
                raise RuntimeError(f"leat load: {asking.text['stderr'].strip()[-300:]}")
        if program.end(process.TERM) != 0:
            raise RuntimeError(program.text["stderr"].strip()[-300:])
    said = json_line(asking.text["stdout"])
    return {"count": run.many,
            "heap": (open_stats["heap_bytes"] - before["heap_bytes"]) / run.many,
            "rss": (open_kib - before_kib) * 1024 / run.many, "ramp_s": said["ramp_s"],
            "timers": (later["timers"] - open_stats["timers"]) / run.many}


def section_connections(run):
    return interleaved(run, {"idle": idle_connections}, 1)


# ---- rest, and the kernel's side ----

@contextlib.contextmanager
def served(net, listen):
    """`leat serve --hello` as it is without flags: it sleeps when there is nothing to do. net is
    its --net and the kernel's interface at the other end, which has PEER meanwhile, or None."""
    net, interface = net
    ips = ["--ip", f"{OWN}/24"] if ":" in net else []
    environment = dict(os.environ, LEAT_MODULES=str(BUILD))
    with process.Program(LEAT, "serve", "--hello", "--cores", "0,", "--net", net, "--log-level",
                         "error", "--listen", listen, *ips, env=environment) as program:
        program.until(r"^listening")
        if interface is not None:
            world.ip("addr", "add", f"{PEER}/24", "dev", interface)
            world.ip("link", "set", interface, "up")
        yield program
        if interface is not None:
            world.ip("addr", "flush", "dev", interface)
        program.end(process.TERM)


def kinds():
    """Kind -> (--net, the kernel's interface of the link, or None)."""
    return {"tun": ("tun:leatb0", "leatb0"), "tap": ("tap:leatb1", "leatb1"),
            "veth (packet)": ("packet:leatb3", "leatb2")}


def rest(run, net, client):
    """CPU share while one connection asks once a second, and the slowest of those answers."""
    count = 3 if run.rounds < 5 else 5
    environment = dict(os.environ, LEAT_MODULES=str(BUILD))
    with served(net, f"{OWN}:80") as server:
        words = [LEAT, "load", f"http://{OWN}/", "-c", 1, "--rate", 1, "-d", count + 1, "--json",
                 "--busy-poll", "--log-level", "error", "--cores", "1,", *client]
        with process.Program(*words, env=environment) as asking:
            time.sleep(1.5)
            before, start = machine.cpu_seconds(server.process.pid), time.monotonic()
            time.sleep(count - 1)
            cpu = machine.cpu_seconds(server.process.pid) - before
            share = cpu / (time.monotonic() - start)
            code = asking.end()
            said = asking.text["stdout"]
        if code != 0:
            raise RuntimeError(f"leat load: {asking.text['stderr'].strip()[-300:]}")
    latency = json_line(said)["latency_us"]
    return {"share": share, "first_us": latency["p50"], "first_us_max": latency["max"]}


def bare_sleep(_):
    """What it costs to do nothing but sleep for a millisecond at a time, and how late that ends."""
    late_max, began, cpu = 0.0, time.monotonic(), time.thread_time()
    while time.monotonic() - began < 2:
        start = time.monotonic()
        time.sleep(NAP_S)
        late_max = max(late_max, time.monotonic() - start - NAP_S)
    return {"share": (time.thread_time() - cpu) / (time.monotonic() - began),
            "late_us_max": late_max * 1e6}


def section_rest(run):
    links = {"memif": ((f"memif:{run.path},server", None),
                       [*run.net(), "--ip", f"{PEER}/24"])}
    links.update({kind: (net, []) for kind, net in kinds().items()})
    measurements = {kind: lambda run, link=link: rest(run, *link) for kind, link in links.items()}
    return interleaved(run, {"bare sleep": bare_sleep, **measurements}, 1)


def kernel_load(run, kind):
    """CPU time of the server by requests, with the kernel's TCP as its client."""
    def measure(_):
        net = {**kinds(), "sockets": ("auto", None)}[kind]
        port = process.free_port()
        listen, url = ((f"{OWN}:80", f"http://{OWN}/") if net[1] is not None
                       else (f"127.0.0.1:{port}", f"http://127.0.0.1:{port}/"))
        with served(net, listen) as server:
            before = machine.cpu_seconds(server.process.pid)
            code, out, err = process.finish(LEAT, "load", url, "-c", CONNECTIONS, "-d",
                                            run.bare_seconds, "--json", "--cores", "1,",
                                            "--log-level", "error")
            cpu = machine.cpu_seconds(server.process.pid) - before
            if code != 0:
                raise RuntimeError(f"leat load: {err.strip()[-300:]}")
        said = json_line(out)
        return {"us": cpu * 1e6 / said["requests"], "per_second": said["requests_per_second"],
                "server_busy": cpu / said["duration_s"], "client_busy": said["busy"]}
    return measure


def section_kernel(run):
    return interleaved(run, {kind: kernel_load(run, kind) for kind in ("sockets", "tun", "tap")},
                       run.rounds)


SECTIONS = {"link": lambda run: interleaved(run, LINK, run.rounds),
            "connections": section_connections, "rest": section_rest,
            "kernel": section_kernel}


def measure(options):
    with tempfile.TemporaryDirectory(prefix="leat-bench-") as folder:
        run = Run(options, folder)
        world.enter("taskset", with_hugepages=True)
        world.ip("link", "add", "leatb2", "type", "veth", "peer", "name", "leatb3")
        world.ip("link", "set", "leatb3", "up")
        world.finish_checksums("leatb2")
        result = {"sections": {}, "rounds": run.rounds, "seconds": run.seconds,
                  "bare_seconds": run.bare_seconds, "connections": CONNECTIONS,
                  "trip_frame_bytes": TRIP_FRAME_BYTES, "hugepages": HUGEPAGES}
        with hugepages.Hugepages(HUGEPAGES):
            for name, section in SECTIONS.items():
                if options.only in (None, name):
                    print(f"measuring {name} ...", file=sys.stderr, flush=True)
                    result["sections"][name] = section(run)
    return result


def why_not_here():
    if os.geteuid() != 0:
        return "only root can reserve hugepages and make a network namespace"
    if len(os.sched_getaffinity(0)) < 2:
        return "needs two cores, one for the server and one for the client"
    if not (BUILD / "leat-dpdk.so").exists():
        return "the DPDK module was not built: ./dev deps dpdk && ./dev build"
    return None


def on_limit(_number, _frame):
    raise SystemExit(f"bench: not done after {LIMIT_S} seconds: the machine is busy")


def main():
    parser = argparse.ArgumentParser(prog="./dev bench bypass")
    parser.add_argument("--quick", action="store_true", help="a sanity run; nothing is written")
    parser.add_argument("--only", choices=list(SECTIONS), help="one section; nothing is written")
    options = parser.parse_args()
    why = why_not_here()
    if why is not None:
        print(f"bench: {why}")
        return 1
    servers.end_on_term()
    signal.signal(signal.SIGALRM, on_limit)
    signal.alarm(LIMIT_S)
    result = measure(options)
    result["machine"] = machine.describe()
    result["limits"] = {"disturbed": machine.DISTURBED_SHARE_MAX}
    text, is_whole = report_bypass.text(result)
    print(text)
    if options.quick or options.only is not None:
        return 0
    if not is_whole:
        print("bench: the machine was disturbed: nothing was written", file=sys.stderr)
        return 1
    report.keep(ROOT, "bypass", result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
