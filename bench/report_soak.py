"""Turns results of bench/run_soak.py into their section of docs/benchmarks.md."""
import machine
import report

RSS_GROWTH_MAX = 0.02
RSS_SLACK_KIB = 512  # a page table or a pool more is no leak
LATENCY_GROWTH_MAX = 1.25
WAITED_MAX = 0.01  # of the time: from then on the 99th percentile is how long others kept the core


def thirds(segments, key):
    """Medians of the first and of the last third, the first segment apart: it warms up."""
    values = [one[key] for one in segments[1:]]
    third = max(1, len(values) // 3)
    return machine.median(values[:third]), machine.median(values[-third:])


def kept_from_running(segments):
    """Why a growing p99 says nothing of the server; or None."""
    first, last = thirds(segments, "waited")
    if last < WAITED_MAX:
        return None
    return (f"others had the server's core for {last:.2%} of the time while it could have run "
            f"({first:.2%} at the start)")


def add_verdicts(name, soaked, verdicts):
    segments = soaked["segments"]
    why = verdicts.disturbed({"samples": {}, **soaked})
    rss = thirds(segments, "rss_kib")
    verdicts.add(f"resident set of the last third, {name}", rss[1],
                 rss[0] * (1 + RSS_GROWTH_MAX) + RSS_SLACK_KIB, " KiB")
    for key in ("p50_us", "p99_us"):
        latency = thirds(segments, key)
        growth = latency[1] / latency[0]
        other = kept_from_running(segments) if growth > LATENCY_GROWTH_MAX else None
        verdicts.add(f"{key[:3]} of the last third by the first's, {name}", growth,
                     LATENCY_GROWTH_MAX, why_not=why or (other if key == "p99_us" else None))
    verdicts.add(f"connections, requests and handshakes left over, {name}",
                 sum(soaked["left_over"].values()), 0)
    verdicts.add(f"buffers in use at the end beyond those at the start, {name}",
                 max(0, soaked["buffers_after"] - soaked["buffers_before"]), 1)
    verdicts.add(f"exit code, {name}", soaked["exit_code"], 0)
    leaked = "never freed" in soaked["said"]
    verdicts.add(f"leaks that the server reports at its end, {name}", int(leaked), 0)


def text(result):
    """(the section, whether nothing was missed)"""
    verdicts = report.Verdicts(result["limits"])
    rows = []
    for name, soaked in result["soaked"].items():
        add_verdicts(name, soaked, verdicts)
        segments = soaked["segments"]
        rss, p50, p99, late, waited = (thirds(segments, key) for key in (
            "rss_kib", "p50_us", "p99_us", "late_us", "waited"))
        rows.append((name, len(segments), sum(one["requests"] for one in segments),
                     soaked["answered"], sum(soaked["bad"].values()),
                     f"{rss[0]:.0f} .. {rss[1]:.0f}", f"{p50[0]:.0f} .. {p50[1]:.0f}",
                     f"{p99[0]:.0f} .. {p99[1]:.0f}",
                     f"{late[0]:.0f} .. {late[1]:.0f}", f"{waited[0]:.2%} .. {waited[1]:.2%}",
                     sum(one["unfinished"] for one in segments),
                     f"{soaked['steal']:.1%}, {soaked['foreign']:.1%}"))
    body = "\n".join([
        "## Steadiness: `./dev bench soak`\n", report.about(result),
        f"{result['minutes']:g} minutes in all; good clients ask for a file of 30,000 bytes "
        f"{result['rate']} times a second, in segments of {result['segment_seconds']} s; bad ones "
        "come and go meanwhile, on the good client's core when that is idle. First and last third "
        "of the segments, medians. Kept from its core: the share of the time in which the server "
        "could have run and others did, as the scheduler counts it.\n", verdicts.text(),
        report.table(["server over", "segments", "good requests", "answered in all", "bad visits",
                      "resident, KiB", "p50, µs", "p99, µs", "client late by, p99",
                      "server kept from its core", "unfinished", "stolen, foreign"],
                     rows)])
    return body, all(line[0] != "MISSED" for line in verdicts.lines)


def section(result):
    return text(result)[0]
