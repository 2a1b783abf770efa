"""Turns results of bench/run_connections.py into their section of docs/benchmarks.md."""
import machine
import report

TCP_BLOCK, HTTP_BLOCK = 256, 64  # static assertions in tcp.h and http_internal.h hold these


def of(rounds, key):
    return machine.median([one[key] for one in rounds])


def add_verdicts(result, verdicts):
    rounds = result["points"]
    large = rounds[-1]
    why = verdicts.disturbed({"samples": {}, **worst(large)})
    verdicts.add(f"connections held, each with an answer, none lost, of {result['count']}",
                 of(large, "connections"), result["count"], least=True)
    if of(large, "connections") >= 100_000:
        verdicts.add("memory of an idle connection in the stack, table entry included",
                     of(large, "heap_bytes") - HTTP_BLOCK, 320, " bytes")
    verdicts.add("timers that fired while all rested", of(large, "timers_at_rest"), 8)
    by_count = {point[0]["connections"]: point for point in rounds}
    if 1000 in by_count and 1_000_000 in by_count:
        both = [worst(by_count[n]) for n in (1000, 1_000_000)]
        why = next(filter(None, (verdicts.disturbed({"samples": {}, **w}) for w in both)), None)
        verdicts.add("cycles per request at 1M connections by those at 1k",
                     of(by_count[1_000_000], "cycles") / of(by_count[1000], "cycles"), 2.0,
                     why_not=why)


def worst(rounds):
    return {what: max(one[what] for one in rounds) for what in ("steal", "foreign")}


def section(result):
    verdicts = report.Verdicts(result["limits"])
    add_verdicts(result, verdicts)
    rows, memory = [], []
    for rounds in result["points"]:
        count, cycles = rounds[0]["connections"], [one["cycles"] for one in rounds]
        rows.append((f"{count:,}", f"{machine.median(cycles):.0f}",
                     f"{min(cycles):.0f} .. {max(cycles):.0f}", f"{of(rounds, 'per_second'):,.0f}",
                     f"{of(rounds, 'p50_us'):.0f}", f"{of(rounds, 'p99_us'):.0f}",
                     f"{of(rounds, 'max_us') / 1000:.1f}", f"{of(rounds, 'ramp_s'):.2f}",
                     f"{of(rounds, 'client_busy'):.0%}"))
        heap = of(rounds, "heap_bytes")
        memory.append((f"{count:,}", f"{heap:.0f}", TCP_BLOCK, HTTP_BLOCK,
                       f"{heap - TCP_BLOCK - HTTP_BLOCK:.0f}", f"{of(rounds, 'rss_bytes'):.0f}",
                       f"{of(rounds, 'client_heap_bytes'):.0f}", f"{of(rounds, 'rss_mib'):,.0f}",
                       f"{of(rounds, 'timers_at_rest'):.0f}"))
    shares = worst([one for rounds in result["points"] for one in rounds])
    return "\n".join([
        "## Connections: `./dev bench connections`\n", report.about(result),
        f"Server on core 0, client on core 1, over memif; {result['in_flight']} requests under way "
        f"go round all connections. Medians of up to {result['rounds']} rounds, one from a million "
        f"connections on. Disturbance, the worst round: stolen {shares['steal']:.1%}, foreign "
        f"{shares['foreign']:.1%}.\n",
        verdicts.text(),
        report.table(["connections", "server's cycles per request", "lowest .. highest",
                      "requests per second", "p50, µs", "p99, µs", "slowest, ms",
                      "seconds to open all", "client busy"], rows),
        "### Memory of an idle connection, bytes\n",
        report.table(["connections", "server's heap", "of it TCP block", "HTTP connection",
                      "table and rest", "server's resident set", "client's heap (TCP and request)",
                      "both processes, MiB", "timers in 0.3 s of rest"], memory),
        "The resident set grows by what the allocator keeps, too. At few connections both are "
        "mostly what is made once.\n"])
