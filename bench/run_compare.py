#!/usr/bin/env python3
"""`./dev bench compare [--quick] [--only SECTION]`: Leat beside other servers.

Servers run on core 0, `leat load` on core 1, never sleeping; interleaved rounds. Leat over sockets
(epoll, io_uring) and on its own stack (tun, tap and veth, with the kernel's TCP as its client; tun
is a TAP device that takes large segments, without DPDK; tap is DPDK's), beside
nginx, h2o, lighttpd, haproxy, Node.js, libuv, libevent's evhttp and libmicrohttpd, where they are
installed. Sections: hello, pipelined, small (4 KiB), file (1 MiB), connect (a connection for each
request), crowd (10,000 connections, 64 requests under way). CPU time per request, rate, latency,
resident set. Results go to docs/benchmarks/compare.json and docs/benchmarks.md, unless --quick or
--only is given. Without root, Leat's own stack is left out.
"""
import argparse
import json
import os
import pathlib
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.setdefault("LEAT_BUILD", str(ROOT / "build")))
sys.path[1:1] = [str(ROOT / "test/cli"), str(ROOT / "test/interop")]

import machine  # noqa: E402
import network  # noqa: E402
import process  # noqa: E402
import report  # noqa: E402
import report_compare  # noqa: E402
import run_http  # noqa: E402
import servers  # noqa: E402
import world  # noqa: E402

SMALL_BYTES = 4096
CROWD, CROWD_IN_FLIGHT = 10_000, 64
VETH = ("leatc2", "leatc3")  # the kernel's end, Leat's end
FILE_PEERS = ("nginx", "h2o", "lighttpd", "evhttp", "microhttpd")
ALL_PEERS = ("nginx", "h2o", "lighttpd", "haproxy", "node", "uv", "evhttp", "microhttpd")


class Bypass(servers.Server):
    """Leat on its own stack, with the kernel at the other end of the link."""

    def __init__(self, name, net, interface, subnet, *arguments, path="/hello"):
        self.interface, self.near = interface, f"{subnet}.1/24"
        super().__init__(name, [str(BUILD / "leat"), "serve", *arguments, "--net", net, "--ip",
                                f"{subnet}.2/24", "--listen", f"{subnet}.2:80", "--cores", "1",
                                "--log-level", "error"], path=path, port=80)
        self.host = f"{subnet}.2"

    def launched(self):
        """The kernel's end has an address as soon as it is there."""
        end = time.monotonic() + servers.START_SECONDS_MAX
        while not os.path.exists(f"/sys/class/net/{self.interface}") and time.monotonic() < end:
            time.sleep(0.05)
        world.ip("addr", "replace", self.near, "dev", self.interface)
        world.ip("link", "set", self.interface, "up")


class Run(run_http.Run):
    def __init__(self, options, folder):
        super().__init__(options, folder)
        self.rounds = 2 if options.quick else 5
        self.seconds = 0.5 if options.quick else 1.0
        with open(os.path.join(self.root, "4k.bin"), "wb") as file:
            file.write(os.urandom(SMALL_BYTES))

    def chosen(self, names):
        return [name for name in names if name in (self.options.peer or names)]

    def bypasses(self, *arguments, path="/hello"):
        links = {"tun": ("tun:leatc0", "leatc0", "10.9.3"),
                 "tap": ("tap:leatc1", "leatc1", "10.9.1"),
                 "veth": (f"packet:{VETH[1]}", VETH[0], "10.9.2")}
        if os.geteuid() != 0:
            self.unmeasured.append("leat (tun), leat (tap), leat (veth): needs root")
            return []
        if not (BUILD / "leat-dpdk.so").exists():
            self.unmeasured.append("leat (tap), leat (veth): needs the DPDK module")
            links = {"tun": links["tun"]}
        all_links = [Bypass(f"leat ({name})", *link, *arguments, path=path)
                     for name, link in links.items()]
        return [s for s in map(self.start, all_links) if s is not None]


def load(server, path, seconds, *flags):
    """What `leat load` counted."""
    words = load_words(server, path, seconds, *flags)
    code, out, err = process.finish(*words)
    return said(code, out, err)


def load_words(server, path, seconds, *flags):
    return [BUILD / "leat", "load", f"http://{server.host}:{server.port}{path}", "-d",
            f"{round(seconds * 1000)}ms", "--cores", "1,", "--net", "epoll", "--busy-poll",
            "--log-level", "error", "--any-body", "--json", *flags]


def said(code, out, err):
    result = json.loads(out[out.index("{"):]) if "{" in out else {}
    if code != 0:
        raise RuntimeError(f"leat load: {err.strip()[-300:]}")
    latency = result["latency_us"]
    return {"requests": result["requests"], "per_second": result["requests_per_second"],
            "p50_us": latency["p50"], "p99_us": latency["p99"], "p999_us": latency["p99.9"],
            "client_busy": result["busy"]}


