#!/usr/bin/env python3
"""Serves on network cards that QEMU emulates (`./dev card [DRIVER...]`), each given to DPDK in a
virtual machine without acceleration; the client is this machine's kernel, at the other end of a
TAP device. Prints `ok NAME` or `FAILED NAME` for each case; test/card/README.md says what the
cases are. With --short each driver once, with one kind of IOMMU.
"""
import argparse
import os
import pathlib
import sys
import time
import traceback

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
os.environ.setdefault("LEAT_BUILD", str(ROOT / "build"))
sys.path[:0] = [str(ROOT / "test" / folder) for folder in ("cli", "interop", "kernel")]

import cards  # noqa: E402
import cases  # noqa: E402
import guest  # noqa: E402
import image  # noqa: E402
import world  # noqa: E402

WORK = ROOT / "build" / "card"
# What stands between the cards and memory, and which driver takes a card for DPDK then.
IOMMUS = {"remapped": "vfio-pci", "unmapped": "vfio-pci", "none": "uio_pci_generic"}
SHORT_CARDS = ("e1000", "e1000e", "vmxnet3", "virtio-rss")


class Report:
    """Counts the cases and prints a line for each."""

    def __init__(self):
        self.passed = self.failed = 0
        self.iommu = ""

    def __call__(self, name, wrong=None):
        if wrong is None:
            self.passed += 1
            print(f"ok {self.iommu}: {name}", flush=True)
            return
        self.failed += 1
        print(f"FAILED {self.iommu}: {name}", flush=True)
        for line in str(wrong).splitlines():
            print(f"    {line}", flush=True)

    def run(self, name, case, *words):
        """One case, whatever becomes of it."""
        try:
            case(*words)
        except Exception:  # pylint: disable=broad-except
            self(name, traceback.format_exc(limit=-3))
            return False
        self(name)
        return True


def cases_of(card):
    yield "one loop: ping, HTTP, load", cases.one_loop
    if card.queues > 1:
        yield "two loops", cases.two_loops
    yield "16 MiB out, in, and both at once", cases.sixteen_mebibytes
    if card.jumbo:
        yield f"an MTU of {card.jumbo}", cases.jumbo
    yield "VLAN", cases.vlan
    yield "the link goes and comes; killed, and started again", cases.link_goes_and_comes


def boot_cases(report, machine, chosen, unmapped):
    bound = [card for card in chosen
             if report.run(f"{card.name}: leat doctor, and the card is given away", cases.doctor,
                           machine, card)]
    if unmapped and bound:
        report.run("refused without interrupt remapping", cases.refused_unmapped, machine, bound[0])
    for card in bound:
        for what, case in cases_of(card):
            report.run(f"{card.name}: {what}", case, machine, card)
    report.run("all cards rest", cases.rest, machine, bound, report)
    for card in bound:
        report.run(f"{card.name}: pulled while it serves", cases.unplugged, machine, card)


def boot(report, archive, chosen, iommu):
    """One machine with all the chosen cards."""
    start = time.monotonic()
    devices = cards.plug(chosen, iommu != "none")
    print(f"# {iommu}: {', '.join(card.name for card in chosen)}", flush=True)
    with guest.Guest(WORK, archive, devices, iommu if iommu != "none" else None) as machine:
        machine.driver = IOMMUS[iommu]
        machine.peer = cards.peer_name(machine)
        boot_cases(report, machine, chosen, iommu == "unmapped")
    print(f"# {time.monotonic() - start:.0f} s", flush=True)


def main():
    names = [card.name for card in cards.known()]
    parser = argparse.ArgumentParser(prog="./dev card", description=__doc__)
    parser.add_argument("driver", nargs="*", choices=[[], *names], help=", ".join(names))
    parser.add_argument("--iommu", choices=list(IOMMUS), help="only this kind")
    parser.add_argument("--short", action="store_true", help="as the test suite runs it")
    options = parser.parse_args()
    image.kernel()  # from the namespace no package can be fetched
    world.enter("ethtool", "qemu-system-x86_64", with_hugepages=True)
    WORK.mkdir(parents=True, exist_ok=True)
    wanted = options.driver or (SHORT_CARDS if options.short else names)
    archive = guest.pack(WORK, [(image.BUILD / "test/interop/transfer", "bin")],
                         {"block": cases.BLOCK})
    report = Report()
    for iommu in [options.iommu] if options.iommu else ["remapped"] if options.short else IOMMUS:
        chosen = [card for card in cards.known() if card.name in wanted]
        report.iommu = iommu
        report.run("the machine", boot, report, archive, chosen, iommu)
    print(f"{report.passed} passed, {report.failed} failed")
    return report.failed > 0


if __name__ == "__main__":
    sys.exit(main())
