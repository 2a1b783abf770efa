"""Random programs of promises under node and on Leat: their traces must be equal.

usage: random.py NODE-RANDOM [--seeds N] [--from S | --fresh]

A program is made here from its seed, as text that both interpreters (random.js, random.c) read:
bodies of operations on a few slots that hold promises. Body 0 is the main script; the others run
as callbacks, each says its number and what it was given. Where Leat
differs on purpose (docs/decisions/0022-futures.md) no operation is made."""
import argparse
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
SKIPPED = 77
TIMEOUT_S = 600
SLOTS, OPEN_SLOTS, BODIES_MAX = 10, 5, 240
OPS_MAX = (24, 5, 4, 3)  # of a body, by how deep it lies


class Program:
    """bodies: each a list of operations, each a list of words."""

    def __init__(self, seed):
        self.draw = random.Random(seed)
        self.seed = seed
        self.bodies = []
        self.depth = -1
        self.body()

    def slot(self):
        return self.draw.randrange(SLOTS)

    def callback(self, may_be_none=True):
        """Number of a body with how it ends: 'B v N', 'B t N', 'B f SLOT' or '-'."""
        if may_be_none and self.draw.random() < 0.15:
            return ["-", "v", "0"]
        how = self.draw.choice("vvvtf")
        value = self.slot() if how == "f" else self.draw.randrange(100)
        return [str(self.body()), how, str(value)]

    def operation(self):
        kind = self.draw.choice(("new", "resolve", "resolve", "resolve", "reject", "follow", "then",
                                 "then", "then", "then", "catch", "finally", "all", "settled",
                                 "race", "any", "tick", "job", "immediate"))
        slot = lambda: str(self.slot())
        # Promises with a producer lie in the first slots, derived ones in the others.
        source = lambda: str(self.draw.randrange(OPEN_SLOTS))
        to = lambda: str(self.draw.randrange(OPEN_SLOTS, SLOTS))
        if kind == "new":
            return [kind, source()]
        if kind in ("resolve", "reject"):
            return [kind, source(), str(self.draw.randrange(100))]
        if kind == "follow":
            return [kind, source(), slot()]
        if kind == "then":
            return [kind, slot(), to(), *self.callback(), *self.callback()]
        if kind in ("catch", "finally"):
            return [kind, slot(), to(), *self.callback(may_be_none=False)]
        if kind in ("all", "settled", "race", "any"):
            count = self.draw.randrange(0 if kind in ("all", "settled") else 1, 4)
            return [kind, to(), str(count), *(slot() for _ in range(count))]
        return [kind, str(self.body())]

    def body(self):
        number = len(self.bodies)
        self.bodies.append([["new", str(i)] for i in range(OPEN_SLOTS)] if number == 0 else [])
        self.depth += 1
        most = OPS_MAX[self.depth] if self.depth < len(OPS_MAX) and number < BODIES_MAX else 0
        count = most if number == 0 else self.draw.randint(0, most)
        self.bodies[number] += [self.operation() for _ in range(count)]
        self.depth -= 1
        return number

    def text(self):
        lines = [f"program {self.seed} {len(self.bodies)}"]
        for number, operations in enumerate(self.bodies):
            lines.append(f"body {number} {len(operations)}")
            lines += [" ".join(operation) for operation in operations]
        return "\n".join(lines) + "\n"


def traces(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if done.returncode != 0:
        sys.exit(f"{command} ended with {done.returncode}: {done.stdout[-2000:]}{done.stderr}")
    return done.stdout.splitlines()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("--seeds", type=int, default=300)
    parser.add_argument("--from", dest="first", type=int, default=1)
    parser.add_argument("--fresh", action="store_true", help="seeds that nobody tried before")
    options = parser.parse_args()
    if options.fresh:
        options.first = time.time_ns() // 1_000_000
        print(f"seeds from {options.first}")
    node = shutil.which("node")
    if node is None:
        print("node is not installed: promises are not compared with Node's")
        sys.exit(SKIPPED)
    programs = [Program(options.first + i) for i in range(options.seeds)]
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "programs")
        path.write_text("".join(program.text() for program in programs))
        on_node = traces(node, str(HERE / "random.js"), str(path))
        on_leat = traces(options.binary, str(path))
    assert len(on_node) == len(on_leat) == len(programs), (len(on_node), len(on_leat))
    wrong = [i for i in range(len(programs)) if on_node[i] != on_leat[i]]
    for i in wrong[:3]:
        print(f"seed {programs[i].seed}:\n{programs[i].text()}node: {on_node[i]}\n"
              f"leat: {on_leat[i]}")
    words = sum(len(line.split()) for line in on_node)
    print(f"{len(programs) - len(wrong)} of {len(programs)} traces are equal ({words} words)")
    assert words > 5 * len(programs), "the programs do nothing"
    sys.exit(1 if wrong else 0)


main()
