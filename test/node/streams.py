"""Programs of streams, under node and on Leat: the traces must be equal.

usage: streams.py NODE-STREAMS [--case NAME]      those of streams.txt
       streams.py NODE-STREAMS --seeds N [--from S | --fresh]
"""
import pathlib
import random
import secrets
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
SKIPPED = 77
TIMEOUT_S = 110
BATCH = 250
WHEN = ["sync", "tick", "immediate", "job"]


def cases():
    """(name, program) of streams.txt."""
    found, name = [], None
    for line in (HERE / "streams.txt").read_text().splitlines():
        if line.startswith("["):
            name = line.strip("[]")
            found.append((name, []))
        elif line and not line.startswith("#"):
            found[-1][1].append(line)
    return [(name, "\n".join(lines)) for name, lines in found]


def traces(command, programs):
    text = "\n--\n".join(programs) + "\n"
    result = subprocess.run(command, input=text, capture_output=True, text=True,
                            timeout=TIMEOUT_S, check=False)
    if result.returncode != 0:
        sys.exit(f"{command} ended with {result.returncode}: {result.stderr[-4000:]}")
    lines = result.stdout.split("\n")
    if len(lines) != len(programs) + 1:
        sys.exit(f"{command} answered {len(lines) - 1} of {len(programs)} programs")
    return lines


# ---- programs from a seed ----

def ends(rng, keys):
    words = []
    for key, chance in keys:
        if rng.random() < chance:
            words.append(f"{key}={rng.choice(WHEN)}")
    return words


def made(rng, kind, name, destroys=WHEN):
    words = [kind, name, f"mark={rng.randint(1, 4)}"]
    if kind in ("readable", "duplex"):
        words.append(f"chunks={rng.randint(0, 7)}")
        words += ends(rng, [("read", 0.6)])
        if rng.random() < 0.2:
            words.append(f"burst={rng.randint(2, 4)}")
    if kind != "readable":
        words += ends(rng, [("write", 0.8), ("final", 0.4)])
    if kind == "transform":
        words.append(f"times={rng.randint(0, 2)}")
    is_prompt = kind != "readable" and not {f"write={when}" for when in WHEN[1:]} & set(words)
    if kind != "duplex" and not is_prompt and rng.random() < 0.25:
        words.append(f"fails={rng.randint(1, 4)}")
    words.append(f"destroy={rng.choice(destroys)}")
    return " ".join(words)


def chain(rng):
    """A source, stages and a sink, and how they are joined."""
    names = ["r"] + [f"t{i}" for i in range(rng.randint(0, 2))] + ["w"]
    is_pipeline = rng.random() < 0.5
    kinds = ["readable"] + ["transform"] * (len(names) - 2)
    kinds.append(rng.choice(["writable", "writable", "transform"]))
    destroys = ["sync"] if is_pipeline else WHEN  # streams_known.txt says why
    lines = [made(rng, kind, name, destroys) for kind, name in zip(kinds, names)]
    if is_pipeline:
        lines.append("pipeline " + " ".join(names))
    else:
        lines += [f"pipe {a} {b}" for a, b in zip(names, names[1:])]
    return names, lines


def single(rng):
    kind = rng.choice(["readable", "writable", "duplex", "transform"])
    lines = [made(rng, kind, "s")]
    gives, takes = kind != "writable", kind != "readable"
    for _ in range(rng.randint(1, 6)):
        writes = ["write s", "writev s 3", "end s"]
        writes += ["writec s"] if kind != "transform" else []  # streams_known.txt says why
        choices = (writes if takes else []) + (
            ["flow s", "pause s", "resume s", "listen s"] if gives else [])
        lines.append(later(rng) + rng.choice(choices))
    if "destroy=sync" in lines[0] and rng.random() < 0.5:
        lines.insert(1, "finished s")
    return ["s"], lines


def later(rng):
    return "" if rng.random() < 0.5 else f"@{rng.choice(['tick', 'job', 'immediate'])} "


def disturbances(rng, names, is_pipeline):
    lines = []
    for _ in range(rng.randint(0, 1 if is_pipeline else 2)):  # streams_known.txt says why
        name = rng.choice(names)
        event = rng.choice(["close", "error", "finish", "end"])
        at = rng.choice(["@tick", "@immediate", "@job", f"@{rng.choice(names)}.{event}"])
        fails = is_pipeline or rng.random() < 0.3
        lines.append(f"{at} destroy {name}" + (" fails" if fails else ""))
    return lines


def program(seed):
    rng = random.Random(seed)
    names, lines = chain(rng) if rng.random() < 0.6 else single(rng)
    return "\n".join(lines + disturbances(rng, names, any("pipeline" in line for line in lines)))


def known():
    """Name -> Leat's trace, where it is another than Node's on purpose."""
    found, name = {}, None
    for line in (HERE / "streams_known.txt").read_text().splitlines():
        if line.startswith("["):
            name = line.strip("[]")
        elif line.startswith("leat: "):
            found[name] = line[6:]
    return found


def compare(node, leat, named, listed):
    """0 when each program has the same trace, and those that are listed the one that is."""
    wrong = 0
    for start in range(0, len(named), BATCH):
        part = named[start:start + BATCH]
        programs = [text for _, text in part]
        both = zip(part, traces(node, programs), traces(leat, programs))
        for (name, text), on_node, on_leat in both:
            if (on_node != on_leat) != (name in listed) or on_leat != listed.get(name, on_leat):
                wrong += 1
                if wrong <= 5:
                    print(f"{name}:\n{text}\nnode: {on_node}\nleat: {on_leat}\n")
    print(f"{len(named)} programs, {wrong} differ")
    return 1 if wrong else 0


def option(words, name, default):
    return words[words.index(name) + 1] if name in words else default


def main():
    words = sys.argv[1:]
    node = shutil.which("node")
    if node is None:
        print("node is not installed: streams are not compared with Node's")
        sys.exit(SKIPPED)
    named = cases()
    if "--case" in words:
        named = [(name, text) for name, text in named if name == option(words, "--case", "")]
    if "--seeds" in words:
        start = int(option(words, "--from", "1"))
        if "--fresh" in words:
            start = secrets.randbelow(1 << 40)
        count = int(option(words, "--seeds", "1"))
        named = [(f"seed {seed}", program(seed)) for seed in range(start, start + count)]
    if not named:
        sys.exit("no such case")
    sys.exit(compare([node, str(HERE / "streams.js")], [words[0]], named, known()))


if __name__ == "__main__":
    main()
