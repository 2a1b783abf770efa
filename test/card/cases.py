"""What every card is put through. A case is a function of (guest, card) that returns when all is
well; its name is the test's."""
import hashlib
import http.client
import json
import re
import socket
import statistics
import threading
import time

import process
import world

BLOCK = bytes(i * 131 + (i >> 8) * 17 & 255 for i in range(65536))
TRANSFER_BYTES = 16 << 20
START_SECONDS_MAX = 120
LATER_MS_MAX = 20  # an answer after a rest, beside a loop that never sleeps
REST_S = 10
TURNS_IDLE_MAX = 10000  # in 5 s, and what leat top takes: naps of 1 ms are half of it
VLAN = 5


def own_json(guest, command):
    """What a command in the guest prints; what it logs on a busy machine is no part of it."""
    return json.loads(guest.check(f"{command} 2>/tmp/logged || {{ cat /tmp/logged; false; }}"))


class Server:
    """A program in the guest on a card. `with Server(...) as server:`"""
    count = 0

    def __init__(self, guest, card, program, *flags, ready=r"^listening on "):
        Server.count += 1
        self.guest, self.name = guest, f"/tmp/server{Server.count}"
        words = " ".join([program, *flags, "--drain-timeout 60s"])
        guest.check(f"(sh -c 'echo $$ >{self.name}.pid; exec {words}' >{self.name}.out 2>&1; "
                    f"echo ENDED $? >>{self.name}.out) &")
        try:
            self.until(rf"{ready}|^ENDED")
            assert "ENDED" not in self.said(), self.said()
        except BaseException:
            self.kill()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.kill()

    def said(self):
        return self.guest.run(f"cat {self.name}.out")[1]

    def until(self, pattern, seconds=START_SECONDS_MAX):
        deadline = time.monotonic() + seconds
        while True:
            said = self.said()
            match = re.search(pattern, said, re.M)
            if match:
                return match
            assert time.monotonic() < deadline, f"{pattern} was not said in {seconds} s: {said}"
            time.sleep(0.3)

    def send(self, signal):
        self.guest.run(f"kill -{signal} $(cat {self.name}.pid)")

    def end(self):
        """Asked to end, it does, and well."""
        self.send("TERM")
        code = self.until(r"^ENDED (\d+)")[1]
        assert code == "0" and "never freed" not in self.said(), self.said()

    def kill(self):
        self.guest.run(f"kill -9 $(cat {self.name}.pid) 2>/dev/null")

    def top(self):
        return own_json(self.guest,
                        f"leat top --once --json --interval 100ms $(cat {self.name}.pid)")

    def until_link_up(self):
        """As the program itself has seen: a link that never was up is no news when it is down."""
        deadline = time.monotonic() + START_SECONDS_MAX
        while self.top()["cores"][0]["counters"]["port.link"] != 1:
            assert time.monotonic() < deadline, self.top_text()
            time.sleep(0.3)

    def top_text(self):
        return self.guest.check(f"leat top --once --interval 100ms $(cat {self.name}.pid)")

    def turns(self):
        """Of its loop so far: unlike processor time no busy machine makes them more."""
        return self.top()["cores"][0]["counters"]["loop.turns"]


def flags_of(card, *more):
    return ["--net", f"pci:{card.address}", "--ip", f"{card.ip}/24", "--ip", f"{card.ip6}/64",
            "--listen", f"{card.ip}:80", "--listen", f"[{card.ip6}]:80", *more]


def serve(guest, card, *more):
    return Server(guest, card, "leat serve --hello", *flags_of(card, *more))


def get(address, seconds=10):
    """How long the answer took."""
    start = time.monotonic()
    connection = http.client.HTTPConnection(address, 80, timeout=seconds)
    connection.request("GET", "/")
    body = connection.getresponse().read()
    connection.close()
    assert body == b"Hello, World!", body
    return time.monotonic() - start


def load(card, *flags):
    code, out, err = process.finish(process.BUILD / "leat", "load", f"http://{card.ip}/", "-c", 8,
                                    "-d", 2, "--json", *flags)
    said = json.loads(out)
    assert code == 0 and said["requests"] > 10 and not any(said["errors"].values()), (out, err)


