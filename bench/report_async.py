"""Turns results of bench/run_async.py into their section of docs/benchmarks.md."""
import machine
import report

# Case of Leat -> (what it is, Node's for the same, ns at most or None).
CASES = {
    "future/microtask": ("a microtask, queued and run", "microtask", None),
    "future/reaction": ("a future: made, reacted to, settled, reaction run, dropped", "reaction",
                        20.0),
    "future/then": ("the same with a derived future in between", "then", None),
    "future/call": ("a future whose callback runs in the poll phase", None, None),
    "future/all of four": ("four settled futures and what is behind all of them", "all of four",
                           None),
    "task/await": ("an await: new future, pending, settled, resumed", "await", 45.0),
    "task/start to end": ("a task from its start to its end, on a warm stack", "async function",
                          45.0),
}


def section(result):
    verdicts = report.Verdicts(result["limits"])
    why = verdicts.stolen(result)
    rows = []
    for case, samples in result["samples"].items():
        if case not in CASES:
            continue
        text, peer, target = CASES[case]
        ns = machine.median(samples)
        other = result["samples"].get(f"node/{peer}")
        node = f"{machine.median(other):.1f}" if other else ""
        ratio = f"{ns / machine.median(other):.2f}" if other else ""
        rows.append((text, f"{ns:.1f}", f"{min(samples):.1f} .. {max(samples):.1f}", node, ratio))
        if target is not None:
            verdicts.add(f"{case}, ns", ns, target, " ns", why)
    return "\n".join([
        "## Futures and tasks: `./dev bench async`\n", report.about(result),
        f"CPU time of one operation in batches of 32, on one core; {result['rounds']} interleaved "
        f"rounds, medians; node {result['node']}, warm. Node's garbage collector runs on other "
        f"threads too, which its figures leave out.\n",
        report.table(["verdict", "figure", "measured", "target", ""], verdicts.lines),
        report.table(["what", "Leat, ns", "lowest .. highest", "Node, ns", "by Node's"], rows)])
