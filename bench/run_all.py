#!/usr/bin/env python3
"""`./dev bench all [--skip NAME]...`: every benchmark, one after the other, with the time left.

Each writes its own part of docs/benchmarks.md as it does alone; one that fails does not keep the
others from running. The exit code is 1 when one failed.
"""
import argparse
import pathlib
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
# Name -> minutes that it takes, about, and its flags.
ALL = {"count": (0.5, []), "micro": (4, []), "http": (6, []), "compare": (11, []),
       "latency": (6, []), "scaling": (2, []), "connections": (3, []), "bypass": (9, []),
       "soak": (10, ["--minutes", "10"])}


def main():
    parser = argparse.ArgumentParser(prog="./dev bench all")
    parser.add_argument("--skip", action="append", default=[], choices=list(ALL))
    options = parser.parse_args()
    names = [name for name in ALL if name not in options.skip]
    failed = []
    for number, name in enumerate(names, 1):
        left = sum(ALL[after][0] for after in names[number - 1:])
        print(f"bench {name}: {number} of {len(names)}, about {left:g} minutes left",
              file=sys.stderr, flush=True)
        begin = time.monotonic()
        done = subprocess.run([sys.executable, str(HERE / f"run_{name}.py"), *ALL[name][1]])
        took = (time.monotonic() - begin) / 60
        if done.returncode != 0:
            failed.append(name)
        print(f"bench {name}: {'failed' if done.returncode else 'done'} after {took:.1f} minutes",
              file=sys.stderr, flush=True)
    print(f"bench: {len(names) - len(failed)} of {len(names)} ran"
          + (f"; failed: {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
