#!/usr/bin/env python3
"""`./dev bench count [--write]`: instructions of every hot function and request path, by
callgrind, beside the table of docs/benchmarks/instructions.txt. --write makes that table anew."""
import argparse
import sys

import instructions


def main():
    parser = argparse.ArgumentParser(prog="./dev bench count")
    parser.add_argument("--write", action="store_true", help="make the kept table anew")
    options = parser.parse_args()
    build = instructions.ROOT / "build"
    made = instructions.made_with(build)
    now = instructions.counted(build)
    made_kept, kept = (instructions.read_table() if instructions.TABLE.exists() else ("", {}))
    frozen = instructions.read_frozen()
    for name, value in now.items():
        change = f"{value / kept[name] - 1:+8.1%}" if kept.get(name) else "     new"
        since = f"{value / frozen[name][0] - 1:+8.1%}" if name in frozen else ""
        print(f"{name:44} {value:10.1f} {change} {since}".rstrip())
    if made_kept and not instructions.comparable(made, made_kept):
        print(f"the table was made with {made_kept}, this is {made}: changes say little")
    if options.write:
        instructions.write_table(made, now)
        print(f"written to {instructions.TABLE.relative_to(instructions.ROOT)}")
        return 0
    return 1 if instructions.problems(kept, now, frozen) else 0


if __name__ == "__main__":
    sys.exit(main())
