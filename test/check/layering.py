"""Floors: a folder includes only itself and lower floors; some libraries have one home each."""
import re

import files

# Folder -> floor. The longest matching folder counts. Folders of one floor do not know each other.
FLOORS = {
    "runtime/base": 0, "buffers": 1, "runtime/loop": 2, "runtime/async": 3, "runtime/os": 4,
    "runtime/codec": 5, "net/api": 6, "net/port": 7, "net/stack": 8, "net/socket": 8, "net/tls": 8,
    "net/sim": 9, "net/watch": 9, "net/http/message": 9, "net/program": 10, "net/http": 11,
    "net/http/files": 12, "net": 12, "apps": 13, "bench": 14, "docs": 14, "test": 14,
}
# Includes every public header, for users.
UMBRELLA = "net/leat.h"
# Header pattern -> where alone it may be included, and how many files may.
HOMES = [
    (re.compile(r"^rte_.*\.h$"), ("net/port/dpdk/", "bench/rte_hash.c"), None),
    (re.compile(r"^liburing\.h$"),
     ("net/socket/", "runtime/os/fs_ring.c", "bench/async_read.c"), 3),
    (re.compile(r"^zlib\.h$"), ("runtime/codec/zlib.c", "bench/async_gzip.c"), 2),
    (re.compile(r"^brotli/"), ("runtime/codec/brotli.c",), 1),
    (re.compile(r"^zstd\.h$"), ("runtime/codec/zstd.c",), 1),
    (re.compile(r"^openssl/"), ("net/tls/",), None),
]
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)


def floor_of(path):
    """(folder, floor), or None for what stands on no floor."""
    folder = path.rsplit("/", 1)[0] if "/" in path else ""
    while folder:
        if folder in FLOORS:
            return folder, FLOORS[folder]
        folder = folder.rsplit("/", 1)[0] if "/" in folder else ""
    return None


def public_headers(root):
    """NAME.h as in <leat/NAME.h> -> path."""
    found = {}
    for path in files.walk(root, "meson.build"):
        folder = path[: -len("meson.build")]
        text = files.read(root, path)
        for group in re.findall(r"leat_public \+= files\((.*?)\)", text, re.S):
            for name in re.findall(r"'([^']+)'", group):
                found[name.rsplit("/", 1)[-1]] = folder + name
    return found


def check_include(path, line, target, problems):
    """One include of one of our own headers, given by its path."""
    here, there = floor_of(path), floor_of(target)
    if target.endswith("_internal.h") and not path.startswith(("test/", "bench/")):
        if path.rsplit("/", 1)[0] != target.rsplit("/", 1)[0]:
            problems.append(f"{path}:{line}: {target} is internal to its folder")
    if here is None or there is None or here[0] == there[0] or path == UMBRELLA:
        return
    if there[1] >= here[1]:
        problems.append(f"{path}:{line}: {here[0]} (floor {here[1]}) includes {target} of "
                        f"{there[0]} (floor {there[1]})")


def check(root):
    problems = []
    public = public_headers(root)
    users = {}
    for path in files.walk(root, ".c", ".h", ".inc", ".cpp"):
        text = files.read(root, path)
        if floor_of(path) is None:
            problems.append(f"{path}:1: stands on no floor (test/check/layering.py lists them)")
        for match in INCLUDE.finditer(text):
            line = text.count("\n", 0, match.start(2)) + 1
            quote, name = match[1], match[2]
            for pattern, homes, files_max in HOMES:
                if pattern.match(name):
                    users.setdefault((homes[0], files_max), set()).add(path)
                    if not path.startswith(homes):
                        problems.append(f"{path}:{line}: {name} belongs into "
                                        f"{' and '.join(homes)} alone")
            if name.startswith("leat/"):
                if name[5:] in public:
                    check_include(path, line, public[name[5:]], problems)
                elif name != "leat/leat.h":
                    problems.append(f"{path}:{line}: no public header is called {name}")
            elif quote == '"':
                check_include(path, line, name, problems)
    for (home, files_max), paths in users.items():
        if files_max is not None and len(paths) > files_max:
            problems.append(f"{home}:0: {len(paths)} files include what {files_max} may: "
                            + ", ".join(sorted(paths)))
    return problems
