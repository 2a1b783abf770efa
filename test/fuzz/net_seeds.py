#!/usr/bin/env python3
"""Writes the seed inputs of the net_* targets into test/fuzz/corpus: `test/fuzz/net_seeds.py`.

Conversations for net_frames; for the others, packets that are right, to be changed by the fuzzer.
"""
import pathlib
import struct

CORPUS = pathlib.Path(__file__).resolve().parent / "corpus"


def write(target, name, *parts):
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    data = b"".join(p if isinstance(p, bytes) else bytes([p]) for p in parts)
    (folder / f"seed-{name}").write_bytes(data)


# ---- net_frames: opcodes as in net_frames.c ----

SYN, ACK, FIN, RST, PSH = 2, 16, 1, 4, 8
BURST = 0x80
CALLS = dict(send=0, small=2, pause=3, resume=4, hold=5, release=6, end=7, close=8, abort=9,
             writable=10, connect=11, listen=13, timeout=14, look=15)


def open_(flow, options=0x70, iss=1):
    return bytes([3, flow, iss, options])


def talk(flow, length=12, fin=False, window=15):
    return bytes([5, flow | (0x80 if fin else 0), window << 4 | length])


def segment(flow, flags, seq=0, seq_delta=0, ack_delta=0, length=0, window=255, options=(1,),
            ack=0):
    return bytes([0, flow, seq | ack << 3, flags, length, seq_delta, ack_delta, window, *options])


def call(name, argument=0, which=0):
    return bytes([14, which, CALLS[name]]) + struct.pack(">H", argument)


UDP = dict(open=0, send=2, pause=5, resume=6, hold=7, release=8, close=9, answer=10, group=11,
           react=12, look=14)


def udp(name, argument=0, which=0):
    return bytes([0x4f, UDP[name] | which << 4]) + struct.pack(">H", argument)


def datagram(shape, argument=30):
    return bytes([0x4e, shape]) + struct.pack(">H", argument)


def react(name, argument=0):
    return bytes([13, CALLS[name], argument])


def time(index):
    return bytes([11, index])


def accept(flow, flags=0, options=0x70):
    return bytes([4, flow, flags, options])


