"""A device that goes away, or whose link does: said once, shown in `leat top`, and no reason to
spin or to forget the sockets beside it."""
import http.client
import os
import pathlib
import re
import tempfile
import time

import process
import world

OWN, PEER = "10.9.0.2", "10.9.0.1/24"
REST_S = 3
BUSY_MAX = 0.2  # of a core, while nothing happens: a loop that spins has all of it


def serve(net):
    return world.serve(net, "--ip", f"{OWN}/24", "--listen", "sock:127.0.0.1:0", "--listen",
                       f"{OWN}:80")


def own_port(program):
    return int(re.search(r"^listening on http://127.0.0.1:(\d+)", program.text["stdout"],
                         re.M)[1])


def check_socket(program):
    connection = http.client.HTTPConnection("127.0.0.1", own_port(program), timeout=10)
    connection.request("GET", "/")
    assert connection.getresponse().read() == b"Hello, World!"
    connection.close()


def processor_s(program):
    fields = pathlib.Path(f"/proc/{program.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def check_rest(program):
    before = processor_s(program)
    time.sleep(REST_S)
    busy = (processor_s(program) - before) / REST_S
    assert busy < BUSY_MAX, f"{busy:.2f} of a core, and nothing happens"


def top_says(program, words):
    deadline = time.monotonic() + 20
    while True:
        code, out, err = process.finish(process.BUILD / "leat", "top", "--once", "--interval",
                                        "50ms", program.process.pid)
        assert code == 0, (code, out, err)
        if words in out:
            return
        assert time.monotonic() < deadline, f"leat top does not say {words}: {out}"
        check_socket(program)  # a core publishes at the end of a turn


def check_gone(name, net, make, give_address, delete):
    make()
    with serve(net) as program:
        give_address()
        world.ping(OWN, 56)
        top_says(program, "link up")
        delete()
        program.until("is gone", "stderr")
        check_rest(program)
        check_socket(program)
        top_says(program, "THE DEVICE IS GONE")
        assert program.end(process.TERM) == 0, (name, program.text)
        assert program.text["stderr"].count("is gone") == 1, (name, program.text)
        assert "link is" not in program.text["stderr"], (name, program.text)


def check_link(name, net, make, give_address, down, up):
    make()
    with serve(net) as program:
        give_address()
        world.ping(OWN, 56)
        down()
        program.until("the link is down", "stderr")
        check_rest(program)
        top_says(program, "link down")
        check_socket(program)
        up()
        program.until("the link is up again", "stderr")
        give_address()
        world.ping(OWN, 56)
        assert program.end(process.TERM) == 0, (name, program.text)


def nothing():
    pass


def address_on(interface):
    def give():
        world.ip("addr", "replace", PEER, "dev", interface)
    return give


def veth():
    world.ip("link", "add", "vk", "type", "veth", "peer", "name", "vl")
    for interface in ("vk", "vl"):
        world.ip("link", "set", interface, "up")
    world.finish_checksums("vk")


def ip(*words):
    return lambda: world.ip(*words)


def check_tun():
    check_gone("tun", "tun:gone0", nothing, address_on("gone0"), ip("link", "del", "gone0"))
    check_link("tun", "tun:gone1", nothing, address_on("gone1"),
               ip("link", "set", "gone1", "down"), ip("link", "set", "gone1", "up"))


def check_interfaces():
    for kind in ("packet", "xdp"):
        check_gone(kind, f"{kind}:vl", veth, address_on("vk"), ip("link", "del", "vk"))
        check_link(kind, f"{kind}:vl", veth, address_on("vk"), ip("link", "set", "vk", "down"),
                   ip("link", "set", "vk", "up"))
        world.ip("link", "del", "vk")
    check_gone("tap", "tap:gone2", nothing, address_on("gone2"), ip("link", "del", "gone2"))


def check_memif(folder):
    """A peer that dies, and the next one."""
    net = f"memif:{folder}/memif"
    with serve(f"{net},server") as program:
        for number in (1, 2):
            client = [process.BUILD / "leat", "load", f"http://{OWN}/", "--net", net, "--ip",
                      "10.9.0.1/24", "-c", 1, "-d", 30]
            with process.Program(*client) as peer:
                peer.until("^net memif")
                top_says(program, "link up")
                peer.send(9)
                peer.end()
            program.until("the link is down", "stderr", count=number)
            check_rest(program)
            check_socket(program)
        assert program.end(process.TERM) == 0, program.text
        assert program.text["stderr"].count("the link is down") == 2, program.text


def main():
    world.enter()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["LEAT_RUN_DIR"] = folder
        check_tun()
        if not (process.BUILD / "leat-dpdk.so").exists():
            world.skip("DPDK is not there: the rest of it was not tried")
        check_interfaces()
        check_memif(folder)


main()
