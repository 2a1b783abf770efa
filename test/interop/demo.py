"""./dev demo: `leat serve` over a virtual link in a network namespace of its own, and the kernel's
TCP as the client. Nothing of it is left behind: the namespace ends with this process."""
import os
import subprocess
import sys

import process
import world

OWN, PEER = "10.9.0.2", "10.9.0.1/24"
# Which port, the kernel's side of it, and what it is.
PORTS = (("xdp:leat1", "kernel0", "AF_XDP on one end of a veth pair"),
         ("packet:leat1", "kernel0", "AF_PACKET on one end of a veth pair"),
         ("tap:leat2", "leat2", "a TAP device through DPDK"),
         ("tun:leat3", "leat3", "a TAP device without DPDK"))


def show(*words):
    words = [str(word) for word in words]
    print(f"\n$ {' '.join(words)}", flush=True)
    subprocess.run(words, timeout=30, check=False)


def start(net):
    """The server and its banner; None where this port does not work."""
    try:
        return world.serve(net, "--ip", f"{OWN}/24", "--listen", f"{OWN}:80", "--listen",
                           "sock:127.0.0.1:8080")
    except AssertionError as error:
        print(f"{net} does not work here: {error}"[:400])
        return None


def demonstrate(program, net, interface, what):
    print(f"\n--net {net}: {what}")
    print(f"\n$ leat serve --hello --net {net} --ip {OWN}/24 --listen {OWN}:80 "
          "--listen sock:127.0.0.1:8080")
    print(program.text["stdout"].strip())
    world.ip("addr", "add", PEER, "dev", interface)
    show("ping", "-c", "3", "-i", "0.2", OWN)
    show("curl", "-si", "--max-time", "5", f"http://{OWN}/")
    print("\n\nThe same server, over a kernel socket:")
    show("curl", "-s", "--max-time", "5", "http://127.0.0.1:8080/")
    print("\n\nWhat the kernel knows of the neighbour that is Leat, and of the link:")
    show("ip", "neigh", "show", OWN)
    show("ip", "-s", "link", "show", interface)
    print("\n\nWhat Leat knows of itself:")
    show(process.BUILD / "leat", "top", "--once", str(program.process.pid))
    show(process.BUILD / "leat", "ss", str(program.process.pid))
    code = program.end(process.TERM)
    print(f"\nleat serve has ended with exit code {code}; the namespace goes with this program.")
    return code


def main():
    world.enter("ping", "curl", with_hugepages=True)
    world.ip("link", "add", "kernel0", "type", "veth", "peer", "name", "leat1")
    for interface in ("kernel0", "leat1"):
        world.ip("link", "set", interface, "up")
    world.finish_checksums("kernel0")
    wanted = sys.argv[1] + ":" if len(sys.argv) > 1 else ""
    for net, interface, what in PORTS:
        program = start(net) if net.startswith(wanted) else None
        if program is not None:
            with program:
                return demonstrate(program, net, interface, what)
    print("demo: no port works here" if not wanted else f"demo: there is no {wanted} here")
    return 1


if __name__ == "__main__":
    if os.geteuid() != 0:
        print("demo: only root can make a network namespace: sudo ./dev demo")
        sys.exit(1)
    sys.exit(main())
