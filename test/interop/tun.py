"""The kernel pings a stack on a TAP device: ARP, ND, echo, fragments both ways, at three MTUs."""
import pathlib
import random
import socket
import tempfile

import process
import world

PEER, PEER6, OWN, OWN6 = "10.9.0.1/24", "fd09::1/64", "10.9.0.2", "fd09::2"


def check_pings(mtu):
    """Sizes around the largest packet, and as large as datagrams get."""
    for size in (0, 1, 56, mtu - 29, mtu - 28, mtu - 27, 2 * mtu, 20000, 65507):
        world.ping(OWN, size)
    world.ping(OWN, mtu - 28, is_whole=True)
    if mtu < 1280:
        return
    for size in (0, 56, mtu - 48, mtu - 47, 2 * mtu, 20000, 65487):
        world.ping(OWN6, size)


def check_neighbours(mac, mtu):
    for address in (OWN, OWN6) if mtu >= 1280 else (OWN,):
        line = world.ip("neigh", "show", address, "dev", "leat0")
        assert mac in line, f"{address} is known as {line!r} and not as {mac}"


def check_closed_port():
    """A datagram that nobody waits for is answered with port unreachable."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.settimeout(5)
        probe.connect((OWN, 9))
        probe.send(b"anybody?")
        try:
            probe.recv(1)
        except ConnectionRefusedError:
            return
        raise AssertionError("no answer from a closed port")


def check_busy():
    code, _, sentence = process.finish(process.BUILD / "leat", "serve", "--hello", "--listen",
                                       "127.0.0.1:0", "--net", "tun:leat0", "--ip", "10.8.0.2/24")
    assert code == 1 and "in use by another program" in sentence, (code, sentence)


def check_mtu(mtu, folder, content):
    flags = ["--ip", f"{OWN}/24", "--mtu", str(mtu), "--listen", f"{OWN}:80"]
    if mtu >= 1280:
        flags += ["--ip", f"{OWN6}/64", "--listen", f"[{OWN6}]:80"]
    with world.serve("tun:leat0", *flags, what=folder) as program:
        assert program.driver == "tun" and program.mtu == mtu, program.text
        world.ip("addr", "add", PEER, "dev", "leat0")
        if mtu >= 1280:
            world.ip("addr", "add", PEER6, "dev", "leat0", "nodad")
        check_pings(mtu)
        check_neighbours(program.mac, mtu)
        check_closed_port()
        check_busy()
        for address in (OWN, OWN6) if mtu >= 1280 else (OWN,):
            world.check_download(address, "large", content)
        world.ping(OWN, 56, count=500)
        assert program.end(process.TERM) == 0, program.text
        assert "never freed" not in program.text["stderr"], program.text


def check_echo(mtu):
    """Both ways at once, and to the sockets beside the stack."""
    words = [process.BUILD / "leat", "echo", "--net", "tun:leat0", "--ip", f"{OWN}/24", "--mtu",
             mtu, "--listen", f"{OWN}:7", "--listen", "sock:127.0.0.1:7007"]
    with process.Program(*words) as program:
        program.until(r"^listening on \S+127.0.0.1:7007")
        world.ip("addr", "add", PEER, "dev", "leat0")
        world.check_echo(OWN, 7, 4 << 20)
        world.check_echo("127.0.0.1", 7007, 1 << 20)
        assert program.end(process.TERM) == 0, program.text
        assert "never freed" not in program.text["stderr"], program.text


def check_refusals():
    """Each is a usage error with its remedy."""
    for flags, words in (
            (("--net", "tun:leat0"), "needs an address"),
            (("--net", "tun:", "--ip", "10.9.0.2/24"), "tun:leat0"),
            (("--net", "tun:a-name-that-is-too-long", "--ip", "10.9.0.2/24"), "1 to 15"),
            (("--net", "tun:leat0", "--ip", "10.9.0.2/24", "--queues", "2"),
             "more than the 1 loop")):
        code, _, sentence = process.finish(process.BUILD / "leat", "serve", "--hello", "--listen",
                                           "127.0.0.1:0", *flags)
        assert code == 2 and words in sentence, (flags, code, sentence)


def main():
    world.enter()
    check_refusals()
    content = random.Random(3).randbytes(16 << 20)
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "large").write_bytes(content)
        for mtu in (576, 1500, 9000):
            check_mtu(mtu, folder, content)
            check_echo(mtu)


main()
