#!/usr/bin/env python3
"""Runs the checks: `./dev check [NAME...]`. Quiet when all is well.

With --all, prints a line `ok check NAME` or `FAILED check NAME` for each. --write makes docs/api.md
anew first.
"""
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

import api
import dev
import docs
import files
import hardening
import layering
import selftest
import style
import symbols

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path += [str(ROOT / "bench"), str(ROOT / "test")]
import compilers  # noqa: E402
import instructions  # noqa: E402
# All tests have a build by gcc without warnings already: they name it.
GCC, CLANG = os.environ.get("LEAT_CHECK_BUILD", "build-check"), "build-clang"
PROBLEMS_SHOWN = 40


def run(*command, env=None):
    """(worked, lines of output)"""
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **(env or {})}, text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, errors="replace")
    return done.returncode == 0, done.stdout.splitlines()


def parallel(work, things):
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return [line for lines in pool.map(work, things) for line in lines]


def build(folder, compiler, compiler_cpp, *options):
    env = compilers.environment(compiler, compiler_cpp)
    if not (ROOT / folder / "build.ninja").exists():
        shutil.rmtree(ROOT / folder, ignore_errors=True)
        worked, lines = run("meson", "setup", folder, "-Dwerror=true", *options, env=env)
        if not worked:
            return lines[-20:]
    worked, lines = run("ninja", "-k", "0", "-C", folder, env=env)
    if worked:
        return []
    first = next((i for i, line in enumerate(lines) if "FAILED" in line or "ERROR" in line), 0)
    return [line for line in lines[first:] if not re.match(r"\[\d+/\d+\] (Comp|Link|Gen)", line)]


def check_gcc():
    return build(GCC, "gcc", "g++")


def check_clang():
    return build(CLANG, "clang", "clang++", "-Ddcheck=true")


def check_format():
    paths = list(files.walk(ROOT, ".c", ".h", ".inc", ".cpp"))
    share = len(paths) // os.cpu_count() + 1  # one process for many: it starts slowly
    return parallel(lambda some: [line for line in run("clang-format", "--dry-run", "-Werror",
                                                       *some)[1] if "error:" in line],
                    [paths[i:i + share] for i in range(0, len(paths), share)])


def compiled_sources():
    """C files that the clang build compiles -> how."""
    found = {}
    for entry in json.loads((ROOT / CLANG / "compile_commands.json").read_text()):
        path = os.path.relpath(os.path.join(entry["directory"], entry["file"]), ROOT)
        if path.endswith(".c") and not path.startswith("build"):
            found[path] = entry
    return dict(sorted(found.items()))


def preprocessed(entry):
    """The source after the preprocessor, comments kept: they may speak to the linter."""
    words = shlex.split(entry["command"])
    done = subprocess.run([*words[:words.index("-MD")], "-E", "-C", entry["file"]], text=True,
                          cwd=entry["directory"], stdout=subprocess.PIPE, errors="replace",
                          stderr=subprocess.DEVNULL)
    return done.stdout


def check_tidy():
    known = ROOT / CLANG / "tidy-passed"  # fingerprints of what was clean
    known.mkdir(exist_ok=True)
    settings = "".join(files.read(ROOT, p) for p in files.walk(ROOT, ".clang-tidy"))

    def tidy(source):
        path, command = source
        mark = known / hashlib.sha256((settings + preprocessed(command)).encode()).hexdigest()
        if mark.exists():
            return []
        worked, lines = run("clang-tidy", "--quiet", "--warnings-as-errors=*", "-p", CLANG, path)
        if worked:
            mark.touch()
            return []
        return [l for l in lines if "error:" in l] or lines[-5:]
    return sorted(set(parallel(tidy, compiled_sources().items())))


def check_cppcheck():
    worked, lines = run(
        "cppcheck", "-q", "-j", str(os.cpu_count()), "--error-exitcode=1", "--inline-suppr",
        "--enable=warning,performance,portability", "--std=c11", "--library=posix,gnu",
        "--suppress=missingInclude", "--suppress=nullPointer",
        "--suppress=unknownMacro", "--suppress=readdirCalled",
        "--suppress=getcontextCalled", "--suppress=swapcontextCalled",
        "--suppress=makecontextCalled",
        "-D__linux__", "-D__x86_64__",
        "-D__SIZEOF_INT128__=16", "-I.", f"-I{CLANG}/include", f"-I{CLANG}",
        f"--project={CLANG}/compile_commands.json", "--template={file}:{line}: {id}: {message}",
        f"-i{CLANG}", "-itest", "-ibench")
    return [] if worked else lines


