"""An address from a real DHCP server, and from a real router's announcements, over a TAP device."""
import signal
import socket
import struct
import subprocess
import tempfile
import time

import process
import world

FLAGS = ["--hello", "--net", "tun:leat0", "--listen", ":80"]


def await_interface():
    deadline = time.monotonic() + world.LIMIT_S
    while "leat0" not in (name for _, name in socket.if_nameindex()):
        assert time.monotonic() < deadline, "the interface did not come"
        time.sleep(0.01)
    world.ip("link", "set", "leat0", "up")


class Dnsmasq:
    """A server of this test's own namespace, in the foreground, with files of its own."""

    def __init__(self, folder, *flags):
        self.process = subprocess.Popen(
            ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--user=root",
             "--interface=leat0", "--bind-interfaces", "--leasefile-ro", "--log-facility=-",
             f"--pid-file={folder}/pid", "--no-ping", *flags],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.process.terminate()
        text = self.process.communicate(timeout=10)[1]
        if error[0] is not None:
            print(text)


def fetch(address):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as client:
        client.settimeout(world.LIMIT_S)
        client.connect((address, 80))
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = b""
        while piece := client.recv(4096):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 200 "), answer


def check_dhcp(folder, cores):
    with process.Program(process.BUILD / "leat", "serve", *FLAGS, "--cores", cores,
                         "--ip", "dhcp") as program:
        await_interface()
        world.ip("addr", "add", "10.9.0.1/24", "dev", "leat0")
        with Dnsmasq(folder, "--dhcp-range=10.9.0.57,10.9.0.57,255.255.255.0,2m",
                     "--dhcp-option=option:mtu,1400", "--dhcp-authoritative"):
            program.until(r"10\.9\.0\.57/24 \(leased from 10\.9\.0\.1 for 120 s\)")
            program.until(r"listening on http://10\.9\.0\.57:80 \(every address\)")
            for _ in range(8):
                fetch("10.9.0.57")
            world.ping("10.9.0.57", 100)


def check_slaac(folder):
    with process.Program(process.BUILD / "leat", "serve", *FLAGS, "--cores", "1",
                         "--ip", "slaac") as program:
        await_interface()
        world.ip("addr", "add", "fd09::1/64", "dev", "leat0", "nodad")
        with Dnsmasq(folder, "--enable-ra", "--dhcp-range=fd09::,ra-only,64"):
            line = program.until(r" (fd09::[0-9a-f:]+)/64 \(announced by a router\)")
            program.until(r"listening on http://\[fd09::")
            fetch(line[1])


def check_interrupted():
    """Who waits for an address that never comes ends at once."""
    for way in ("dhcp", "slaac"):
        for number in (signal.SIGINT, signal.SIGTERM):
            with process.Program(process.BUILD / "leat", "serve", *FLAGS, "--cores", "2",
                                 "--ip", way) as program:
                await_interface()
                begun = time.monotonic()
                code = program.end(number)
                assert code == 128 + number, code
                assert time.monotonic() - begun < 5
                assert program.text["stderr"] == "", program.text


def check_conflict():
    """Another host announces the address of a program: a line in the log, and one only."""
    mac, ip = bytes([2, 0, 0, 0, 0, 0x77]), socket.inet_aton("10.9.0.58")
    arp = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 2) + mac + ip + mac + ip
    with process.Program(process.BUILD / "leat", "serve", *FLAGS, "--cores", "2",
                         "--ip", "10.9.0.58/24") as program:
        await_interface()
        program.until(r"listening on http://10\.9\.0\.58:80")
        world.ip("addr", "add", "10.9.0.1/24", "dev", "leat0")
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
            wire.bind(("leat0", 0x0806))
            for _ in range(50):
                wire.send(b"\xff" * 6 + mac + b"\x08\x06" + arp)
        program.until(r"02:00:00:00:00:77 uses 10\.9\.0\.58 too", "stderr")
        fetch("10.9.0.58")
        assert program.text["stderr"].count("02:00:00:00:00:77") <= 2, program.text  # once a loop


def check_silence(program):
    """Nobody answers: the start fails, with a sentence."""
    code = program.end()
    assert code == 1, code
    program.until("no DHCP server gave an address on tun:leat1 within 20 seconds", "stderr")


def main():
    world.enter("dnsmasq")
    silent = [process.BUILD / "leat", "serve", "--hello", "--net", "tun:leat1", "--ip", "dhcp"]
    with process.Program(*silent) as program, tempfile.TemporaryDirectory() as folder:
        check_dhcp(folder, "1")
        check_dhcp(folder, "2")
        check_slaac(folder)
        check_interrupted()
        check_conflict()
        check_silence(program)


main()
