"""Turns results of bench/run_latency.py into their section of docs/benchmarks.md, and plots."""
import machine
import plot
import report

PERCENTILES = ("p50", "p90", "p99", "p99.9", "p99.99")
ALONE = "the machine alone"


def of(runs, percentile):
    return machine.median([run["latency_us"][percentile] for run in runs])


def alone(result, share):
    """Percentile -> what a request would wait for the machine, in each round."""
    return {p: [one[str(share)][p] for one in result["machine_alone"]] for p in PERCENTILES}


def worst(result):
    runs = [run for subject in result["subjects"].values() for run in
            [*subject["highest_runs"], *[one for at in subject["at"].values() for one in at]]]
    return {what: max(run[what] for run in runs) for what in ("steal", "foreign")}


def name_of(share):
    return f"latency-{round(float(share) * 100)}.svg"


def plots(result):
    """File name -> SVG, one for each share of the highest rate."""
    return {name_of(share): plot.chart(
        f"Latency at {share:.0%} of each server's highest rate, open loop", PERCENTILES,
        {**{name: [of(subject["at"][str(share)], p) for p in PERCENTILES]
            for name, subject in result["subjects"].items()},
         ALONE: [machine.median(waits) for waits in alone(result, share).values()]}, "µs")
        for share in result["shares"]}


def section(result):
    shares = worst(result)
    why = report.Verdicts(result["limits"]).disturbed({"samples": {}, **shares})
    lost = machine.median([one["lost"] for one in result["machine_alone"]])
    texts = []
    for share in result["shares"]:
        waits = alone(result, share)
        rows = [(ALONE, "", "", *[f"{machine.median(waits[p]):.1f}" for p in PERCENTILES],
                 f"{min(waits['p99']):.1f} .. {max(waits['p99']):.1f}", "", "")]
        for name, subject in result["subjects"].items():
            runs = subject["at"][str(share)]
            p99 = [run["latency_us"]["p99"] for run in runs]
            late = machine.median([run["late_us"]["p99"] for run in runs])
            rows.append((name, f"{subject['highest']:,.0f}", f"{subject['highest'] * share:,.0f}",
                         *[f"{of(runs, p):.1f}" for p in PERCENTILES],
                         f"{min(p99):.1f} .. {max(p99):.1f}", f"{late:.1f}",
                         sum(run["unfinished"] for run in runs)))
        texts.append(f"### At {share:.0%} of the highest rate\n\n" + report.table(
            ["server", "highest rate", "this rate", *[f"{p}, µs" for p in PERCENTILES],
             "p99, lowest .. highest", "client late by, p99", "unfinished"], rows)
            + f"\n![latency](benchmarks/{name_of(share)})\n")
    return "\n".join([
        "## Latency: `./dev bench latency`\n", report.about(result),
        f"Open loop, counted from when each request was due, {result['connections']} connections "
        f"that had an answer before, {result['rounds']} rounds of {result['seconds']} s, medians; "
        f"server on core 0, `leat load --busy-poll` on core 1. The highest rate is each server's "
        f"own: the columns do not compare equal rates. {ALONE.capitalize()}: what evenly spaced "
        f"requests would wait for a server that needs its core for them and nothing else, and "
        f"loses it as often and as long as a program that only spun on that core did "
        f"(bench/stalls.c; it lost {lost:.1%} of its time): what a server adds is what lies above "
        f"that line. Disturbance, the worst round: "
        f"stolen {shares['steal']:.1%}, foreign {shares['foreign']:.1%}"
        + (f": **{why}; these figures say little**" if why else "") + ".\n", *texts])
