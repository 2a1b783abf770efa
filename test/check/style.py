"""Sizes, names and leftovers that a formatter does not see."""
import ast
import re

import files

LINE_COLUMNS_MAX = 100
FUNCTION_LINES_MAX = 70
BANNED_NAMES = re.compile(r"^(utils?|helpers?|misc|common|manager|handle_data|stuff)\.[a-z]+$")
LEFTOVERS = re.compile(r"\b(TODO|FIXME|XXX|HACK|[Pp]laceholder|not yet implemented)\b")
# In these folders every .c begins with a sentence, and a static function's name has a noun: tools
# show it to users. Applications' start, check and the like are named after what leat_run calls.
NAMED = ("net/", "runtime/", "buffers/")
LONE_WORD = re.compile(r"^static [\w *]*?\b([a-z]+)\(", re.M)
# An answer below 0 is a refusal, 1 means full (C15): a comparison with 0 would mistake that.
SEND_BY_ZERO = re.compile(r"\bleat_conn_send\w*\([^;{}]*?\)\s*[=!]=\s*0\b")
SELF = ("test/check/style.py", "test/check/selftest.py")
CODE = (".c", ".h", ".inc", ".cpp", ".py", "dev")


def c_functions(text):
    """(name, first line, lines) of each function whose braces stand in column 0."""
    lines = text.splitlines()
    start = None
    for number, line in enumerate(lines, 1):
        if line == "{":
            start = number
        elif line == "}" and start is not None:
            head = " ".join(lines[max(0, start - 4): start - 1])
            name = re.findall(r"(\w+)\s*\(", head)
            yield name[-1] if name else "?", start, number - start + 1
            start = None


def python_functions(text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            yield node.name, node.lineno, node.end_lineno - node.lineno + 1


def check_text(path, text, problems):
    for number, line in enumerate(text.splitlines(), 1):
        if len(line) > LINE_COLUMNS_MAX:
            problems.append(f"{path}:{number}: {len(line)} columns, {LINE_COLUMNS_MAX} at most")
        if line != line.rstrip():
            problems.append(f"{path}:{number}: space at the end of the line")
        found = None if path in SELF else LEFTOVERS.search(line)
        if found:
            problems.append(f"{path}:{number}: '{found[0]}' does not land")
    functions = ()
    if path.endswith((".c", ".h", ".inc")):
        functions = c_functions(text)
    elif path.endswith(".py"):
        functions = python_functions(text)
    for name, line, count in functions:
        if count > FUNCTION_LINES_MAX:
            problems.append(f"{path}:{line}: {name} has {count} lines, "
                            f"{FUNCTION_LINES_MAX} at most")


def check_names(path, text, problems):
    if not path.endswith(".c") or not path.startswith((*NAMED, "apps/")):
        return
    if not text.startswith("/*"):
        problems.append(f"{path}:1: does not begin with a sentence about what is in it")
    for found in LONE_WORD.finditer(text) if path.startswith(NAMED) else ():
        line = text.count("\n", 0, found.start()) + 1
        problems.append(f"{path}:{line}: {found[1]} has no noun")


def check_sends(path, text, problems):
    if not path.endswith((".c", ".h", ".inc", ".cpp", ".md")):
        return
    for found in SEND_BY_ZERO.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        problems.append(f"{path}:{line}: {found[0].split('(')[0]} is compared with 0: < 0 is a "
                        "refusal, 1 is accepted and full")


def check(root):
    problems = []
    for path in files.walk(root, *CODE):
        if BANNED_NAMES.match(path.rsplit("/", 1)[-1]):
            problems.append(f"{path}:1: a name that says nothing")
        text = files.read(root, path)
        check_text(path, text, problems)
        check_names(path, text, problems)
        check_sends(path, text, problems)
    return problems
