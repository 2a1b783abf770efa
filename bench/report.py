"""Turns results into docs/benchmarks.md: tables, and verdicts on figures with a target."""
import importlib
import json
import sys

import machine

HEAD = """# Benchmarks

Written by `./dev bench`; do not edit by hand. Figures count on the
machine that is named, and ratios more than absolute values: everything was taken side by side, in
interleaved rounds; medians, with the lowest and the highest round. CPU time is user and system time
of the server's threads as the scheduler counts it.
"""
MICRO_TARGETS = [
    # name, field, target, unit, by what to divide, at most or at least
    ("http_parser/browser", "bytes_per_second", 1.5, "GB/s", 1e9, "least"),
    ("wheel/restart one of 10M", "ns", 30.0, "ns", 1.0, "most"),
]


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(str(c) for c in row) + " |" for row in rows]) + "\n"


def about(result):
    m = result["machine"]
    virtual = f", a virtual machine ({m['virtual']})" if m["virtual"] else ""
    congestion = f"; the kernel's TCP with {m['congestion']}" if m.get("congestion") else ""
    clocks = (f" at {m['core_ghz']:.1f} GHz, time-stamp counter {m['tsc_ghz']:.1f} GHz"
              if "core_ghz" in m else "")
    return (f"{m['date']}, commit {m['commit']}, {m['cpu']}{clocks}, {m['cores']} cores, "
            f"{m['memory_gib']} GiB{virtual}; {m['system']}, Linux {m['kernel']}, "
            f"{m['compiler']}{congestion}.\n")


class Verdicts:
    """PASS or MISSED for each figure, or why there is none."""

    def __init__(self, limits):
        self.limits, self.lines = limits, []

    def stolen(self, section):
        """Why no verdict may be given on this section, since others used the machine; or None."""
        for what in ("steal", "foreign"):
            if section[what] > self.limits["disturbed"]:
                return (f"{what} CPU time was {section[what]:.1%} of the machine, "
                        f"{self.limits['disturbed']:.0%} at most")
        return None

    def disturbed(self, section):
        """The same, or since the floor's rounds spread too much."""
        if self.stolen(section) is not None:
            return self.stolen(section)
        if "floor" in section["samples"]:
            spread = machine.spread(section["samples"]["floor"])
            if spread > self.limits["floor_spread"]:
                return (f"the floor's own rounds spread by {spread:.1%}, "
                        f"{self.limits['floor_spread']:.0%} at most")
        return None

    def add(self, figure, value, target, unit="", why_not=None, least=False, strict=False,
            interval=""):
        if least:
            met = value >= target
        else:
            met = value < target if strict else value <= target
        word = "no verdict" if why_not else "PASS" if met else "MISSED"
        relation = "at least" if least else "below" if strict else "at most"
        by = abs(value / target - 1) if target else 0.0
        detail = why_not or ("" if met else f"by {by:.0%}")
        self.lines.append((word, figure, f"{value:.4g}{unit}{interval}",
                           f"{relation} {target:.4g}{unit}", detail))

    def add_ratio(self, figure, section, name, other, target, strict=False):
        """Of CPU time. Where the rounds leave no doubt on which side of the target their median
        lies, it does not matter how much the floor's own rounds spread."""
        value = ratio(section, name, other)
        low, high = machine.median_interval(ratios(section, name, other))
        why = self.stolen(section)
        if why is None and low <= target <= high:
            why = self.disturbed(section)
        interval = f" (95%: {low:.4g} .. {high:.4g})"
        self.add(figure, value, target, why_not=why, strict=strict, interval=interval)

    def text(self):
        return self.lines and table(["verdict", "figure", "measured", "target", ""], self.lines)


def ratios(section, name, other):
    """name by other, round by round: what disturbs a round disturbs both."""
    return [a / b for a, b in zip(section["samples"][name], section["samples"][other])]


