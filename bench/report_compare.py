"""Turns results of bench/run_compare.py into their section of docs/benchmarks.md."""
import machine
import report

TITLES = {
    "hello": "Plain text, 64 connections, one request at a time",
    "pipelined": "Plain text, 64 connections, 16 requests at a time",
    "connect": "Plain text, a connection for each request, 64 at a time",
    "crowd": "Plain text, 10,000 connections of which 64 ask at a time",
    "small": "A file of 4 KiB, 64 connections",
    "file": "A file of 1 MiB, 16 connections",
}
NO_SERVERS = ("floor", "uv")  # they read no HTTP: not what Leat is compared with


def why_not(result, section, verdicts):
    """The floor's spread stands for every section: it has the floor only where it answers."""
    for name in (section, "hello"):
        if name in result["sections"]:
            why = verdicts.disturbed({**result["sections"][section], "samples":
                                      result["sections"][name]["samples"]})
            if why:
                return why
    return None


def add_verdicts(result, verdicts):
    for name, title in TITLES.items():
        section = result["sections"].get(name)
        if section is None:
            continue
        why = why_not(result, name, verdicts)
        for leat in ("leat (epoll)", "leat (uring)"):
            peers = [peer for peer in section["samples"]
                     if not peer.startswith("leat") and peer not in NO_SERVERS]
            if leat not in section["samples"] or not peers:
                continue
            best = min(peers, key=lambda peer, s=section: machine.median(s["samples"][peer]))
            verdicts.add(f"{title}: CPU per request by that of the best peer, {best}, {leat}",
                         report.ratio(section, leat, best), 1.0, why_not=why)


def both_us(samples, more):
    """CPU per request of the server, and of the client while it found work to do."""
    client = [busy / rate for busy, rate in zip(more["client_busy"], more["per_second"])]
    return (machine.median(samples) + machine.median(client)) * 1e6


def table_of(section):
    rows = []
    reference = "nginx" if "nginx" in section["samples"] else next(iter(section["samples"]))
    for name, samples in section["samples"].items():
        more = section["more"][name]

        def of(key, scale=1.0, more=more):
            return machine.median(more[key]) * scale
        rows.append((name, f"{machine.median(samples) * 1e6:.2f}",
                     f"{min(samples) * 1e6:.2f} .. {max(samples) * 1e6:.2f}",
                     f"{machine.spread(samples):.1%}", f"{both_us(samples, more):.2f}",
                     f"{report.ratio(section, name, reference):.2f}", f"{of('per_second'):,.0f}",
                     f"{of('p50_us'):.0f}", f"{of('p99_us'):.0f}", f"{of('p999_us'):.0f}",
                     f"{of('rss_kib', 1 / 1024):.1f}", f"{section['busy'][name]:.0%}",
                     f"{of('client_busy'):.0%}"))
    return report.table(["server", "CPU, µs per request", "lowest .. highest", "spread (IQR)",
                         "with the client's", f"by {reference}", "requests per second",
                         "p50, µs", "p99, µs", "p99.9, µs", "MiB resident",
                         "server's core busy", "client busy"], rows)


def section(result):
    verdicts = report.Verdicts(result["limits"])
    add_verdicts(result, verdicts)
    versions = ", ".join(f"{name} {version or 'not installed'}"
                         for name, version in result["versions"].items())
    disturbance = "; ".join(f"{name}: stolen {s['steal']:.1%}, foreign {s['foreign']:.1%}"
                            for name, s in result["sections"].items())
    texts = [f"### {title}\n\n{table_of(result['sections'][name])}"
             for name, title in TITLES.items() if name in result["sections"]]
    return "\n".join([
        "## Other servers: `./dev bench compare`\n", report.about(result),
        f"Server on core 0, `leat load --busy-poll` on core 1, closed loop, {result['rounds']} "
        f"interleaved rounds of {result['seconds']} s. {versions}.\n",
        "CPU is user and system time of the server by the requests answered. Part of what the "
        "kernel does for a server it does on the client's core: of the link on tun, tap and veth, "
        "and of a large answer over loopback all that an ACK sets free. Who answers more slowly "
        "leaves more to it, so the client's time is told as well. floor and uv answer without "
        "reading HTTP. Latency is that of a closed loop: it says how a full server queues, not "
        "what a user sees (`./dev bench latency`).\n",
        f"Not measured: {'; '.join(result['not_measured']) or 'nothing'}. Disturbance of the "
        f"machine: {disturbance}.\n", *filter(None, [verdicts.text()]), *texts])
