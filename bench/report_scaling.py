"""Turns results of bench/run_scaling.py into their section of docs/benchmarks.md."""
import machine
import report


def of(rounds, key):
    return machine.median([one[key] for one in rounds])


def ratios(net, way, key):
    """By apart, round by round: what disturbs a round disturbs both."""
    return [one[key] / apart[key] for one, apart in zip(net[way], net["apart"])]


def section(result):
    rows, gains = [], []
    for name, net in result["nets"].items():
        for way, rounds in net.items():
            cpu = [one["cpu_us"] for one in rounds]
            rows.append((name, way, f"{of(rounds, 'per_second'):,.0f}",
                         f"{machine.median(cpu):.2f}", f"{min(cpu):.2f} .. {max(cpu):.2f}",
                         f"{of(rounds, 'p50_us'):.0f}", f"{of(rounds, 'p99_us'):.0f}",
                         f"{of(rounds, 'passed_on'):.1%}"))
        for way, key, what in (("both", "cpu_us", "CPU per request, both by apart"),
                               ("both", "per_second", "rate, both by apart"),
                               ("together", "cpu_us", "CPU per request, together by apart")):
            values = ratios(net, way, key)
            low, high = machine.median_interval(values)
            gains.append((name, what, f"{machine.median(values):.3f}", f"{low:.3f} .. {high:.3f}"))
    rounds = [one for net in result["nets"].values() for some in net.values() for one in some]
    shares = {what: max(one[what] for one in rounds) for what in ("steal", "foreign")}
    why = report.Verdicts(result["limits"]).disturbed({"samples": {}, **shares})
    return "\n".join([
        "## One loop and two: `./dev bench scaling`\n", report.about(result),
        f"Apart: a loop of the server on core 0 and one of `leat load` on core 1. Both: two of "
        f"each, on both cores. Together: one of each, on one core. {result['connections']} "
        f"connections; {result['rounds']} interleaved rounds of {result['seconds']:g} s, medians. "
        f"Passed on: packets that came to a core which does not own them. Disturbance, the worst "
        f"round: stolen {shares['steal']:.1%}, foreign {shares['foreign']:.1%}"
        + (f": **{why}; these figures say little**" if why else "") + ".\n",
        report.table(["server over", "loops", "requests per second", "CPU, µs per request",
                      "lowest .. highest", "p50, µs", "p99, µs", "passed on"], rows),
        report.table(["server over", "ratio", "median", "95%"], gains)])
