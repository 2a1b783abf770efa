"""Several loops on one port, more loops than CPUs and fewer queues than loops included: what comes
in on any queue reaches the loop that it belongs to, and every loop can answer."""
import concurrent.futures
import json
import os
import pathlib
import random
import socket
import sys
import tempfile
import urllib.request

import process
import world

OWN, OWN6, PEER, PEER6 = "10.9.0.2", "fd09::2", "10.9.0.1/24", "fd09::1/64"
MODULE = process.BUILD / "leat-dpdk.so"
CPUS = sorted(os.sched_getaffinity(0))[:2]


def loops(count):
    """Of --cores: so many loops, on two CPUs at most."""
    return ",".join(str(CPUS[i % len(CPUS)]) for i in range(count)) + ","


def serve(net, count, queues, what="--hello", http=80):
    flags = ["--cores", loops(count), "--ip", f"{OWN}/24", "--ip", f"{OWN6}/64",
             "--listen", f"{OWN}:{http}", "--listen", f"[{OWN6}]:{http}"]
    if queues:
        flags += ["--queues", str(queues)]
    return world.serve(net, *flags, what=what)


def end(program):
    assert program.end(process.TERM) == 0, program.text
    assert "never freed" not in program.text["stderr"], program.text


def give_addresses(interface):
    world.ip("addr", "add", PEER, "dev", interface)
    world.ip("addr", "add", PEER6, "dev", interface, "nodad")


def requests_of_cores(program):
    code, out, err = process.finish(process.BUILD / "leat", "top", "--once", "--json",
                                    "--interval", "200ms", str(program.process.pid))
    assert code == 0, err
    return [core["counters"]["http.requests"] for core in json.loads(out)["cores"]]


def check_all_serve(program, count):
    """New connections reach every loop, and none is refused or lost."""
    for _ in range(16 * count):
        with urllib.request.urlopen(f"http://{OWN}/", timeout=20) as answer:
            answer.read()
    seen = requests_of_cores(program)
    assert len(seen) == count and min(seen) > 0 and sum(seen) == 16 * count, seen


def check_traffic(count, content, is_whole=True):
    for size in (0, 56, 1472) + ((1473, 20000) if is_whole else ()):
        world.ping(OWN, size)
    for size in (0, 56, 1452) + ((1453, 20000) if is_whole else ()):
        world.ping(OWN6, size)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(world.check_download, address, "large", content)
                     for address in 4 * (OWN, OWN6)]:
            done.result()


def check_kernel_peer(net, interface, count, queues, is_whole=True):
    content = random.Random(5).randbytes(1 << 20)
    print(f"{net}: {count} loops, {queues or 'as many'} queues", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder, serve(net, count, queues, folder) as program:
        pathlib.Path(folder, "large").write_bytes(content)
        if count > 1:
            assert "loops steered in software" in program.text["stdout"], program.text
        give_addresses(interface)
        check_traffic(count, content, is_whole)
        world.ip("addr", "flush", "dev", interface)
        end(program)


def check_spread():
    with serve("tun:leat0", 4, 2) as program:
        give_addresses("leat0")
        check_all_serve(program, 4)
        end(program)


def check_echo(count, queues):
    """Both ways at once; the next connection is another loop's."""
    words = [process.BUILD / "leat", "echo", "--net", "tun:leat0", "--ip", f"{OWN}/24",
             "--listen", f"{OWN}:7", "--cores", loops(count), "--queues", queues]
    with process.Program(*words) as program:
        program.until(rf"^listening on \S+{OWN}:7")
        world.ip("addr", "add", PEER, "dev", "leat0")
        for _ in range(4):
            world.check_echo(OWN, 7, 1 << 20)
        end(program)


def check_datagrams(count, queues):
    """Loops that share a UDP port: each peer hears from it what it sent, whatever loop is its own,
    and large datagrams come in fragments."""
    words = [process.BUILD / "leat", "echo", "--udp", "--net", "tun:leat0", "--ip", f"{OWN}/24",
             "--ip", f"{OWN6}/64", "--listen", f"{OWN}:7", "--listen", f"[{OWN6}]:7", "--cores",
             loops(count), "--queues", queues]
    with process.Program(*words) as program:
        program.until(rf"^listening on \S+{OWN}:7")
        program.until(rf"^listening on \S+\[{OWN6}\]:7")
        give_addresses("leat0")
        for address in (OWN, OWN6):
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            peers = [socket.socket(family, socket.SOCK_DGRAM) for _ in range(16 * count)]
            for size in (0, 1, 1400, 20000):
                for number, peer in enumerate(peers):
                    peer.settimeout(20)
                    message = bytes([number]) * size
                    peer.sendto(message, (address, 7))
                    assert peer.recvfrom(65536)[0] == message, (address, size, number)
            for peer in peers:
                peer.close()
        end(program)


def check_one_queue_device():
    """A device that was made for one queue is shared by all loops."""
    world.ip("tuntap", "add", "leat1", "mode", "tap")
    with serve("tun:leat1", 2, 0, "--json-log") as program:
        assert ", 1 queue," in program.text["stdout"], program.text
        give_addresses("leat1")
        check_all_serve(program, 2)
        end(program)
    world.ip("link", "del", "leat1")


def check_load(folder, server_loops, client_loops, queues):
    """A stack on both sides of a memif: answers come home to the loops that asked."""
    path = f"{folder}/memif-{server_loops}-{client_loops}-{queues}.sock"
    print(f"memif: {server_loops} and {client_loops} loops, {queues or 'one'} queues",
          file=sys.stderr)
    extra = ["--queues", queues] if queues else []
    with serve(f"memif:{path},server", server_loops, queues) as program:
        code, words, sentence = process.finish(
            process.BUILD / "leat", "load", f"http://{OWN}/", "--net", f"memif:{path}", "--ip",
            "10.9.0.1/24", "-c", 16, "-d", 1, "--cores", loops(client_loops), "--json", *extra)
        assert code == 0, (code, words, sentence)
        report = json.loads(words.splitlines()[-1])
        assert report["requests"] > 0 and not any(report["errors"].values()), report
        assert report["cores"] == client_loops, report
        end(program)


def main():
    world.enter()
    for count, queues in ((1, 1), (2, 1), (2, 2), (4, 1), (4, 3), (4, 0)):
        check_kernel_peer("tun:leat0", "leat0", count, queues)
    check_spread()
    check_echo(4, 2)
    for count, queues in ((1, 1), (2, 1), (2, 2), (4, 2)):
        check_datagrams(count, queues)
    check_one_queue_device()
    if not MODULE.exists():
        return
    world.ip("link", "add", "va", "type", "veth", "peer", "name", "vb")
    for interface in ("va", "vb"):
        world.ip("link", "set", interface, "up")
    world.finish_checksums("va")
    with tempfile.TemporaryDirectory() as folder:
        for sizes in ((1, 1, 0), (2, 1, 0), (4, 2, 0), (2, 2, 2), (4, 4, 2)):
            check_load(folder, *sizes)
    for count, queues in ((2, 0), (4, 1)):
        check_kernel_peer("packet:vb", "va", count, queues, is_whole=False)
        check_kernel_peer("tap:leat0", "leat0", count, queues)
    check_kernel_peer("xdp:vb", "va", 2, 0)


main()
