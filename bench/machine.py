"""What the benchmarks know of the machine: CPU time, disturbance, names and versions."""
import json
import math
import os
import pathlib
import platform
import re
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
DISTURBED_SHARE_MAX = 0.02  # of the machine's time, stolen or used by others: no verdict then
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def descendants(root):
    """root and the processes under it."""
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            fields = read(f"/proc/{name}/stat").rpartition(")")[2].split()
            if fields:
                parents[int(name)] = int(fields[1])
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def tasks_of(pid):
    try:
        return os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []


def waited_seconds(pid):
    """How long threads of pid could have run and did not, since others had their core."""
    fields = [read(f"/proc/{pid}/task/{task}/schedstat").split() for task in tasks_of(pid)]
    return sum(int(field[1]) * 1e-9 for field in fields if field)


def cpu_seconds(pid):
    """User and system time of every thread of pid, by the scheduler's own count where it has one
    (the nanoseconds that utime + stime are scaled to), else in clock ticks."""
    total = 0.0
    for task in tasks_of(pid):
        exact = read(f"/proc/{pid}/task/{task}/schedstat").split()
        if exact:
            total += int(exact[0]) * 1e-9
            continue
        fields = read(f"/proc/{pid}/task/{task}/stat").rpartition(")")[2].split()
        if fields:
            total += (int(fields[11]) + int(fields[12])) * TICK_S
    return total


def memory_kib(pid, field="VmRSS"):
    found = re.search(rf"^{field}:\s+(\d+) kB", read(f"/proc/{pid}/status"), re.M)
    return int(found[1]) if found else 0


class Disturbance:
    """Shares of the machine that the hypervisor stole and that others used, while this lives."""

    def __init__(self, server_cpu):
        self.server_cpu = server_cpu  # function: CPU seconds of the servers so far
        self.start = self.look()

    def look(self):
        user, nice, system, _, _, _, _, steal = map(int, read("/proc/stat").split()[1:9])
        own = os.times()
        ours = sum(own[:4]) + self.server_cpu()  # this script, its ended children, the servers
        return time.monotonic(), (user + nice + system) * TICK_S - ours, steal * TICK_S

    def shares(self):
        """(stolen, foreign), each of the whole machine's time."""
        wall, foreign, steal = (b - a for a, b in zip(self.start, self.look()))
        wall *= os.cpu_count()
        return steal / wall, max(0.0, foreign / wall)


def first_line(*command):
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip().splitlines()[0] if done.stdout.strip() else ""


def clocks():
    """{"core_ghz", "tsc_ghz"}, where they can be told (bench/clock.c)."""
    build = os.environ.get("LEAT_BUILD") or str(ROOT / "build")
    said = first_line(os.path.join(build, "bench/clock"))
    return json.loads(said) if said.startswith("{") else {}


def describe():
    """The machine, for the head of a report."""
    cpu = re.search(r"^model name\s*: (.*)$", read("/proc/cpuinfo"), re.M)
    memory = re.search(r"^MemTotal:\s+(\d+)", read("/proc/meminfo"), re.M)
    system = re.search(r'^PRETTY_NAME="(.*)"', read("/etc/os-release"), re.M)
    virtual = first_line("systemd-detect-virt", "--vm")
    return {
        "cpu": cpu[1] if cpu else platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(int(memory[1]) / 2**20) if memory else 0,
        "virtual": virtual if virtual not in ("", "none") else "",
        "kernel": platform.release(),
        "congestion": read("/proc/sys/net/ipv4/tcp_congestion_control").strip(),
        "system": system[1] if system else platform.system(),
        "compiler": first_line("gcc", "--version"),
        "commit": first_line("git", "describe", "--always", "--dirty"),
        "date": time.strftime("%Y-%m-%d"),
        **clocks(),
    }


def median(values):
    values = sorted(values)
    middle = len(values) // 2
    return values[middle] if len(values) % 2 else (values[middle - 1] + values[middle]) / 2


def median_interval(values):
    """The narrowest two of the values between which the median lies with 95% certainty, whatever
    the distribution: so often fewer than k of n fall on one side of it. Six values are the fewest
    that can say so; of fewer the lowest and the highest."""
    ordered, count = sorted(values), len(values)
    below, tail = 0, 0.0
    while below < (count - 1) // 2:
        tail += 2 * math.comb(count, below) / 2 ** count
        if tail > 0.05:
            break
        below += 1
    first = max(below - 1, 0)
    return ordered[first], ordered[count - 1 - first]


def spread(values):
    """Interquartile range by median."""
    values = sorted(values)
    if len(values) < 4 or not median(values):
        return (values[-1] - values[0]) / median(values) if median(values) else 0.0
    quarter = len(values) // 4
    return (values[-1 - quarter] - values[quarter]) / median(values)
