"""Bytes both ways between Leat's TCP and the kernel's, with what differs between links and hosts
combined pairwise: `./dev interop` (or --long: 1 GiB in each row instead of 16 MiB).

Each row is printed before it runs, as many at a time as there are cores; `./dev interop --row N`
runs one again."""
import itertools
import os
import pathlib
import random
import select
import socket
import struct
import sys
import tempfile
import time

import process
import world

OWN, PEER = {4: "10.9.0.2", 6: "fd09::2"}, {4: "10.9.0.1", 6: "fd09::1"}
LENGTHS = {4: 24, 6: 64}
TRANSFER = process.BUILD / "test" / "interop" / "transfer"
MODULE = process.BUILD / "leat-dpdk.so"
SYSCTLS = pathlib.Path("/proc/sys/net/ipv4")
BYTES, BYTES_LONG = 16 << 20, 1 << 30  # less where much is lost: that takes timeouts
ROW_LIMIT_S, ROW_LIMIT_LONG_S = 120, 3600
PORT = 7001

FACTORS = {
    "port": ("tun", "tap", "packet", "xdp"),
    "family": (4, 6),
    "mtu": (1500, 576, 9000),
    "loss": (0, 1, 5),
    "reorder": (0, 1),
    "duplicate": (0, 1),
    "offloads": (True, False),
    "timestamps": (True, False),
    "sack": (True, False),
    "window_scaling": (True, False),
    "ecn": (True, False),
    "opener": ("linux", "leat"),
}


def is_possible(row):
    """Of the factors chosen so far."""
    port, mtu = row.get("port", "tun"), row.get("mtu", 1500)
    if mtu == 9000 and port != "tun" or mtu < 1280 and row.get("family") == 6:
        return False
    if port in ("packet", "xdp") and row.get("offloads"):
        return False  # a veth pair leaves checksums to a card that never comes
    # Linux itself takes most of a minute for that, from Linux.
    return not (row.get("loss") == 5 and mtu < 1280 and row.get("sack") is False)


def pairs_of(row):
    return set(itertools.combinations(row.items(), 2))


def candidate(factors, uncovered, chance):
    """A row from an uncovered pair; each further factor takes the value that covers most."""
    row = dict(chance.choice(sorted(uncovered, key=str)))
    for name in chance.sample(list(factors), len(factors)):
        if name in row:
            continue
        values = [v for v in chance.sample(factors[name], len(factors[name]))
                  if is_possible({**row, name: v})]
        if not values:
            return None
        row[name] = max(values, key=lambda v: sum(
            ((name, v), item) in uncovered or (item, (name, v)) in uncovered
            for item in row.items()))
    return {name: row[name] for name in factors}


def pairwise(factors):
    """Rows in which every possible pair of values of two factors occurs; always the same."""
    chance = random.Random(2)
    uncovered = {pair for names in itertools.combinations(factors, 2)
                 for values in itertools.product(*(factors[n] for n in names))
                 for pair in [tuple(zip(names, values))] if is_possible(dict(pair))}
    rows = []
    while uncovered:
        found = [row for row in (candidate(factors, uncovered, chance) for _ in range(40)) if row]
        best = max(found, key=lambda row: len(pairs_of(row) & uncovered))
        rows.append(best)
        uncovered -= pairs_of(best)
    return rows


def describe(row):
    return " ".join(f"{name}={value}" for name, value in row.items()
                    if value not in (False, 0)).replace("=True", "")


def prepare(row):
    """The kernel's side; returns (what --net is, the kernel's interface)."""
    for name, file in (("timestamps", "tcp_timestamps"), ("sack", "tcp_sack"),
                       ("window_scaling", "tcp_window_scaling"), ("ecn", "tcp_ecn")):
        (SYSCTLS / file).write_text(str(int(row[name])))
    # Without timestamps Linux measures no round trip while everything is lost once, and keeps
    # doubling its timeout (Karn's rule): 5% loss then end in waits of half a minute.
    if (SYSCTLS / "tcp_rto_max_ms").exists():  # since Linux 6.15
        (SYSCTLS / "tcp_rto_max_ms").write_text("1000")
    if row["port"] in ("packet", "xdp"):
        world.ip("link", "add", "va", "type", "veth", "peer", "name", "vb")
        for interface in ("va", "vb"):
            world.ip("link", "set", interface, "mtu", str(row["mtu"]), "up")
        return f"{row['port']}:vb", "va"
    if row["port"] == "tun":
        world.ip("tuntap", "add", "leat0", "mode", "tap")
        world.ip("link", "set", "leat0", "mtu", str(row["mtu"]), "up")
    return f"{row['port']}:leat0", "leat0"


def give_address(row, interface):
    family = row["family"]
    extra = ["nodad"] if family == 6 else []
    world.set_offloads(interface, row["offloads"])
    world.ip("addr", "add", f"{PEER[family]}/{LENGTHS[family]}", "dev", interface, *extra)


class Peer:
    """The kernel's end of one transfer."""

    def __init__(self, block, limit_s):
        self.double = memoryview(block + block)
        self.length = len(block)
        self.limit_s = limit_s
        self.is_wordy = "--wordy" in sys.argv

    def exchange(self, peer, give, take):
        """Gives and takes at once, then ends; raises when a byte differs. The socket is to stay
        open until the other side has all: Linux does not try for long once nobody holds it."""
        deadline = time.monotonic() + self.limit_s
        gave = took = 0
        has_ended = is_over = False
        began = time.monotonic()
        peer.setblocking(False)
        while not (has_ended and is_over):
            assert time.monotonic() < deadline, f"gave {gave} of {give}, took {took} of {take}"
            readable, writable, _ = select.select([peer], [] if has_ended else [peer], [], 1)
            if writable and gave < give:
                at = gave % self.length
                gave += peer.send(self.double[at:at + min(1 << 18, give - gave)])
            elif writable:
                peer.shutdown(socket.SHUT_WR)
                has_ended = True
            if readable and not is_over:
                piece = peer.recv(1 << 18)
                at = took % self.length
                took += len(piece)
                assert self.double[at:at + len(piece)] == piece, f"other bytes before {took}"
                is_over = not piece
        assert (gave, took) == (give, take), f"gave {gave} of {give}, took {took} of {take}"
        if self.is_wordy:
            print(f"    {give >> 20} MiB to Leat, {take >> 20} back: "
                  f"{time.monotonic() - began:.1f} s", flush=True)


