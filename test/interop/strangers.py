"""Programs that know nothing of Leat talk to its stack on a TAP device: ping, curl, wrk, iperf3
(which wants a server of its own: a relay on Leat's TCP lies between), nmap."""
import json
import pathlib
import random
import re
import shutil
import subprocess
import tempfile

import process
import world

OWN, OWN6, PEER, PEER6 = "10.9.0.2", "fd09::2", "10.9.0.1", "fd09::1"
RELAY = process.BUILD / "test" / "interop" / "relay"
LIMIT_S = 60


def run(*words):
    """What a program says that must end well."""
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=LIMIT_S)
    assert done.returncode == 0, (words, done.returncode, done.stdout, done.stderr)
    return done.stdout


def give_addresses():
    world.ip("addr", "add", f"{PEER}/24", "dev", "leat0")
    world.ip("addr", "add", f"{PEER6}/64", "dev", "leat0", "nodad")


def is_answered(said):
    """Three questions at least, each answered once and in order."""
    numbers = [int(number) for number in re.findall(r"icmp_seq=(\d+)", said)]
    return len(numbers) >= 3 and numbers == list(range(1, len(numbers) + 1)) and "DUP" not in said


def check_ping():
    """With a deadline, for without one ping waits for the last reply only twice as long as the
    others took, however busy the machine is. It asks until three were answered: on a busy machine
    more than three times, and then the last questions may be open when it ends."""
    thrice = ("ping", "-c", "3", "-i", "0.2", "-w", "10")
    for address, largest in ((OWN, 65507), (OWN6, 65487)):
        for size in (16, 56, 1452, 1453, 1473, 9000, largest):
            said = run(*thrice, "-s", str(size), address)
            assert is_answered(said), said
    said = run(*thrice, "-M", "do", "-s", "1472", OWN)
    assert is_answered(said), said
    flood = run("ping", "-f", "-c", "2000", "-w", "10", OWN)
    sent = re.search(r"(\d+) packets transmitted, 2000 received", flood)
    assert sent and int(sent[1]) < 2020, flood  # one more for each 10 ms that a reply is late


def check_curl(content, folder):
    copy = pathlib.Path(folder, "copy")
    for address in (OWN, f"[{OWN6}]"):
        for flags in ((), ("--http1.0",), ("-H", "Connection: close"), ("--compressed",)):
            run("curl", "-sS", "--fail", "-o", str(copy), *flags, f"http://{address}/large")
            assert copy.read_bytes() == content, (address, flags)
        part = run("curl", "-sS", "-r", "1000-1009", "-o", str(copy), "-w", "%{http_code}",
                   f"http://{address}/large")
        assert part == "206" and copy.read_bytes() == content[1000:1010], part
    refused = subprocess.run(("curl", "-sS", f"http://{OWN}:81/"), capture_output=True, text=True,
                             timeout=LIMIT_S)
    assert refused.returncode == 7, refused  # a port nobody listens on is refused, not silent


def check_wrk():
    for address in (OWN, f"[{OWN6}]"):
        said = run("wrk", "-t1", "-c32", "-d1s", f"http://{address}/small")
        assert re.search(r"[1-9]\d* requests in", said), said
        assert "Socket errors" not in said and "Non-2xx" not in said, said


def nmap_states(*words):
    said = run("nmap", "-n", "-Pn", "--max-retries", "2", "--host-timeout", "50s", *words)
    return dict(re.findall(r"(?m)^(\d+)/tcp +(\S+)", said))


def check_nmap():
    """Open ports are open and closed ones closed to every kind of scan; and the server lives on."""
    for how in ("-sT", "-sS"):
        states = nmap_states(how, "-p", "79-81", OWN)
        assert states == {"79": "closed", "80": "open", "81": "closed"}, (how, states)
        states = nmap_states(how, "-6", "-p", "80,81", OWN6)
        assert states == {"80": "open", "81": "closed"}, (how, states)
    # RFC 9293 3.10.7: a listener drops what has neither SYN, ACK nor RST; closed ports reset it.
    for how in ("-sN", "-sF", "-sX"):
        states = nmap_states(how, "-p", "80,81", OWN)
        assert states == {"80": "open|filtered", "81": "closed"}, (how, states)
    states = nmap_states("-sA", "-p", "80,81", OWN)
    assert states == {"80": "unfiltered", "81": "unfiltered"}, states


def check_server():
    content = random.Random(6).randbytes(4 << 20)
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "large").write_bytes(content)
        pathlib.Path(folder, "small").write_bytes(b"small\n")
        with world.serve("tun:leat0", "--ip", f"{OWN}/24", "--ip", f"{OWN6}/64", "--listen",
                         f"{OWN}:80", "--listen", f"[{OWN6}]:80", what=folder) as program:
            give_addresses()
            check_ping()
            check_curl(content, folder)
            check_wrk()
            check_nmap()
            check_curl(content, folder)
            assert program.end(process.TERM) == 0, program.text
            assert "never freed" not in program.text["stderr"], program.text


def iperf3(address, *flags):
    report = json.loads(run("iperf3", "-J", "-c", address, "-n", "8M", *flags))
    assert "error" not in report, report.get("error")
    return report["end"]


def check_iperf3():
    """Its control connection, and one or several streams in either or both directions."""
    words = [RELAY, "--net", "tun:leat0", "--ip", f"{OWN}/24", "--ip", f"{OWN6}/64", "--to",
             f"{PEER}:5201", "--listen", f"{OWN}:5201", "--listen", f"[{OWN6}]:5201"]
    with process.Program(*words) as relay:
        relay.until(r"^listening on", count=2)
        give_addresses()
        with process.Program("iperf3", "-s", "-B", PEER, "--forceflush") as server:
            server.until("Server listening")
            for count, (address, flags) in enumerate(
                    ((OWN, ()), (OWN, ("-R",)), (OWN, ("--bidir",)), (OWN, ("-P", "4")),
                     (OWN6, ("-R", "-P", "4")), (OWN6, ("-M", "400"))), 2):
                end = iperf3(address, *flags)
                moved = end["sum_received"]["bytes"]
                assert moved > 0, (flags, end)
                server.until("Server listening", count=count)
        assert relay.end(process.TERM) == 0, relay.text
        assert "never freed" not in relay.text["stderr"], relay.text


def main():
    world.enter("ping", "curl", "wrk", "nmap")
    check_server()
    if shutil.which("iperf3") is None:
        world.skip("iperf3 is not installed")
    check_iperf3()


main()
