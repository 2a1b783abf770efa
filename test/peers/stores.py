"""The examples postgres and redis against the servers of that name, which this test starts as an
unprivileged user, on sockets in a folder of its own, and ends by their id: what they answer, and
what they do when a server refuses, goes, comes again or is silent, and when a client goes or does
not read."""
import contextlib
import hashlib
import http.client
import json
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import process

LIMIT_S = 30
GROWTH_KIB_MAX = 16 * 1024
NOBODY = 65534
CONNECTIONS_MAX = 16  # of the example postgres


def as_nobody():
    """For Popen: PostgreSQL does not run as root."""
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}


def postgres_bin():
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    return found[-1].parent if found else None


def wait_until(what, why):
    deadline = time.monotonic() + LIMIT_S
    while not what():
        if time.monotonic() > deadline:
            raise AssertionError(why)
        time.sleep(0.02)


class Server:
    """A server in a folder of its own; words, is_ready and end_signal are its kind's."""

    def __init__(self):
        self.temporary = tempfile.TemporaryDirectory(prefix="leat-stores-")
        self.folder = pathlib.Path(self.temporary.name)
        self.folder.chmod(0o755)
        if os.geteuid() == 0:
            os.chown(self.folder, NOBODY, NOBODY)
        self.process = None

    def start(self):
        self.log = open(self.folder / "log", "ab")
        self.process = subprocess.Popen(self.words(), stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=self.log, cwd=self.folder, **as_nobody())
        try:
            wait_until(self.is_ready, "the server does not start")
        except BaseException:
            print((self.folder / "log").read_text(errors="replace"), file=sys.stderr)
            raise

    def stop(self):
        if self.process is None:
            return
        self.process.send_signal(self.end_signal)
        try:
            self.process.wait(LIMIT_S)
        finally:
            if self.process.poll() is None:
                self.process.kill()
            self.process.wait()
            self.log.close()
            self.process = None

    def close(self):
        self.stop()
        self.temporary.cleanup()


class Postgres(Server):
    end_signal = process.INT  # at once, not when the last client has gone

    def __init__(self):
        super().__init__()
        self.bin = postgres_bin()
        words = [self.bin / "initdb", "-D", self.folder / "data", "-A", "trust", "-U", "leat", "-N",
                 "--locale=C", "-E", "UTF8"]
        subprocess.run(words, check=True, timeout=LIMIT_S * 2, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, cwd=self.folder, **as_nobody())

    def words(self):
        return [self.bin / "postgres", "-D", self.folder / "data", "-k", self.folder,
                "-c", "listen_addresses=", "-c", "fsync=off", "-c", "shared_buffers=8MB"]

    def environment(self):
        return {"PGHOST": str(self.folder), "PGUSER": "leat", "PGDATABASE": "postgres"}

    def sql(self, text):
        done = subprocess.run([self.bin / "psql", "-XAtqc", text], stdin=subprocess.DEVNULL,
                              env={**os.environ, **self.environment()}, capture_output=True,
                              text=True, timeout=LIMIT_S)
        return done.stdout.strip() if done.returncode == 0 else None

    def is_ready(self):
        return self.sql("SELECT 1") == "1"

    def active(self, like):
        """The rows of what runs now, but for this question."""
        return self.sql("SELECT wait_event FROM pg_stat_activity WHERE state = 'active' AND "
                        f"query LIKE '%{like}%' AND pid <> pg_backend_pid()").splitlines()


