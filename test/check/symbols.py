"""What the library exports, and that it keeps no state of its own: read from objdump and nm."""
import re
import subprocess

# Writable state that is there on purpose: symbol -> why.
GLOBALS_ALLOWED = {"crash_reporter": "signal handlers belong to the process",
                   "mappings_left": "the kernel counts mappings by process"}
THREAD_LOCALS_ALLOWED = {"leat_core_now"}
SYMBOL = re.compile(r"^[0-9a-f]+ (.{7}) (\S+)\s+[0-9a-f]+\s+(?:\.\w+ )?(\S+)$")


def check_exports(nm_output):
    """nm -D --defined-only of the shared library."""
    names = (line.split()[-1] for line in nm_output.splitlines() if line.strip())
    return [f"libleat.so: exports {name}" for name in names
            if not name.split("@")[0].startswith("leat_")]


def check_state(objdump_output):
    """objdump -t of the static library: writable and thread-local objects."""
    problems = []
    member = "libleat.a"
    for line in objdump_output.splitlines():
        head = re.match(r"^(\S+\.o):\s+file format", line)
        if head:
            member = head[1]
        match = SYMBOL.match(line)
        if not match:
            continue
        flags, section, name = match.groups()
        if "d" in flags or name.startswith("."):  # the sections themselves
            continue
        base = re.sub(r"\.\d+$", "", name)
        if section.startswith((".tbss", ".tdata")):
            if base not in THREAD_LOCALS_ALLOWED:
                problems.append(f"{member}: {base} is thread-local; leat_core_now is the only one")
        elif re.match(r"^(\.data(?!\.rel\.ro)|\.bss|\*COM\*)", section):
            if base not in GLOBALS_ALLOWED:
                problems.append(f"{member}: {base} is a mutable global")
    return problems


def output_of(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def check(build):
    return (check_exports(output_of("nm", "-D", "--defined-only", f"{build}/libleat.so"))
            + check_state(output_of("objdump", "-t", f"{build}/libleat.a")))
