"""The network in which benchmarks over the kernel's TCP run."""
import os

import world

CONGESTION = "/proc/sys/net/ipv4/tcp_congestion_control"
UNPACED = "reno"


def enter():
    """As root: into a namespace of our own, that ends with the benchmark. No rule of the machine's
    looks at what passes there, and TCP sends what it may when it may: BBR, which some machines have
    by default, paces even over loopback, and the timers of that cost more than a server's work on a
    large file."""
    if os.geteuid() != 0:
        return
    world.enter(with_hugepages=True)
    with open(CONGESTION, "w", encoding="ascii") as file:
        file.write(UNPACED)
