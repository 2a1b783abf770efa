"""`leat echo` and `leat ping`: both sides, against each other and against plain sockets."""
import contextlib
import json
import os
import re
import socket
import sys
import threading
import unittest

from process import BUILD, INT, TERM, Program, finish, free_port

LEAT = BUILD / "leat"
# On a machine that is busy with other things a loop may warn that it was kept from I/O.
QUIET = "--log-level=error"


def server(*flags):
    """A running `leat echo`; .address is (host, port)."""
    program = Program(LEAT, "echo", "--listen", "127.0.0.1:0", *flags)
    try:
        match = program.until(r"^listening on (?:tcp|udp)://(\S+):(\d+)")
    except BaseException:
        program.__exit__()
        raise
    program.address = (match[1], int(match[2]))
    program.text_address = f"{match[1]}:{match[2]}"
    return program


def measure(program, *flags):
    code, out, err = finish(LEAT, "echo", "--connect", program.text_address, "--json",
                            QUIET, *flags)
    return code, json.loads(out), err


class Server(unittest.TestCase):
    def test_sends_everything_back_and_ends(self):
        sent = os.urandom(5_000_000)
        for net in ("epoll", "uring"):
            with server("--net", net) as program, socket.create_connection(
                    program.address, timeout=30) as client:
                def push():
                    client.sendall(sent)
                    client.shutdown(socket.SHUT_WR)
                pusher = threading.Thread(target=push)
                pusher.start()
                came = b""
                while piece := client.recv(65536):
                    came += piece
                pusher.join(30)
                self.assertEqual(came, sent)
                self.assertEqual(program.end(TERM), 0)

    def test_a_reader_that_sleeps_stops_the_writer(self):
        with server() as program, socket.create_connection(program.address, timeout=1) as client:
            sent = 0
            with self.assertRaises(TimeoutError):
                while sent < 200_000_000:
                    sent += client.send(bytes(65536))
            self.assertLess(sent, 100_000_000)
            client.settimeout(30)
            client.shutdown(socket.SHUT_WR)
            came = 0
            while piece := client.recv(1 << 20):
                came += len(piece)
            self.assertEqual(came, sent)

    def test_sink_and_source(self):
        with server("--sink") as program, socket.create_connection(
                program.address, timeout=30) as client:
            client.sendall(bytes(1_000_000))
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(client.recv(1), b"")
        with server("--source") as program, socket.create_connection(
                program.address, timeout=30) as client:
            came = 0
            while came < 5_000_000:
                came += len(client.recv(65536))


class Client(unittest.TestCase):
    def test_counts_round_trips(self):
        with server() as program:
            for flags in (("--bytes", "1"), ("--bytes", "64", "-c", "5"),
                          ("--bytes", "300k", "-c", "2"), ("-t", "2", "-c", "3", "--net", "epoll")):
                code, report, err = measure(program, "-n", "50", *flags)
                self.assertEqual((code, err, report["errors"]), (0, "", 0))
                self.assertEqual(report["round_trips"], 50)
                self.assertEqual(report["bytes"], 50 * report["message_bytes"])
                self.assertGreater(report["round_trip_us"]["p50"], 0)

    def test_streams(self):
        for here, there in (("--source", "--sink"), ("--sink", "--source")):
            with server(there) as program:
                code, report, err = measure(program, here, "-d", "300ms", "-c", "2")
                self.assertEqual((code, err), (0, ""))
                self.assertGreater(report["bytes"], 1_000_000)
                self.assertGreaterEqual(report["duration_s"], 0.3)

    def test_text(self):
        with server() as program:
            code, out, err = finish(LEAT, "echo", "--connect", program.text_address,
                                    QUIET, "-n", "9")
            self.assertEqual((code, err), (0, ""))
            self.assertRegex(out, r"^9 round trips of 64 bytes in \d+\.\d\d s: \d+ per second\n"
                                  r"p50 [\d.]+ us, .*max [\d.]+ us\nreceived ")

    def test_bytes_that_come_back_wrong(self):
        listener = socket.create_server(("127.0.0.1", 0))

        def lie():
            connection = listener.accept()[0]
            with connection, contextlib.suppress(ConnectionResetError):
                connection.recv(1000)
                connection.sendall(b"x" * 64)
                connection.recv(1000)
        liar = threading.Thread(target=lie)
        liar.start()
        with listener:
            code, out, err = finish(LEAT, "echo", "--connect",
                                    f"127.0.0.1:{listener.getsockname()[1]}")
            liar.join(30)
        self.assertEqual(code, 1)
        self.assertIn("the bytes are not those that were sent", err)

    def test_nobody_there(self):
        port = free_port()
        code, out, err = finish(LEAT, "echo", QUIET, "--connect", f"127.0.0.1:{port}")
        self.assertEqual((code, out, err), (
            1, "", f"leat echo: cannot connect to 127.0.0.1:{port}: the peer refuses connections "
                   "on that port\n"))

    def test_refusals(self):
        for flags, said in ((("--sink", "--source"), "choose one"),
                            (("--connect", "x:y"), "x:y"),
                            (("--connect", ":1", "--listen", ":2"), "choose one"),
                            (("--sink", "--count", "3"), "leave out")):
            code, out, err = finish(LEAT, "echo", QUIET, *flags)
            self.assertEqual((code, out, err.count("\n")), (2, "", 1))
            self.assertIn(said, err)


