"""`leat load` against servers that answer well, and against one that does what it must not."""
import contextlib
import http.client
import json
import os
import re
import resource
import socket
import sys
import tempfile
import threading
import time
import unittest

from process import BUILD, INT, LIMIT_S, Program, finish, free_port, serve

LEAT = BUILD / "leat"
ECHO = BUILD / "examples" / "http-echo"
ERRORS = {"connect", "refused", "reset", "timeout", "status", "length", "body", "parse"}
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


# On a machine that is busy with other things a loop may warn that it was kept from I/O.
QUIET = "--log-level=error"


def load(url, *flags, **options):
    """(exit code, report, standard error)"""
    code, out, err = finish(LEAT, "load", url, "--json", QUIET, *flags, **options)
    return code, json.loads(out), err


def url_of(address, path="/"):
    return f"http://{address[0]}:{address[1]}{path}"


class Served:
    """A server in Python whose misbehaviour is answer(connection, number of the request)."""

    def __init__(self, answer):
        self.answer = answer
        self.count = 0
        self.lock = threading.Lock()
        self.requests = []
        self.burst = 1  # requests that have come before the first is answered
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(64)
        self.url = url_of(self.listener.getsockname())
        self.threads = []
        self.is_over = False

    def __enter__(self):
        self.acceptor = threading.Thread(target=self._accept)
        self.acceptor.start()
        return self

    def __exit__(self, *exception):
        self.is_over = True
        with contextlib.suppress(OSError), socket.create_connection(self.listener.getsockname()):
            pass
        self.acceptor.join(LIMIT_S)
        self.listener.close()
        for thread in self.threads:
            thread.join(LIMIT_S)

    def _accept(self):
        while not self.is_over:
            connection = self.listener.accept()[0]
            connection.settimeout(LIMIT_S)
            thread = threading.Thread(target=self._talk, args=(connection,))
            self.threads.append(thread)
            thread.start()

    def _talk(self, connection):
        with connection, contextlib.suppress(OSError):
            kept = b""
            while True:
                while kept.count(b"\r\n\r\n") < (1 if self.count else self.burst):
                    piece = connection.recv(65536)
                    if not piece:
                        return
                    kept += piece
                head, _, kept = kept.partition(b"\r\n\r\n")
                length = re.search(rb"(?i)content-length: (\d+)", head)
                length = int(length[1]) if length else 0
                while len(kept) < length:
                    kept += connection.recv(65536)
                with self.lock:
                    number = self.count
                    self.count += 1
                    self.requests.append((head.decode(), kept[:length]))
                kept = kept[length:]
                if self.answer(connection, number) is False:
                    return


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()


