#!/usr/bin/env python3
"""The scripts by the clause they show: `./dev scripts`, with --write into README.md.

A clause stands at the end of a script's name, or at its beginning: rfc7323_4_3, 1122_4_2_3_9 (RFC
1122), c19 (of net/api/conn.h), u05 (of net/api/udp.h), or plain numbers for RFC 9293. With --check
the exit code says whether README.md holds this table; --names prints the names alone, file by file.
"""
import collections
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
CLAUSE = re.compile(r"_(?:rfc(\d+)|(1122)|([cu]\d+))((?:_\d+)*)$|((?:_\d+)+)(?:_figure_(\d+))?$")
PREFIX = re.compile(r"^rfc(\d+)((?:_\d+)*)_")
KIND = {"c": "conn", "u": "udp"}
HEAD = "| clause | scripts |\n|---|---|\n"


def scripts():
    """(file, name) of every script, in the order in which they run."""
    for path in sorted(HERE.glob("*.c")):
        for name in re.findall(r"cmocka_unit_test\((\w+)\)", path.read_text()):
            yield path.stem, name


def clause_of(name):
    """(document, section, rest of the name); the document is '' where the name tells none."""
    match = CLAUSE.search(name)
    if not match:
        match = PREFIX.match(name)
        if not match:
            return "", "", name
        return f"RFC {match[1]}", match[2].strip("_").replace("_", "."), name[match.end():]
    rfc, hosts, contract, section, plain, figure = match.groups()
    document = f"RFC {rfc or hosts or 9293}"
    if contract:
        document = f"{KIND[contract[0]]}.h"
    number = contract.upper() if contract else (section or plain or "").strip("_").replace("_", ".")
    if figure:
        number += f", figure {figure}"
    return document, number, name[:match.start()]


def order(key):
    document, section = key
    digits = re.findall(r"\d+", document)
    return (document == "", int(digits[0]) if digits else 99999,
            [int(n) for n in re.findall(r"\d+", section)])


def table():
    rows = collections.defaultdict(list)
    for file, name in scripts():
        document, section, rest = clause_of(name)
        rows[document, section].append(f"{rest.replace('_', ' ')} ({file})")
    lines = [HEAD]
    for key in sorted(rows, key=order):
        clause = " ".join(part for part in key if part) or "none named"
        lines.append(f"| {clause} | {'; '.join(rows[key])} |\n")
    return "".join(lines)


def main():
    if sys.argv[1:] == ["--names"]:
        for file, name in scripts():
            print(f"{file}: {name}")
        return 0
    readme = HERE / "README.md"
    text = readme.read_text()
    if sys.argv[1:] == ["--write"]:
        readme.write_text(text[:text.index(HEAD)] + table())
        return 0
    if sys.argv[1:] == ["--check"]:
        if text.endswith(table()):
            return 0
        print("the table in test/script/README.md is old: ./dev scripts --write", file=sys.stderr)
        return 1
    print(table(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