def conversations():
    yield "data", open_(0), talk(0), talk(0), time(5), call("send", 20000), talk(0, 0), time(4)
    yield ("udp", udp("open"), datagram(0), udp("answer", 9), *[datagram(64 + 4 * i, 1000 + i)
           for i in range(6)], udp("send", 3000), udp("hold", 2), datagram(0), udp("release"),
           udp("look"), udp("close"), datagram(0), udp("look"))
    yield ("udp-waits", udp("open", 16), udp("pause"), *[datagram(64, 1300)] * 6, udp("resume"),
           datagram(0), udp("close"))
    yield ("udp-connected", udp("open", 64), udp("send", 40), datagram(32), udp("open", 64 + 256),
           udp("send", 3999, 1), datagram(33), udp("close", 0, 1), udp("send", 40, 1))
    yield ("udp-calls-back", udp("open", 128), udp("react", UDP["close"] << 8), datagram(0),
           udp("open", 1), udp("group", 1, 1), udp("react", UDP["send"] << 8 | 7), datagram(1),
           udp("close", 0, 1), time(9))
    yield "close", open_(0), talk(0), call("end"), talk(0, 0), talk(0, 0, True), time(14)
    yield "passive-close", open_(0), talk(0, 1, True), call("send", 5000), call("end"), talk(0, 0)
    yield "detached", open_(1), call("send", 9000), call("close"), talk(1, 8), talk(1, 0, True)
    yield "abort", open_(1), talk(1), call("abort"), talk(1)
    yield ("connect", call("connect", 0), accept(0), talk(5), call("send", 3000), talk(5, 0),
           call("close"), talk(5, 0, True))
    yield "simultaneous", call("connect", 1), accept(1, 1), segment(6, ACK, 0, 0, 0), talk(6)
    yield "syn-ack-data", call("connect", 2), accept(2, 0xc2), talk(7)
    yield ("reorder", open_(0), segment(0, ACK, 6, 0, 0, 12), segment(0, ACK, 2, 0, 0, 12),
           segment(0, ACK | FIN, 1, 0, 0, 1), time(5))
    yield ("ooo-fin", open_(0), segment(0, ACK | FIN, 1, 20, 0, 0), segment(0, ACK, 1, 21, 0, 3),
           segment(0, ACK, 2, 0, 0, 15))
    yield ("pause", open_(0), call("pause"), *[talk(0, 1) for _ in range(20)], time(5),
           call("resume"), talk(0))
    yield ("hold", open_(0), call("hold", 15), *[talk(0, 12) for _ in range(8)], call("release"),
           call("release"), talk(0))
    yield ("loss", open_(0), call("send", 30000), segment(0, ACK, 2, 0, 0, 0, 255, (9, 2, 1), 1),
           segment(0, ACK, 2, 0, 0, 0, 255, (25, 2, 1, 9, 3), 1), time(4), talk(0, 0), time(9))
    yield ("zero-window", open_(0), call("send", 30000), talk(0, 0, False, 0), time(9), time(11),
           talk(0, 0), time(5))
    yield "reset", open_(0), segment(0, RST, 2, 1), segment(0, SYN, 2, 5), segment(0, RST, 2, 0)
    yield ("icmp", open_(0), call("send", 6000), bytes([8, 0, 4, 0, 2, 100]),
           bytes([8, 3, 1, 0, 0, 0]), talk(0, 0), time(9))
    yield "fragments", open_(0), bytes([12, 3, 0]), talk(0), bytes([12, 5, 2]), talk(0), time(4)
    yield "burst", open_(0), *[bytes([BURST | 5, 0, 0xfc]) for _ in range(8)], talk(0)
    yield ("tx-full", open_(0), bytes([10, 3, 200]), call("send", 30000), time(3), talk(0, 0),
           time(8), bytes([10, 0, 0]), time(9))
    yield "rx-full", open_(0), call("pause"), bytes([10, 8, 2]), talk(0), talk(0), call("resume")
    yield "react-abort", open_(0), react("abort"), talk(0), talk(0)
    yield "react-close", open_(0), react("close"), talk(0), call("send", 100)
    yield ("mutate", open_(0), talk(0), bytes([7, 9, 33, 2, 40, 1]), talk(0),
           bytes([7, 12, 1, 1, 0, 50]))
    yield "many", *[open_(i) + talk(i) for i in range(5)], call("send", 5000, 2), time(15)
    yield "raw-arp", bytes([9, 2, 28, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 2, 10, 0, 0, 2,
                            0, 0, 0, 0, 0, 0, 10, 0, 0, 1])
    yield ("time-wait", open_(0), call("end"), talk(0, 0), talk(0, 0, True), open_(0, 0x70, 200),
           talk(0))


def options():
    mss, scale, sack_ok = b"\2\4\5\xb4", b"\3\3\7", b"\4\2"
    stamp = b"\x08\x0a" + b"\1\2\3\4\5\6\7\x08"
    yield "linux", SYN, mss, sack_ok, stamp, 1, scale
    yield "data", ACK, 1, 1, stamp
    for blocks in range(1, 5):
        yield f"sack-{blocks}", ACK, 1, 1, 5, 2 + 8 * blocks, bytes(range(8 * blocks))
    yield "length-0", SYN, 2, 0
    yield "length-1", SYN, 1, 8, 1
    yield "cut", ACK, 8, 10, 0
    yield "end", SYN, 0, mss
    yield "twice", SYN, mss, b"\2\4\0\1", scale, b"\3\3\xff"
    yield "odd", SYN, b"\2\3\1", b"\3\4\1\1", b"\4\3\0", b"\5\x0b", bytes(9), b"\x0f\2"


