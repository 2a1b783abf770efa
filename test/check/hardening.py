"""What the built files carry against attacks, read from them by readelf: see decision 31."""
import re
import subprocess

# File of the build folder -> whether it calls functions that fortified code must check.
FILES = {"leat": True, "libleat.so": True, "leat-dpdk.so": False,
         "leat-tls.so": False, "leat-simulator.so": False}
OPTIONAL = ("leat-dpdk.so", "leat-tls.so")


def problems_of(name, text, calls):
    """text: readelf -hlWd --dyn-syms of one file."""
    found = []
    if re.search(r"^\s+Type:\s+EXEC\b", text, re.M):
        found.append("has a fixed address: link it as position-independent")
    if "GNU_RELRO" not in text:
        found.append("has writable relocations: -Wl,-z,relro is missing")
    if not re.search(r"\bBIND_NOW\b|FLAGS_1.*\bNOW\b", text):
        found.append("binds symbols late, and so keeps their table writable: -Wl,-z,now is missing")
    stack = re.search(r"GNU_STACK.*?\b(R?WE?|RWE|RW)\b", text)
    if stack is None or "E" in stack[1]:
        found.append("has an executable stack: -Wl,-z,noexecstack is missing")
    if calls and not re.search(r"\b__\w+_chk\b", text):
        found.append("calls nothing that checks lengths: -D_FORTIFY_SOURCE is missing")
    return [f"{name}: {what}" for what in found]


def check(build):
    problems = []
    for name, calls in FILES.items():
        if (build / name).exists():
            done = subprocess.run(["readelf", "-hlWd", "--dyn-syms", build / name], check=True,
                                  stdout=subprocess.PIPE, text=True)
            problems += problems_of(name, done.stdout, calls)
        elif name not in OPTIONAL:
            problems.append(f"{name}: was not built")
    return problems
