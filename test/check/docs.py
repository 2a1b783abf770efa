"""What the documents name must exist: files, functions, commands."""
import os
import re

import files

DOCUMENTS = ("README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
CODE_SPAN = re.compile(r"`([^`\n]+)`")
ENDINGS = r"(/|\.(c|h|cpp|py|md|build|txt))"
WRITTEN_LATER = {"docs/benchmarks.md"}  # by ./dev bench
PATH = re.compile(r"^(?!build/|leat/|https?:|/)[\w.+-]+(/[\w.+-]+)*" + ENDINGS + "$")
FUNCTION = re.compile(r"^(\w+)\(\)$")
DEFINED = re.compile(r"\b(\w+)\s*\(")


def documents(root):
    for path in files.walk(root, ".md"):
        if path in DOCUMENTS or path.startswith("docs/"):
            yield path, files.read(root, path)


def defined_functions(root):
    found = set()
    for path in files.walk(root, ".c", ".h", ".cpp", ".py"):
        found.update(DEFINED.findall(files.read(root, path)))
    return found


def commands(root):
    """The commands that ./dev help lists."""
    return set(re.findall(r"^  ([a-z]+) ", files.read(root, "dev"), re.M))


def check_span(root, span, functions, beside):
    """What is wrong with one code span, or None."""
    function = FUNCTION.match(span)
    if function:
        return None if function[1] in functions else f"no function is called {span}"
    path = span.split(":")[0]
    if PATH.match(path) and path not in WRITTEN_LATER:
        roots = (root, os.path.join(root, beside))
        if not any(os.path.exists(os.path.join(r, path)) for r in roots):
            return f"no file is called {span}"
    return None


def check(root):
    problems = []
    functions = defined_functions(root)
    known = commands(root)
    for path, text in documents(root):
        for number, line in enumerate(text.splitlines(), 1):
            for span in CODE_SPAN.findall(line):
                wrong = check_span(root, span, functions, os.path.dirname(path))
                if wrong:
                    problems.append(f"{path}:{number}: {wrong}")
            for command in re.findall(r"\./dev ([a-z]+)", line):
                if command not in known:
                    problems.append(f"{path}:{number}: ./dev help does not list '{command}'")
            for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", line):
                if not os.path.exists(os.path.join(root, os.path.dirname(path), target)):
                    problems.append(f"{path}:{number}: the link to {target} leads nowhere")
    return problems