class Counts(unittest.TestCase):
    def answered(self, address):
        client = http.client.HTTPConnection(*address, timeout=30)
        try:
            client.request("GET", "/leat/status")
            return json.loads(client.getresponse().read())["requests"]
        finally:
            client.close()

    def test_agree_with_the_servers(self):
        with serve("--cores", "1") as program:
            total = 0
            for net in ("epoll", "uring"):
                for flags in ((), ("--pipeline", "8"), ("--connection-per-request",),
                              ("--rate", "4000"), ("-t", "2"),
                              ("--rate", "2000", "--connection-per-request"),
                              ("--rate", "9000", "--pipeline", "3", "-t", "2"),
                              ("--in-flight", "3"), ("--in-flight", "4", "--pipeline", "2"),
                              ("--in-flight", "2", "-t", "2"),
                              ("--in-flight", "3", "--connection-per-request")):
                    with self.subTest(net=net, flags=flags):
                        code, report, err = load(url_of(program.address), "-n", "500", "-c", "7",
                                                 "--net", net, *flags)
                        self.assertEqual((code, err, report["requests"]), (0, "", 500))
                        self.assertEqual(sum(report["errors"].values()), 0)
                        self.assertEqual(report["unfinished"], 0)
                        total += 500
                        seen = self.answered(program.address)
                        total += 1
                        self.assertEqual(seen, total)

    def test_of_a_ramp_are_apart(self):
        """Each connection asks once before the measurement, which does not count it."""
        with serve("--cores", "1") as program:
            total = 0
            for flags in ((), ("--in-flight", "5"), ("--rate", "5000"), ("-t", "2")):
                with self.subTest(flags=flags):
                    code, report, err = load(url_of(program.address), "-n", "200", "-c", "40",
                                             "--ramp", *flags)
                    lines = [line for line in err.splitlines() if "each had an answer" in line]
                    self.assertEqual((code, report["requests"]), (0, 200), err)
                    self.assertEqual(len(lines), 2 if "-t" in flags else 1)
                    self.assertEqual(report["connects"], 40)
                    self.assertGreater(report["ramp_s"], 0)
                    total += 40 + 200 + 1  # the last is the one that looks
                    self.assertEqual(self.answered(program.address), total)

    def test_a_ramp_that_loses_a_connection_fails(self):
        def answer(connection, number):
            if number == 5:
                return reset(connection) or False
            connection.sendall(OK)
        with Served(answer) as server:
            code, _, err = load(server.url, "-c", "10", "--ramp", "-n", "1")
            self.assertEqual(code, 1)
            self.assertIn("ended before", err)

    def test_agree_when_time_is_up(self):
        with serve("--cores", "1") as program:
            code, report, err = load(url_of(program.address), "-d", "300ms", "--pipeline", "4")
            self.assertEqual((code, err, report["unfinished"]), (0, "", 0))
            self.assertEqual(self.answered(program.address), report["requests"] + 1)
            self.assertGreaterEqual(report["duration_s"], 0.3)
            self.assertAlmostEqual(report["requests"] / report["duration_s"],
                                   report["requests_per_second"], delta=1)

    def test_the_report_is_complete(self):
        with serve("--hello", "--cores", "1") as program:
            report = load(url_of(program.address), "-n", "100", "-c", "3")[1]
            self.assertEqual(set(report["errors"]), ERRORS)
            latency = report["latency_us"]
            names = ("p50", "p90", "p99", "p99.9", "p99.99", "max")
            values = [latency[name] for name in names]
            self.assertEqual(values, sorted(values))
            self.assertGreater(latency["p50"], 0)
            self.assertGreater(latency["mean"], 0)
            self.assertEqual((report["connections"], report["connects"]), (3, 3))
            self.assertGreaterEqual(report["bytes"], 100 * len("Hello, World!"))
            self.assertGreater(report["bytes_sent"], 100 * len("GET / HTTP/1.1\r\n"))
            self.assertTrue(0 <= report["busy"] <= 1.1, report["busy"])
            self.assertIn("client_limited", report)

    def test_the_text_says_the_same(self):
        with serve("--hello", "--cores", "1") as program:
            code, out, err = finish(LEAT, "load", url_of(program.address), QUIET, "-n", "50",
                                    "-c2")
            self.assertEqual((code, err), (0, ""))
            self.assertRegex(out, r"(?m)^requests +50 in \d+\.\d\d s: \d+ per second over 2 ")
            self.assertRegex(out, r"(?m)^errors +0$")
            self.assertRegex(out, r"(?m)^latency( +[\d.]+ (us|ms|s)){6}$")
            self.assertIn("at most 0.8 % too high", out)
            self.assertRegex(out, r"(?m)^client +\d+ % of a core busy$")