def check_headers():
    """Each header compiles alone: public ones as C and as C++, private ones as C."""
    public = layering.public_headers(ROOT)
    includes = ["-I", str(ROOT / CLANG / "include"), "-I", str(ROOT), "-I", str(ROOT / CLANG)]
    strict = ["-D_GNU_SOURCE", "-fsyntax-only", "-Wall", "-Wextra", "-Wno-unused-parameter",
              "-Werror"]
    jobs = []
    for name in public:
        jobs.append((f"<leat/{name}>", ["gcc", "-std=gnu17", "-x", "c"]))
        jobs.append((f"<leat/{name}>", ["g++", "-std=c++17", "-x", "c++"]))
    for path in files.walk(ROOT, ".h"):
        is_template = "#ifndef" not in files.read(ROOT, path)  # included more than once
        if path not in public.values() and "/dpdk/" not in path and not is_template:
            jobs.append((f'"{path}"', ["gcc", "-std=gnu17", "-x", "c", "-Wno-unused-function"]))

    def compiles(job):
        header, compiler = job
        with tempfile.NamedTemporaryFile("w", suffix=".c") as file:
            file.write(f"#include {header}\n")
            file.flush()
            worked, lines = run(*compiler, *strict, *includes, file.name)
        return [] if worked else [f"{header} alone, {compiler[0]}:", *lines[:4]]
    return parallel(compiles, jobs)


def first_program():
    """The first C program of the README."""
    readme = files.read(ROOT, "README.md") if (ROOT / "README.md").exists() else ""
    found = re.search(r"```c\n(.*?)```", readme, re.S)
    return found[1] if found else None


def check_install():
    """What is installed is enough to build the README's program, in each way of linking it."""
    program = first_program()
    if program is None:
        return ["README.md: no C program in it"]
    problems = [] if program.count("\n") <= 25 else ["README.md: the program is too long: 25 lines"]
    with tempfile.TemporaryDirectory() as folder:
        worked, lines = run("meson", "install", "-C", GCC, "--no-rebuild", "--destdir", folder)
        if not worked:
            return lines[-20:]
        configs = list(pathlib.Path(folder).rglob("leat.pc"))
        if len(configs) != 1:
            return [f"{len(configs)} files leat.pc were installed"]
        return problems + compile_installed(folder, str(configs[0].parent.parent), program)


# How a program is linked to an installed Leat -> the words of pkg-config, and whether it then needs
# the shared library.
LINKS = {
    "shared": (("leat",), True),
    "shared, with --static": (("--static", "leat"), True),
    "static": (("leat-static",), False),
}


def compile_installed(folder, library_folder, program):
    env = {"PKG_CONFIG_PATH": f"{library_folder}/pkgconfig", "PKG_CONFIG_SYSROOT_DIR": folder}
    source = pathlib.Path(folder, "first.c")
    source.write_text(program)
    first = str(source.with_suffix(""))
    problems = []
    for how, (words, needs) in LINKS.items():
        worked, lines = run("pkg-config", "--cflags", "--libs", *words, env=env)
        if worked:
            worked, lines = run("gcc", "-std=gnu17", "-Wall", "-Werror", str(source), "-o", first,
                                *" ".join(lines).split())
        if worked:
            worked, lines = run(first, "--version", env={"LD_LIBRARY_PATH": library_folder})
        if worked and ("libleat.so" in "".join(run("readelf", "-d", first)[1])) != needs:
            worked, lines = False, [f"the program {'lacks' if needs else 'needs'} libleat.so"]
        problems += [] if worked else [f"linked {how}:"] + lines[:10]
    return problems


