"""Compiles what docs/node-to-leat.md names: each leat_ and LEAT_ name in the second column of its
tables is used in a program that must compile, and each row must have one.

usage: rows.py CC INCLUDE"""
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs/node-to-leat.md"
NAME = re.compile(r"\b(leat_\w+|LEAT_\w+)\b")
LIMIT_S = 120


def rows():
    """(line number, the cells) of each row of a table, heads left out."""
    head = True
    for number, line in enumerate(PAGE.read_text().splitlines(), 1):
        if not line.startswith("|"):
            head = True
        elif head or set(line) <= set("|-"):
            head = False
        else:
            yield number, [cell.strip() for cell in line.strip("|").split("|")]


def use(name):
    """A statement that does not compile when there is no such name."""
    if name.startswith("LEAT_"):
        return f"#ifndef {name}\n    (void){name};\n#endif"  # else a constant
    return f"    use((const void *)(uintptr_t)&{name});"


def main():
    compiler, include = sys.argv[1:]
    names, problems = set(), []
    for number, cells in rows():
        found = set(NAME.findall(cells[1])) if len(cells) == 3 else set()
        if not found:
            problems.append(f"{PAGE.name}:{number}: three columns, and a name of Leat's in the "
                            "second")
        names |= found
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder, "rows.c")
        source.write_text("#include <leat/leat.h>\nvoid use(const void *);\nvoid rows(void);\n"
                          "void rows(void)\n{\n" + "\n".join(map(use, sorted(names))) + "\n}\n")
        done = subprocess.run([*compiler.split(), "-fsyntax-only", f"-I{include}", str(source)],
                              capture_output=True, text=True, timeout=LIMIT_S)
        problems += re.findall(r"error: (.*)", done.stderr) if done.returncode else []
    assert len(names) > 100, "the page is empty"
    print("\n".join(problems) or f"{len(names)} names in the rows of {PAGE.name} compile")
    return 1 if problems else 0


sys.exit(main())
