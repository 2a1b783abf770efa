"""Which cards are emulated, and how they are plugged in: each behind a port of its own, so that it
can be pulled, its cable a TAP device in this process's network namespace. A second card of the same
kind shares a hub with a card of the guest's own kernel, which can tag frames with a VLAN."""
import subprocess

import world


class Card:
    """One card under test."""

    def __init__(self, name, device, options="", queues=1, jumbo=0):
        self.name, self.device, self.options = name, device, options
        self.queues, self.jumbo = queues, jumbo  # loops to try; the largest MTU to try, or 0
        self.slot = 0        # of the port that it is behind, from 1
        self.address = None  # in the guest: 0000:01:00.0
        self.vlan_address = None

    @property
    def tap(self):
        return f"cable{self.slot}"

    @property
    def peer(self):
        return f"10.9.{self.slot}.1"

    @property
    def ip(self):
        return f"10.9.{self.slot}.2"

    @property
    def ip6(self):
        return f"fd09:{self.slot}::2"

    @property
    def is_virtio(self):
        return self.device.startswith("virtio")


def known():
    return [Card("e1000", "e1000", jumbo=9000),
            Card("e1000e", "e1000e", jumbo=9000),
            Card("vmxnet3", "vmxnet3", queues=2, jumbo=9000),
            Card("virtio", "virtio-net-pci", jumbo=9000),
            Card("virtio-rss", "virtio-net-pci", "mq=on,rss=on,hash=on,vectors=8", queues=2)]


def cable(card):
    """The TAP device, and this kernel's addresses on it."""
    several = ["multi_queue"] if card.is_virtio and card.queues > 1 else []
    world.ip("tuntap", "add", card.tap, "mode", "tap", *several)
    world.ip("link", "set", card.tap, "mtu", "9000", "up")
    subprocess.run(["ethtool", "-K", card.tap, "tx", "off"], check=True, capture_output=True,
                   timeout=10)
    world.ip("addr", "add", f"{card.peer}/24", "dev", card.tap)
    world.ip("addr", "add", f"fd09:{card.slot}::1/64", "dev", card.tap, "nodad")


def behind_port(slot, device, netdev, iommu, options=""):
    """QEMU's words for a card behind its own port."""
    words = [device, f"id=card{slot}", f"bus=port{slot}", f"netdev={netdev}", "romfile=",
             f"mac=52:54:00:09:00:{slot:02x}"]
    if device.startswith("virtio"):
        words += ["disable-legacy=on"] + (["iommu_platform=on", "ats=on"] if iommu else [])
    return ["-device", f"pcie-root-port,id=port{slot},chassis={slot},slot={slot}",
            "-device", ",".join(words + ([options] if options else []))]


def plug(cards, iommu):
    """QEMU's words for all cards. Their addresses in the guest follow from the order: the bus
    behind the n-th port is number n."""
    words, slot = [], 0
    for card in cards:
        slot += 1
        card.slot = slot
        card.address = f"0000:{slot:02x}:00.0"
        cable(card)
        queues = f",queues={card.queues}" if card.is_virtio and card.queues > 1 else ""
        words += ["-netdev", f"tap,id=net{slot},ifname={card.tap},script=no,downscript=no{queues}"]
        words += behind_port(slot, card.device, f"net{slot}", iommu, card.options)
    for card in cards:
        slot += 1
        card.vlan_address = f"0000:{slot:02x}:00.0"
        words += ["-netdev", f"hubport,id=hub{slot},hubid=1"]
        words += behind_port(slot, card.device, f"hub{slot}", iommu)
    slot += 1
    words += ["-netdev", f"hubport,id=hub{slot},hubid=1"]
    return words + behind_port(slot, "virtio-net-pci", f"hub{slot}", None)


def peer_name(machine):
    """The interface of the guest's kernel on the hub: the card in the last slot."""
    return machine.check("ls -d /sys/bus/pci/devices/*/virtio*/net/* | tail -n 1").rsplit("/", 1)[1]