def check_dev():
    worked, lines = run("bash", "-n", "dev")
    listed = docs.commands(ROOT)
    for name in ("deps", "build", "run", "test", "check", "bench", "fuzz", "clean", "help"):
        if name not in listed:
            lines.append(f"./dev help does not list {name}")
    return lines + dev.check(ROOT)


FLAG = r"^  (?:-\w, )?(--[a-z-]+)"
# Whose flags stand in which table; "own": without those of every program, which are in README's.
FLAG_TABLES = (("serve", "README.md", "all"), ("load", "docs/load.md", "own"))


def check_flag_table(command, document, which):
    """The table of flags in a document, and --help, name the same ones."""
    worked, lines = run(f"{GCC}/leat", command, "--help")
    text = "\n".join(lines)
    real = set(re.findall(FLAG, text, re.M))
    if not worked or not real:
        return [f"{GCC}/leat {command} --help: {lines[:3]}"]
    rows = re.findall(r"^\| (`-(?:[^|\\]|\\.)*)\|", files.read(ROOT, document), re.M)
    told = set(re.findall(r"(?<![\w-])--[a-z-]+", "\n".join(rows)))
    must = real if which == "all" else set(re.findall(FLAG, text.split("\nNetwork:")[0], re.M))
    return ([f"{document}: {flag} is not in its table" for flag in sorted(must - told)]
            + [f"{document}: there is no flag {flag}" for flag in sorted(told - real)])


def check_flags():
    """Tables of flags are complete, and each flag of each command is explained by its help."""
    problems = [problem for row in FLAG_TABLES for problem in check_flag_table(*row)]
    commands = re.findall(r"^  ([a-z]+) ", "\n".join(run(f"{GCC}/leat", "help")[1]), re.M)
    if "serve" not in commands:
        return problems + [f"{GCC}/leat help lists no commands"]
    for command in set(commands) - {"help"}:
        _, lines = run(f"{GCC}/leat", command, "--help")
        problems += [f"leat {command} --help says nothing of {line.strip()}"
                     for line, after in zip(lines, lines[1:] + [""])
                     if re.match(FLAG, line) and len(line) < 31 and not after.startswith(" " * 30)]
    return problems


# In this order: later ones use the builds of the first two.
CHECKS = {
    "gcc": check_gcc,
    "clang": check_clang,
    "format": check_format,
    "layering": lambda: layering.check(ROOT),
    "style": lambda: style.check(ROOT),
    "docs": lambda: docs.check(ROOT),
    "api": lambda: api.check(ROOT),
    "dev": check_dev,
    "selftest": lambda: selftest.check(ROOT),
    "headers": check_headers,
    "symbols": lambda: symbols.check(str(ROOT / GCC)),
    "hardening": lambda: hardening.check(ROOT / GCC),
    "install": check_install,
    "flags": check_flags,
    "instructions": lambda: instructions.check(ROOT / GCC),
    "cppcheck": check_cppcheck,
    "tidy": check_tidy,
}
NEEDS = {"headers": "clang", "symbols": "gcc", "hardening": "gcc", "install": "gcc", "flags": "gcc",
         "instructions": "gcc", "cppcheck": "clang", "tidy": "clang"}


def main(arguments):
    show_all = "--all" in arguments
    if "--write" in arguments:
        api.write(ROOT)
    chosen = [a for a in arguments if a not in ("--all", "--write")] or list(CHECKS)
    unknown = [name for name in chosen if name not in CHECKS]
    if unknown:
        print(f"check: no check '{unknown[0]}'; there are: {' '.join(CHECKS)}")
        return 2
    wanted = set(chosen) | {NEEDS[name] for name in chosen if name in NEEDS}
    broken = set()
    for name in (n for n in CHECKS if n in wanted):
        if NEEDS.get(name) in broken:
            problems = [f"needs check {NEEDS[name]} to pass"]
        else:
            problems = CHECKS[name]()
        if problems:
            broken.add(name)
            print(f"FAILED check {name}")
            for line in problems[:PROBLEMS_SHOWN]:
                print("    " + line)
            if len(problems) > PROBLEMS_SHOWN:
                print(f"    and {len(problems) - PROBLEMS_SHOWN} more")
        elif show_all:
            print(f"ok check {name}", flush=True)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
