"""Programs of emitters, under node and on Leat: the traces must be equal.

usage: emitters.py NODE-EMITTERS [--seeds N] [--from S]
"""
import random
import shutil
import sys

import streams

# Name -> program: what Node's documentation says of listeners, one by one.
CASES = {
    "in the order of adding": "on x a\non x b\nprepend x c\nemit x",
    "one added twice is called twice": "on x a\non x a\nemit x\noff x a\nemit x",
    "the last one is removed": "on x a\non x b\nprepend x a\noff x a\nemit x",
    "one added meanwhile is not called": "on x a\n: a on x b\nemit x\nemit x",
    "one removed meanwhile is": "on x a\non x b\n: a off x b\nemit x\nemit x",
    "once is removed before its call": "once x a\n: a count x\n: a emit x\nemit x\nemit x",
    "once in an emit within": "on x a\nonce x b\n: a emit x\nemit x",
    "prepended meanwhile": "on x a\n: a prepend x b\nemit x\nemit x",
    "nobody": "emit x\non y a\nemit x\nemit y\noff y a\nemit y\ncount y",
    "a listener that leaves": "on x a\n: a off x a\non x b\nemit x\nemit x",
}


def line(rng):
    op = rng.choice(["on", "on", "once", "prepend", "off", "emit", "emit", "count"])
    event = rng.choice("xy")
    return f"{op} {event}" + ("" if op in ("emit", "count") else f" {rng.choice('abcd')}")


def program(seed):
    rng = random.Random(seed)
    lines = [f": {rng.choice('abcd')} {line(rng)}" for _ in range(rng.randint(0, 4))]
    lines += [line(rng) for _ in range(rng.randint(2, 12))]
    return "\n".join(lines)


def main():
    words = sys.argv[1:]
    node = shutil.which("node")
    if node is None:
        print("node is not installed: emitters are not compared with Node's")
        sys.exit(streams.SKIPPED)
    named = list(CASES.items())
    start = int(streams.option(words, "--from", "1"))
    count = int(streams.option(words, "--seeds", "0"))
    named += [(f"seed {seed}", program(seed)) for seed in range(start, start + count)]
    sys.exit(streams.compare([node, str(streams.HERE / "emitters.js")], [words[0]], named, {}))


main()
