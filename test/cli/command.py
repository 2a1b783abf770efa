"""The `leat` command itself, and `leat doctor`."""
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

from process import BUILD, Program, finish, serve

LEAT = BUILD / "leat"


class Command(unittest.TestCase):
    def test_without_a_word_it_helps_and_exits_with_2(self):
        code, out, err = finish(LEAT)
        self.assertEqual((code, out), (2, ""))
        self.assertIn("usage: leat COMMAND", err)

    def test_help(self):
        for words in (("help",), ("--help",), ("-h",)):
            code, out, err = finish(LEAT, *words)
            self.assertEqual((code, err), (0, ""))
            self.assertIn("doctor", out)
        self.assertIn("usage: leat doctor", finish(LEAT, "help", "doctor")[1])

    def test_version(self):
        for words in (("--version",), ("version",), ("doctor", "--version")):
            code, out, _ = finish(LEAT, *words)
            self.assertEqual(code, 0)
            self.assertRegex(out, r"^leat \d+\.\d+\.\d+\n"
                                  r"(gcc|clang) \d+\.\d+\.\d+, \w+(, \S[^,\n]*)*\n$")

    def test_unknown_words(self):
        self.assertEqual(finish(LEAT, "docter"), (
            2, "", "leat: unknown command docter: did you mean leat doctor? See leat help\n"))
        self.assertEqual(finish(LEAT, "srve"), (
            2, "", "leat: unknown command srve: did you mean leat serve? See leat help\n"))
        self.assertEqual(finish(LEAT, "tpo"), (
            2, "", "leat: unknown command tpo: did you mean leat top? See leat help\n"))
        self.assertEqual(finish(LEAT, "xyzzy"),
                         (2, "", "leat: unknown command xyzzy: see leat help\n"))
        self.assertEqual(finish(LEAT, "help", "xyzzy")[0], 2)


class Ends(unittest.TestCase):
    """What a tool printed and could not write makes it fail, with one sentence."""

    COMMANDS = (("help",), ("--version",), ("doctor",), ("doctor", "--json"), ("ss", "--columns"))

    def ends(self, words, stdout, **options):
        done = subprocess.run([LEAT, *words], stdin=subprocess.DEVNULL, stdout=stdout,
                              stderr=subprocess.PIPE, text=True, timeout=60, **options)
        self.assertEqual((done.returncode, done.stderr.count("\n")), (1, 1), (words, done.stderr))
        self.assertIn("cannot write to standard output", done.stderr)

    def test_a_full_disk(self):
        with open("/dev/full", "w") as full:
            for words in self.COMMANDS:
                self.ends(words, full)

    def test_a_reader_that_has_gone(self):
        """With SIGPIPE ignored, as some shells and services start their programs."""
        for words in self.COMMANDS:
            reading, writing = os.pipe()
            os.close(reading)
            try:
                self.ends(words, writing, restore_signals=False)  # Python ignores SIGPIPE
            finally:
                os.close(writing)

    def test_no_standard_output(self):
        for words in self.COMMANDS:
            done = subprocess.run(["sh", "-c", 'exec "$@" >&-', "sh", LEAT, *words],
                                  stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                  timeout=60)
            self.assertEqual(done.returncode, 1, words)
            self.assertIn("cannot write to standard output", done.stderr)

    def test_tools_that_measure(self):
        with serve("--hello", "--cores", "1") as program, open("/dev/full", "w") as full:
            address = "{}:{}".format(*program.address)
            quiet = "--log-level=error"
            self.ends(("load", f"http://{address}/", "-n", "1", "-c", "1", "--json", quiet), full)
            self.ends(("load", f"http://{address}/", "-n", "1", "-c", "1", quiet), full)
            self.ends(("ping", address, "-n", "1000", quiet), full)
            self.ends(("top", "--once", "--interval", "1ms", str(program.process.pid)), full)
            self.ends(("top", "--interval", "1ms", "--json", str(program.process.pid)), full)
        with Program(LEAT, "echo", "--listen", "127.0.0.1:0") as program, open(
                "/dev/full", "w") as full:
            address = program.until(r"^listening on tcp://(\S+)")[1]
            self.ends(("echo", "--connect", address, "-n", "1", "--log-level=error"), full)


class Doctor(unittest.TestCase):
    def test_says_a_line_for_each_thing(self):
        code, out, err = finish(LEAT, "doctor")
        self.assertEqual((code, err), (0, ""))
        for what in ("cores", "cpu quota", "sockets", "io_uring", "open files", "hugepages"):
            self.assertRegex(out, rf"(?m)^(ok|note|fail) +{what} ")
        self.assertNotIn("\nfail", out)

    def test_says_the_same_as_one_line_of_json(self):
        code, out, err = finish(LEAT, "doctor", "--json")
        self.assertEqual((code, err, out.count("\n")), (0, "", 1))
        told = json.loads(out)
        self.assertTrue(told["works"])
        lines = finish(LEAT, "doctor")[1].splitlines()
        self.assertEqual(len(told["findings"]), len(lines) - 1)
        for finding, line in zip(told["findings"], lines):
            self.assertEqual(line.split(None, 1)[0], finding["mark"])
            self.assertIn(finding["name"], line)
            self.assertIn(finding["fact"], line)
            if finding["mend"]:
                self.assertIn("; mend: " + finding["mend"], line)

    def test_a_note_names_its_remedy(self):
        import resource

        def few_files():
            resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
        out = finish(LEAT, "doctor", preexec_fn=few_files)[1]
        self.assertRegex(out, r"(?m)^note +open files .*at most 256, .*mend: ulimit -n 65536")

    @unittest.skipUnless(os.geteuid() == 0, "only root can become somebody else")
    def test_says_for_each_kind_of_port_what_another_user_lacks(self):
        def become_nobody():
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
        code, out, err = finish(LEAT, "doctor", preexec_fn=become_nobody)
        self.assertEqual((code, err), (0, ""))
        if not re.search(r"(?m)^ok +dpdk ", out):
            self.assertRegex(out, r"(?m)^note +dpdk .*(sudo apt install|\./dev deps)")
            return
        for kind in ("packet", "xdp", "tap", "pci"):
            self.assertRegex(out, rf"(?m)^note +{kind} .*mend: ")
        self.assertRegex(out, r"(?m)^(ok|note) +memif ")

    def test_tells_that_dpdk_is_missing_and_how_to_get_it(self):
        with tempfile.TemporaryDirectory() as folder:
            broken = pathlib.Path(folder, "leat-dpdk.so")
            broken.write_bytes(b"no library")
            environment = dict(os.environ, LEAT_MODULES=folder)
            out = finish(LEAT, "doctor", env=environment)[1]
            self.assertRegex(out, r"(?m)^note +dpdk .*sudo apt install libdpdk-dev")
            code, out, err = finish(LEAT, "serve", "--net", "memif:x", "--ip", "10.9.0.2/24",
                                    env=environment)
            self.assertEqual((code, out, err.count("\n")), (1, "", 1))
            self.assertIn("sudo apt install libdpdk-dev", err)

    def test_refuses_flags_it_does_not_know(self):
        self.assertEqual(finish(LEAT, "doctor", "--fix"),
                         (2, "", "leat doctor: unknown flag --fix: see leat doctor --help\n"))


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v"])
