"""`./dev` itself: its functions, called with what is not to be done replaced."""
import os
import pathlib
import re
import socket
import subprocess
import tempfile


def bash(root, script):
    """(exit code, standard output, standard error) of script after the functions of ./dev."""
    done = subprocess.run(["bash", "-c", 'source <(sed "/^command=/,\\$d" dev)\n' + script, "dev"],
                          cwd=root, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


def check_holder(root):
    """The holder of a taken port is named, that of a free one is not."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
        free = bash(root, f"holder_of {port}")
        holder.listen()
        taken = bash(root, f"holder_of {port}")
    name = pathlib.Path("/proc/self/comm").read_text().strip()
    wanted = f"{name} (pid {os.getpid()})\n"
    problems = [] if free[:2] == (1, "") else [f"holder_of a free port: {free}"]
    return problems + ([] if taken == (0, wanted, "") else [f"holder_of a taken port: {taken}"])


def check_run(root):
    """`./dev run` takes the next free port, and leaves an address of the user's alone."""
    with tempfile.TemporaryDirectory() as folder:
        program = pathlib.Path(folder, "build", "leat")
        program.parent.mkdir()
        program.write_text('#!/bin/sh\necho "$@"\n')
        program.chmod(0o755)
        stub = 'holder_of() { [ "$1" -lt 8082 ] && echo "nginx (pid 7)"; }\n' + f"cd {folder}\n"
        found = bash(root, stub + "run --hello")
        own = bash(root, stub + "run --listen=:8080")
    wanted = (0, "serve --hello --listen 127.0.0.1:8082\n",
              "".join(f"dev: port {port} is taken by nginx (pid 7); trying {port + 1}\n"
                      for port in (8080, 8081)))
    problems = [] if found == wanted else [f"run with two taken ports: {found}"]
    wanted = (0, "serve --listen=:8080\n", "")
    return problems + ([] if own == wanted else [f"run with --listen: {own}"])


def check_deps(root):
    """Without root, what is missing is named, and the one command that installs it."""
    stub = "missing_of() { echo wrk; echo curl; }\nid() { echo 1000; }\n"
    code, out, err = bash(root, stub + "deps test")
    wanted = f"dev: not installed: wrk curl\ndev: run this once: sudo {root}/dev deps test\n"
    problems = [] if (code, out, err) == (1, "", wanted) else [f"deps: {(code, out, err)}"]
    code, _, err = bash(root, stub + "deps test soft")
    return problems + ([] if (code, err) == (0, wanted) else [f"deps, soft: {(code, err)}"])


def check_words(root):
    """What is not known is refused; every command that help lists is one, and the reverse."""
    problems = []
    for words in (("nonsense",), ("deps", "nonsense"), ("bench", "nonsense")):
        done = subprocess.run([root / "dev", *words], capture_output=True, check=False, timeout=60)
        if done.returncode == 0 or not done.stderr:
            problems.append(f"./dev {' '.join(words)}: {done.returncode}, {done.stderr!r}")
    listed = set(re.findall(r"^  (\w+)", bash(root, "help")[1], re.M))
    cases = re.findall(r"^([a-z]+)(?: \|[^)]*)?\)", (root / "dev").read_text().split("\ncase ")[1],
                       re.M)
    return problems + [f"./dev {name}: not in both, its help and its commands"
                       for name in sorted(listed ^ set(cases))]


def check(root):
    return check_holder(root) + check_run(root) + check_deps(root) + check_words(root)
