"""The examples as their users meet them; first of all http-echo, which shows what arrived. The
others run on each transport of sockets, and, with root, on Leat's own stack over a tun device, in a
network namespace of this test's own."""
import ctypes
import gzip
import hashlib
import http.client
import json
import os
import pathlib
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import zlib

from process import BUILD, TERM, Listening, Program

BODY = bytes(range(256)) * 4
FIELDS = "Host: a\r\nX-First: 1\r\nx-first: two  \r\nAccept: text/html, */*\r\n"
HEAD = FIELDS.encode() + b"\r\n"


def length_of(body):
    return f"Content-Length: {len(body)}\r\n".encode()


def chunks_of(body, size):
    pieces = [body[i:i + size] for i in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


CHUNKED = b"Transfer-Encoding: chunked\r\n"
LISTED = b"Host: a\nX-First: 1\nx-first: two\nAccept: text/html, */*\n"
# Request, status, body of the answer.
CASES = {
    "a GET": (b"GET / HTTP/1.1\r\n" + HEAD, 200, b"OK\n"),
    "a GET of any path": (b"GET /a/b%20c?d=/e HTTP/1.1\r\n" + HEAD, 200, b"OK\n"),
    "a GET of HTTP/1.0": (b"GET /x HTTP/1.0\r\n\r\n", 200, b"OK\n"),
    "a GET in absolute form": (b"GET http://a/b HTTP/1.1\r\n" + HEAD, 200, b"OK\n"),
    "a POST": (b"POST / HTTP/1.1\r\n" + length_of(BODY[:20]) + HEAD + BODY[:20], 200, BODY[:20]),
    "a POST to any path": (b"POST /a/b?c HTTP/1.1\r\n" + length_of(b"x=1") + HEAD + b"x=1", 200,
                           b"x=1"),
    "a POST of nothing": (b"POST /p HTTP/1.1\r\n" + length_of(b"") + HEAD, 200, b""),
    "a POST without a length": (b"POST /p HTTP/1.1\r\n" + HEAD, 200, b""),
    "a POST in chunks": (b"POST /p HTTP/1.1\r\n" + CHUNKED + HEAD + chunks_of(BODY[:20], 7), 200,
                         BODY[:20]),
    "a list of headers": (b"GET /echo HTTP/1.1\r\n" + HEAD, 200, LISTED),
    "a list of a POST's headers": (b"POST /echo HTTP/1.1\r\n" + HEAD[:-2] + length_of(b"body")
                                   + b"\r\nbody", 200, LISTED + b"Content-Length: 4\n"),
    "cookies": (b"GET /cookie HTTP/1.1\r\nHost: a\r\nCookie: a=1; b=two\r\nCookie: c=\"3\"\r\n\r\n",
                200, b"a=1\nb=two\nc=3\n"),
    "cookies of a POST": (b"POST /cookie HTTP/1.1\r\nHost: a\r\nCookie: a=1\r\n"
                          b"Content-Length: 2\r\n\r\nhi", 200, b"a=1\n"),
    "no cookies": (b"GET /cookie HTTP/1.1\r\n" + HEAD, 200, b""),
    "another method": (b"PATCH /p HTTP/1.1\r\n" + length_of(b"") + HEAD, 405, None),
    "no Host": (b"GET / HTTP/1.1\r\n\r\n", 400, None),
}


class Echo(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.program = Program(BUILD / "examples" / "http-echo", "--listen", "127.0.0.1:0")
        match = cls.program.until(r"^listening on http://(\S+):(\d+)$")
        cls.address = match[1], int(match[2])

    @classmethod
    def tearDownClass(cls):
        with cls.program as program:
            if (code := program.end(TERM)) != 0:
                raise AssertionError(f"it ended with {code}: {program.text}")

    def answer(self, pieces):
        """(status, headers, body) of one request, sent as pieces."""
        with socket.create_connection(self.address, timeout=30) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for piece in pieces:
                client.sendall(piece)
            answer = b""
            while b"\r\n\r\n" not in answer:
                piece = client.recv(65536)
                self.assertTrue(piece, answer)
                answer += piece
            head, _, body = answer.partition(b"\r\n\r\n")
            headers = dict(re.findall(r"^([\w-]+): (.*?)\r?$", head.decode(), re.M))
            while len(body) < int(headers["Content-Length"]):
                piece = client.recv(65536)
                self.assertTrue(piece, answer)
                body += piece
            headers.pop("Date")
            return int(head.split()[1]), headers, body

    def test_answers_as_it_says(self):
        for name, (request, status, body) in CASES.items():
            with self.subTest(name):
                got, headers, got_body = self.answer([request])
                self.assertEqual(got, status)
                self.assertEqual(int(headers["Content-Length"]), len(got_body))
                if body is not None:
                    self.assertEqual(got_body, body)

    def test_the_same_however_it_is_split(self):
        for name, (request, *_) in CASES.items():
            whole = self.answer([request])
            with self.subTest(name, split="byte by byte"):
                self.assertEqual(self.answer([bytes([byte]) for byte in request]), whole)
            for at in range(1, len(request)):
                with self.subTest(name, split=at):
                    self.assertEqual(self.answer([request[:at], request[at:]]), whole)

    def test_a_large_body_comes_back(self):
        body = BODY * 1024
        for framing in (length_of(body) + HEAD + body, CHUNKED + HEAD + chunks_of(body, 40000)):
            status, headers, got = self.answer([b"POST / HTTP/1.1\r\n" + framing])
            self.assertEqual((status, headers["Content-Length"]), (200, str(len(body))))
            self.assertTrue(got == body)


def transports():
    """(name, flags, address) of what examples can listen on here."""
    yield "epoll", ["--net", "epoll"], "127.0.0.1:0"
    yield "uring", ["--net", "uring"], "127.0.0.1:0"
    if HAS_NAMESPACE:
        yield "tun", ["--net", f"tun:{TUN}", "--ip", f"{TUN_OWN}/24"], f"{TUN_OWN}:{TUN_PORT}"


TUN, TUN_OWN, TUN_PEER, TUN_PORT = "leatex0", "10.9.5.2", "10.9.5.1", 7000
CLONE_NEWNET = 0x40000000
HAS_NAMESPACE = False


def enter_namespace():
    """This process and what it starts get a network of their own; False where that is refused."""
    if os.geteuid() != 0 or not os.path.exists("/dev/net/tun"):
        return False
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
        return False
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True, timeout=10)
    return True


class Running(Listening):
    """An example on one transport."""

    def __init__(self, transport, example, *flags):
        name, net, listen = transport
        super().__init__(BUILD / "examples" / example, *flags, *net, "--listen", listen,
                         tun=(TUN, TUN_PEER) if name == "tun" else None)


class Chat(unittest.TestCase):
    def test_lines_reach_everybody_on_every_core(self):
        for transport in transports():
            with self.subTest(transport[0]), Running(transport, "chat", "--cores", "0,0") as chat:
                self.check(chat)

    def check(self, chat):
        clients = [chat.connect() for _ in range(8)]  # both loops have some
        files = [client.makefile("rb") for client in clients]

        def say_and_hear(who, line, hearers):
            clients[who].sendall(line)
            for file in hearers:
                while (heard := file.readline()) != line:
                    self.assertTrue(heard, f"{line} did not come")

        for who, file in enumerate(files):  # who hears himself was let in
            say_and_hear(who, b"%d is here\n" % who, [file])
        for who in range(len(clients)):
            say_and_hear(who, b"%d says\n" % who, files)
        clients[0].sendall(b"half a li")
        say_and_hear(1, b"a line\n", files)
        clients[0].sendall(b"ne\n")
        for file in files:
            self.assertEqual(file.readline(), b"half a line\n")
        clients[2].shutdown(socket.SHUT_WR)
        self.assertEqual(files[2].read(), b"")
        say_and_hear(3, b"goodbye\n", files[3:])
        for end in files + clients:
            end.close()


class ChatTasks(unittest.TestCase):
    """A task for each client; who reads too slowly is dropped, and holds up nobody."""

    def test_lines_and_who_does_not_read_them(self):
        for transport in transports():
            with self.subTest(transport[0]), Running(transport, "chat-tasks") as chat:
                self.check(chat)

    def check(self, chat):
        clients = [chat.connect() for _ in range(3)]
        files = [client.makefile("rb") for client in clients]
        for client, file in zip(clients, files):
            client.sendall(b"/count\r\n")
            self.assertRegex(file.readline(), rb"^\d here, 0 dropped\n$")
        clients[0].sendall(b"half a li")
        clients[1].sendall(b"a line\n\n")  # an empty one is none
        for file in files:
            self.assertEqual(file.readline(), b"a line\n")
        clients[0].sendall(b"ne\n")
        for file in files:
            self.assertEqual(file.readline(), b"half a line\n")
        with chat.connect() as loud:  # a line that is too long ends its client alone
            loud.sendall(b"x" * 2000)
            with self.assertRaises(ConnectionResetError):
                while loud.recv(100):
                    pass
                raise ConnectionResetError  # the end is as good
        self.drop_the_slow(clients, files)
        clients[2].shutdown(socket.SHUT_WR)
        self.assertEqual(files[2].read(), b"")
        clients[0].sendall(b"goodbye\n")
        self.assertEqual(files[0].readline(), b"goodbye\n")
        for end in files + clients:
            end.close()

    def drop_the_slow(self, clients, files):
        """clients[1] reads no more; the others are served as before."""
        line, said = b"y" * 500 + b"\n", 0
        count = b"0 dropped"
        while b" 1 dropped" not in count:
            for _ in range(100):
                clients[0].sendall(line * 20)
                for file in (files[0], files[2]):
                    self.assertEqual(file.read(len(line) * 20), line * 20)
                said += 20 * len(line)
            self.assertLess(said, 64 << 20)
            clients[0].sendall(b"/count\n")
            count = files[0].readline()
        self.assertEqual(count, b"2 here, 1 dropped\n")
        with self.assertRaises(ConnectionResetError):
            while clients[1].recv(1 << 20):
                pass
            self.fail("it was not dropped")


class Proxy(unittest.TestCase):
    AHEAD_BYTES_MAX = 40 << 20  # what the kernel's buffers of both connections may take, and more

    EXAMPLE = "proxy"

    def each(self, check):
        for transport in transports():
            with self.subTest(transport[0]), socket.create_server(("", 0)) as server:
                to = TUN_PEER if transport[0] == "tun" else "127.0.0.1"
                to = f"{to}:{server.getsockname()[1]}"
                server.settimeout(30)
                with Running(transport, self.EXAMPLE, "--cores", "1", "--to", to) as proxy, \
                        proxy.connect() as client:
                    there, _ = server.accept()
                    with there:
                        there.settimeout(30)
                        check(client, there)

    @staticmethod
    def read_all(connection):
        with connection.makefile("rb") as file:
            return file.read()

    def test_passes_both_ways_and_each_half_close(self):
        sent = os.urandom(3_000_000)

        def check(client, there):
            there.sendall(b"the server speaks first")
            self.assertEqual(client.recv(100), b"the server speaks first")
            sender = threading.Thread(target=lambda: (client.sendall(sent),
                                                      client.shutdown(socket.SHUT_WR)))
            sender.start()
            self.assertTrue(self.read_all(there) == sent)
            sender.join()
            there.sendall(b"after the end")
            there.shutdown(socket.SHUT_WR)
            self.assertEqual(self.read_all(client), b"after the end")
        self.each(check)

    def test_slows_down_who_sends_faster_than_the_other_reads(self):
        block = os.urandom(1 << 20)

        def check(client, there):
            sent = 0
            client.setblocking(False)
            while select.select([], [client], [], 1)[1]:  # until a second brings no room
                sent += client.send(block[sent % len(block):])
                self.assertLess(sent, self.AHEAD_BYTES_MAX)
            client.shutdown(socket.SHUT_WR)
            got = self.read_all(there)
            self.assertEqual(len(got), sent)
            self.assertTrue(got == (block * (sent // len(block) + 1))[:sent])
        self.each(check)

    def test_a_reset_goes_on(self):
        def check(client, there):
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
            with self.assertRaises(ConnectionResetError):
                there.recv(1)
        self.each(check)


class Relay(Proxy):
    """The same by two pipes of streams."""
    EXAMPLE = "relay"

    def test_the_other_end_may_go_first(self):
        def check(client, there):
            there.sendall(b"all")
            there.shutdown(socket.SHUT_WR)
            self.assertEqual(self.read_all(client), b"all")
            client.sendall(b"still heard")
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(self.read_all(there), b"still heard")
        self.each(check)

    def test_the_other_end_may_break(self):
        def check(client, there):
            client.sendall(b"x")
            there.recv(1)
            there.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            there.close()
            with self.assertRaises(ConnectionResetError):
                client.recv(1)
        self.each(check)

    def test_nobody_listens_there(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            gone = "127.0.0.1:%d" % server.getsockname()[1]
        for transport in list(transports())[:2]:
            with self.subTest(transport[0]), \
                    Running(transport, "relay", "--cores", "1", "--to", gone) as relay:
                for _ in range(2):  # it goes on
                    # The reset may come before connect has returned.
                    with self.assertRaises(ConnectionResetError), relay.connect() as client:
                        client.recv(1)


class Zipsum(unittest.TestCase):
    def test_it_is_gzip_and_sha256sum(self):
        coder = zlib.compressobj(6, zlib.DEFLATED, 31)
        data = b"a line of text\n" * 100_000 + os.urandom(100_000)
        wanted = {b"": None, data: None}
        for text in wanted:
            packed = coder.copy()
            packed = packed.compress(text) + packed.flush()
            wanted[text] = hashlib.sha256(packed).hexdigest().encode() + b"  -\n"
        for net in ("epoll", "uring"):
            for text, line in wanted.items():
                with self.subTest(net=net, length=len(text)):
                    done = subprocess.run([BUILD / "examples" / "zipsum", "--net", net], input=text,
                                          capture_output=True, check=False, timeout=60)
                    self.assertEqual((done.returncode, done.stdout, done.stderr), (0, line, b""))


class Files(unittest.TestCase):
    """A file server with its access log as a stream: rotated, and on a disk that is full."""

    def test_lines_go_where_they_should(self):
        for transport in transports():
            with self.subTest(transport[0]), tempfile.TemporaryDirectory() as folder:
                folder = pathlib.Path(folder)
                (folder / "page").write_text("hello")
                log = folder / "access.log"
                with Running(transport, "files", "--dir", str(folder), "--log", str(log)) as files:
                    self.rotate(files, log)
                log.unlink()
                log.symlink_to("/dev/full")
                with Running(transport, "files", "--dir", str(folder), "--log", str(log)) as files:
                    self.fill(files, log)

    def ask(self, files, path="/page"):
        client = http.client.HTTPConnection(*files.address, timeout=30)
        client.request("GET", path)
        answer = client.getresponse()
        self.assertEqual(answer.status, 200 if path == "/page" else 404)
        answer.read()
        client.close()

    def until(self, log, wanted):
        end = time.monotonic() + 30
        while not log.exists() or log.read_bytes() != wanted:
            self.assertLess(time.monotonic(), end, log.exists() and log.read_bytes())
            time.sleep(0.01)

    def rotate(self, files, log):
        self.ask(files)
        self.until(log, b"GET /page\n")
        old = log.rename(log.with_suffix(".1"))
        self.ask(files, "/before")
        self.until(old, b"GET /page\nGET /before\n")  # renaming alone loses nothing
        files.program.send(signal.SIGHUP)
        asked, end = 0, time.monotonic() + 30
        while not log.exists():  # until the signal has been heard
            self.ask(files, "/after")
            asked += 1
            self.assertLess(time.monotonic(), end)
        lines = b"GET /page\nGET /before\n" + asked * b"GET /after\n"
        while old.read_bytes() + log.read_bytes() != lines:  # each, once, in their order
            self.assertLess(time.monotonic(), end, (old.read_bytes(), log.read_bytes(), lines))
            time.sleep(0.01)

    def fill(self, files, log):
        for _ in range(20):
            self.ask(files)  # nobody waits for the disk
        files.program.until("access.log: .*; it is tried again", "stderr")
        log.unlink()
        end = time.monotonic() + 30
        while not re.fullmatch(rb"(GET /page\n)+(\d+) lines were lost\n(GET /page\n)+",
                               log.read_bytes() if log.exists() else b""):
            self.ask(files)
            self.assertLess(time.monotonic(), end)
            time.sleep(0.05)


class Archive(unittest.TestCase):
    """Uploads by way of gzip, with progress as server-sent events."""

    def test_uploads_are_compressed_and_tell_how_far_they_are(self):
        for transport in transports():
            with self.subTest(transport[0]), tempfile.TemporaryDirectory() as folder:
                here = os.getcwd()
                os.chdir(folder)
                try:
                    with Running(transport, "archive") as archive:
                        self.check(archive, pathlib.Path(folder, "archive"))
                finally:
                    os.chdir(here)

    def check(self, archive, folder):
        text = b"".join(b"line %d\n" % number for number in range(200_000))

        def ask(method, path, body=None):
            client = http.client.HTTPConnection(*archive.address, timeout=30)
            client.request(method, path, body)
            answer = client.getresponse()
            got = answer.status, answer.read()
            client.close()
            return got

        self.assertEqual(ask("PUT", "/files/all", text)[0], 201)
        self.assertEqual(gzip.decompress((folder / "all.gz").read_bytes()), text)
        self.assertLess((folder / "all.gz").stat().st_size, len(text) // 2)
        done = b"event: done\ndata: %d\n\n" % len(text)
        self.assertEqual(ask("GET", "/progress/all"), (200, done))
        self.assertEqual(ask("GET", "/progress/other")[0], 404)
        for name in (".hidden", "..%2fup"):
            self.assertEqual(ask("PUT", f"/files/{name}", b"x")[0], 400)

        head = b"PUT /files/slow HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(text)
        with archive.connect() as slow, archive.connect() as watcher, \
                watcher.makefile("rb") as events:
            slow.sendall(head + text[:1000])
            self.until(lambda: ask("PUT", "/files/slow", b"x")[0] == 409)  # when it has come
            os.remove(folder / "slow.gz") if (folder / "slow.gz").exists() else None
            watcher.sendall(b"GET /progress/slow HTTP/1.0\r\nHost: a\r\n\r\n")
            self.hear(events, b"data: 1000")
            slow.sendall(text[1000:5000])
            self.hear(events, b"data: 5000")
            slow.sendall(text[5000:])
            self.assertIn(b" 201 ", slow.recv(1000))
            self.assertTrue(events.read().endswith(done))
        self.assertEqual(gzip.decompress((folder / "slow.gz").read_bytes()), text)

        with archive.connect() as gone:  # in the middle
            gone.sendall(head.replace(b"slow", b"gone") + os.urandom(500_000))
            self.until(lambda: (folder / "gone.gz.part").exists())
        self.until(lambda: ask("GET", "/progress/gone")[1].startswith(b"event: failed"))
        self.until(lambda: sorted(os.listdir(folder)) == ["all.gz", "slow.gz"])

    def hear(self, events, wanted):
        while (line := events.readline().strip()) != wanted:
            self.assertNotIn(line, (b"event: done", b"event: failed"))

    def until(self, condition):
        end = time.monotonic() + 30
        while not condition():
            self.assertLess(time.monotonic(), end)
            time.sleep(0.01)


class Notes(unittest.TestCase):
    def test_json_and_uploads(self):
        for transport in transports():
            with self.subTest(transport[0]), Running(transport, "notes") as notes:
                self.check(http.client.HTTPConnection(*notes.address, timeout=30))

    def check(self, client):
        def ask(method, path, body=None, **more):
            client.request(method, path, body, **more)
            answer = client.getresponse()
            self.assertEqual(answer.headers["Content-Type"], "application/json")
            return answer.status, json.loads(answer.read())

        wanted = [f"note {number} \"\\ \t \u20ac" for number in range(101)]
        self.assertEqual(ask("GET", "/notes"), (200, {"notes": []}))
        for note in wanted:
            self.assertEqual(ask("POST", "/notes", note.encode()), (201, {}))
        status, answer = ask("GET", "/notes")
        self.assertEqual((status, answer["notes"]), (200, wanted[100:] + wanted[1:100]))
        self.assertEqual(ask("PUT", "/uploads/large%22", b"x" * 2_000_000),
                         (201, {"name": 'large"', "bytes": 2_000_000}))
        self.assertEqual(ask("PUT", "/uploads/pieces", (b"y" * 1000 for _ in range(50)),
                             encode_chunked=True, headers={"Transfer-Encoding": "chunked"}),
                         (201, {"name": "pieces", "bytes": 50_000}))
        self.assertEqual(ask("GET", "/other"), (404, {"error": "Not Found"}))
        self.assertEqual(ask("POST", "/notes", b"z" * 201)[0], 413)
        client.close()


class Upload(unittest.TestCase):
    """Forms with files, to the disk."""

    def test_files_are_whole_or_not_there(self):
        for transport in transports():
            with self.subTest(transport[0]), tempfile.TemporaryDirectory() as folder:
                here = os.getcwd()
                os.chdir(folder)
                try:
                    with Running(transport, "upload") as upload:
                        self.check(upload, pathlib.Path(folder, "uploads"))
                finally:
                    os.chdir(here)

    @staticmethod
    def form(*files):
        parts = (b'--b\r\nContent-Disposition: form-data; name="file"; filename="%s"\r\n\r\n%s\r\n'
                 % file for file in files)
        return b"".join(parts) + b"--b--\r\n"

    def check(self, upload, folder):
        large = os.urandom(3_000_000)
        kind = {"Content-Type": "multipart/form-data; boundary=b"}

        def post(body, **more):
            client = http.client.HTTPConnection(*upload.address, timeout=30)
            client.request("POST", "/", body, headers=kind, **more)
            answer = client.getresponse().status
            client.close()
            return answer

        body = self.form((b"../large", large), (b"", b""), (b"C:\\x\\small", b"\r\n--"))
        self.assertEqual(post(body), 201)
        self.assertEqual(sorted(os.listdir(folder)), ["large", "small"])
        self.assertTrue((folder / "large").read_bytes() == large)
        self.assertEqual((folder / "small").read_bytes(), b"\r\n--")
        self.assertEqual(post(self.form((b"small", b"other"))), 409)
        self.assertEqual((folder / "small").read_bytes(), b"\r\n--")
        pieces = self.form((b"chunked", large))
        self.assertEqual(post((pieces[i:i + 5001] for i in range(0, len(pieces), 5001)),
                              encode_chunked=True), 201)
        self.assertTrue((folder / "chunked").read_bytes() == large)
        with upload.connect() as client:  # goes in the middle
            client.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; "
                           b"boundary=b\r\nContent-Length: 4000000\r\n\r\n"
                           + self.form((b"cut", large))[:2_000_000])
        self.assertEqual(post(self.form((b"after", b"1"))), 201)
        self.assertEqual(sorted(os.listdir(folder)), ["after", "chunked", "large", "small"])


if __name__ == "__main__":
    HAS_NAMESPACE = enter_namespace()
    unittest.main(argv=[sys.argv[0], "-v"])
