"""Turns what run_bypass.py measured into a section of docs/benchmarks.md."""
import machine
import report

HEAD = """## Without the kernel: `./dev bench bypass`

Cycles are counts of the time-stamp counter in turns of the server's loop that did work, the
driver's share of the link included (`leat_loop_metrics`).
"""
STACK_BYTES_TARGET = 320
HTTP_BYTES = 64  # of struct http_conn, above the transport
CLIENT_LIMIT = 0.9
TRIP_SPREAD_MAX = 2
GBITS_TARGET, GBITS_LINK_SHARE = 20.0, 0.8


class Measured:
    """The rounds of one measurement in which the machine was left alone."""

    def __init__(self, rounds, needed, quiet):
        self.rounds = rounds
        self.kept = [i for i, r in enumerate(rounds) if max(r["steal"], r["foreign"]) <= quiet]
        self.why_not = None
        if len(self.kept) < needed:
            self.why_not = (f"{len(self.kept)} of {len(rounds)} rounds undisturbed (time stolen or "
                            f"used by others at most {quiet:.0%}), {needed} needed")

    def values(self, field):
        """Of the kept rounds; of all, for reading only, when too few were kept."""
        chosen = range(len(self.rounds)) if self.why_not else self.kept
        return [self.rounds[i][field] for i in chosen]

    def median(self, field):
        return machine.median(self.values(field))

    def cell(self, field, form="{:.0f}", scale=1.0):
        values = [v * scale for v in self.values(field)]
        return (form.format(machine.median(values)),
                f"{form.format(min(values))} .. {form.format(max(values))}")


def both_why(*measured):
    return next((m.why_not for m in measured if m.why_not), None)


def rate_why(measured):
    """Why the rate says nothing about the server, when it does not."""
    client, server = measured.median("client_busy"), measured.median("server_busy")
    if client >= CLIENT_LIMIT and client > server:
        return (f"the client was the limit, {client:.0%} busy; the server's core was "
                f"{server:.0%} busy")
    return None


def request_text(link, verdicts):
    rows = []
    names = (("bare", "bare frames of 64 bytes, 64 in flight"),
             ("bare_full", "bare frames of 64 bytes, 1024 in flight"),
             ("hello", "`--hello`, 64 keep-alive connections"),
             ("connect", "connect, one request, close, 64 at a time"))
    for name, title in names:
        m = link[name]
        by = m.median("cycles") / link["bare"].median("cycles")
        rows.append((title, *m.cell("cycles"), f"{by:.2f}",
                     *m.cell("per_second", "{:.0f}", 1e-3), f"{m.median('server_busy'):.0%}",
                     f"{m.median('client_busy'):.0%}"))
    hello, connect = link["hello"], link["connect"]
    verdicts.add("`--hello`, busy cycles per request", hello.median("cycles"), 1200,
                 why_not=hello.why_not)
    rate = hello.median("per_second")
    verdicts.add("`--hello`, requests per second", rate, 2e6, least=True,
                 why_not=hello.why_not or (rate_why(hello) if rate < 2e6 else None))
    verdicts.add("connect, one request, close: busy cycles", connect.median("cycles"), 5000,
                 why_not=connect.why_not)
    turn = hello.median("requests_per_turn")
    return ("### Requests\n\n" + report.table(
        ["", "server's cycles each, median", "lowest .. highest", "by bare frames",
         "thousands per second, median", "lowest .. highest", "server busy", "client busy"], rows)
        + f"\n`--hello` handled {turn:.1f} requests in a turn that did work. A bare frame is "
          "taken, copied into a new one and sent: what the link costs each request, once in and "
          "once out.\n" + layers_text(link))


def layers_text(link):
    """Where the cycles of a request go, as the server samples them."""
    names = [field for field in link["hello"].rounds[0] if field.startswith("layer_")]
    rows = [(field[len("layer_"):], *(f"{link[of].median(field):.0f}" for of in
                                      ("hello", "connect"))) for field in names]
    return ("\n### By layer: the server's cycles for each request\n\n" + report.table(
        ["layer", "`--hello`", "connect, one request, close"], rows)
        + "\nOne turn in 64 is sampled; the shares are laid on the cycles above.\n")


def trip_text(link, verdicts):
    bare, echo = link["bare_trip"], link["echo"]
    rows = [(title, *m.cell("p50", "{:.2f}"), *m.cell("p99", "{:.2f}"))
            for title, m in (("bare frame", bare), ("TCP echo of 64 bytes", echo))]
    why = both_why(bare, echo)
    verdicts.add("round trip of an echo by that of a bare frame, p50",
                 echo.median("p50") / bare.median("p50"), 3, why_not=why)
    spread = bare.median("p99") / bare.median("p50")
    if spread > TRIP_SPREAD_MAX:  # then it is not Leat's to keep
        why = why or f"the bare frame's own p99 is {spread:.1f} times its p50 on this machine"
    verdicts.add("round trip of an echo, p99 by p50", echo.median("p99") / echo.median("p50"),
                 TRIP_SPREAD_MAX, why_not=why)
    return ("### Round trip, one connection, µs\n\n" + report.table(
        ["", "p50, median", "lowest .. highest", "p99, median", "lowest .. highest"], rows))


