"""Instructions counted by callgrind: of micro benchmarks, of requests to `leat serve`, and the
table of them that is kept in the repository."""
import glob
import os
import pathlib
import re
import subprocess
import tempfile

import count_http
import machine

ROOT = pathlib.Path(__file__).resolve().parent.parent
TABLE = ROOT / "docs/benchmarks/instructions.txt"
ITERATIONS = 2048  # a multiple of every batch in a case
REQUESTS = ("pipelined", "single")
GROWTH_MAX = 0.05
GROWTH_ALL_MAX = 0.01  # since the frozen column, for all that came since
NAME_COLUMNS = 44
ROUNDING = 0.5  # an instruction more is no growth of a case that has a dozen
COUNT_SECONDS_MAX = 600
HEAD = """# Instructions per operation in user space, by callgrind: shown by `./dev bench count`,
# written by `./dev bench count --write`. `./dev check instructions` fails when one has grown by
# more than {:.0%}. The second number is what it was before futures, tasks, streams and files came
# (2026-11-30); --write leaves it. Who is more than {:.0%} above it says why, behind the number.
# Counted with:
# {}
"""


def of_cases(micro, flag, *pattern):
    """Case -> instructions per iteration. flag: --count or --count-ours."""
    found = {}
    with tempfile.TemporaryDirectory(prefix="leat-count-") as folder:
        subprocess.run(
            ["valgrind", "--vgdb=no", "--tool=callgrind", "--instr-atstart=no", "-q",
             f"--callgrind-out-file={folder}/out", micro, flag, str(ITERATIONS), *pattern],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True,
            timeout=COUNT_SECONDS_MAX)
        for path in glob.glob(f"{folder}/out.*"):
            text = machine.read(path)
            name = re.search(r"^desc: Trigger: Client Request: (.*)$", text, re.M)
            total = re.search(r"^totals: (\d+)", text, re.M)
            if name and total:
                found[name[1]] = int(total[1]) / ITERATIONS
    return found


def of_requests(build):
    with tempfile.TemporaryDirectory(prefix="leat-count-") as folder:
        return {f"serve/request {load}": count_http.profile(build, "epoll", load, folder)[0] /
                count_http.REQUESTS for load in REQUESTS}


def counted(build):
    """What the table holds, as it is now."""
    found = of_cases(str(build / "bench/micro"), "--count-ours")
    found.update(of_requests(build))
    return dict(sorted(found.items()))


def made_with(build):
    """What counts depend on beside the code: the compiler of the build, and the instructions that
    this processor has for libraries that choose by it."""
    rules = machine.read(build / "build.ninja")
    compiler = re.search(r"^rule c_COMPILER\n command = (?:\S*ccache )?(\S+)", rules, re.M)
    version = machine.first_line(compiler[1], "--version") if compiler else ""
    avx2 = " with AVX2" if re.search(r"\bavx2\b", machine.read("/proc/cpuinfo")) else ""
    return re.sub(r"^\S+ ", "gcc ", version) + f", {os.uname().machine}{avx2}"


def comparable(one, other):
    """Whether counts made with one say something about the other: the same major version of the
    distribution's gcc, and the same processor."""
    def kind(text):
        found = re.match(r"gcc \((\w+) (\d+)\..*\) (\d+)\.\S*, (.*)$", text)
        return found.groups() if found else None
    return kind(one) is not None and kind(one) == kind(other)


def read_table(path=TABLE):
    """(made with, case -> instructions)"""
    lines = path.read_text().splitlines()
    head = [line[2:] for line in lines if line.startswith("#")]
    return head[-1], {name: float(fields[0]) for name, fields in rows_of(lines)}


def rows_of(lines):
    for line in lines:
        if line and not line.startswith("#"):
            yield line[:NAME_COLUMNS].strip(), line[NAME_COLUMNS:].split(None, 2)


def read_frozen(path=TABLE):
    """case -> (instructions as they were, why there may be more now)"""
    lines = path.read_text().splitlines() if path.exists() else []
    return {name: (float(fields[1]), " ".join(fields[2:]))
            for name, fields in rows_of(lines) if len(fields) > 1}


def write_table(made, counts, path=TABLE):
    frozen = read_frozen(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = []
    for name, value in sorted(counts.items()):
        was, why = frozen.get(name, (None, ""))
        lines.append(f"{name:{NAME_COLUMNS}} {value:10.1f}"
                     + (f" {was:10.1f}  {why}".rstrip() if was is not None else "") + "\n")
    path.write_text(HEAD.format(GROWTH_MAX, GROWTH_ALL_MAX, made) + "".join(lines))


def problems(kept, now, frozen=None):
    """Sentences on what differs in a way that must not go unnoticed."""
    found = []
    for name, value in now.items():
        was, why = (frozen or {}).get(name, (value, ""))
        if name not in kept:
            found.append(f"{name}: not in the table: {value:.1f}")
        elif value > kept[name] * (1 + GROWTH_MAX) + ROUNDING:
            more = value / kept[name] - 1
            found.append(f"{name}: {value:.1f} instructions, {more:.1%} more than the "
                         f"{kept[name]:.1f} of the table")
        elif value > was * (1 + GROWTH_ALL_MAX) + ROUNDING and not why:
            found.append(f"{name}: {value:.1f} instructions, {value / was - 1:.1%} more than the "
                         f"{was:.1f} of the frozen column, and nothing behind it says why")
    return found + [f"{name}: in the table, but no such case" for name in kept if name not in now]


def check(build):
    """What `./dev check instructions` says; CI must be able to compare, others are told."""
    if not (build / "bench/micro").exists():
        return ["build-check/bench/micro was not built: ./dev deps bench"]
    made_kept, kept = read_table()
    made = made_with(build)
    if not comparable(made, made_kept):
        sentence = (f"instructions: nothing compared: the table was made with {made_kept}, this is "
                    f"{made}")
        if os.environ.get("CI") == "true" or os.environ.get("LEAT_TEST_ALL") == "1":
            return [sentence]
        print(sentence)
        return []
    found = problems(kept, counted(build), read_frozen())
    return found and [*found, "if it is worth it: ./dev bench count --write, and say why in the "
                              "commit"]