def fragments():
    """op, offset in eights, length (in eights, or in bytes with op 8)."""
    totals = bytes([20, 5, 30, 4])
    first, last = bytes([0, 0, 8]), bytes([16, 8, 0])
    yield "two", totals, first, last
    yield "backwards", totals, last, first
    yield "again", totals, first, first, last
    yield "overlap", totals, first, bytes([16, 7, 0]), bytes([0, 4, 2])
    yield "wrong-copy", totals, first, bytes([0xc0, 0, 8]), last
    yield "late", totals, first, bytes([0xf0]), bytes([0xf0]), last
    yield "many", totals, *[bytes([3, 2 * i, 1]) for i in range(70)]
    yield "large", totals, *[bytes([2, 150 - 30 * i, 30]) for i in range(6)], bytes([18, 149, 0])


def chains():
    echo = bytes([128, 0, 0, 0, 1, 2, 3, 4]) + b"hello"
    pad, no = bytes([1, 4, 0, 0, 0, 0]), bytes([59, 0])
    yield "echo", 58, 0, echo
    yield "hop-by-hop", 0, 0, 58, 0, pad, echo
    yield "twice", 0, 0, 0, 0, pad, 58, 0, pad, echo
    yield "destination", 60, 0, 43, 0, pad, 58, 0, bytes(6), echo
    yield "routed", 43, 0, 58, 0, 0, 1, bytes(4), echo
    yield "atomic", 44, 0, 60, 0, 0, 0, 0, 0, 0, 9, 58, 0, pad, echo
    yield "fragment", 44, 0, 58, 0, 0, 1, 0, 0, 0, 9, echo
    for action in range(4):
        yield f"option-{action}", 60, action & 1, 58, 0, action << 6 | 30, 4, bytes(4), echo
    yield "unknown", 60, 0, 200, 0, pad, bytes(20)
    yield "none", 60, 0, no, pad
    yield "nine", 60, 0, *[bytes([60, 0]) + pad for _ in range(8)], bytes([58, 0]) + pad, echo
    yield "long", 60, 0, 58, 1, bytes([1, 12]), bytes(12), echo
    yield "cut", 60, 0, 58, 9, pad, echo


def discoveries():
    """op 0, type, ends, oddities, flags, target, options."""
    mac = bytes([1, 1]) + bytes([0, 2, 0, 0, 0, 0, 9])
    prefix = bytes([3, 0xc0, 0, 0, 0x0e, 0x10, 0, 0, 0x0e, 0x10, 0, 7])

    def message(kind, ends, odd=0, flags=(0, 0, 0, 0), target=2, options=b"\0"):
        return bytes([0, kind, ends, odd, *flags, target]) + options
    yield "advert", 1, message(0, 0x61, 0, (64, 0, 7, 8), 0, bytes([2]) + prefix + mac)
    yield "withdrawn", 1, message(0, 0x61, 0, (64, 0, 7, 8), 0), 0xe3, message(0, 0x61)
    yield "solicit", 0, message(1, 0x30), message(1, 0x35), message(1, 0x45), message(1, 0x25)
    yield ("answer", 0, 0xc7,
           message(2, 0x27, 0, (0x60, 0, 0, 0), 7, bytes([1, 2, 0, 2, 0, 0, 0, 7])))
    yield "duplicate", 3, message(1, 0x35), message(2, 0x45, 0, (0x20, 0, 0, 0)), 0xe1
    yield "group", 0, message(1, 0x30, 0, (0, 0, 0, 0), 2, bytes([1, 1, 1, 2, 3, 4, 5, 6]))
    yield "short", 0, message(1, 0x30, 0x30), message(0, 0x61, 0x31), message(2, 0x20, 0x32)
    yield "waiting", 0, *[bytes([0xc0 + i]) for i in range(16)], 0xe1, 0xe3, 0xe5
    stranger = message(1, 0x38, 0, (0, 0, 0, 0), 2, bytes([1]) + mac[:1] + bytes(6))
    yield "strangers", 0, *[stranger] * 4, 0xc8, 0xe6


