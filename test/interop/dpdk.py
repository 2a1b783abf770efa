"""The DPDK port on links that need no card: memif between two processes, packet, xdp and tap with
the kernel as the peer."""
import json
import os
import pathlib
import random
import re
import tempfile
import time

import process
import world

OWN, OWN6, PEER, PEER6 = "10.9.0.2", "fd09::2", "10.9.0.1/24", "fd09::1/64"
PINGER = process.BUILD / "test" / "interop" / "pinger"
MODULE = process.BUILD / "leat-dpdk.so"


def serve(net, what="--hello"):
    program = world.serve(net, "--ip", f"{OWN}/24", "--ip", f"{OWN6}/64", "--listen", f"{OWN}:80",
                          "--listen", f"[{OWN6}]:80", what=what)
    for words in ("EAL", "librte", "libbpf"):
        assert words not in program.text["stdout"] + program.text["stderr"], program.text
    return program


def end(program):
    assert program.end(process.TERM) == 0, program.text
    assert "never freed" not in program.text["stderr"], program.text
    left = [p for p in pathlib.Path("/var/run/dpdk").glob("leat-*") if str(program.process.pid)
            in p.name]
    assert not left, f"left behind: {left}"


def give_addresses(interface):
    world.ip("addr", "add", PEER, "dev", interface)
    world.ip("addr", "add", PEER6, "dev", interface, "nodad")


def take_addresses(interface):
    world.ip("addr", "flush", "dev", interface)


def check_kernel_peer(net, interface, driver, sizes):
    content = random.Random(4).randbytes(4 << 20)
    with tempfile.TemporaryDirectory() as folder, serve(net, what=folder) as program:
        pathlib.Path(folder, "large").write_bytes(content)
        assert program.driver == driver, program.text
        give_addresses(interface)
        for size in sizes:
            world.ping(OWN, size)
        for size in (0, 56, 1452):
            world.ping(OWN6, size)
        assert program.mac in world.ip("neigh", "show", OWN), program.mac
        world.ping(OWN, 56, count=300)
        for address in (OWN, OWN6):
            world.check_download(address, "large", content)
        take_addresses(interface)
        end(program)


def ping_over(net, count, size):
    environment = dict(os.environ, LEAT_MODULES=str(process.BUILD))
    code, words, sentence = process.finish(PINGER, net, "10.9.0.1", OWN, count, size,
                                           env=environment)
    assert code == 0 and f"received {count} of {count}, 0 wrong" in words, (code, words, sentence)


def check_load(path):
    """A whole stack on both sides."""
    code, words, sentence = process.finish(
        process.BUILD / "leat", "load", f"http://{OWN}/", "--net", f"memif:{path}", "--ip",
        "10.9.0.1/24", "-c", 16, "-d", 1, "--json")
    assert code == 0 and re.search(r'"requests": ?[1-9]', words), (code, words, sentence)


def load_over(path, seconds):
    return [process.BUILD / "leat", "load", f"http://{OWN}/", "--net", f"memif:{path}", "--ip",
            "10.9.0.1/24", "-c", 16, "-d", seconds, "--json", "--log-level", "error"]


def check_clients_that_vanish(path):
    """The driver unmaps its rings when a client goes, in whatever burst the server is then. Here on
    one processor with the driver's thread, which is when a server died of it."""
    chance = random.Random(50)
    with serve(f"memif:{path},server") as program:
        for thread in os.listdir(f"/proc/{program.process.pid}/task"):
            os.sched_setaffinity(int(thread), {min(os.sched_getaffinity(0))})
        for number in range(50):
            if number % 2 == 0:
                with process.Program(*load_over(path, 30)) as client:
                    client.until(r"^net memif", "stderr")
                    time.sleep(chance.random() / 4)
                    client.send(9)
                    client.end()
            else:
                ping_over(f"memif:{path}", 50, 64)
            assert program.process.poll() is None, (number, program.end(), program.text)
        check_load(path)
        end(program)
    assert not os.listdir(os.path.dirname(path)), "sockets are left behind"


