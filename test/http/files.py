#!/usr/bin/env python3
"""Drives the file handler over TCP: files.py SERVER [NET]. One server, one tree, raw HTTP."""
import email.utils
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest

SERVER = sys.argv.pop(1)
NET = sys.argv.pop(1) if len(sys.argv) > 1 and not sys.argv[1].startswith("-") else "auto"
TIMEOUT_S = 20
GIB = 1 << 30
BIG_BYTES = 5 * GIB
MARK = b"behind four gibibytes"
TEXT = bytes(range(97, 123)) * 4


class Response:
    """A parsed response; body is what Content-Length says, none for HEAD."""

    def __init__(self, stream, has_body=True):
        line = stream.readline()
        self.status = int(line.split()[1])
        self.headers = {}
        while True:
            line = stream.readline()
            if line in (b"\r\n", b""):
                break
            name, value = line.decode("latin-1").split(":", 1)
            assert name.lower() not in self.headers, "header twice: " + name
            self.headers[name.lower()] = value.strip()
        self.length = int(self.headers.get("content-length", "0"))
        self.body = b""
        if has_body and self.status not in (204, 304):
            self.body = stream.read(self.length)
            assert len(self.body) == self.length, "body cut"

    def __getitem__(self, name):
        return self.headers.get(name.lower())


def connect(receive_bytes=0):
    client = socket.socket()
    client.settimeout(TIMEOUT_S)
    if receive_bytes:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    client.connect(("127.0.0.1", PORT))
    return client


def raw(target, method="GET", **headers):
    lines = ["%s %s HTTP/1.1" % (method, target), "Host: test"]
    lines += ["%s: %s" % (name.replace("_", "-"), value) for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def ask(target, method="GET", **headers):
    with connect() as client:
        client.sendall(raw(target, method, **headers))
        return Response(client.makefile("rb"), method != "HEAD")


def write(name, data, mtime=1700000000):
    path = os.path.join(TREE, "root", name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as out:
        out.write(data)
    os.utime(path, (mtime, mtime))


def make_tree():
    write("text.txt", TEXT)
    write("index.html", b"<h1>index</h1>")
    write("empty.txt", b"")
    write("plain", b"\0\1\2")
    write("picture.png", b"png")
    write("picture.png.gz", b"never")
    write("style.css", b"identity")
    write("style.css.br", b"brotli")
    write("style.css.gz", b"gzip")
    write("only.js", b"js")
    write("odd.js", b"odd")
    os.mkdir(TREE + "/root/odd.js.br")
    write("dir/file.txt", b"in dir")
    write("with index/index.html", b"deep")
    write("back\\slash.txt", b"backslash")
    write("name %2e.txt", b"percent")
    write("x<y>&.html", b"odd name")
    write(".hidden", b"hidden")
    write(".well-known/acme", b"well known")
    write("../outside.txt", b"outside")
    os.symlink("text.txt", TREE + "/root/inside-link")
    os.symlink("../outside.txt", TREE + "/root/outside-link")
    os.symlink(TREE + "/outside.txt", TREE + "/root/absolute-link")
    os.symlink("..", TREE + "/root/up")
    os.mkfifo(TREE + "/root/fifo")
    node = socket.socket(socket.AF_UNIX)
    node.bind(TREE + "/root/socket")
    node.close()
    write("secret.txt", b"no")
    os.chmod(TREE + "/root/secret.txt", 0)
    with open(TREE + "/root/big.bin", "wb") as out:
        out.truncate(BIG_BYTES)
        out.seek(4 * GIB + 100)
        out.write(MARK)
    write("medium.bin", bytes(i * 7 % 251 for i in range(1 << 16)) * 64)


def other_user():
    """Who the server runs as, so that a file can be denied to it; None: who runs this."""
    path = os.path.realpath(SERVER)
    while os.geteuid() == 0 and os.stat(path).st_mode & 0o005 == 0o005:
        if path == "/":
            return 65534
        path = os.path.dirname(path)
    return None


def resident_bytes():
    with open("/proc/%d/status" % PROCESS.pid) as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1)) * 1024


def descriptor_count():
    return len(os.listdir("/proc/%d/fd" % PROCESS.pid))


def descriptors_fall_to(count):
    """Connections close after their clients have gone: that takes a moment."""
    deadline = time.monotonic() + TIMEOUT_S
    while descriptor_count() > count and time.monotonic() < deadline:
        ask("/plain")
    return descriptor_count() <= count


