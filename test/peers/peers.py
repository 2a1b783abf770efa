"""HTTP clients and tools of others against `leat serve DIR` and the example http-echo: peers.py
NET, where NET is a transport of sockets, or tun for Leat's own stack (in a network namespace that
this test makes; root). test/http/clients.py has what curl, wrk, ab and h2load ask of handlers."""
import hashlib
import http.client
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import process
import world

NET = sys.argv.pop(1)
OWN, PEER = "10.9.4.2", "10.9.4.1"
HERE = pathlib.Path(__file__).resolve().parent
LARGE_BYTES, FILE_COUNT = 5_000_000, 40
SECONDS_MAX = 120
TOOLS = ("ab", "curl", "h2load", "nmap", "node", "wrk")


def run(*words):
    """What a client says that must end well."""
    done = subprocess.run([str(word) for word in words], stdin=subprocess.DEVNULL, text=True,
                          capture_output=True, timeout=SECONDS_MAX)
    assert done.returncode == 0, (words, done.returncode, done.stdout[-2000:], done.stderr[-2000:])
    return done.stdout


def start(*words):
    """A server of one loop on NET; .address is (host, port)."""
    where = (["--net", "tun:leatp0", "--ip", f"{OWN}/24", "--listen", f"{OWN}:8080"]
             if NET == "tun" else ["--net", NET, "--listen", "127.0.0.1:0"])
    program = process.Program(*words, "--cores", "1", *where)
    try:
        found = program.until(r"^listening on http://(\S+):(\d+)")
        if NET == "tun":
            world.ip("addr", "add", f"{PEER}/24", "dev", "leatp0")
    except BaseException:
        program.__exit__()
        raise
    program.url = f"http://{found[1]}:{found[2]}"
    program.address = found[1], int(found[2])
    return program


class Peers(unittest.TestCase):
    """The server of each class ends well when its clients have gone."""

    @classmethod
    def setUpClass(cls):
        cls.program = start(*cls.words())

    @classmethod
    def tearDownClass(cls):
        with cls.program as program:
            code = program.end(process.TERM)
            if code != 0 or "never freed" in program.text["stderr"]:
                raise AssertionError(f"the server ended with {code}: {program.text}")


class Files(Peers):
    @classmethod
    def words(cls):
        folder = tempfile.TemporaryDirectory(prefix="leat-peers-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.content = random.Random(7).randbytes(LARGE_BYTES)
        (cls.folder / "large").write_bytes(cls.content)
        for number in range(FILE_COUNT):
            (cls.folder / f"file{number}.txt").write_text(f"number {number}\n" * (number + 1))
        return process.BUILD / "leat", "serve", cls.folder

    def test_curl_takes_many_at_a_time(self):
        with tempfile.TemporaryDirectory() as to:
            run("curl", "-sS", "--fail", "--parallel", "--parallel-max", "8", "--output-dir", to,
                "-O", f"{self.program.url}/file[0-{FILE_COUNT - 1}].txt")
            for number in range(FILE_COUNT):
                self.assertEqual(pathlib.Path(to, f"file{number}.txt").read_text(),
                                 f"number {number}\n" * (number + 1))

    def test_curl_goes_on_where_it_stopped(self):
        with tempfile.TemporaryDirectory() as to:
            copy = pathlib.Path(to, "copy")
            for have in (1, 65536, LARGE_BYTES - 1):
                copy.write_bytes(self.content[:have])
                run("curl", "-sS", "--fail", "-C", "-", "-o", copy, f"{self.program.url}/large")
                self.assertEqual(hashlib.sha256(copy.read_bytes()).digest(),
                                 hashlib.sha256(self.content).digest(), have)

    def test_curl_asks_only_for_what_is_new(self):
        with tempfile.TemporaryDirectory() as to:
            words = ["curl", "-sS", "--etag-save", f"{to}/tag", "--etag-compare", f"{to}/tag",
                     "-o", f"{to}/body", "-w", "%{http_code}", f"{self.program.url}/file1.txt"]
            pathlib.Path(to, "tag").touch()
            self.assertEqual([run(*words), run(*words)], ["200", "304"])
        later = run("curl", "-sS", "-z", self.folder / "file1.txt", "-o", os.devnull, "-w",
                    "%{http_code}", f"{self.program.url}/file1.txt")
        self.assertEqual(later, "304")

    def test_python_keeps_its_connection(self):
        client = http.client.HTTPConnection(*self.program.address, timeout=SECONDS_MAX)
        for number in range(FILE_COUNT):
            client.request("HEAD" if number % 2 else "GET", f"/file{number}.txt")
            answer = client.getresponse()
            length = len(f"number {number}\n") * (number + 1)
            self.assertEqual(int(answer.headers["Content-Length"]), length)
            self.assertEqual(len(answer.read()), 0 if number % 2 else length)
            self.assertFalse(answer.will_close)
        client.close()

    def test_wrk(self):
        said = run("wrk", "-t", "1", "-c", "16", "-d", "1", f"{self.program.url}/file9.txt")
        self.assertRegex(said, r"[1-9]\d* requests in")
        self.assertNotRegex(said, "Socket errors|Non-2xx")

    def test_ab(self):
        for flags in ((), ("-k",)):
            said = run("ab", "-q", "-n", "2000", "-c", "20", *flags,
                       f"{self.program.url}/file9.txt")
            self.assertRegex(said, r"Complete requests:\s+2000\n")
            self.assertRegex(said, r"Failed requests:\s+0\n")

    def test_h2load(self):
        said = run("h2load", "--h1", "-n", "2000", "-c", "8", "-m", "4",
                   f"{self.program.url}/file9.txt", f"{self.program.url}/file3.txt")
        self.assertIn("2000 succeeded, 0 failed, 0 errored, 0 timeout", said)

    def test_nmap_knows_http(self):
        host, port = self.program.address
        said = run("nmap", "-n", "-Pn", "--script", "+http-methods,+http-headers", "-p", port,
                   host)
        self.assertRegex(said, rf"{port}/tcp open ")
        self.assertRegex(said, r"Supported Methods: GET HEAD OPTIONS")
        self.assertIn("Server: leat", said)


class Echo(Peers):
    @classmethod
    def words(cls):
        return process.BUILD / "examples/http-echo",

    def test_node(self):
        said = run("node", HERE / "node_clients.js", self.program.url)
        self.assertEqual(said.split(), ["keeps_connections", "fetches"])

    def test_curl_sends_what_it_is_piped(self):
        with tempfile.NamedTemporaryFile() as file:
            file.write(os.urandom(3_000_000))
            file.flush()
            for flags in (("--data-binary", f"@{file.name}"),
                          ("-T", file.name, "-X", "POST", "-H", "Transfer-Encoding: chunked")):
                with tempfile.NamedTemporaryFile() as back:
                    run("curl", "-sS", "--fail", *flags, "-o", back.name, self.program.url)
                    self.assertTrue(pathlib.Path(back.name).read_bytes()
                                    == pathlib.Path(file.name).read_bytes(), flags)


if __name__ == "__main__":
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        world.skip(f"{', '.join(missing)}: not installed (./dev deps peers)")
    if NET == "tun":
        world.enter()
    unittest.main(argv=[re.sub(r".*/", "", sys.argv[0]), "-v"])