class Requests(unittest.TestCase):
    def sent(self, *flags, path="/"):
        def answer(connection, number):
            connection.sendall(OK)
        with Served(answer) as server:
            code, report, err = load(server.url[:-1] + path, "-n", "2", "-c", "1", *flags)
            self.assertEqual((code, report["requests"], err), (0, 2, ""))
            self.assertEqual(server.requests[0], server.requests[1])
            return server.requests[0]

    def test_a_plain_one(self):
        head, body = self.sent()
        self.assertRegex(head, r"^GET / HTTP/1.1\r\nHost: 127.0.0.1:\d+$")
        self.assertEqual(body, b"")

    def test_the_url_shapes_it(self):
        """An empty port is the scheme's (RFC 3986 3.2.3), user info is Basic (RFC 7617)."""
        def answer(connection, number):
            connection.sendall(OK)
        with Served(answer) as server:
            for user, credentials in (("u:p@", "dTpw"), ("Aladdin:open%20sesame@",
                                                         "QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
                                      ("u@", "dTo="), ("@", None)):
                url = server.url.replace("http://", "HTTP://" + user)
                code, report, err = load(url, "-n", "1", "-c", "1")
                self.assertEqual((code, err, report["url"]), (0, "", server.url))
                head = server.requests[-1][0]
                self.assertIn(f"Host: {server.url[7:-1]}", head)
                self.assertEqual(re.findall(r"Authorization: ([^\r]*)", head),
                                 [f"Basic {credentials}"] if credentials else [])
            load(server.url.replace("//", "//u:p@"), "-n", "1", "-c", "1", "-H",
                 "authorization: Mine")
            self.assertEqual(re.findall(r"(?i)authorization: ([^\r]*)", server.requests[-1][0]),
                             ["Mine"])
        if not self.is_served(80):
            err = load("http://127.0.0.1:/", "-n", "1", "-c", "1", "--timeout", "2s")[2]
            self.assertIn("cannot connect to 127.0.0.1:80: ", err)

    @staticmethod
    def is_served(port):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    def test_flags_shape_it(self):
        head, body = self.sent("--method", "PUT", "--body", "abc", "-H", "X-One: 1", "-H",
                               "Host: example.org", path="/a/b?c=d")
        self.assertEqual((head, body),
                         ("PUT /a/b?c=d HTTP/1.1\r\nX-One: 1\r\nHost: example.org\r\n"
                          "Content-Length: 3", b"abc"))
        self.assertTrue(self.sent("--body", "x")[0].startswith("POST / "))
        self.assertIn("Connection: close", self.sent("--connection-per-request")[0])
        self.assertTrue(self.sent(path="?q")[0].startswith("GET /?q "))

    def test_a_body_from_a_file_comes_back(self):
        with tempfile.NamedTemporaryFile() as file, Program(
                ECHO, "--cores", "1", "--listen", "127.0.0.1:0") as echo:
            file.write(os.urandom(3_000_000))
            file.flush()
            url = echo.until(r"listening on (http://\S+)")[1]
            for flags in ((), ("--pipeline", "3"), ("--net", "epoll")):
                code, report, err = load(url, "--body", f"@{file.name}", "-n", "12", "-c", "2",
                                         *flags)
                self.assertEqual((code, err, report["requests"]), (0, "", 12))
                self.assertGreater(report["bytes"], 12 * 3_000_000)

    def test_a_server_that_does_not_close_is_not_waited_for(self):
        with Served(lambda connection, number: connection.sendall(OK)) as server:
            code, report, err = load(server.url, "-n", "30", "-c", "3", "--connection-per-request",
                                     "--timeout", "20s")
        self.assertEqual((code, err, report["requests"], report["connects"]), (0, "", 30, 30))

    def test_over_a_unix_socket(self):
        with tempfile.TemporaryDirectory() as folder, Program(
                LEAT, "serve", "--hello", "--cores", "1", f"--listen=unix:{folder}/s") as program:
            program.until("^listening on unix:")
            code, report, err = load(f"unix:{folder}/s:/x", "-n", "20", "-c", "2")
            self.assertEqual((code, report["requests"], err), (0, 20, ""))

    def test_head_and_names(self):
        with serve("--hello", "--cores", "1") as program:
            url = f"http://localhost:{program.address[1]}/"
            code, report, err = load(url, "-n", "20", "-m", "HEAD", "-c", "2")
            self.assertEqual((code, report["requests"], err), (0, 20, ""))


class Errors(unittest.TestCase):
    def errors(self, answer, *flags):
        with Served(answer) as server:
            code, report, err = load(server.url, "-n", "10", "-c", "1", *flags)
            self.assertEqual(code, 1)
            self.assertEqual(err.count("\n"), 1, err)
            self.assertTrue(err.startswith("leat load: "), err)
            return ({kind: count for kind, count in report["errors"].items() if count},
                    report["requests"], err)

    def once(self, at, bytes_sent, end=None):
        """Answers well but for request number `at`."""
        def answer(connection, number):
            connection.sendall(bytes_sent if number == at else OK)
            if number == at and end is not None:
                end(connection)
                return False
            return None
        return answer

    def test_status(self):
        bad = OK.replace(b"200 OK", b"503 No")
        self.assertEqual(self.errors(self.once(3, bad))[:2], ({"status": 1}, 10))

    def test_every_status_is_an_error_when_the_first_is_bad(self):
        def answer(connection, number):
            connection.sendall(OK.replace(b"200 OK", b"404 No"))
        found, count, err = self.errors(answer)
        self.assertEqual((found, count), ({"status": 10}, 10))
        self.assertIn("an answer had status 404", err)
        with Served(answer) as server:
            self.assertEqual(load(server.url, "-n", "3", "-c", "1", "--expect-status", "404")[0],
                             0)

    def test_length(self):
        longer = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello!"
        self.assertEqual(self.errors(self.once(2, longer))[:2], ({"length": 1}, 10))

    def test_body(self):
        other = OK.replace(b"hello", b"hellO")
        self.assertEqual(self.errors(self.once(2, other))[:2], ({"body": 1}, 10))
        with Served(self.once(2, other)) as server:
            self.assertEqual(load(server.url, "-n", "10", "-c", "1", "--any-body")[0], 0)

    def test_a_body_cut_off(self):
        self.assertEqual(self.errors(self.once(2, OK[:-2], lambda c: None))[:2],
                         ({"length": 1}, 9))

    def test_reset_within_a_response(self):
        self.assertEqual(self.errors(self.once(2, OK[:-2], reset))[:2], ({"reset": 1}, 9))

    def test_closed_instead_of_answered(self):
        self.assertEqual(self.errors(self.once(2, b"", lambda c: None))[:2], ({"reset": 1}, 9))

    def test_not_http(self):
        self.assertEqual(self.errors(self.once(2, b"SSH-2.0-x\r\n"))[:2], ({"parse": 1}, 9))

    def test_an_answer_to_nothing(self):
        found, count, err = self.errors(self.once(2, OK + OK))
        self.assertIn("parse", found)
        self.assertIn("it answers no request", err)

    def test_timeout(self):
        found, count, err = self.errors(self.once(2, OK[:-2]), "--timeout", "200ms")
        self.assertEqual((found, count), ({"timeout": 1}, 9))
        self.assertIn("--timeout", err)

    def test_a_server_that_never_answers(self):
        with Served(lambda connection, number: None) as server:
            code, report, err = load(server.url, "-d", "100ms", "-c", "2", "--pipeline", "2")
            self.assertEqual((code, report["requests"], report["unfinished"]), (1, 0, 4))
            self.assertEqual(sum(report["errors"].values()), 0)
            self.assertIn("no answer came", err)

    def test_a_server_that_is_gone_is_not_asked_for_ever(self):
        """Only --requests would end it, after years."""
        def answer(connection, number):
            if number < 5:
                connection.sendall(OK)
        for flags in (("-c", "2"), ("-c", "1", "--connection-per-request"), ("--rate", "100")):
            with Served(answer) as server:
                code, report, err = load(server.url, "-n", "1000000000", "--timeout", "100ms",
                                         *flags)
            self.assertEqual((code, report["requests"]), (1, 5))
            self.assertGreaterEqual(report["errors"]["timeout"], 3)
            self.assertRegex(err, r"leat load: gave up: no answer came for \d+ ms\n")

    def test_answers_that_never_end(self):
        """Each is a sentence in time: a head, a body, trailers, a chunk's extension."""
        chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

        def drip(begin, piece, pieces):
            def answer(connection, number):
                connection.sendall(begin)
                for _ in range(pieces):
                    connection.sendall(piece)
                connection.recv(1)
                return False
            return answer
        for begin, piece, pieces, kind in (
                (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n", 300, "parse"),
                (b"HTTP/1.1 200 OK\r\nX: ", b"y" * 1000, 20, "parse"),
                (b"HTTP/1.1 100 Go on\r\n\r\n", b"HTTP/1.1 100 Go on\r\n\r\n", 2000, "timeout"),
                (chunked + b"1;", b"a=b;" * 1000, 9, "parse"),
                (chunked + b"0\r\n", b"X: y\r\n" * 50, 20, "parse"),
                (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", b"x", 3, "timeout"),
                (b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 1000, 30, "timeout")):
            with self.subTest(begin=begin), Served(drip(begin, piece, pieces)) as server:
                code, report, err = load(server.url, "-n", "1", "-c", "1", "--timeout", "300ms")
                self.assertEqual((code, report["requests"], report["errors"][kind]), (1, 0, 1), err)
                self.assertEqual(err.count("\n"), 1)

    def test_more_connections_than_open_files(self):
        def few_files():
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        with serve("--hello", "--cores", "1") as program:
            code, report, err = load(url_of(program.address), "-d", "300ms", "-c", "100",
                                     preexec_fn=few_files)
            self.assertEqual(code, 1)
            self.assertGreater(report["errors"]["connect"], 0)
            self.assertGreater(report["requests"], 0)
            self.assertIn("raise the limit on open files (ulimit -n)", err)

    def test_the_server_goes_away(self):
        with Served(lambda connection, number: connection.sendall(OK)) as server:
            def answer(connection, number):
                if number == 4:
                    server.listener.close()
                    reset(connection)
                    return False
                return connection.sendall(OK)
            server.answer = answer
            server.is_over = True  # one connection is accepted
            code, report, err = load(server.url, "-n", "8", "-c", "1")
            self.assertEqual((code, report["requests"]), (1, 4))
            self.assertEqual(report["errors"]["reset"], 1)
            self.assertEqual(sum(report["errors"].values()), 4)
            self.assertEqual(report["errors"]["refused"], 3)

    def test_framings_and_closings_that_are_no_errors(self):
        chunked = (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                   b"2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nT: u\r\n\r\n")
        until = b"HTTP/1.1 200 OK\r\n\r\nhello"
        closing = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        interim = b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + OK

        def answer(connection, number):
            whole = (OK, chunked, until, closing, interim)[number % 5]
            if number >= 5:  # byte by byte, the second time
                for i in range(len(whole)):
                    connection.sendall(whole[i:i + 1])
            else:
                connection.sendall(whole)
            return whole not in (until, closing)
        with Served(answer) as server:
            code, report, err = load(server.url, "-n", "10", "-c", "1")
            self.assertEqual((code, err, report["requests"]), (0, "", 10))
            self.assertEqual(report["connects"], 5)

    def answered_by(self, *whole, count=4, flags=()):
        """Each connection is answered with these in turn; they must all be good answers."""
        def answer(connection, number):
            text = whole[number % len(whole)]
            connection.sendall(text)
            return b"close" not in text
        with Served(answer) as server:
            return load(server.url, "-n", str(count), "-c", "1", *flags)

    def test_answers_that_are_odd_and_yet_good(self):
        """Folded lines, many cookies, both framings (RFC 9112 5.2, 6.3)."""
        folded = OK.replace(b"\r\n\r\n", b"\r\nX: a\r\n b\r\n\tc\r\n\r\n")
        cookies = OK.replace(b"\r\n\r\n", b"\r\nSet-Cookie: a=b" * 100 + b"\r\n\r\n")
        both = (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n"
                b"X: it will close\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
        code, report, err = self.answered_by(OK, folded, cookies, both, count=8)
        self.assertEqual((code, err, report["requests"], report["connects"]), (0, "", 8, 2))

    def test_a_status_that_is_none(self):
        """RFC 9110 15: from 600 on it is an error of the server's."""
        odd = OK.replace(b"200 OK", b"999 Denied")
        code, report, err = self.answered_by(odd)
        self.assertEqual((code, report["errors"]["status"]), (1, 4))
        self.assertIn("an answer had status 999", err)
        code, report, err = self.answered_by(odd, flags=("--expect-status", "999"))
        self.assertEqual((code, err, report["status"]), (0, "", 999))

    def test_a_head_that_is_large(self):
        large = OK.replace(b"\r\n\r\n", b"\r\nX: " + b"x" * 20000 + b"\r\n\r\n")
        code, report, err = self.answered_by(large, count=1)
        self.assertEqual((code, report["errors"]["parse"]), (1, 1))
        self.assertIn("raise it with --max-head", err)
        self.assertEqual(self.answered_by(large, flags=("--max-head", "32k"))[::2], (0, ""))

    def test_an_upgrade_that_nobody_asked_for(self):
        code, report, err = self.answered_by(
            b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n", count=1)
        self.assertEqual((code, report["errors"]["parse"]), (1, 1))
        self.assertIn("no upgrade was asked for", err)

    def test_requests_behind_an_announced_close_are_sent_again(self):
        def answer(connection, number):
            connection.sendall(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            return False
        with Served(answer) as server:
            server.burst = 4
            code, report, err = load(server.url, "-n", "4", "-c", "1", "--pipeline", "4")
            self.assertEqual((code, err, report["requests"]), (0, "", 4))
            self.assertEqual(report["resent"], 3 + 2 + 1)


class OpenLoop(unittest.TestCase):
    STALL_S = 0.6

    def check_due(self, report, rate, seconds):
        """As many as were due until the loop saw that time was up; answers may come later."""
        due = report["requests"] + report["unfinished"]
        self.assertGreaterEqual(due, rate * seconds - 5)
        self.assertLessEqual(due, rate * report["duration_s"] + 5)

    def stalled(self, *flags):
        """A server that stands still once."""
        began = time.monotonic()
        lock = threading.Lock()
        stall = []

        def answer(connection, number):
            with lock:
                if not stall and time.monotonic() - began > 0.5:
                    stall.append(number)
                    time.sleep(self.STALL_S)  # the others wait for the lock
            connection.sendall(OK)
        with Served(answer) as server:
            code, report, err = load(server.url, "-d", "2", "-c", "2", *flags)
            self.assertEqual((code, err, len(stall)), (0, "", 1))
            return report

    def test_latency_counts_from_when_a_request_was_due(self):
        closed = self.stalled()
        report = self.stalled("--rate", "200")
        # Two requests waited for the whole stall; but 120 were due in it.
        slow_us = self.STALL_S * 1e6
        self.assertGreaterEqual(closed["latency_us"]["max"], slow_us * 0.95)
        self.assertLess(closed["latency_us"]["p90"], report["latency_us"]["p90"])
        self.assertGreaterEqual(report["latency_us"]["max"], slow_us * 0.95)
        self.assertGreaterEqual(report["latency_us"]["p90"], slow_us / 4)
        self.assertEqual(report["rate"], 200)
        self.check_due(report, 200, 2)

    def test_what_is_not_answered_in_time_is_unfinished(self):
        def answer(connection, number):
            time.sleep(0.1)
            connection.sendall(OK)
        with Served(answer) as server:
            code, report, err = load(server.url, "-d", "1", "-c", "1", "--rate", "100")
            self.assertEqual((code, err), (0, ""))
            self.assertLessEqual(report["requests"], 10 * report["duration_s"] + 1)
            self.check_due(report, 100, 1)
            self.assertGreater(report["latency_us"]["max"], 500_000)

    def test_the_cores_share_the_rate(self):
        with serve("--hello", "--cores", "1") as program:
            code, report, err = load(url_of(program.address), "-d", "1", "--rate", "500", "-t",
                                     "2", "-c", "4")
            self.assertEqual((code, err, report["cores"]), (0, "", 2))
            self.check_due(report, 500, 1)
            self.assertIn("p99", report["late_us"])


class Turns(unittest.TestCase):
    def test_no_more_are_in_flight_and_all_connections_take_part(self):
        now, most, lock, seen = 0, 0, threading.Lock(), set()

        def answer(connection, number):
            nonlocal now, most
            with lock:
                now += 1
                most = max(most, now)
                seen.add(id(connection))
            time.sleep(0.01)
            with lock:
                now -= 1
            connection.sendall(OK)
        with Served(answer) as server:
            code, report, err = load(server.url, "-n", "60", "-c", "20", "--in-flight", "3",
                                     "--ramp")
            self.assertEqual((code, report["requests"]), (0, 60), err)
            self.assertEqual(len(seen), 20)
            most = 0
            code, report, err = load(server.url, "-n", "60", "-c", "20", "--in-flight", "3")
            self.assertEqual((code, err), (0, ""))
            self.assertLessEqual(most, 3)

    def test_connections_come_from_where_they_are_told(self):
        sources = set()

        def answer(connection, number):
            sources.add(connection.getpeername()[0])
            connection.sendall(OK)
        with Served(answer) as server:
            for net in ("epoll", "uring"):
                code, _, err = load(server.url, "-n", "10", "-c", "2", "--net", net, "--from",
                                    "127.0.0.7-127.0.0.9")
                self.assertEqual((code, err, sources), (0, "", {"127.0.0.7"}))
                sources.clear()


class Life(unittest.TestCase):
    def test_ctrl_c_prints_the_report_so_far(self):
        enough = threading.Event()

        def answer(connection, number):
            connection.sendall(OK)
            if number == 50:
                enough.set()
        with Served(answer) as server, Program(
                LEAT, "load", server.url, "-d", "1h", "--rate", "100", "--json") as client:
            self.assertTrue(enough.wait(LIMIT_S), client.text)
            self.assertEqual(client.end(INT), 0)
            report = json.loads(client.text["stdout"])
            self.assertGreater(report["requests"], 0)
            self.assertEqual(sum(report["errors"].values()), 0)
            self.assertLess(report["duration_s"], LIMIT_S)

    def test_a_server_that_is_not_there(self):
        port = free_port()
        code, report, err = load(f"http://127.0.0.1:{port}/")
        self.assertEqual((code, report["requests"], report["errors"]["refused"]), (1, 0, 1))
        self.assertEqual(err, f"leat load: cannot connect to 127.0.0.1:{port}: the peer refuses "
                              "connections on that port: start the server, or check the address\n")
        code, out, err = finish(LEAT, "load", f"http://127.0.0.1:{port}/", QUIET)
        self.assertEqual((code, out), (1, ""))

    def test_a_unix_socket_that_is_not_there(self):
        with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as closed:
            closed.bind(f"{folder}/closed")
            for name, why in (("none", "there is no such socket"),
                              ("closed", "nobody listens on it"), (".", "it is no socket")):
                path = folder if name == "." else f"{folder}/{name}"
                for words in (("load", f"unix:{path}:/"), ("echo", "--connect", f"unix:{path}"),
                              ("ping", "-n", "1", f"unix:{path}")):
                    code, out, err = finish(LEAT, *words, QUIET)
                    self.assertEqual((code, (out + err).count(why)), (1, 1), out + err)

    def refused(self, *words, code=2):
        got, out, err = finish(LEAT, "load", QUIET, *words)
        self.assertEqual((got, out), (code, ""), err)
        self.assertEqual(err.count("\n"), 1, err)
        self.assertTrue(err.startswith("leat load: "), err)
        return err[len("leat load: "):-1]

    def test_what_it_refuses(self):
        self.assertEqual(self.refused(),
                         "which URL? Such as: leat load http://127.0.0.1:8080/")
        forms = "write it as http://[USER:PASSWORD@]HOST[:PORT][/PATH] or unix:FILE[:/PATH]"
        for url in ("ftp://x/", "127.0.0.1:80", "http://", "http:///x", "http://a@/", "http://:80/",
                    "http://@/"):
            self.assertEqual(self.refused(url), f'cannot use the URL "{url}": {forms}')
        self.assertIn("there is no TLS yet", self.refused("https://127.0.0.1/"))
        self.assertIn("the port is a number", self.refused("http://127.0.0.1:0/"))
        self.assertIn("the port is a number", self.refused("http://127.0.0.1:99999/"))
        self.assertIn("the port is a number", self.refused("http://127.0.0.1:8x/"))
        self.assertIn("the port is a number", self.refused("http://[::1]x/"))
        self.assertIn("is no %XX", self.refused("http://a%zz:b@127.0.0.1/"))
        self.assertIn("too long", self.refused(f"http://{'a' * 300}@127.0.0.1/"))
        self.assertIn("too long", self.refused(f"http://{'a' * 300}/"))
        self.assertIn("an IPv6 address ends", self.refused("http://[::1/"))
        self.assertIn("write it as %XX", self.refused("http://127.0.0.1/a b"))
        self.assertIn("the socket's path", self.refused("unix:"))
        url = "http://127.0.0.1/"
        self.assertIn("--header takes 'Name: value'",
                      self.refused(url, "-H", "nocolon"))
        self.assertIn("leave it out", self.refused(url, "-H", "Content-Length: 3"))
        self.assertIn("--method takes", self.refused(url, "-m", "G T"))
        self.assertIn("use one of them", self.refused(url, "--connection-per-request",
                                                      "--pipeline", "2"))
        self.assertIn("use one of them", self.refused(url, "--connection-per-request", "--ramp"))
        self.assertIn("use one of them", self.refused(url, "--rate", "5", "--in-flight", "2"))
        for words in ("10.0.0.1-10.0.1.1", "10.0.0.9-10.0.0.1", "localhost", "::1-127.0.0.1"):
            self.assertIn("is no address and no range", self.refused(url, "--from", words))
        self.assertIn("unknown flag --listen", self.refused(url, "--listen", ":1"))
        self.assertIn("use fewer --cores", self.refused(url, "-c", "1", "-t", "2", code=1))
        self.assertIn("cannot read the body from /no/such",
                      self.refused(url, "--body", "@/no/such"))
        self.assertIn("cannot find the address of no.such.invalid",
                      self.refused("http://no.such.invalid/", code=1))


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v"])