class Content(unittest.TestCase):
    def test_get(self):
        got = ask("/text.txt")
        self.assertEqual((got.status, got.body), (200, TEXT))
        self.assertEqual(got["Content-Type"], "text/plain; charset=utf-8")
        self.assertEqual(got["Accept-Ranges"], "bytes")
        self.assertEqual(got["Last-Modified"], "Tue, 14 Nov 2023 22:13:20 GMT")
        self.assertRegex(got["ETag"], r'^"[0-9a-f-]+"$')
        self.assertEqual(got["Vary"], "Accept-Encoding")
        self.assertIsNone(got["Cache-Control"])

    def test_head_is_get_without_a_body(self):
        for target in ("/text.txt", "/big.bin", "/dir/missing", "/dir", "/empty.txt"):
            head = ask(target, "HEAD")
            self.assertEqual(head.body, b"")
            if target == "/big.bin":
                self.assertEqual(head.length, BIG_BYTES)
                continue
            got = ask(target)
            for headers in (head.headers, got.headers):
                headers.pop("date")
            self.assertEqual((head.status, head.headers), (got.status, got.headers))

    def test_types(self):
        for target, expected in (("/plain", "application/octet-stream"),
                                 ("/picture.png", "image/png"),
                                 ("/style.css", "text/css; charset=utf-8"),
                                 ("/", "text/html; charset=utf-8")):
            self.assertEqual(ask(target)["Content-Type"], expected)

    def test_empty_file(self):
        for headers in ({}, {"Range": "bytes=0-"}):
            got = ask("/empty.txt", **headers)
            self.assertEqual((got.status, got.body, got["Content-Length"]), (200, b"", "0"))

    def test_index_and_slash(self):
        self.assertEqual(ask("/").body, b"<h1>index</h1>")
        self.assertEqual(ask("/with%20index/").body, b"deep")
        got = ask("/with%20index?a=%20b&c")
        self.assertEqual((got.status, got["Location"]), (301, "/with%20index/?a=%20b&c"))
        self.assertEqual(ask("/text.txt/").status, 404)
        self.assertEqual(ask("/dir/").status, 404)

    def test_names_are_decoded_once(self):
        self.assertEqual(ask("/back%5cslash.txt").body, b"backslash")
        self.assertEqual(ask("/name%20%252e.txt").body, b"percent")
        self.assertEqual(ask("/x%3Cy%3E&.html").body, b"odd name")
        self.assertEqual(ask("/te%78t.txt").body, TEXT)
        self.assertEqual(ask("http://test/text.txt").body, TEXT)

    def test_files_change(self):
        write("changing.txt", b"one")
        before = ask("/changing.txt")
        write("changing.txt", b"two", 1700000001)
        after = ask("/changing.txt", If_None_Match=before["ETag"])
        self.assertEqual((after.status, after.body), (200, b"two"))
        self.assertNotEqual(before["ETag"], after["ETag"])
        write("future.txt", b"x", int(time.time()) + 100000)
        modified = email.utils.parsedate_to_datetime(ask("/future.txt")["Last-Modified"])
        self.assertLessEqual(modified.timestamp(), time.time() + 1)

    def test_files_of_any_length_are_whole(self):
        """Around the length up to which they are copied; in memory or not; one behind another."""
        lengths = (1, 4096, 8191, 8192, 8193, 70000)
        for length in lengths:
            write("long%d.bin" % length, os.urandom(length))
        for is_cold in (False, True):
            for length in lengths:
                path = TREE + "/root/long%d.bin" % length
                with open(path, "rb") as file:
                    data = file.read()
                    if is_cold:
                        os.fsync(file.fileno())
                        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                self.assertEqual(ask("/long%d.bin" % length).body, data)
                part = ask("/long%d.bin" % length, Range="bytes=%d-" % (length // 2))
                self.assertEqual((part.status, part.body), (206, data[length // 2:]))
                self.assertEqual(ask("/long%d.bin" % length, "HEAD").length, length)
        with connect() as client:
            client.sendall(b"".join(raw("/long%d.bin" % length) for length in lengths * 5))
            stream = client.makefile("rb")
            for length in lengths * 5:
                with open(TREE + "/root/long%d.bin" % length, "rb") as file:
                    self.assertEqual(Response(stream).body, file.read())

    def test_pipelined_in_order(self):
        with connect() as client:
            client.sendall(raw("/text.txt") + raw("/style.css") + raw("/medium.bin") +
                           raw("/none") + raw("/plain"))
            stream = client.makefile("rb")
            got = [Response(stream) for _ in range(5)]
        self.assertEqual([r.status for r in got], [200, 200, 200, 404, 200])
        self.assertEqual(got[0].body, TEXT)
        self.assertEqual(len(got[2].body), 4 << 20)
        self.assertEqual(got[4].body, b"\0\1\2")


class Refusals(unittest.TestCase):
    def test_nul_is_no_part_of_a_path(self):
        for target in ("/text.txt%00", "/text.txt%00.png"):
            self.assertEqual(ask(target).status, 400, target)

    def test_what_is_not_there(self):
        for target in ("/none", "/none/", "/dir/none", "/text.txt/x", "/fifo", "/socket",
                       "/outside-link", "/absolute-link", "/up/outside.txt", "/up",
                       "/.hidden", "/%2ehidden", "/../outside.txt", "/dir/../../outside.txt",
                       "/%2e%2e/outside.txt", "/%2E./outside.txt", "/..%2foutside.txt",
                       "/%2e%2e%2foutside.txt",
                       "/%252e%252e/outside.txt", "/..%252foutside.txt", "/..%5coutside.txt",
                       "/dir%2ffile.txt",
                       "/" + "a/" * 2000, "/" + "a" * 300):
            started = time.monotonic()
            got = ask(target)
            self.assertEqual(got.status, 404, target)
            self.assertNotIn(b"outside", got.body)
            self.assertLess(time.monotonic() - started, 5, target)
        self.assertEqual(ask("/inside-link").body, TEXT)
        self.assertEqual(ask("/.well-known/acme").body, b"well known")

    def test_broken_escapes(self):
        for target in ("/%", "/%2", "/%zz", "/text.tx%7"):
            self.assertEqual(ask(target).status, 400, target)

    def test_not_for_this_user(self):
        if os.geteuid() == 0 and SERVER_USER is None:
            self.skipTest("root reads everything, and nobody may not run the server here")
        self.assertEqual(ask("/secret.txt").status, 403)

    def test_methods(self):
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            got = ask("/text.txt", method, Content_Length="0")
            self.assertEqual(got.status, 405, method)
            allowed = {name.strip() for name in got["Allow"].split(",")}
            self.assertTrue({"GET", "HEAD"} <= allowed)
            self.assertNotIn(method, allowed)
        got = ask("/text.txt", "OPTIONS")
        self.assertEqual(got.status, 204)
        self.assertIn("GET", got["Allow"])

    def test_no_open_redirect(self):
        for target in ("/%5Cdir", "/%2fdir"):
            got = ask(target)
            self.assertEqual((got.status, got["Location"]), (404, None), target)

    def test_another_spelling_is_redirected(self):
        for target, normal in (("//dir", "/dir"), ("/dir//file.txt", "/dir/file.txt"),
                               ("//text.txt?a=%2e/../b", "/text.txt?a=%2e/../b"),
                               ("/./text.txt", "/text.txt"), ("/dir/../text.txt", "/text.txt"),
                               ("/dir/%2e%2E/text.txt", "/text.txt"), ("/dir/.", "/dir/"),
                               ("/dir/..", "/"), ("//etc/passwd", "/etc/passwd"),
                               ("///", "/"), ("//\\dir", "/%5Cdir"), ("/open//dir/", "/open/dir/")):
            for method in ("GET", "HEAD"):
                got = ask(target, method)
                self.assertEqual((got.status, got["Location"]), (308, normal), target)


class Conditions(unittest.TestCase):
    def setUp(self):
        got = ask("/text.txt")
        self.etag, self.date = got["ETag"], got["Last-Modified"]
        self.before = "Tue, 14 Nov 2023 22:13:19 GMT"

    def check(self, status, **headers):
        got = ask("/text.txt", **headers)
        self.assertEqual(got.status, status, headers)
        return got

    def test_not_modified(self):
        for headers in ({"If_None_Match": self.etag}, {"If_None_Match": "W/" + self.etag},
                        {"If_None_Match": '"x", ' + self.etag}, {"If_None_Match": "*"},
                        {"If_Modified_Since": self.date},
                        {"If_None_Match": self.etag, "If_Modified_Since": self.before},
                        {"If_None_Match": self.etag, "Range": "bytes=0-1"}):
            got = self.check(304, **headers)
            self.assertEqual((got["ETag"], got.body), (self.etag, b""))
            self.assertEqual(got["Vary"], "Accept-Encoding")
            self.assertIsNone(got["Content-Type"])
        head = ask("/text.txt", "HEAD", If_None_Match=self.etag)
        self.assertEqual(head.status, 304)

    def test_modified(self):
        self.check(200, If_None_Match='"x"')
        self.check(200, If_Modified_Since=self.before)
        self.check(200, If_Modified_Since="rubbish")
        self.check(200, If_None_Match='"x"', If_Modified_Since=self.date)
        self.check(200, If_Match=self.etag)
        self.check(200, If_Match="*")
        self.check(200, If_Unmodified_Since=self.date)
        self.check(200, If_Match=self.etag, If_Unmodified_Since=self.before)

    def test_failed(self):
        self.check(412, If_Match='"x"')
        self.check(412, If_Match="W/" + self.etag)
        self.check(412, If_Unmodified_Since=self.before)
        self.check(412, If_Match='"x"', If_None_Match=self.etag)
        self.assertEqual(ask("/none", If_Match="*").status, 404)

    def test_if_range(self):
        self.check(206, Range="bytes=0-1", If_Range=self.etag)
        self.check(206, Range="bytes=0-1", If_Range=self.date)
        self.check(200, Range="bytes=0-1", If_Range='"x"')
        self.check(200, Range="bytes=0-1", If_Range="W/" + self.etag)
        self.check(200, Range="bytes=0-1", If_Range=self.before)


class Ranges(unittest.TestCase):
    def test_single(self):
        size = len(TEXT)
        for asked, first, last in (("0-0", 0, 0), ("5-9", 5, 9), ("100-", 100, size - 1),
                                   ("-4", size - 4, size - 1), ("0-9999", 0, size - 1),
                                   ("0-3,2-9", 0, 9), ("0-3,4-9", 0, 9)):
            got = ask("/text.txt", Range="bytes=" + asked)
            self.assertEqual(got.status, 206, asked)
            self.assertEqual(got["Content-Range"], "bytes %d-%d/%d" % (first, last, size))
            self.assertEqual(got.body, TEXT[first:last + 1])
            self.assertEqual(got["Content-Type"], "text/plain; charset=utf-8")

    def test_none(self):
        got = ask("/text.txt", Range="bytes=104-")
        self.assertEqual((got.status, got["Content-Range"]), (416, "bytes */104"))
        self.assertIsNone(got["ETag"])
        for asked in ("bytes=2-1", "bytes=x", "pages=1-2", "bytes=" + ",".join(["0-0"] * 17)):
            self.assertEqual(ask("/text.txt", Range=asked).status, 200, asked)
        self.assertEqual(ask("/text.txt", "HEAD", Range="bytes=0-1").status, 200)

    def parts(self, got):
        kind, boundary = got["Content-Type"].split("; boundary=")
        self.assertEqual(kind, "multipart/byteranges")
        self.assertIsNone(got["Content-Range"])
        pieces = got.body.split(b"--" + boundary.encode())
        self.assertEqual((pieces[0], pieces[-1]), (b"", b"--\r\n"))
        found = []
        for piece in pieces[1:-1]:
            head, body = piece[2:].split(b"\r\n\r\n", 1)
            fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
            found.append((fields["Content-Range"], fields["Content-Type"], body[:-2]))
            self.assertEqual(body[-2:], b"\r\n")
        return found

    def test_several(self):
        got = ask("/text.txt", Range="bytes=50-51, 0-2, 200-, -1")
        self.assertEqual(got.status, 206)
        kind = "text/plain; charset=utf-8"
        self.assertEqual(self.parts(got), [("bytes 50-51/104", kind, TEXT[50:52]),
                                           ("bytes 0-2/104", kind, TEXT[:3]),
                                           ("bytes 103-103/104", kind, TEXT[103:])])
        self.assertEqual(ask("/open/text.txt", Range="bytes=0-0,5-5,9-9").status, 200)
        self.assertEqual(ask("/open/text.txt", Range="bytes=0-0,5-5").status, 206)

    def test_several_large_ones_to_a_slow_reader(self):
        with open(TREE + "/root/medium.bin", "rb") as file:
            data = file.read()
        asked = [(i << 18, (i << 18) + 250000 - 1) for i in range(15, 0, -1)]
        with connect(receive_bytes=65536) as client:
            client.sendall(raw("/medium.bin", Range="bytes=" +
                               ",".join("%d-%d" % pair for pair in asked)) + raw("/plain"))
            stream = client.makefile("rb", buffering=4096)
            got, then = Response(stream), Response(stream)
        self.assertEqual([(r, b) for r, _, b in self.parts(got)],
                         [("bytes %d-%d/%d" % (a, b, len(data)), data[a:b + 1])
                          for a, b in asked])
        self.assertEqual(then.body, b"\0\1\2")

    def test_a_reader_that_goes_in_between(self):
        before = descriptor_count()
        for _ in range(20):
            client = connect()
            client.sendall(raw("/big.bin", Range="bytes=0-99999999,200000000-299999999"))
            client.recv(1000)
            client.close()
        self.assertEqual(ask("/plain").status, 200)
        self.assertTrue(descriptors_fall_to(before))


class Large(unittest.TestCase):
    def test_beyond_four_gibibytes(self):
        first = 4 * GIB + 100
        got = ask("/big.bin", Range="bytes=%d-%d" % (first, first + len(MARK) - 1))
        self.assertEqual((got.status, got.body), (206, MARK))
        self.assertEqual(got["Content-Range"],
                         "bytes %d-%d/%d" % (first, first + len(MARK) - 1, BIG_BYTES))
        got = ask("/big.bin", Range="bytes=-1,%d-%d" % (first, first + 5))
        self.assertIn(MARK[:6], got.body)
        got = ask("/big.bin", Range="bytes=%d-" % (BIG_BYTES - 3))
        self.assertEqual(got.body, b"\0\0\0")
        self.assertEqual(ask("/big.bin", Range="bytes=%d-" % BIG_BYTES).status, 416)

    def test_memory_does_not_grow_with_the_file(self):
        before = resident_bytes()
        with connect() as client:
            client.sendall(raw("/big.bin"))
            stream = client.makefile("rb")
            head = Response(stream, has_body=False)
            self.assertEqual(head.length, BIG_BYTES)
            left = 256 << 20
            while left > 0:
                got = len(stream.read(1 << 20))
                self.assertGreater(got, 0)
                left -= got
            self.assertLess(resident_bytes() - before, 4 << 20)


class Codings(unittest.TestCase):
    def test_siblings(self):
        for accept, body, coding in (("gzip, br", b"brotli", "br"), ("gzip", b"gzip", "gzip"),
                                     ("gzip;q=1, br;q=0.5", b"gzip", "gzip"),
                                     ("*", b"brotli", "br"), ("br;q=0", b"identity", None),
                                     ("deflate", b"identity", None), ("", b"identity", None)):
            got = ask("/style.css", Accept_Encoding=accept)
            self.assertEqual((got.status, got.body, got["Content-Encoding"]), (200, body, coding))
            self.assertEqual(got["Content-Type"], "text/css; charset=utf-8")
            self.assertEqual(got["Vary"], "Accept-Encoding")
        etags = {ask("/style.css", Accept_Encoding=accept)["ETag"]
                 for accept in ("br", "gzip", "identity")}
        self.assertEqual(len(etags), 3)
        self.assertEqual(ask("/style.css", Accept_Encoding="identity;q=0").status, 406)

    def test_none_there(self):
        self.assertEqual(ask("/only.js", Accept_Encoding="gzip, br").body, b"js")
        self.assertEqual(ask("/odd.js", Accept_Encoding="gzip, br").body, b"odd")
        got = ask("/picture.png", Accept_Encoding="gzip")
        self.assertEqual((got.body, got["Vary"]), (b"png", None))
        got = ask("/open/style.css", Accept_Encoding="gzip")
        self.assertEqual((got.body, got["Vary"]), (b"identity", None))

    def test_what_is_not_there_varies_too(self):
        for target, vary in (("/absent.css", "Accept-Encoding"), ("/absent.png", None),
                             ("/emptied/", "Accept-Encoding"), ("/open/absent.css", None)):
            got = ask(target, Accept_Encoding="gzip")
            self.assertEqual((got.status, got["Vary"]), (404, vary), target)
        self.assertEqual(ask("/style.css", Accept_Encoding="identity;q=0")["Vary"],
                         "Accept-Encoding")

    def test_range_of_a_coding(self):
        got = ask("/style.css", Accept_Encoding="br", Range="bytes=1-2")
        self.assertEqual((got.status, got.body, got["Content-Encoding"]), (206, b"ro", "br"))
        tag = ask("/style.css", Accept_Encoding="gzip")["ETag"]
        self.assertEqual(ask("/style.css", Accept_Encoding="gzip", If_None_Match=tag).status, 304)
        self.assertEqual(ask("/style.css", Accept_Encoding="br", If_None_Match=tag).status, 200)


class Exhaustion(unittest.TestCase):
    """Whatever allocation fails, the request gets its file, a 503, or an aborted connection; the
    server goes on, and nothing leaks."""

    def ask_failing(self, kind, nth, target, **headers):
        with connect() as client:
            client.sendall(raw("/fail/%s/%d" % (kind, nth), "POST", Content_Length="0"))
            stream = client.makefile("rb")
            try:
                if Response(stream).status == 204:
                    client.sendall(raw(target, Connection="close", **headers))
                    return Response(stream).status
            except (OSError, AssertionError, IndexError):
                pass
        return 0

    def test_every_allocation_may_fail(self):
        for target in ("/text.txt", "/medium.bin", "/plain"):
            ask(target)  # from now on kept open
        before = descriptor_count()
        failed = 0
        for kind in ("heap", "pools"):
            for target, headers, good in (("/text.txt", {}, 200), ("/open/", {}, 200),
                                          ("/text.txt", {"Range": "bytes=0-0,4-5"}, 206),
                                          ("/medium.bin", {}, 200), ("/open/dir", {}, 301)):
                for nth in range(1, 13):
                    status = self.ask_failing(kind, nth, target, **headers)
                    self.assertIn(status, (0, 500, 503, good), (kind, nth, target))
                    failed += status != good
                    ask("/fail/%s/0" % kind, "POST", Content_Length="0")
                    self.assertEqual(ask("/plain").body, b"\0\1\2")
        self.assertGreater(failed, 10)
        self.assertTrue(descriptors_fall_to(before))


class Descriptors(unittest.TestCase):
    def test_none_is_left(self):
        """503 and when to come again, not a 404: the file may well be there."""
        write("scarce.css", b"fresh: nobody asked for it yet")
        with connect() as client:
            stream = client.makefile("rb")

            def status_of(target, method="GET", **headers):
                client.sendall(raw(target, method, **headers))
                got = Response(stream)
                return got.status, got["Retry-After"]

            def limit(count):
                target = "/fail/descriptors/%d" % count
                self.assertEqual(status_of(target, "POST", Content_Length="0")[0], 204)
            self.assertEqual(status_of("/text.txt"), (200, None))
            limit(3)
            try:
                self.assertEqual(status_of("/text.txt"), (200, None))  # it is kept open
                for target in ("/scarce.css", "/style.css", "/open/dir/", "/text.txt"):
                    self.assertEqual(status_of(target, Accept_Encoding="br, identity;q=0"),
                                     (503, "1"), target)
            finally:
                limit(0)
            self.assertEqual(status_of("/scarce.css"), (200, None))


class Kept(unittest.TestCase):
    """Files are kept open; what is answered is what is there now."""

    def test_what_changed_shows_at_once(self):
        write("kept.txt", b"first")
        for body in (b"again", b"longer than before", b"", b"short"):
            ask("/kept.txt")
            write("kept.txt", body, 1700000001)
            self.assertEqual(ask("/kept.txt").body, body)
            write("other.txt", b"in its place: " + body)
            os.rename(TREE + "/root/other.txt", TREE + "/root/kept.txt")
            self.assertEqual(ask("/kept.txt").body, b"in its place: " + body)
        os.remove(TREE + "/root/kept.txt")
        self.assertEqual(ask("/kept.txt").status, 404)

    def test_a_link_in_its_place_leads_nowhere(self):
        write("kept.txt", b"inside")
        self.assertEqual(ask("/kept.txt").body, b"inside")
        os.remove(TREE + "/root/kept.txt")
        os.symlink(TREE + "/outside.txt", TREE + "/root/kept.txt")
        with open(TREE + "/outside.txt", "wb") as out:
            out.write(b"outside")
        self.assertEqual(ask("/kept.txt").status, 404)
        os.remove(TREE + "/root/kept.txt")

    def test_one_may_no_longer_be_read(self):
        write("kept.txt", b"for all")
        self.assertEqual(ask("/kept.txt").status, 200)
        os.chmod(TREE + "/root/kept.txt", 0)
        self.assertEqual(ask("/kept.txt").status, 403 if SERVER_USER else 200)
        os.remove(TREE + "/root/kept.txt")

    def test_there_is_a_bound(self):
        before = descriptor_count()
        for number in range(1000):
            write("many/%d.txt" % number, b"one of many")
            self.assertEqual(ask("/many/%d.txt" % number).body, b"one of many")
        self.assertTrue(descriptors_fall_to(before + 256))
        shutil.rmtree(TREE + "/root/many")


class Options(unittest.TestCase):
    def test_listing(self):
        got = ask("/open/")
        self.assertEqual((got.status, got["Content-Type"]), (200, "text/html; charset=utf-8"))
        page = got.body.decode()
        self.assertIn('<a href="./x%3Cy%3E%26.html">x&lt;y&gt;&amp;.html</a>', page)
        self.assertIn('<a href="./dir/">dir/</a>', page)
        self.assertIn(">text.txt</a></td><td>104 B</td><td>2023-11-14 22:13</td>", page)
        self.assertIn(">big.bin</a></td><td>5.0 GiB</td>", page)
        self.assertIn(">outside-link</a></td><td></td><td></td>", page)
        self.assertIn('<a href="../">../</a>', page)
        self.assertIn(".hidden", page)
        self.assertNotIn("fifo", page)
        self.assertEqual(ask("/open/dir")["Location"], "/open/dir/")
        self.assertIn("file.txt", ask("/open/dir/").body.decode())

    def test_a_listing_is_sorted_before_it_is_cut(self):
        for number in range(2100):  # in an order that no directory keeps
            number = number * 997 % 2100
            with open(TREE + "/root/dir/n%04d" % number, "wb"):
                pass
        page = ask("/open/dir/").body.decode()
        names = re.findall(r'<a href="\./([^"]*)">', page)
        self.assertEqual(names, ["file.txt"] + ["n%04d" % n for n in range(1999)])
        self.assertIn("the first 2000 of 2101 names", page)
        for number in range(2100):
            os.remove(TREE + "/root/dir/n%04d" % number)
        self.assertNotIn("names.", ask("/open/dir/").body.decode())

    def test_others(self):
        got = ask("/open/.hidden")
        self.assertEqual((got.body, got["Cache-Control"]), (b"hidden", "max-age=60"))
        self.assertEqual(ask("/open/outside-link").body, b"outside")
        self.assertEqual(ask("/open/../text.txt")["Location"], "/text.txt")
        self.assertEqual(ask("/open/fifo").status, 404)


if __name__ == "__main__":
    TREE = tempfile.mkdtemp(prefix="leat-files-")
    PROCESS = None
    try:
        os.chmod(TREE, 0o755)
        os.mkdir(TREE + "/root")
        make_tree()
        SERVER_USER = other_user()
        PROCESS = subprocess.Popen([SERVER, "--cores", "1", "--net", NET],
                                   user=SERVER_USER,
                                   env=dict(os.environ, LEAT_TEST_DIRECTORY=TREE + "/root"),
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        ready = PROCESS.stdout.readline().decode()
        if not ready:
            errors = PROCESS.stderr.read().decode()
            PROCESS.wait(TIMEOUT_S)
            print(errors.strip())
            sys.exit(77 if NET == "uring" and "uring" in errors else 1)  # meson: skipped
        PORT = int(ready.rsplit(":", 1)[1])
        result = unittest.main(argv=[sys.argv[0], "-v"], exit=False).result
        PROCESS.terminate()
        _, errors = PROCESS.communicate(timeout=TIMEOUT_S)
        if PROCESS.returncode != 0 or b"never freed" in errors:
            sys.exit("server: exit code %s\n%s" % (PROCESS.returncode, errors.decode()))
        sys.exit(0 if result.wasSuccessful() else 1)
    finally:
        if PROCESS is not None and PROCESS.poll() is None:
            PROCESS.kill()
            PROCESS.wait()
        shutil.rmtree(TREE)
