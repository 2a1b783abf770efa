#!/usr/bin/env python3
"""`./dev bench latency [--quick]`: what users wait at 10, 50 and 80 % of the highest rate.

Open loop: requests are due on a schedule, and latency counts from when each was due. Leat over
memif, adaptive (it sleeps when idle) and with --busy-poll; Leat over sockets (io_uring), adaptive
and with --busy-poll; nginx over sockets. Servers on core 0, `leat load --busy-poll` on core 1. The
highest rate of each is measured first, by a closed loop. Beside them what the machine alone does:
how long a request waits for a server that needs no time but is kept from its core as often as a
program that only spins (bench/stalls.c). Results go to docs/benchmarks.md, to
docs/benchmarks/latency.json and docs/benchmarks/latency-*.svg, unless --quick is given.
"""
import argparse
import contextlib
import json
import os
import pathlib
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.setdefault("LEAT_BUILD", str(ROOT / "build")))
sys.path[1:1] = [str(ROOT / "test/cli"), str(ROOT / "test/interop")]

import hugepages  # noqa: E402
import machine  # noqa: E402
import network  # noqa: E402
import process  # noqa: E402
import report  # noqa: E402
import report_latency  # noqa: E402
import servers  # noqa: E402

SHARES = (0.1, 0.5, 0.8)
CONNECTIONS, CONNECTIONS_OPEN = 64, 256
ROUNDS, HUGEPAGES = 3, 256
QUIET = ["--log-level", "error"]


class Memif:
    """A server that is asked over memif; a new link each time, because a client ends with it."""

    def __init__(self, name, folder, *flags):
        self.name, self.folder, self.flags, self.count = name, folder, flags, 0

    @contextlib.contextmanager
    def asked(self):
        """The client's words behind `leat load`."""
        self.count += 1
        path = os.path.join(self.folder, f"link{id(self)}-{self.count}")
        with process.Program(BUILD / "leat", "serve", "--hello", *QUIET, *self.flags, "--cores",
                             "0,", "--net", f"memif:{path},server", "--ip", "10.9.0.2/24",
                             "--listen", "10.9.0.2:80") as program:
            program.until(r"^listening")
            yield ["http://10.9.0.2/", "--net", f"memif:{path}", "--ip", "10.9.0.1/24"]
            program.end(process.TERM)


class Sockets:
    def __init__(self, server):
        self.name, self.server = server.name, server

    @contextlib.contextmanager
    def asked(self):
        self.server.start()
        try:
            yield [f"http://127.0.0.1:{self.server.port}{self.server.path}", "--net", "epoll"]
        finally:
            self.server.stop()


def subjects(folder):
    found = []
    if (BUILD / "leat-dpdk.so").exists():
        found += [Memif("memif", folder), Memif("memif, busy poll", folder, "--busy-poll")]
    found += [Sockets(servers.leat("sockets (uring)", "uring", "--hello")),
              Sockets(servers.leat("sockets (uring), busy poll", "uring", "--hello",
                                   "--busy-poll"))]
    nginx = servers.peer("nginx", folder, folder)
    return found + ([Sockets(nginx)] if nginx is not None else [])


def load(where, seconds, *flags):
    code, out, err = process.finish(BUILD / "leat", "load", *where, "-d", f"{seconds}s", "--json",
                                    "--busy-poll", "--cores", "1,", *QUIET, *flags)
    if code != 0:
        raise RuntimeError(f"leat load: {err.strip()[-300:]}")
    return json.loads(out[out.index('{"url"'):])


def measure_one(subject, share, highest, seconds):
    """One round at a share of the highest rate, or the highest rate itself."""
    disturbance = machine.Disturbance(lambda: 0.0)  # all that is started has ended then
    with subject.asked() as where:
        if share is None:
            said = load(where, seconds, "-c", CONNECTIONS)
            result = {"per_second": said["requests_per_second"]}
        else:
            said = load(where, seconds, "-c", CONNECTIONS_OPEN, "--rate", round(highest * share),
                        "--ramp")
            result = {"latency_us": said["latency_us"], "late_us": said["late_us"],
                      "unfinished": said["unfinished"], "requests": said["requests"],
                      "per_second": said["requests_per_second"]}
    result["client_busy"] = said["busy"]
    result["steal"], result["foreign"] = disturbance.shares()
    return result


def machine_alone(seconds):
    """What bench/stalls.c says: the least that latency can be, at each share."""
    code, out, err = process.finish(BUILD / "bench/stalls", 0, 1, seconds, *SHARES)
    if code != 0:
        raise RuntimeError(err.strip())
    return json.loads(out)


def measure(options):
    rounds, seconds = (1, 1) if options.quick else (ROUNDS, 5)
    result = {"shares": SHARES, "rounds": rounds, "seconds": seconds, "subjects": {},
              "connections": CONNECTIONS_OPEN, "machine_alone": []}
    with (tempfile.TemporaryDirectory(prefix="leat-bench-") as folder,
          contextlib.ExitStack() as held):
        if os.geteuid() == 0:
            with contextlib.suppress(OSError):
                held.enter_context(hugepages.Hugepages(HUGEPAGES))
        found = subjects(folder)
        for subject in found:
            print(f"measuring the highest rate of {subject.name} ...", file=sys.stderr, flush=True)
            runs = [measure_one(subject, None, 0, seconds) for _ in range(rounds)]
            result["subjects"][subject.name] = {
                "highest": machine.median([run["per_second"] for run in runs]),
                "highest_runs": runs, "at": {str(share): [] for share in SHARES}}
        for number in range(rounds):
            print(f"measuring latency, round {number + 1} of {rounds} ...", file=sys.stderr,
                  flush=True)
            result["machine_alone"].append(machine_alone(seconds))
            for share in SHARES:
                for subject in found:
                    kept = result["subjects"][subject.name]
                    kept["at"][str(share)].append(
                        measure_one(subject, share, kept["highest"], seconds))
    return result


def main():
    parser = argparse.ArgumentParser(prog="./dev bench latency")
    parser.add_argument("--quick", action="store_true", help="a sanity run; nothing is written")
    options = parser.parse_args()
    os.chdir(ROOT)
    servers.end_on_term()
    os.environ["LEAT_MODULES"] = str(BUILD)
    if os.cpu_count() < 2:
        print("bench: needs two cores, one for the server and one for the client")
        return 1
    network.enter()
    result = measure(options)
    result["machine"] = machine.describe()
    result["limits"] = {"disturbed": machine.DISTURBED_SHARE_MAX}
    print(report_latency.section(result))
    if not options.quick:
        report.keep(ROOT, "latency", result)
        for name, picture in report_latency.plots(result).items():
            (ROOT / "docs/benchmarks" / name).write_text(picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