def family_of(row):
    return socket.AF_INET if row["family"] == 4 else socket.AF_INET6


def linux_opens(row, peer, flags, shares, finish):
    address = OWN[row["family"]]
    listen = f"[{address}]:{PORT}" if row["family"] == 6 else f"{address}:{PORT}"
    with process.Program(TRANSFER, *flags, "--listen", listen) as program:
        program.until(r"^listening on")
        finish()
        for count, (give, take) in enumerate(shares, 1):
            with socket.socket(family_of(row)) as client:
                client.settimeout(peer.limit_s)
                client.connect((address, PORT))
                client.sendall(struct.pack("!QQ", give, take))
                peer.exchange(client, give, take)
                program.until(rf"^gave {take} took {give}: right$")
                program.until(r"^gave ", count=count)
        assert program.end(process.TERM) == 0, program.text
        assert "never freed" not in program.text["stderr"], program.text


def accept(listener, program):
    """The connection, unless the program ends before it comes."""
    while not select.select([listener], [], [], 0.1)[0]:
        assert program.process.poll() is None, (program.end(), program.text)
    return listener.accept()[0]


def leat_opens(row, peer, flags, shares, finish):
    address = PEER[row["family"]]
    with socket.socket(family_of(row)) as listener:
        listener.bind(("::" if row["family"] == 6 else "0.0.0.0", 0))
        listener.listen(4)
        port = listener.getsockname()[1]
        to = f"[{address}]:{port}" if row["family"] == 6 else f"{address}:{port}"
        for give, take in shares:
            with process.Program(TRANSFER, *flags, "--connect", to, "--give", take, "--take",
                                 give) as program:
                if row["port"] == "tap":
                    program.until(r"^net ")
                    finish()
                with accept(listener, program) as client:
                    head = b""
                    while len(head) < 16:
                        head += client.recv(16 - len(head))
                    assert struct.unpack("!QQ", head) == (take, give)
                    peer.exchange(client, give, take)
                    assert program.end() == 0, program.text
                assert "never freed" not in program.text["stderr"], program.text


def faults_of(row, seed):
    words = [f"loss={row['loss']}%"] if row["loss"] else []
    words += [f"{name}=2%" for name in ("reorder", "duplicate") if row[name]]
    return ["--net-faults", ",".join(words + [f"seed={seed}"])] if words else []


def run_row(number, row, block, total, limit_s):
    """In a namespace of its own: it ends with this thread."""
    world.enter()
    os.environ["LEAT_MODULES"] = str(process.BUILD)
    net, interface = prepare(row)
    with tempfile.NamedTemporaryFile() as file:
        file.write(block)
        file.flush()
        flags = ["--block", file.name, "--net", net, "--ip",
                 f"{OWN[row['family']]}/{LENGTHS[row['family']]}", "--mtu", row["mtu"],
                 *faults_of(row, number)]
        if row["loss"] == 5:
            total //= 4 if row["sack"] else 16
        shares = ((total, 0), (0, total), (total, total))
        opens = linux_opens if row["opener"] == "linux" else leat_opens
        is_late = row["port"] == "tap"  # the device comes and goes with the program
        if not is_late:
            give_address(row, interface)
        opens(row, Peer(block, limit_s), flags, shares,
              lambda: is_late and give_address(row, interface))


def start_row(number, row, block, total, limit_s):
    """run_row in a process of its own; returns its id."""
    print(f"row {number}: {describe(row)}", flush=True)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            run_row(number, row, block, total, limit_s)
            code = 0
        finally:
            sys.stdout.flush()
            if code:
                import traceback
                traceback.print_exc()
            os._exit(code)
    return child


def run_rows(rows, *what):
    """As many at a time as there are cores; returns the numbers of those that were wrong."""
    waiting, running, wrong = list(rows), {}, []
    while waiting or running:
        while waiting and len(running) < os.cpu_count():
            number, row = waiting.pop(0)
            running[start_row(number, row, *what)] = number, time.monotonic()
        child, code = os.wait()
        number, began = running.pop(child)
        print(f"row {number}: {'WRONG' if code else 'right'} after "
              f"{time.monotonic() - began:.1f} s", flush=True)
        wrong += [number] if code else []
    return sorted(wrong)


def main(arguments):
    is_long = "--long" in arguments
    total, limit_s = (BYTES_LONG, ROW_LIMIT_LONG_S) if is_long else (BYTES, ROW_LIMIT_S)
    if os.geteuid() != 0:
        world.skip("only root can make a network namespace")
    factors = dict(FACTORS)
    if not MODULE.exists():
        factors["port"] = ("tun",)
    rows = list(enumerate(pairwise(factors), 1))
    if "--row" in arguments:
        wanted = int(arguments[arguments.index("--row") + 1])
        rows = rows[wanted - 1:wanted]
    block = random.Random(5).randbytes((1 << 20) + 13)
    wrong = run_rows(rows, block, total, limit_s)
    print(f"{len(rows)} rows, {len(wrong)} wrong" + (f": {wrong}" if wrong else ""))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