def crowd(server, seconds):
    """The server's CPU time between the client's words that all are open, and that it is over."""
    words = load_words(server, server.path, seconds, "-c", CROWD, "--in-flight", CROWD_IN_FLIGHT,
                       "--ramp", "--timeout", "30s")
    with process.Program(*words) as client:
        client.until(r"each had an answer|^leat load: (?!measured)", "stderr")
        before = server.cpu()
        client.until(r"^leat load: (measured|.* ended )", "stderr")
        cpu, rss = server.cpu() - before, server.rss_kib()
        code = client.end()
        return {**said(code, client.text["stdout"], client.text["stderr"]), "cpu_s": cpu,
                "rss_kib": rss}


def taken(run, sections):
    results = {}
    for name, (measured, measure_one) in sections.items():
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        able = [server for server in measured if can(run, name, server, measure_one)]
        results[name] = run_http.interleaved(run, able, measure_one, "requests")
    return results


def can(run, section, server, measure_one):
    """A round that warms up and is not counted; who fails in it is left out, and named."""
    try:
        measure_one(server)
        return True
    except (RuntimeError, AssertionError) as error:
        run.unmeasured.append(f"{server.name} in {section}: {error}")
        return False


def hellos(run):
    leats = run.leats("--hello")
    return [run.floor(leats), *leats, *run.bypasses("--hello"), *run.peers(*run.chosen(ALL_PEERS))]


def closers(run, measured):
    """The same, but those that read no HTTP close by themselves."""
    return [run.start(servers.closer(server.name, run.folder, server.answer))
            if server.name in servers.CLOSERS else server for server in measured]


def section_hello(run):
    """The same servers for all that asks for the greeting."""
    measured = [server for server in hellos(run) if server is not None]
    return taken(run, {
        "hello": (measured, lambda s: load(s, s.path, run.seconds)),
        "pipelined": (measured, lambda s: load(s, s.path, run.seconds, "--pipeline", "16")),
        "connect": ([s for s in closers(run, measured) if s is not None],
                    lambda s: load(s, s.path, run.seconds, "--connection-per-request")),
        "crowd": ([s for s in measured if s.connections_max > CROWD],
                  lambda s: crowd(s, run.seconds))})


def section_files(run):
    measured = [*run.leats(run.root, path="/4k.bin"), *run.bypasses(run.root, path="/4k.bin"),
                *run.peers(*run.chosen(FILE_PEERS))]
    return taken(run, {
        "small": (measured, lambda s: load(s, "/4k.bin", run.seconds)),
        "file": (measured, lambda s: load(s, "/1m.bin", run.seconds, "-c", "16"))})


SECTIONS = {"hello": section_hello, "files": section_files}


def measure(options):
    with tempfile.TemporaryDirectory(prefix="leat-bench-") as folder:
        run = Run(options, folder)
        network.enter()
        if os.geteuid() == 0:
            world.ip("link", "add", VETH[0], "type", "veth", "peer", "name", VETH[1])
            world.ip("link", "set", VETH[1], "up")
            world.finish_checksums(VETH[0])
        result = {"sections": {}, "rounds": run.rounds, "seconds": run.seconds}
        for name, section in SECTIONS.items():
            if options.only in (None, name):
                try:
                    result["sections"].update(section(run))
                finally:
                    run.stop_all()
        result["not_measured"] = sorted(set(run.unmeasured))
        result["versions"] = {name: servers.version(name) for name in ALL_PEERS}
        return result


def main():
    parser = argparse.ArgumentParser(prog="./dev bench compare")
    parser.add_argument("--quick", action="store_true", help="a sanity run; nothing is written")
    parser.add_argument("--only", choices=list(SECTIONS), help="one section; nothing is written")
    parser.add_argument("--peer", action="append", choices=ALL_PEERS,
                        help="beside these alone; may be repeated; nothing is written")
    options = parser.parse_args()
    os.chdir(ROOT)
    servers.end_on_term()
    os.environ["LEAT_MODULES"] = str(BUILD)
    if os.cpu_count() < 2:
        print("bench: needs two cores, one for the server and one for the client")
        return 1
    result = measure(options)
    result["machine"] = machine.describe()
    result["limits"] = {"disturbed": machine.DISTURBED_SHARE_MAX,
                        "floor_spread": run_http.FLOOR_SPREAD_MAX}
    print(report_compare.section(result))
    if not options.quick and options.only is None and options.peer is None:
        report.keep(ROOT, "compare", result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
