"""The examples as their users meet them; first of all http-echo, which shows what arrived."""
import re
import socket
import sys
import unittest

from process import BUILD, TERM, Program

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


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v"])