def ratio(section, name, other):
    return machine.median(ratios(section, name, other))


def leats(section):
    return [name for name in section["samples"] if name.startswith("leat")]


def cost_table(section, scale, unit, reference):
    rows = []
    for name, samples in section["samples"].items():
        by = ratio(section, name, reference) if reference in section["samples"] else 0.0
        rows.append((name, f"{machine.median(samples) * scale:.3f}",
                     f"{min(samples) * scale:.3f} .. {max(samples) * scale:.3f}",
                     f"{machine.spread(samples):.1%}", f"{by:.2f}",
                     f"{section['busy'][name]:.0%}"))
    head = ["server", f"{unit}, median", "lowest .. highest", "spread (IQR)", f"by {reference}",
            "core busy"]
    return table(head, rows)


def hello_text(sections, verdicts):
    hello = sections["hello"]
    for name in leats(hello):
        verdicts.add_ratio(f"`--hello`, CPU per request by the floor's, {name}", hello, name,
                           "floor", 1.05)
        for peer in ("nginx", "h2o", "lighttpd", "haproxy"):
            if peer in hello["samples"]:
                verdicts.add_ratio(f"`--hello`, CPU per request by {peer}'s, {name}", hello, name,
                                   peer, 1.0, strict=True)
    return ("### `--hello`: CPU time per request, 64 keep-alive connections (wrk)\n\n"
            + cost_table(hello, 1e6, "µs per request", "floor"))


def pipelined_text(sections, verdicts):
    section = sections["pipelined"]
    why = verdicts.disturbed(section)
    for name in leats(section):
        us = machine.median(section["samples"][name]) * 1e6
        if us <= 0.6:
            verdicts.add(f"pipelined by 16, CPU per request, {name}", us, 0.6, " µs", why)
        else:
            verdicts.add_ratio(f"pipelined by 16, CPU per request by the floor's, {name}", section,
                               name, "floor", 1.3)
        if "nginx" in section["samples"]:
            verdicts.add_ratio(f"pipelined by 16, CPU per request by nginx's, {name}", section,
                               name, "nginx", 0.1)
    return ("### Pipelined by 16: CPU time per request, 64 connections (bench/client/loadgen.c)\n\n"
            + cost_table(section, 1e6, "µs per request", "floor"))


def file_text(sections, verdicts):
    section = sections["file"]
    for name in leats(section):
        figure = f"1 MiB file, CPU per byte by nginx's, {name}"
        if "nginx" in section["samples"]:
            verdicts.add_ratio(figure, section, name, "nginx", 1.0)
        else:
            verdicts.add(figure, 0.0, 1.0, why_not="nginx is not installed")
    return ("### A static file of 1 MiB: CPU time per byte, 16 connections\n\n"
            + cost_table(section, 2**30 * 1e3, "ms per GiB", "nginx"))


def memory_text(sections, verdicts):
    rows = []
    for name, m in sections["memory"].items():
        rows.append((name, f"{m['rest_kib'] / 1024:.1f}", m["connections"],
                     f"{m['held_kib'] / 1024:.1f}", f"{m['bytes_per_connection']:.0f}"))
        if name.startswith("leat"):
            verdicts.add(f"RSS at rest, {name}", m["rest_kib"] / 1024, 12, " MiB", strict=True)
            verdicts.add(f"memory per idle connection, {name}", m["bytes_per_connection"], 2048,
                         " bytes", strict=True)
    return ("### Memory: resident set, at rest and with idle keep-alive connections\n\n"
            + table(["server", "MiB at rest", "connections", "MiB with them",
                     "bytes per connection"], rows))


