#!/usr/bin/env python3
"""Real clients against the server: clients.py SERVER [NET]. Clients that are not installed are
skipped visibly; when none is, the whole is (exit code 77)."""
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

SERVER = sys.argv.pop(1)
NET = sys.argv.pop(1) if len(sys.argv) > 1 and not sys.argv[1].startswith("-") else "auto"
TIMEOUT_S = 60
TOOLS = ("curl", "wrk", "ab", "h2load")
STREAM_BYTES = 2000000


class Server:
    """The program under test, up until stop(); url is without a slash at its end."""

    def __init__(self, *flags):
        self.process = subprocess.Popen([SERVER, "--net", NET, "--cores", "1", *flags],
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                        text=True)
        line = self.process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)", line)
        if not found:
            self.process.kill()
            raise RuntimeError("the server did not start: " + line)
        self.port = int(found.group(1))
        self.url = found.group(0)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(TIMEOUT_S)
        finally:
            self.process.kill()
            self.process.stdout.close()


def run(*command, stdin=None):
    done = subprocess.run(command, capture_output=True, timeout=TIMEOUT_S, input=stdin)
    return done.returncode, done.stdout.decode("latin-1"), done.stderr.decode("latin-1")


def needs(tool):
    return unittest.skipUnless(shutil.which(tool), tool + " is not installed")


class Clients(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()

    @classmethod
    def tearDownClass(cls):
        code = cls.server.stop()
        if code != 0:
            raise AssertionError(f"the server ended with {code}")

    def curl(self, path, *flags, stdin=None):
        code, out, err = run("curl", "-sS", "--max-time", "30", *flags, self.server.url + path,
                             stdin=stdin)
        self.assertEqual(code, 0, err)
        return out

    @needs("curl")
    def test_curl_gets(self):
        self.assertEqual(self.curl("/"), "hello")
        self.assertIn("Content-Length: 5\r\n", self.curl("/", "-I"))
        self.assertEqual(self.curl("/", "-0"), "hello")
        self.assertEqual(len(self.curl("/stream")), STREAM_BYTES)
        self.assertEqual(len(self.curl("/stream", "-0")), STREAM_BYTES)
        self.assertEqual(self.curl("/chunked"), "hello world")
        self.assertEqual(self.curl("/later"), f"/later 127.0.0.1:{self.server.port} ")
        self.assertEqual(self.curl("/redirect", "-L"), "7")

    @needs("curl")
    def test_curl_reuses_its_connection(self):
        code, out, _ = run("curl", "-sS", "-w", "|%{num_connects}|", self.server.url + "/",
                           self.server.url + "/user/2", self.server.url + "/empty")
        self.assertEqual(code, 0)
        self.assertEqual(out, "hello|1|2|0||0|")

    @needs("curl")
    def test_curl_posts(self):
        body = b"0123456789" * 20000
        self.assertEqual(self.curl("/echo", "--data-binary", "@-", stdin=body), body.decode())
        self.assertEqual(self.curl("/count", "-H", "Transfer-Encoding: chunked", "--data-binary",
                                   "@-", stdin=body), "200000 bytes")
        self.assertEqual(self.curl("/count", "-T", "-", "-X", "POST", stdin=body), "200000 bytes")
        self.assertEqual(self.curl("/pause", "--data-binary", "@-", stdin=body), "200000 bytes")
        got = self.curl("/count", "-H", "Expect: 100-continue", "--expect100-timeout", "20", "-i",
                        "--data-binary", "@-", stdin=body)
        self.assertEqual(got[:42], "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")

    @needs("curl")
    def test_curl_is_told_that_a_body_is_too_large(self):
        with tempfile.NamedTemporaryFile() as file:
            file.truncate(3 << 20)
            status = self.curl("/echo", "-o", os.devnull, "-w", "%{http_code}", "-H", "Expect:",
                               "--data-binary", "@" + file.name)
        self.assertEqual(status, "413")

    @needs("wrk")
    def test_wrk(self):
        code, out, _ = run("wrk", "-t", "1", "-c", "16", "-d", "1", self.server.url + "/")
        self.assertEqual(code, 0)
        self.assertGreater(int(re.search(r"(\d+) requests in", out).group(1)), 100)
        self.assertNotIn("Socket errors", out)
        self.assertNotIn("Non-2xx", out)

    @needs("wrk")
    def test_wrk_pipelines(self):
        with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
            script.write("init = function(args)\n  local r = {}\n"
                         "  for i = 1, 16 do r[i] = wrk.format() end\n"
                         "  all = table.concat(r)\nend\n"
                         "request = function() return all end\n")
            script.flush()
            code, out, _ = run("wrk", "-t", "1", "-c", "8", "-d", "1", "-s", script.name,
                               self.server.url + "/")
        self.assertEqual(code, 0)
        self.assertNotIn("Socket errors", out)
        self.assertNotIn("Non-2xx", out)

    @needs("ab")
    def test_ab(self):
        for flags in ([], ["-k"]):
            code, out, err = run("ab", "-q", "-n", "2000", "-c", "20", *flags,
                                 self.server.url + "/")
            self.assertEqual(code, 0, err)
            self.assertRegex(out, r"Complete requests:\s+2000\n")
            self.assertRegex(out, r"Failed requests:\s+0\n")
            self.assertRegex(out, r"Keep-Alive requests:\s+2000\n" if flags else "Failed")

    @needs("h2load")
    def test_h2load(self):
        code, out, err = run("h2load", "--h1", "-n", "2000", "-c", "8", "-m", "4",
                             self.server.url + "/")
        self.assertEqual(code, 0, err)
        self.assertRegex(out, r"2000 succeeded, 0 failed, 0 errored, 0 timeout")


class EndUnderLoad(unittest.TestCase):
    """SIGTERM while clients keep asking: every request that was sent is answered in full."""

    def ask(self, port, started, results):
        answered = 0
        try:
            with socket.create_connection(("127.0.0.1", port), TIMEOUT_S) as client:
                stream = client.makefile("rb")
                while True:
                    client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                    head = []
                    while (line := stream.readline()) not in (b"\r\n", b""):
                        head.append(line)
                    if not head or stream.read(5) != b"hello":
                        results.append(f"cut off after {answered} answers")
                        return
                    answered += 1
                    started.set()
                    if b"Connection: close\r\n" in head:
                        results.append("ended" if stream.read() == b"" else "more")
                        return
        except OSError as error:
            results.append(f"{error} after {answered} answers")

    def test_no_request_fails(self):
        server, results = Server(), []
        events = [threading.Event() for _ in range(16)]
        threads = [threading.Thread(target=self.ask, args=(server.port, event, results))
                   for event in events]
        for thread in threads:
            thread.start()
        for event in events:
            self.assertTrue(event.wait(TIMEOUT_S))
        code = server.stop()
        for thread in threads:
            thread.join(TIMEOUT_S)
        self.assertEqual(code, 0)
        self.assertEqual(results, ["ended"] * len(threads))


if __name__ == "__main__":
    if not any(shutil.which(tool) for tool in TOOLS):
        print("SKIP: none of " + ", ".join(TOOLS) + " is installed (./dev deps test)")
        sys.exit(77)
    unittest.main(verbosity=2)