def arp_and_icmp():
    yield "request", 0, 0, 0, 0x10, 0, 1, 0, 0x10
    yield "conflict", 0, 0, 0, 0x11, 0, 1, 0x11, 0xe0, 0, 0, 0x10
    yield "probe", 1, 0, 0, 0x13, 0xe1, 0xe1, 0, 0, 0x10
    yield "echo", 0, 0x60, 0, 0, 0, 20, 8, 0, bytes(30)
    yield "broadcast", 0, 0x60, 0x20, 0x20, 0, 20, 8, 0, bytes(30)
    yield "udp", 0, 0x60, 1, 0, 0, 20, bytes(32)
    yield "protocol", 0, 0x60, 3, 0, 0, 20, bytes(32)
    yield "options", 0, 0x60, 8, 0, 2, 20, 8, 0, bytes(30), 7, 7, 4, 0, 0, 0, 0, 0
    yield "source-route", 0, 0x60, 8, 0, 2, 20, 8, 0, bytes(30), 131, 7, 4, 0, 0, 0, 0, 0
    yield "raw", 0, 0xc0, 1, 40, bytes(range(40)), 0xc0, 2, 8, 0, 0, 8, 0, 1, 2, 3, 4


# ---- net_dhcp: opcodes as in net_dhcp.c ----

def leases():
    def reply(kind, options=b"", address=5, other=0, lease=(0, 14)):
        odd = kind | address << 2 | other << 7
        return bytes([0, odd, lease[0], lease[1], len(options)]) + options

    second, minute, hour, day = 0xc0, 0xc4, 0xc6, 0xc7
    bound = [second, reply(0), reply(1), 0xc2, 0xc2]
    routers, dns = bytes([3, 4, 10, 9, 0, 1]), bytes([6, 8, 1, 1, 1, 1, 2, 2, 2, 2])
    classless = bytes([121, 14, 0, 10, 9, 0, 1, 20, 172, 16, 16, 10, 9, 0, 2])
    times = bytes([58, 4, 0, 0, 0, 10, 59, 4, 0, 0, 0, 20])
    yield "bound", *bound
    everything = routers + dns + classless + times
    yield "options", second, reply(0), reply(1, everything), 0xc2, 0xc2, minute
    yield "renewed", *bound, 0xc5, 0xc5, 0xc5, reply(1), 0xc5
    yield "moved", *bound, 0xc5, 0xc5, 0xc5, reply(1, address=6), 0xc2, 0xc2
    yield "expired", *bound, hour, second, reply(0), reply(1), 0xc2, 0xc2
    yield "refused", second, reply(0), reply(2), 0xc1, reply(0), reply(1), 0xc2
    yield "refused-late", *bound, 0xc5, 0xc5, 0xc5, 0xc5, reply(2), 0xc2
    yield "conflict", second, reply(0), reply(1), second, 0xa2, 0xc3, second, reply(0)
    yield "defended", *bound, 0xa2, 0xc1, 0xa2, 0xc3, second
    yield "for-ever", second, reply(0), reply(1, bytes([51, 0])), reply(1, lease=(255, 255)), day
    yield "others", second, reply(0, other=1), reply(1), reply(3)
    overload = bytes([1, 4, 255, 255, 0, 0, 255])
    yield ("overload", second, 0x80, 0, 192, bytes(64), overload, bytes(121), 30,
           bytes([53, 1, 5, 54, 4, 10, 9, 0, 1, 51, 4, 0, 0, 1, 0, 52, 1, 1, 255]), bytes(11))
    yield "mtu", second, reply(0), reply(1, bytes([26, 2, 2, 100])), 0xc2, 0xc2


def main():
    for family in range(2):
        for name, *parts in fragments():
            write("net_reassembly", f"{name}-{6 if family else 4}", family, *parts)
    for name, *parts in chains():
        write("net_ipv6_extensions", name, *parts)
    for name, *parts in discoveries():
        write("net_nd", name, *parts)
    for name, *parts in leases():
        write("net_dhcp", name, *parts)
    for name, *parts in arp_and_icmp():
        write("net_arp_icmp", name, *parts)
    for name, *parts in options():
        write("net_tcp_options", name, *parts)
    for name, *parts in conversations():
        for setup, suffix in ((bytes([0, 0]), ""), (bytes([0xa1, 2]), "-6")):
            write("net_frames", name + suffix, setup, *parts)


if __name__ == "__main__":
    main()
