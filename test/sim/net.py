#!/usr/bin/env python3
"""Programs in the simulated world: --net sim:SEED."""
import os
import pathlib
import re
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "cli"))
from process import BUILD, finish  # noqa: E402

LEAT = BUILD / "leat"
AT = ["--listen", "10.0.0.1:8080", "--listen", "[fd00::1]:8080"]


def serve(seed):
    return finish(LEAT, "serve", "--hello", "--net", f"sim:{seed}", *AT)


class Net(unittest.TestCase):
    def test_a_server_is_visited_whatever_the_seed_brings(self):
        for seed in range(1, 21):
            with self.subTest(seed=seed):
                code, out, err = serve(seed)
                self.assertEqual(code, 0, out + err)
                asked, answered = re.search(r"asked (\d+) times and were answered (\d+)",
                                            out).groups()
                self.assertGreater(int(asked), 100)
                self.assertGreater(int(answered), 100)

    def test_the_same_seed_is_the_same_world(self):
        first, second, other = (sorted((out + err).splitlines()) + [code]
                                for code, out, err in map(serve, (3, 3, 4)))
        self.assertEqual(first, second)  # sorted: two threads print them
        self.assertNotEqual(first, other)

    def test_a_wrong_answer_is_noticed(self):
        code, out, err = finish(BUILD / "test/sim/test-liar", "--net", "sim:7",
                                env=dict(os.environ, LEAT_MODULES=str(BUILD)))
        self.assertEqual(code, 1, out + err)
        self.assertIn("another than the same question had before", err)

    def test_a_client_finds_a_server(self):
        code, out, err = finish(LEAT, "load", "http://10.0.0.2/", "--net", "sim:7", "-c", "4",
                                "-d", "1")
        self.assertEqual(code, 0, out + err)
        self.assertRegex(out, r"the program asked [1-9]\d+ times")

    def test_a_seed_is_a_number(self):
        for wrong in "x", "7,port=0", "7 ", "-1", "7,porto=3":
            code, out, err = finish(LEAT, "serve", "--hello", "--net", f"sim:{wrong}")
            self.assertEqual(code, 2, out + err)
            self.assertIn("a seed is a number", err)


if __name__ == "__main__":
    unittest.main(verbosity=2)
