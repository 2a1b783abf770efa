"""Runs the recipes of docs/cookbook, under node and on Leat: they must say the same.

usage: cookbook.py FOLDER-OF-PROGRAMS

A recipe with a .http file is a server: it is asked each line, and status, body and what the
response says of other sites are compared; then it is told to end, and what it says last is compared
as well. A line is "METHOD /path", with " | Name: value" for each header, then " < body", or
" then TERM": the server is told to end as soon as it has begun to answer."""
import http.client
import pathlib
import re
import shutil
import subprocess
import sys

import process

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
COOKBOOK = ROOT / "docs/cookbook"
SKIPPED = 77
LINES_BY_NODE_MAX = 2  # of all recipes together
FRAME = re.compile(r"^#include[^\n]*$|^int main\(.*?^\}$", re.M | re.S)  # the same in each


def code_lines(path):
    """Lines with code: no comments, no lone braces, and not C's frame of includes and main."""
    text = FRAME.sub("", re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.S))
    return sum(1 for line in text.splitlines()
               if line.strip() not in ("", "{", "}") and not line.strip().startswith("//"))


def printed(words):
    code, out, err = process.finish(*words)
    assert code == 0, (words, code, out, err)
    return out


def asked(program, address, line):
    asks, _, body = line.partition(" < ")
    asks, ends, _ = asks.partition(" then TERM")
    first, *fields = asks.split(" | ")
    method, path = first.split()
    client = http.client.HTTPConnection(*address, timeout=process.LIMIT_S)
    client.request(method, path, body or None, dict(field.split(": ") for field in fields)
                   | {"Connection": "close"})
    answer = client.getresponse()
    if ends:
        program.send(process.TERM)
    said = sorted(f"{name}: {value}" for name, value in answer.getheaders()
                  if name.lower().startswith(("access-control-", "vary")))
    text = f"{line}: {answer.status} {answer.read().decode()!r} {said}"
    client.close()
    return text


def answered(words, questions):
    with process.Program(*words) as program:
        found = program.until(r"listening on http://([\d.]+):(\d+)\n")
        lines = questions.read_text().splitlines()
        answers = [asked(program, (found[1], int(found[2])), line) for line in lines]
        was_told = " then TERM" in lines[-1]
        assert program.end(None if was_told else process.TERM) == 0, program.text
        answers.append(program.text["stdout"][found.end():])
    return "\n".join(answers)


def main():
    programs = pathlib.Path(sys.argv[1])
    node = shutil.which("node")
    if node is None:
        print("node is not installed: the cookbook is not compared with it")
        sys.exit(SKIPPED)
    wrong, sums = 0, [0, 0]
    recipes = sorted(path.stem for path in COOKBOOK.glob("*.js"))
    for name in recipes:
        script, source = COOKBOOK / f"{name}.js", COOKBOOK / f"{name}.c"
        questions = COOKBOOK / f"{name}.http"
        said = []
        for words in ((node, script), (programs / f"cookbook-{name}", "--cores", "1")):
            said.append(answered(words, questions) if questions.exists() else printed(words))
        lines = code_lines(script), code_lines(source)
        sums = [sums[0] + lines[0], sums[1] + lines[1]]
        is_same = said[0] == said[1] and said[0] != ""
        wrong += not is_same
        print(f"{'same' if is_same else 'WRONG'}: {name}, {lines[1]} lines of C for {lines[0]}")
        if not is_same:
            print(f"node:\n{said[0]}\nleat:\n{said[1]}")
    assert len(recipes) == len(list(COOKBOOK.glob("*.c"))) > 0, "a recipe has both"
    print(f"{sums[1] / sums[0]:.2f} lines of C for one of Node's, {LINES_BY_NODE_MAX} at most")
    sys.exit(1 if wrong or sums[1] > LINES_BY_NODE_MAX * sums[0] else 0)


main()