class Redis(Server):
    end_signal = process.TERM

    def words(self):
        return ["redis-server", "--port", "0", "--unixsocket", self.folder / "socket",
                "--unixsocketperm", "777", "--save", "", "--appendonly", "no"]

    def environment(self):
        return {"REDIS_SOCKET": str(self.folder / "socket")}

    def ask(self, *words):
        """The first line of the answer, and what stands behind it."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(LIMIT_S)
            client.connect(str(self.folder / "socket"))
            pieces = [word.encode() if isinstance(word, str) else word for word in words]
            client.sendall(b"*%d\r\n" % len(pieces)
                           + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in pieces))
            return client.recv(65536)

    def is_ready(self):
        with contextlib.suppress(OSError):
            return self.ask("PING") == b"+PONG\r\n"
        return False

    def listeners(self, name):
        return int(self.ask("PUBSUB", "NUMSUB", name).strip().rsplit(b":", 1)[1])


class Stores(unittest.TestCase):
    """A server and its example, which ends well when all is done."""

    @classmethod
    def setUpClass(cls):
        cls.server = cls.kind()
        cls.addClassCleanup(cls.server.close)
        cls.server.start()
        cls.program = cls.begin()
        cls.addClassCleanup(cls.finish, cls.program)

    def setUp(self):
        if self.server.process is None:  # a test of its end has failed
            self.server.start()

    @classmethod
    def begin(cls, *flags, **environment):
        program = process.Program(
            process.BUILD / "examples" / cls.example, "--cores", "1", "--listen", "127.0.0.1:0",
            *flags, env={**os.environ, **cls.server.environment(), **environment})
        try:
            found = program.until(r"^listening on http://(\S+):(\d+)")
        except BaseException:
            program.__exit__()
            raise
        program.address = found[1], int(found[2])
        return program

    @staticmethod
    def finish(program):
        with program:
            code = program.end(process.TERM)
            if code != 0 or "never freed" in program.text["stderr"]:
                raise AssertionError(f"the example ended with {code}: {program.text}")

    def ask(self, path, method="GET", body=None, program=None):
        """(status, body)"""
        client = http.client.HTTPConnection(*(program or self.program).address, timeout=LIMIT_S)
        with contextlib.closing(client):
            client.request(method, path, body)
            answer = client.getresponse()
            return answer.status, answer.read()

    @contextlib.contextmanager
    def open(self, path, program=None):
        """A client of its own that has asked, and has read nothing yet; it ends by a reset, as one
        that only half-closes still gets its answer."""
        with socket.create_connection((program or self.program).address, timeout=LIMIT_S) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            yield client

    def ends_at_once(self, path, is_begun):
        """Told to end while a client waits for path, the example cuts it off and ends well."""
        program = self.begin("--drain-timeout", "100ms")
        with contextlib.ExitStack() as stack:
            stack.callback(program.__exit__)
            client = stack.enter_context(self.open(path, program))
            wait_until(lambda: is_begun(client), "it does not begin")
            self.assertEqual(program.end(process.TERM), 0, program.text)
            self.assertNotIn("never freed", program.text["stderr"])

    def resident_kib(self):
        status = pathlib.Path(f"/proc/{self.program.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0])


class PostgresExample(Stores):
    kind, example = Postgres, "postgres"

    def setUp(self):
        super().setUp()
        self.assertIsNotNone(self.server.sql(
            "CREATE TABLE IF NOT EXISTS people (id int PRIMARY KEY, name text);"
            "INSERT INTO people VALUES (1, 'Ada'), (2, 'Böb \"x\"') ON CONFLICT DO NOTHING"))

    def test_a_row_or_404(self):
        for number, name in ((1, "Ada"), (2, 'Böb "x"')):
            status, body = self.ask(f"/people/{number}")
            self.assertEqual((status, json.loads(body)), (200, {"id": number, "name": name}))
        for wrong in ("3", "1%27%20OR%20%271%27=%271", "9" * 31, "9" * 40):
            self.assertEqual(self.ask(f"/people/{wrong}")[0], 404, wrong)

    def test_rows_are_lines_in_order(self):
        status, body = self.ask("/rows/20000")
        lines = [json.loads(line) for line in body.splitlines()]
        self.assertEqual((status, len(lines)), (200, 20000))
        for number, line in enumerate(lines, 1):
            self.assertEqual(line, {"n": number, "md5": hashlib.md5(b"%d" % number).hexdigest()})
        self.assertEqual(self.ask("/rows/0"), (200, b""))

    def test_a_refused_query_is_no_200(self):
        self.assertEqual(self.ask("/rows/many")[0], 500)
        self.assertEqual(self.ask("/sleep/long")[0], 500)
        self.assertEqual(self.ask("/people/1")[0], 200)  # its connection is as good as before

    def test_a_client_that_does_not_read_stops_the_server(self):
        self.assertEqual(self.ask("/rows/1000")[0], 200)
        before = self.resident_kib()
        with self.open("/rows/100000000") as client:
            self.assertTrue(client.recv(1024).startswith(b"HTTP/1.1 200"))
            wait_until(lambda: self.server.active("generate_series") == ["ClientWrite"],
                       "the server does not wait for its client")
            self.assertLess(self.resident_kib() - before, GROWTH_KIB_MAX)
            self.assertEqual(self.ask("/people/1")[0], 200)  # others do not wait
        wait_until(lambda: not self.server.active("generate_series"),
                   "the query outlives its client")

    def test_a_query_ends_with_its_client(self):
        with self.open("/sleep/3600"):
            wait_until(lambda: self.server.active("pg_sleep") == ["PgSleep"], "it does not sleep")
        wait_until(lambda: not self.server.active("pg_sleep"), "the query outlives its client")

    def test_more_queries_than_connections(self):
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(self.ask("/sleep/1")[0]))
                   for _ in range(CONNECTIONS_MAX + 4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(sorted(answers), [200] * CONNECTIONS_MAX + [503] * 4)
        self.assertEqual(self.ask("/people/1")[0], 200)

    def test_a_server_that_goes_and_comes_again(self):
        self.assertEqual(self.ask("/people/1")[0], 200)
        with self.open("/sleep/3600") as client:
            wait_until(lambda: self.server.active("pg_sleep") == ["PgSleep"], "it does not sleep")
            self.server.stop()
            self.assertIn(b" 503 ", client.recv(1024))
        for _ in range(3):
            self.assertEqual(self.ask("/people/1")[0], 503)
        self.server.start()
        self.assertEqual(self.ask("/people/1")[0], 200)

    def test_the_end_of_the_program(self):
        self.ends_at_once("/sleep/3600", lambda client: self.server.active("pg_sleep"))
        wait_until(lambda: not self.server.active("pg_sleep"), "the query outlives its program")
        self.ends_at_once("/rows/100000000",
                          lambda client: self.server.active("generate_series") == ["ClientWrite"])

    def test_a_server_that_refuses(self):
        program = self.begin(PGDATABASE="nobodys")
        try:
            self.assertEqual(self.ask("/people/1", program=program)[0], 503)
            program.until(r'postgres: .*database "nobodys" does not exist', "stderr")
        finally:
            self.finish(program)


class RedisExample(Stores):
    kind, example = Redis, "redis"

    def subscribed(self, client, count=1):
        """What has come until the client is subscribed for so many times."""
        text = b""
        while text.count(b": subscribed\n\n") < count:
            piece = client.recv(65536)
            self.assertTrue(piece, text)
            text += piece
        return text

    def test_values(self):
        self.assertEqual(self.ask("/keys/none")[0], 404)
        for value in (b"one", b"", b"\0\r\n$5\r\n\xff", os.urandom(65536)):
            self.assertEqual(self.ask("/keys/a%20b", "PUT", value)[0], 204)
            self.assertEqual(self.ask("/keys/a%20b"), (200, value))
        self.assertEqual(self.ask("/keys/a", "PUT", b"x" * 65537)[0], 413)
        self.server.ask("LPUSH", "list", "x")
        self.assertEqual(self.ask("/keys/list")[0], 500)

    def test_many_at_once(self):
        wrong = []

        def client(number):
            for i in range(50):
                value = b"%d of %d" % (i, number)
                if (self.ask(f"/keys/k{number}", "PUT", value)[0] != 204
                        or self.ask(f"/keys/k{number}") != (200, value)):
                    wrong.append(value)
        threads = [threading.Thread(target=client, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])

    def test_what_is_published(self):
        with self.open("/events/news") as client, self.open("/events/other") as other:
            self.subscribed(client)
            self.subscribed(other)
            self.assertEqual(self.server.ask("PUBLISH", "news", "one\ntwo\rthree\n"), b":1\r\n")
            text = b""
            while not text.endswith(b"\n\n"):
                text += client.recv(65536)
            self.assertEqual(text, b"data: one\ndata: two\ndata: three\ndata: \n\n")
            self.assertEqual(self.server.ask("PUBLISH", "other", ""), b":1\r\n")
            self.assertEqual(other.recv(65536), b"data: \n\n")
        wait_until(lambda: self.server.listeners("news") == 0,
                   "the subscription outlives its client")

    def test_who_does_not_read_is_cut_off(self):
        before = self.resident_kib()
        with self.open("/events/much") as client:
            self.subscribed(client)
            deadline = time.monotonic() + LIMIT_S
            while self.server.ask("PUBLISH", "much", b"x" * 60000) == b":1\r\n":
                self.assertLess(time.monotonic(), deadline, "it is never cut off")
            self.assertLess(self.resident_kib() - before, GROWTH_KIB_MAX)
        self.assertEqual(self.ask("/keys/none")[0], 404)

    def test_a_server_that_goes_and_comes_again(self):
        self.assertEqual(self.ask("/keys/none")[0], 404)
        with self.open("/events/again") as client:
            text = self.subscribed(client)
            self.server.stop()
            for _ in range(3):
                self.assertEqual(self.ask("/keys/none")[0], 503)
            self.server.start()
            self.assertEqual(self.ask("/keys/none")[0], 404)
            if text.count(b": subscribed") < 2:
                self.subscribed(client)
            self.assertEqual(self.server.ask("PUBLISH", "again", "x"), b":1\r\n")
            self.assertEqual(client.recv(65536), b"data: x\n\n")

    def test_the_end_of_the_program(self):
        self.ends_at_once("/events/end", lambda client: self.server.listeners("end") == 1)

    def test_a_server_that_is_silent(self):
        self.assertEqual(self.ask("/keys/none")[0], 404)
        self.server.process.send_signal(process.signal.SIGSTOP)
        try:
            self.assertEqual(self.ask("/keys/none")[0], 504)
        finally:
            self.server.process.send_signal(process.signal.SIGCONT)
        self.assertEqual(self.ask("/keys/none")[0], 404)


def missing():
    """What is not there, or was not built."""
    if postgres_bin() is None:
        yield "postgresql"
    if shutil.which("redis-server") is None:
        yield "redis-server"
    for example, package in (("postgres", "libpq-dev"), ("redis", "libhiredis-dev")):
        if not (process.BUILD / "examples" / example).exists():
            yield package


if __name__ == "__main__":
    if names := ", ".join(missing()):
        print(f"not installed: {names} (./dev deps peers, then ./dev build)")
        sys.exit(77)
    unittest.main(argv=[sys.argv[0], "-v", *sys.argv[1:]])
