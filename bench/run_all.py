#!/usr/bin/env python3
"""`./dev bench all [--skip NAME]... [--soak MINUTES]`: every benchmark, with the time left.

Each writes its own part of docs/benchmarks.md as it does alone, connections with as many as there
is memory for, up to 10 million; one that fails does not keep the others from running. The exit code
is 1 when one failed.
"""
import argparse
import pathlib
import subprocess
import sys
import time

import run_connections
import servers

HERE = pathlib.Path(__file__).resolve().parent
# Name -> minutes that it takes, about.
ALL = {"count": 0.5, "micro": 4, "http": 6, "compare": 12, "latency": 6, "scaling": 2,
       "async": 5, "connections": 3, "bypass": 9, "soak": 10}


def ended(words):
    """The exit code. Told to end, it tells the benchmark, which ends what it started."""
    with subprocess.Popen(words) as child:
        try:
            return child.wait()
        except BaseException:
            child.terminate()
            raise


def main():
    parser = argparse.ArgumentParser(prog="./dev bench all")
    parser.add_argument("--skip", action="append", default=[], choices=list(ALL))
    parser.add_argument("--soak", type=int, default=ALL["soak"], metavar="MINUTES",
                        help="how long the soak is [%(default)s]")
    options = parser.parse_args()
    names = [name for name in ALL if name not in options.skip]
    minutes = dict(ALL, soak=options.soak)
    flags = {"connections": ["--count", str(run_connections.most_that_fit())],
             "soak": ["--minutes", str(options.soak)]}
    failed = []
    servers.end_on_term()
    for number, name in enumerate(names, 1):
        left = sum(minutes[after] for after in names[number - 1:])
        print(f"bench {name}: {number} of {len(names)}, about {left:g} minutes left",
              file=sys.stderr, flush=True)
        begin = time.monotonic()
        code = ended([sys.executable, str(HERE / f"run_{name}.py"), *flags.get(name, [])])
        took = (time.monotonic() - begin) / 60
        if code != 0:
            failed.append(name)
        print(f"bench {name}: {'failed' if code else 'done'} after {took:.1f} minutes",
              file=sys.stderr, flush=True)
    print(f"bench: {len(names) - len(failed)} of {len(names)} ran"
          + (f"; failed: {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