def own_load(guest, url):
    """The guest's own kernel asks."""
    return own_json(guest, f"leat load {url} -c 1 -d 3s --json")


def check_answers(card):
    world.ping(card.ip, 56)
    world.ping(card.ip6, 56)
    get(card.ip)
    get(card.ip6)


def doctor(guest, card):
    """Before a card is given away the doctor works, and leat says what to do; then it is given."""
    code, said = guest.run("leat doctor")
    assert code == 0 and "leat serve works here" in said, said
    flags = ["--net", f"pci:{card.address}", "--ip", f"{card.ip}/24"]
    code, said = guest.run(f"leat serve --hello {' '.join(flags)}")
    assert code == 1 and "is not given to DPDK" in said and "dpdk-devbind.py" in said, said
    bind(guest, card.address)
    if card.vlan_address:
        bind(guest, card.vlan_address)
    code, said = guest.run("leat doctor")
    assert code == 0 and re.search(r"^ok +dpdk", said, re.M), said
    assert re.search(rf"^ok +cards .*{card.address} \({guest.driver}\)", said, re.M), said


def refused_unmapped(guest, card):
    """Without interrupt remapping: refused with the remedy, which is one."""
    allow = "/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts"
    code, said = guest.run(f"leat serve --hello {' '.join(flags_of(card))}")
    assert code == 1 and allow in said and said.count("\n") == 0, said
    guest.check(f"echo 1 >{allow}")


def bind(guest, address):
    folder = f"/sys/bus/pci/devices/{address}"
    guest.run(f"echo {address} >{folder}/driver/unbind")
    guest.check(f"echo {guest.driver} >{folder}/driver_override && "
                f"echo {address} >/sys/bus/pci/drivers_probe")
    assert guest.driver in guest.check(f"readlink {folder}/driver"), guest.run("dmesg | tail")


def one_loop(guest, card):
    """ping, ping6, HTTP over both families, load in a closed loop and on a schedule."""
    with serve(guest, card) as server:
        check_answers(card)
        for size in (0, 1, 1400):
            world.ping(card.ip, size)
            world.ping(card.ip6, size)
        load(card)
        load(card, "--rate", "50")
        port = server.top()["cores"][0]["counters"]
        assert port["port.link"] == 1, port
        text = server.top_text()
        assert "link up" in text and ("woken by interrupts" in text or "naps" in text), text
        server.end()


def two_loops(guest, card):
    with serve(guest, card, "--cores", "2") as server:
        check_answers(card)
        for _ in range(12):
            get(card.ip)
        load(card)
        counts = [core["counters"]["http.requests"] for core in server.top()["cores"]]
        assert len(counts) == 2 and min(counts) > 0, counts
        server.end()