def check_server_that_returns(path):
    """A client that outlives its server finds the next one, and its connections are made anew."""
    with serve(f"memif:{path},server") as first:
        with process.Program(*load_over(path, 12)) as client:
            client.until(r"^net memif", "stderr")
            time.sleep(1)
            first.send(9)
            first.end()
            with serve(f"memif:{path},server") as second:
                assert client.end() == 1, client.text
                end(second)
    said = json.loads(client.text["stdout"].splitlines()[-1])
    assert said["connects"] > said["connections"] and said["requests"] > 0, said


def check_memif(folder):
    """Clients come and go, then the server; a socket that was left behind is no obstacle."""
    path = f"{folder}/memif.sock"
    with serve(f"memif:{path},server") as program:
        assert program.driver == "net_memif", program.text
        for count, size in ((1, 0), (100, 1), (100, 1472), (20000, 64)):
            ping_over(f"memif:{path}", count, size)
        code, _, sentence = process.finish(
            process.BUILD / "leat", "serve", "--hello", "--listen", "127.0.0.1:0", "--net",
            f"memif:{path},server", "--ip", "10.9.0.3/24")
        assert code == 1 and "another program serves" in sentence, (code, sentence)
        check_load(path)
        program.send(9)
        program.end()
    assert os.path.exists(path), "a killed server leaves its socket"
    with serve(f"memif:{path},server") as program:
        ping_over(f"memif:{path}", 100, 64)
        end(program)
    check_clients_that_vanish(path)
    check_server_that_returns(path)


def check_refusals(folder):
    """What is wrong is one sentence, and never DPDK's own words."""
    for net, words in (("pci:zebra", "lspci"), ("pci:ffff:ff:1f.7", "no PCI device"),
                       ("packet:nosuch0", "no interface nosuch0"), ("xdp:nosuch0", "no interface"),
                       ("tap:va", "exists"), ("tun:va", "another kind"),
                       ("packet:down0", "sudo ip link set down0 up"),
                       ("xdp:down0", "is down"), ("packet:lo", "kernel sockets"),
                       ("xdp:outside0", "default route"),
                       ("tap:a-name-that-is-too-long", "1 to 15"),
                       (f"memif:{folder}/none/x,server", "cannot be in"),
                       (f"memif:{folder}/x,sever", ",server"),
                       (f"memif:{folder}/x", "nobody serves"),
                       ("dpdk:net_nosuch0", "mind the spelling"),
                       ("dpdk:net_null0,nosuch=1", "mind its arguments")):
        code, _, sentence = process.finish(process.BUILD / "leat", "serve", "--hello", "--listen",
                                           "127.0.0.1:0", "--net", net, "--ip", f"{OWN}/24")
        assert code in (1, 2) and words in sentence and sentence.count("\n") == 1, \
            (net, code, sentence)
        assert "link del" not in sentence, sentence  # it may be the way to the machine


def check_taken():
    """Two programs cannot have the same frames by AF_XDP."""
    with serve("xdp:vb") as program:
        code, _, sentence = process.finish(process.BUILD / "leat", "serve", "--hello", "--listen",
                                           "127.0.0.1:0", "--net", "xdp:vb", "--ip", f"{OWN}/24")
        assert code == 1 and "another program takes" in sentence, (code, sentence)
        end(program)


def main():
    if not MODULE.exists():
        world.skip("the DPDK module was not built: ./dev deps dpdk")
    world.enter()
    world.ip("link", "add", "va", "type", "veth", "peer", "name", "vb")
    for interface in ("va", "vb"):
        world.ip("link", "set", interface, "up")
    world.finish_checksums("va")
    world.ip("link", "add", "down0", "type", "veth", "peer", "name", "down1")
    world.ip("link", "add", "outside0", "type", "veth", "peer", "name", "outside1")
    for interface in ("outside0", "outside1"):
        world.ip("link", "set", interface, "up")
    world.ip("addr", "add", "10.7.0.1/24", "dev", "outside0")
    world.ip("route", "add", "default", "via", "10.7.0.2")
    with tempfile.TemporaryDirectory() as folder:
        check_refusals(folder)
        check_taken()
        check_memif(folder)
    # The driver lets the kernel put fragments together, and cuts off what then is too long.
    check_kernel_peer("packet:vb", "va", "net_af_packet", (0, 56, 1472))
    check_kernel_peer("xdp:vb", "va", "net_af_xdp", (0, 56, 1472, 1473, 20000))
    check_kernel_peer("tap:leat0", "leat0", "net_tap", (0, 56, 1472, 1473, 20000))


main()