class Names(unittest.TestCase):
    """localhost stands for several addresses, of which the first may refuse."""

    def test_tcp(self):
        with server() as program:
            name = f"localhost:{program.address[1]}"
            code, out, err = finish(LEAT, "echo", QUIET, "--connect", name, "-n", "9", "-c", "3")
            self.assertEqual((code, err), (0, ""))
            self.assertRegex(out, "^9 round trips")
            code, out, err = finish(LEAT, "ping", QUIET, name, "-n", "2", "-i", "10ms")
            self.assertEqual((code, err), (0, ""))
            self.assertEqual(out.count(f"127.0.0.1:{program.address[1]}: connected"), 2)
            self.assertIn("2 of 2 connected", out)

    def test_udp(self):
        with server("--udp") as program:
            name = f"localhost:{program.address[1]}"
            code, report, err = measure(program, "--udp", "-n", "9", "--connect", name)
            self.assertEqual((code, err, report["errors"]), (0, "", 0))
            self.assertEqual(report["round_trips"] + report["lost"], 9)
            code, out, err = finish(LEAT, "ping", QUIET, "--udp", name, "-n", "2", "-i", "10ms")
            self.assertEqual((code, err), (0, ""))
            self.assertIn("2 of 2 answered", out)

    def test_nobody_at_any_of_them(self):
        port = free_port()
        for words in (("echo", "--connect"), ("ping", "-n", "1"), ("ping", "--udp", "-n", "1")):
            code, out, err = finish(LEAT, *words, f"localhost:{port}", QUIET)
            self.assertEqual((code, (out + err).count("127.0.0.1:")), (1, 1), out + err)

    def test_a_name_that_nobody_knows(self):
        for words in (("echo", "--connect"), ("ping",)):
            code, out, err = finish(LEAT, *words, "no.such.invalid:80", QUIET)
            self.assertEqual((code, out, err.count("\n")), (1, "", 1))
            self.assertIn("cannot find the address of no.such.invalid", err)