def exchange(address, give, take):
    """Gives and takes so many bytes over one connection, both at once; each is the block again and
    again, and what comes is hashed."""
    with socket.create_connection((address, 7), timeout=60) as peer:
        peer.sendall(give.to_bytes(8, "big") + take.to_bytes(8, "big"))
        whole = BLOCK * (max(give, take) // len(BLOCK))
        sender = threading.Thread(target=lambda: (peer.sendall(whole[:give]),
                                                  peer.shutdown(socket.SHUT_WR)), daemon=True)
        sender.start()
        digest, count = hashlib.sha256(), 0
        while piece := peer.recv(1 << 20):
            digest.update(piece)
            count += len(piece)
        sender.join(60)
        assert not sender.is_alive(), "it does not take what it is given"
        assert count == take and digest.digest() == hashlib.sha256(whole[:take]).digest(), \
            f"{count} of {take} bytes came, or others"


def sixteen_mebibytes(guest, card):
    """Out, in, and both at once; the guest compares what it gets byte by byte, and ends if it is
    not the same."""
    flags = ["--net", f"pci:{card.address}", "--ip", f"{card.ip}/24", "--listen", f"{card.ip}:7"]
    with Server(guest, card, "transfer --block /block", *flags, ready="^listening") as server:
        for give, take in ((0, TRANSFER_BYTES), (TRANSFER_BYTES, 0),
                           (TRANSFER_BYTES, TRANSFER_BYTES)):
            exchange(card.ip, give, take)
            server.until(rf"gave {take} took {give}: right")
        server.kill()


def rest(guest, cards, report):
    """All cards serve and rest at a time: an answer after REST_S must not be later than a loop
    gives it that never sleeps."""
    slow, quick = {}, {}
    servers = []
    try:
        for card in cards:
            servers.append(serve(guest, card))
            check_answers(card)
        for _ in range(7):
            time.sleep(REST_S)
            for card in cards:
                slow.setdefault(card.name, []).append(get(card.ip))
    finally:
        for server in servers:
            server.kill()
    for card in cards:
        with serve(guest, card, "--busy-poll"):
            check_answers(card)
            for _ in range(7):
                time.sleep(0.3)
                quick.setdefault(card.name, []).append(get(card.ip))
    for card in cards:
        later = (statistics.median(slow[card.name]) - statistics.median(quick[card.name])) * 1000
        report(f"{card.name}: an answer after {REST_S} s of rest", None if later <= LATER_MS_MAX
               else f"{later:.1f} ms later than by --busy-poll: {slow[card.name]}")


def link_goes_and_comes(guest, card):
    """... and the server is killed, with whatever the card is doing; the next one starts."""
    with serve(guest, card) as server:
        check_answers(card)
        server.until_link_up()
        guest.qmp("set_link", name=f"card{card.slot}", up=False)
        try:
            server.until("the link is down")
        finally:
            guest.qmp("set_link", name=f"card{card.slot}", up=True)
        server.until("the link is up again")
        check_answers(card)
        server.send("KILL")
        server.until("^ENDED 137")
    with serve(guest, card) as server:
        check_answers(card)
        server.end()


def vlan(guest, card):
    """The guest's own kernel, on another card of the same hub, is the tagged peer."""
    name = guest.peer
    guest.check(f"ip link set {name} up; [ -d /sys/class/net/{name}.{VLAN} ] || "
                f"ip link add link {name} name {name}.{VLAN} type vlan id {VLAN}; "
                f"ip link set {name}.{VLAN} up; ip addr flush dev {name}.{VLAN}; "
                f"ip addr add 10.8.0.1/24 dev {name}.{VLAN}")
    flags = ["--net", f"pci:{card.vlan_address}", "--ip", "10.8.0.2/24", "--vlan", str(VLAN),
             "--listen", "10.8.0.2:80"]
    with Server(guest, card, "leat serve --hello", *flags) as server:
        guest.check("ping -c 3 -W 5 10.8.0.2")
        assert own_load(guest, "http://10.8.0.2/")["requests"] > 0
        server.end()


def jumbo(guest, card):
    with serve(guest, card, "--mtu", str(card.jumbo)) as server:
        for size in (56, 1400, 1473, 4000, card.jumbo - 28):
            world.ping(card.ip, size, is_whole=True)
        world.ping(card.ip6, 5000)
        get(card.ip)
        server.end()


def unplugged(guest, card):
    """Said once; sockets live on; nothing spins."""
    with serve(guest, card, "--listen", "sock:127.0.0.1:8080") as server:
        check_answers(card)
        guest.qmp("device_del", id=f"card{card.slot}")
        server.until("is gone")
        deadline = time.monotonic() + 60
        while guest.run(f"[ -e /sys/bus/pci/devices/{card.address} ]")[0] == 0:
            assert time.monotonic() < deadline, "the card cannot be pulled"
            time.sleep(0.5)
        assert own_load(guest, "http://127.0.0.1:8080/")["requests"] > 0
        before = server.turns()
        time.sleep(5)
        turned = server.turns() - before
        assert turned < TURNS_IDLE_MAX, f"it spins: {turned} turns"
        assert "THE DEVICE IS GONE" in server.top_text(), server.top_text()
        assert len(re.findall("is gone", server.said())) == 1, server.said()
        server.end()
