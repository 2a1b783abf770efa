"""The end of a core: connections close before the hooks that free what they use. The program is
ends.c; under a sanitizer a use after the free ends it."""
import json
import os
import re
import subprocess
import sys
import unittest

from process import BUILD, TERM, Program, finish

ENDS = BUILD / "test" / "cli" / "ends"
OPEN = 3  # what each core has open at the end: both sides of a connection, and a datagram socket


def has_tun():
    done = subprocess.run(["unshare", "-n", "true"], check=False, capture_output=True, timeout=60)
    return done.returncode == 0 and os.path.exists("/dev/net/tun")


class Ends(unittest.TestCase):
    def check(self, words, *flags):
        with Program(*words, *flags) as program:
            program.until("open$", "stderr", 2)
            self.assertEqual(program.end(TERM), 0, program.text)
        said = re.findall(r"core \d+: (.*)", program.text["stderr"])
        told = [line for line in said if not line.startswith("open")]
        closed = [line for line in told if line.startswith("closed")]
        self.assertEqual(closed, ["closed: SHUTDOWN"] * OPEN, said)
        self.assertEqual(told[-1], f"end after {OPEN}", said)
        self.assertIn(f"tick after {OPEN}", told)
        self.assertEqual([line for line in told if line.startswith("end")], told[-1:], said)
        return told

    def test_connections_close_before_the_end_hooks(self):
        for net in ("epoll", "auto"):
            with self.subTest(net=net):
                self.check([ENDS], "--net", net, "--cores", "1")

    def test_nothing_can_be_opened_while_they_close(self):
        for net in ("epoll", "auto"):
            with self.subTest(net=net):
                told = self.check([ENDS], "--net", net, "--cores", "1", "--reconnect")
                self.assertEqual(told.count("connect: ESHUTDOWN"), OPEN)

    def test_on_the_stack(self):
        if not has_tun():
            self.skipTest("this user may not make a tun device in a network namespace")
        told = self.check(["unshare", "-n", ENDS], "--net", "tun:ends0", "--ip", "10.77.0.2/24",
                          "--at", "10.77.0.2:7000", "--reconnect")
        self.assertEqual(told.count("connect: ESHUTDOWN"), OPEN)


class Data(unittest.TestCase):
    def test_only_data_goes_to_standard_output(self):
        if not has_tun():
            self.skipTest("this user may not make a tun device in a network namespace")
        port = ("--json", "--net", "tun:ends1", "--ip", "10.77.1.2/24")
        for words in (("load", "--requests", "1", "--duration", "1s", "http://10.77.1.9/"),
                      ("echo", "--count", "1", "--connect", "10.77.1.9:7")):
            with self.subTest(words=words):
                _, out, err = finish("unshare", "-n", BUILD / "leat", *words, *port)
                self.assertEqual(type(json.loads(out)), dict)
                self.assertRegex(err, r"(?m)^net tun:ends1: driver tun")


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v"])
