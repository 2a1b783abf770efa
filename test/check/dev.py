"""`./dev` itself: its functions, called with what is not to be done replaced."""
import os
import pathlib
import re
import socket
import subprocess
import tempfile


def bash(root, script, before=()):
    """(exit code, standard output, standard error) of script after the functions of ./dev."""
    done = subprocess.run([*before, "bash", "-c",
                           'source <(sed "/^command=/,\\$d" dev)\n' + script, "dev"],
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
        own = [bash(root, stub + f"run {flag}") for flag in ("--listen=:1", "--port=1", "-p 1")]
    wanted = (0, "serve --hello --listen 127.0.0.1:8082\n",
              "".join(f"dev: port {port} is taken by nginx (pid 7); trying {port + 1}\n"
                      for port in (8080, 8081)))
    problems = [] if found == wanted else [f"run with two taken ports: {found}"]
    wanted = [(0, f"serve {flag}\n", "") for flag in ("--listen=:1", "--port=1", "-p 1")]
    return problems + ([] if own == wanted else [f"run with an address: {own}"])


def read_only(folder):
    """Shell that makes folder unwritable, for root too, and goes there."""
    if os.geteuid() != 0:
        return f"chmod -R a-w {folder} && cd {folder}\n"
    return f"mount --bind {folder} {folder} && mount -o remount,bind,ro {folder} && cd {folder}\n"


def check_build(root):
    """A tree that cannot be written runs what is built; a build that takes long says so."""
    ninja = 'ninja() { case "$*" in *-n*) echo "$PENDING" ;; *) echo "[3/3] Comp" ;; esac; }\n'
    problems = []
    wall = ["unshare", "--mount"] if os.geteuid() == 0 else []
    for pending, built, wanted in (("ninja: no work to do.", True, (0, "")),
                                   ("[3/3] Compiling", True, (1, "is not up to date: ")),
                                   ("", False, (1, "nothing is built in it: "))):
        with tempfile.TemporaryDirectory() as folder:
            if built:
                pathlib.Path(folder, "build").mkdir()
                pathlib.Path(folder, "build", "build.ninja").touch()
            code, _, err = bash(root, ninja + f"PENDING='{pending}'\n" + read_only(folder)
                                + "build build", wall)
            if os.geteuid() != 0:
                subprocess.run(["chmod", "-R", "u+w", folder], check=True)
        if code != wanted[0] or wanted[1] not in err or bool(err) != bool(wanted[1]):
            problems.append(f"build of a read-only tree ({pending}): {(code, err)}")
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "build").mkdir()
        pathlib.Path(folder, "build", "build.ninja").touch()
        stub = ninja + f"PENDING='[3/3] Compiling'\ncd {folder}\n"
        quiet = bash(root, stub + "build build")
        long = bash(root, stub + "long_steps=3 long_seconds=0; build build")
    problems += [] if quiet == (0, "", "") else [f"a short build: {quiet}"]
    if long[:2] != (0, "") or not re.fullmatch(r"dev: building, 3 steps\ndev: built in \d+ s\n",
                                               long[2]):
        problems.append(f"a long build: {long}")
    return problems


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
    problems += [f"./dev {name}: not in both, its help and its commands"
                 for name in sorted(listed ^ set(cases))]
    told = set(re.findall(r"^\| `\./dev (\w+)", (root / "README.md").read_text(), re.M))
    return problems + [f"./dev {name}: not in both, README.md's table and its help"
                       for name in sorted(listed ^ told)]


def check(root):
    return (check_holder(root) + check_run(root) + check_build(root) + check_deps(root)
            + check_words(root))
