"""Turns results of bench/run_scaling.py into their section of docs/benchmarks.md."""
import machine
import report


def of(rounds, key):
    return machine.median([one[key] for one in rounds])


def ratios(net, key, scale):
    """Two cores by one, round by round: what disturbs a round disturbs both."""
    return [two[key] / (one[key] * scale) for one, two in zip(net["1"], net["2"])]


def section(result):
    rows, gains = [], []
    for name, net in result["nets"].items():
        for cores, rounds in net.items():
            cpu = [one["cpu_us"] for one in rounds]
            rows.append((name, cores, f"{of(rounds, 'per_second'):,.0f}",
                         f"{machine.median(cpu):.2f}", f"{min(cpu):.2f} .. {max(cpu):.2f}",
                         f"{of(rounds, 'p50_us'):.0f}", f"{of(rounds, 'p99_us'):.0f}",
                         f"{of(rounds, 'passed_on'):.0%}"))
        for what, key, scale in (("rate of two cores by twice that of one", "per_second", 2),
                                 ("CPU per request, two cores by one", "cpu_us", 1)):
            values = ratios(net, key, scale)
            low, high = machine.median_interval(values)
            gains.append((name, what, f"{machine.median(values):.3f}", f"{low:.3f} .. {high:.3f}"))
    rounds = [one for net in result["nets"].values() for some in net.values() for one in some]
    shares = {what: max(one[what] for one in rounds) for what in ("steal", "foreign")}
    why = report.Verdicts(result["limits"]).disturbed({"samples": {}, **shares})
    return "\n".join([
        "## One loop and two: `./dev bench scaling`\n", report.about(result),
        f"A loop of the server and one of `leat load` on each core that is used, "
        f"{result['connections_each']} connections for each; {result['rounds']} interleaved rounds "
        f"of {result['seconds']:g} s, medians. Passed on: packets that came to a core which does "
        f"not own them. Disturbance, the worst round: stolen {shares['steal']:.1%}, foreign "
        f"{shares['foreign']:.1%}" + (f": **{why}; these figures say little**" if why else "")
        + ".\n",
        report.table(["server over", "cores", "requests per second", "CPU, µs per request",
                      "lowest .. highest", "p50, µs", "p99, µs", "passed on"], rows),
        report.table(["server over", "ratio", "median", "95%"], gains)])
