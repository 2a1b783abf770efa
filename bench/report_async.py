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

# What a program does with them: figure of bench/async.c -> (what it is, unit, figures beside it).
WORKS = {
    "read/future": ("4 KiB read from the page cache, as a future", "ns",
                    ["read/calls", "read/ring", "node/read/future"]),
    "read/callback": ("the same with a callback", "ns",
                      ["read/calls", "libuv/read/callback", "node/read/callback"]),
    "uncached/ring": ("4 KiB that are not in the page cache", "ns", ["uncached/threads"]),
    "files/write": ("a small file written", "µs", ["libuv/files/write", "node/files/write"]),
    "files/stat": ("looked at", "µs", ["libuv/files/stat", "node/files/stat"]),
    "files/read": ("read", "µs", ["libuv/files/read", "node/files/read"]),
    "files/remove": ("removed", "µs", ["libuv/files/remove", "node/files/remove"]),
    "files/all": ("all four", "µs", ["libuv/files/all", "node/files/all"]),
    "pipe/streams, epoll": ("1 KiB through a pipe of sockets, epoll", "ns",
                            ["pipe/by hand, epoll"]),
    "pipe/streams, uring": ("the same, io_uring", "ns", ["pipe/by hand, uring"]),
    "gzip/stream": ("gzip as a stream, of the clock", "MB/s", ["gzip/library"]),
    "gzip/stream cpu": ("the same in CPU time, of 1 KiB", "ns", ["gzip/library cpu"]),
    "parked/task": ("memory of a parked task, of 100,000", "bytes", []),
}
BESIDE = {"read/calls": "pread", "read/ring": "a ring of io_uring",
          "uncached/threads": "the pool's threads", "gzip/library": "zlib alone",
          "gzip/library cpu": "zlib alone", "pipe/by hand, epoll": "on_data to leat_conn_send",
          "pipe/by hand, uring": "on_data to leat_conn_send"}
# (figure, Leat's, whose, at most).
RATIOS = [
    ("cached 4 KiB as a future, by pread", "read/future", "read/calls", 1.3),
    ("10,000 small files read, by Node's CPU", "files/read", "node/files/read", 0.2),
    ("10,000 small files written, looked at, read and removed, by Node's CPU", "files/all",
     "node/files/all", 0.2),
    ("pipe of sockets by hand-written, epoll", "pipe/streams, epoll", "pipe/by hand, epoll", 1.05),
    ("pipe of sockets by hand-written, io_uring", "pipe/streams, uring", "pipe/by hand, uring",
     1.05),
]
GZIP_LEAST, PARKED_MOST_KIB = 0.95, 4.6


def with_sums(samples):
    """And what all is done to a file, for each who does it."""
    found = dict(samples)
    for whose in ("", "libuv/", "node/"):
        parts = [samples.get(f"{whose}files/{step}")
                 for step in ("write", "stat", "read", "remove")]
        if all(parts):
            found[f"{whose}files/all"] = [sum(of_round) for of_round in zip(*parts)]
    return found


def works_verdicts(section, verdicts, why):
    samples = section["samples"]
    for figure, name, other, target in RATIOS:
        if name in samples and other in samples:
            verdicts.add_ratio(figure, section, name, other, target)
    if "gzip/stream" in samples and "gzip/library" in samples:
        low, high = machine.median_interval(report.ratios(section, "gzip/stream", "gzip/library"))
        verdicts.add("gzip as a stream, speed by zlib's",
                     report.ratio(section, "gzip/stream", "gzip/library"), GZIP_LEAST,
                     why_not=why, least=True, interval=f" (95%: {low:.4g} .. {high:.4g})")
    if "parked/task" in samples:
        verdicts.add("a parked task", machine.median(samples["parked/task"]) / 1024,
                     PARKED_MOST_KIB, " KiB", why)


def works_rows(section):
    rows, samples = [], section["samples"]
    for name, (text, unit, others) in WORKS.items():
        if name not in samples:
            continue
        own = samples[name]
        row = (text, f"{machine.median(own):.1f} {unit}", f"{min(own):.1f} .. {max(own):.1f}",
               f"{machine.spread(own):.1%}")
        beside = [other for other in others if other in samples]
        for other in beside:
            whose = BESIDE.get(other) or {"node": "Node"}.get(other.split("/")[0], "libuv")
            rows.append((*row, f"{whose}: {machine.median(samples[other]):.1f}",
                         f"{report.ratio(section, name, other):.2f}"))
            row = ("", "", "", "")
        if not beside:
            rows.append((*row, "", ""))
    return rows


def works_text(section, verdicts, why):
    """Nothing where a result has none of it."""
    works_verdicts(section, verdicts, why)
    rows = works_rows(section)
    if not rows:
        return []
    where = section.get("file_system") or "the file system of /tmp"
    return [f"What programs do: CPU time of the whole process, all its threads, but for pipes, "
            f"where it is that of the loop's thread. Reads are in batches of 32; 10,000 files of "
            f"1 KiB, 64 under way at a time, on {where}, the second time; a parked task with its "
            f"page tables.\n",
            report.table(["what", "Leat", "lowest .. highest", "spread (IQR)", "beside",
                          "by it"], rows)]


def section(result):
    result = dict(result, samples=with_sums(result["samples"]))
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
    works = works_text(result, verdicts, why)
    return "\n".join([
        "## Futures, tasks, files, pipes: `./dev bench async`\n", report.about(result),
        f"CPU time of one operation in batches of 32, on one core; {result['rounds']} interleaved "
        f"rounds, medians; node {result['node']}, warm. Node's garbage collector runs on other "
        f"threads too, which its figures leave out.\n",
        report.table(["verdict", "figure", "measured", "target", ""], verdicts.lines),
        report.table(["what", "Leat, ns", "lowest .. highest", "Node, ns", "by Node's"], rows),
        *works])