def bulk_text(link, verdicts):
    rows = []
    for way, title in (("in", "to the server"), ("out", "from the server")):
        bare, tcp, many = link[f"bare_{way}"], link[f"bulk_{way}"], link[f"many_{way}"]
        for what, m in ((f"bare frames {title}", bare), (f"one connection {title}", tcp),
                        (f"64 connections {title}", many)):
            rows.append((what, *m.cell("gbits", "{:.2f}"), m.cell("sender", "{:.3f}")[0],
                         m.cell("receiver", "{:.3f}")[0]))
        target = min(GBITS_TARGET, GBITS_LINK_SHARE * bare.median("gbits"))
        verdicts.add(f"payload through one connection {title}", tcp.median("gbits"), target,
                     " Gbit/s", why_not=both_why(bare, tcp), least=True)
    return ("### Bulk: standard frames, payload\n\n" + report.table(
        ["", "Gbit/s, median", "lowest .. highest", "sender's cycles per byte",
         "receiver's cycles per byte"], rows))


def link_text(link, verdicts):
    return "\n".join([request_text(link, verdicts), trip_text(link, verdicts),
                      bulk_text(link, verdicts)])


def connections_text(connections, verdicts):
    m = connections["idle"]
    count, heap = int(m.median("count")), m.median("heap")
    verdicts.add(f"memory of the stack for each of {count:,} idle connections",
                 heap - HTTP_BYTES, STACK_BYTES_TARGET, " bytes")
    verdicts.add("timer events for each idle connection in 0.3 s", m.median("timers"),
                 0.001)
    return (f"### {count:,} idle connections\n\n" + report.table(
        ["", "for each connection"],
        [("heap of the server, bytes", f"{heap:.1f}"),
         (f"of that the stack, without HTTP's {HTTP_BYTES}", f"{heap - HTTP_BYTES:.1f}"),
         ("resident set of the server, bytes", f"{m.median('rss'):.1f}"),
         ("timer events in 0.3 s", f"{m.median('timers'):.6f}"),
         ("to open it and to have one answer, µs",
          f"{m.median('ramp_s') * 1e6 / count:.1f}")]))


def rest_text(rest, verdicts):
    """What sleeping alone misses is no verdict on who sleeps."""
    sleep = rest.pop("bare sleep")
    alone, late_us = sleep.median("share") * 100, sleep.median("late_us_max")
    costly = f"to sleep for 1 ms at a time alone is {alone:.2f} % here" if alone >= 2 else None
    late = f"to sleep for 1 ms alone ended {late_us:.0f} µs late here" if late_us > 1000 else None
    rows = []
    for kind, m in rest.items():
        share, slowest = m.median("share") * 100, m.median("first_us_max") / 1000
        rows.append((kind, f"{share:.2f}%", f"{m.median('first_us'):.0f}", f"{slowest * 1e3:.0f}"))
        verdicts.add(f"CPU share at rest, {kind}", share, 2, " %", strict=True,
                     why_not=m.why_not or (costly if share >= 2 else None))
        verdicts.add(f"first answer after a rest of a second, {kind}", slowest, 2, " ms",
                     m.why_not or (late if slowest > 2 else None))
    return ("### At rest: one request a second, default idle strategy\n\n" + report.table(
        ["link", "of a core", "answer after a second, µs, median", "slowest"], rows)
        + "\nA loop that does nothing but sleep for 1 ms at a time, as Leat does on links that can "
          f"only be polled: {alone:.2f}% of a core; its latest end was {late_us:.0f} µs late.\n")


def kernel_text(kernel, _verdicts):
    rows = []
    for kind, m in kernel.items():
        by = m.median("us") / kernel["sockets"].median("us")
        rows.append((kind, *m.cell("us", "{:.2f}"), f"{by:.2f}", m.cell("per_second")[0],
                     f"{m.median('server_busy'):.0%}", f"{m.median('client_busy'):.0%}"))
    disturbed = both_why(*kernel.values())
    return ("### The same server over a kernel device and over sockets\n\n" + report.table(
        ["server over", "CPU µs per request, median", "lowest .. highest", "by sockets",
         "requests per second", "server busy", "client busy"], rows)
        + "\nUser and system time of the server; its client is `leat load` on the kernel's "
          "sockets, 64 connections. Frames written to a device pass through the kernel's TCP, the "
          "client's, on the server's time.\n"
        + (f"\nDisturbed: {disturbed}.\n" if disturbed else ""))


TEXTS = {"link": link_text, "connections": connections_text, "rest": rest_text,
         "kernel": kernel_text}


def clocks_text(m):
    """What cycles are not."""
    if "core_ghz" not in m:
        return ""
    return (f" The core's own clock makes {m['core_ghz'] / m['tsc_ghz']:.2f} ticks in a cycle of "
            "the counter here (bench/clock.c): who compares machines compares times.")


def text(result):
    """(the document, whether every figure had enough undisturbed rounds)"""
    quiet = result["limits"]["disturbed"]
    sections = {name: {key: Measured(rounds, section["needed"], quiet)
                       for key, rounds in section["results"].items()}
                for name, section in result["sections"].items()}
    verdicts = report.Verdicts(result["limits"])
    texts = [TEXTS[name](section, verdicts) for name, section in sections.items()]
    every = [m for section in sections.values() for m in section.values()]
    kept, rounds = sum(len(m.kept) for m in every), sum(len(m.rounds) for m in every)
    about = (f"Server on core 0, client on core 1, over memif between two processes; "
             f"{result['hugepages']} hugepages of 2 MiB; {result['rounds']} rounds of "
             f"{result['seconds']} s, of {result['bare_seconds']} s for bare frames and kernel "
             f"devices. {kept} of {rounds} rounds were undisturbed and count."
             f"{clocks_text(result['machine'])}\n")
    document = "\n".join([HEAD, report.about(result), about,
                          *filter(None, [verdicts.text()]), *texts])
    return document, not any(m.why_not for m in every)


def section(result):
    return text(result)[0]