class Silence(unittest.TestCase):
    """Peers that are late, gone, or talk of something else: an end in time, a sentence, a code."""

    def talk(self, answer, *words):
        listener = socket.create_server(("127.0.0.1", 0))

        def serve_one():
            connection = listener.accept()[0]
            with connection, contextlib.suppress(OSError):
                connection.settimeout(30)
                answer(connection)
        thread = threading.Thread(target=serve_one)
        thread.start()
        with listener:
            code, out, err = finish(LEAT, "echo", QUIET, "--connect",
                                    f"127.0.0.1:{listener.getsockname()[1]}", "-d", "300ms", *words)
            thread.join(30)
        self.assertEqual((code, err.count("\n")), (1, 1), err)
        self.assertTrue(err.startswith("leat echo: "))
        return err

    def test_a_peer_that_says_nothing(self):
        self.assertIn("not a byte came back", self.talk(lambda c: c.recv(1) and c.recv(1000)
                                                        and c.recv(1000)))
        self.assertIn("not a byte came back", self.talk(lambda c: c.recv(1), "--sink"))

    def test_a_peer_that_closes(self):
        self.assertIn("the connection ended to", self.talk(lambda c: c.recv(10)))

    def test_a_peer_that_resets(self):
        def reset(connection):
            connection.recv(1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.assertIn("the connection ended to", self.talk(reset))

    def test_a_peer_that_says_too_much(self):
        self.assertIn("not those that were sent", self.talk(lambda c: c.sendall(bytes(1000))))

    def test_an_address_that_swallows_syns(self):
        """A backlog that is full answers no SYN."""
        with socket.socket() as listener, contextlib.ExitStack() as held:
            listener.bind(("127.0.0.1", 0))
            listener.listen(0)
            address = listener.getsockname()
            for _ in range(3):
                filler = held.enter_context(socket.socket())
                filler.setblocking(False)
                filler.connect_ex(address)
            code, out, err = finish(LEAT, "ping", QUIET, f"127.0.0.1:{address[1]}", "-n", "1",
                                    "--timeout", "200ms")
            self.assertEqual((code, err), (1, ""))
            self.assertIn("0 of 1 connected", out)


class Ping(unittest.TestCase):
    def test_says_how_long_connecting_takes(self):
        with server() as program:
            code, out, err = finish(LEAT, "ping", QUIET, program.text_address, "-n", "3",
                                    "-i", "10ms")
            self.assertEqual((code, err), (0, ""))
            address = re.escape(program.text_address)
            self.assertRegex(out, rf"^({address}: connected in \d+\.\d{{3}} ms\n){{3}}"
                                  r"3 of 3 connected: min [\d.]+ ms, mean [\d.]+ ms, max "
                                  r"[\d.]+ ms\n$")

    def test_says_why_not(self):
        port = free_port()
        code, out, err = finish(LEAT, "ping", QUIET, f"127.0.0.1:{port}", "-n", "2", "-i",
                                "10ms")
        self.assertEqual((code, err), (1, ""))
        self.assertEqual(out, f"127.0.0.1:{port}: the peer refuses connections on that port\n" * 2
                         + "0 of 2 connected\n")

    def test_ctrl_c(self):
        with server() as program, Program(LEAT, "ping", program.text_address, "-n", "1000",
                                          "-i", "10ms") as ping:
            ping.until("connected in", count=3)
            self.assertEqual(ping.end(INT), 0)
            self.assertRegex(ping.text["stdout"], r"\d+ of \d+ connected: min ")

    def test_refusals(self):
        for words in ((), ("127.0.0.1",), ("nonsense:x",)):
            code, out, err = finish(LEAT, "ping", *words)
            self.assertEqual((code, out, err.count("\n")), (2, "", 1))


class Udp(unittest.TestCase):
    def test_sends_datagrams_back(self):
        for net in ("epoll", "uring"):
            with server("--udp", "--net", net) as program, socket.socket(
                    socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.settimeout(30)
                client.connect(program.address)
                for length in (0, 1, 1400, 9000, 65507):
                    sent = os.urandom(length)
                    client.send(sent)
                    self.assertEqual(client.recv(70000), sent)
                self.assertEqual(program.end(TERM), 0)

    def test_counts_round_trips_and_losses(self):
        with server("--udp") as program:
            for flags in (("--bytes", "1"), ("-c", "5"), ("--bytes", "60k", "--net", "epoll")):
                code, report, err = measure(program, "--udp", "-n", "50", *flags)
                self.assertEqual((code, err, report["errors"]), (0, "", 0))
                self.assertEqual(report["round_trips"] + report["lost"], 50)
                self.assertEqual(report["bytes"], report["round_trips"] * report["message_bytes"])
        with server("--udp", "--sink") as program:
            code, report, err = measure(program, "--udp", "-n", "2")
            self.assertEqual((code, report["round_trips"], report["lost"]), (1, 0, 2))
            code, report, err = measure(program, "--udp", "--source", "-d", "100ms")
            self.assertEqual((code, err), (0, ""))
            self.assertGreater(report["bytes"], 1_000)

    def test_nobody_there(self):
        port = free_port()
        code, out, err = finish(LEAT, "echo", QUIET, "--udp", "--connect", f"127.0.0.1:{port}")
        self.assertEqual(code, 1)
        self.assertIn("the peer refuses", err)

    def test_ping(self):
        with server("--udp") as program:
            code, out, err = finish(LEAT, "ping", QUIET, "--udp", program.text_address, "-n", "3",
                                    "-i", "10ms")
            self.assertEqual((code, err), (0, ""))
            self.assertEqual(len(re.findall(r": answered in \d+\.\d{3} ms\n", out)), 3)
            self.assertIn("3 of 3 answered: min ", out)
        code, out, err = finish(LEAT, "ping", QUIET, "--udp", f"127.0.0.1:{free_port()}", "-n", "2",
                                "-i", "10ms")
        self.assertEqual((code, err), (1, ""))
        self.assertEqual(out.count("nobody listens on that port\n"), 2)

    def test_refusals(self):
        for flags in (("--source",), ("--sink", "--connect", ":1"), ("--bytes", "65508")):
            code, out, err = finish(LEAT, "echo", "--udp", QUIET, *flags)
            self.assertEqual((code, out, err.count("\n")), (2, "", 1))

    def test_the_example_tells_the_time(self):
        with Program(BUILD / "examples" / "udp-time", "--listen", "127.0.0.1:0", "--cores",
                     "2") as program, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            match = program.until(r"^listening on udp://(\S+):(\d+)")
            client.settimeout(30)
            client.sendto(b"", (match[1], int(match[2])))
            self.assertRegex(client.recv(100), rb"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\n$")
            self.assertEqual(program.end(TERM), 0)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v"])