def idle_text(sections, verdicts):
    """Where the floor comes late too, it was the machine that slept."""
    rows = []
    section = sections["idle"]
    why = verdicts.disturbed(section)
    floor_ms = max(section["servers"].get("floor", {}).get("first_answer_s", [0])) * 1e3
    late = f"the floor's own came after {floor_ms:.4g} ms" if floor_ms > 1 else None
    for name, m in section["servers"].items():
        first_us = [s * 1e6 for s in m["first_answer_s"]]
        rows.append((name, f"{m['cpu_share']:.3%}", f"{machine.median(first_us):.0f}",
                     f"{max(first_us):.0f}"))
        if name == "floor":
            continue
        verdicts.add(f"CPU share at rest, {name}", m["cpu_share"] * 100, 1, " %", strict=True)
        verdicts.add(f"first answer after a rest, slowest of {len(first_us)}, {name}",
                     max(first_us) / 1000, 1, " ms",
                     why or (late if max(first_us) > 1000 else None))
    return ("### At rest: CPU share, and the first answer after a second of rest\n\n"
            + table(["server", "of a core", "first answer, µs, median", "slowest"], rows))


TEXTS = {"hello": hello_text, "pipelined": pipelined_text, "file": file_text,
         "memory": memory_text, "idle": idle_text}


def http_section(result):
    verdicts = Verdicts(result["limits"])
    sections = result["sections"]
    texts = [TEXTS[name](sections, verdicts) for name in TEXTS if name in sections]
    versions = ", ".join(f"{name} {version or 'not installed'}"
                         for name, version in result["versions"].items())
    disturbance = "; ".join(
        f"{name}: stolen {s['steal']:.1%}, foreign {s['foreign']:.1%}"
        for name, s in sections.items() if "steal" in s)
    not_measured = "; ".join(result["not_measured"]) or "nothing"
    return "\n".join([
        "## HTTP servers: `./dev bench http`\n", about(result),
        f"Server on core 0, client on core 1, {result['rounds']} rounds of {result['seconds']} s. "
        f"{versions}.\n",
        f"Not measured: {not_measured}. Disturbance of the machine: {disturbance}.\n",
        *filter(None, [verdicts.text()]), *texts])


def micro_section(result):
    verdicts = Verdicts(result["limits"])
    why = verdicts.disturbed(result)
    rows = []
    for case in result["cases"]:
        rate = case.get("bytes_per_second")
        rows.append((case["name"], f"{case['ns']:.2f}", f"{case['ns_min']:.2f} .. "
                     f"{case['ns_max']:.2f}", f"{case['cycles']:.1f}",
                     f"{case['instructions']:.1f}" if case["instructions"] is not None else "",
                     f"{rate / 1e9:.2f}" if rate else ""))
        for name, field, target, unit, scale, which in MICRO_TARGETS:
            if name == case["name"] and case.get(field):
                verdicts.add(case["name"], case[field] / scale, target, " " + unit, why,
                             least=which == "least")
    head = ["case", "ns", "lowest .. highest", "cycles (TSC)", "instructions", "GB/s"]
    return "\n".join(["## Parts: `./dev bench micro`\n", about(result),
                      *filter(None, [verdicts.text()]), table(head, rows)])


# In the order of docs/benchmarks.md: what docs/benchmarks/NAME.json becomes. None: the function
# section of a module of its own, report_NAME.
SECTIONS = {"http": http_section, "bypass": None, "compare": None, "latency": None,
            "scaling": None, "async": None, "connections": None, "soak": None,
            "micro": micro_section}


def keep(root, name, result):
    """Writes a result, and docs/benchmarks.md out of all that docs/benchmarks/ has."""
    folder = root / "docs/benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
    write(root)
    print(f"written to docs/benchmarks.md and docs/benchmarks/{name}.json", file=sys.stderr)


def write(root):
    parts = [HEAD]
    for name, section in SECTIONS.items():
        path = root / "docs/benchmarks" / f"{name}.json"
        if path.exists():
            section = section or importlib.import_module(f"report_{name}").section
            parts.append(section(json.loads(path.read_text())))
    (root / "docs/benchmarks.md").write_text("\n".join(parts))
