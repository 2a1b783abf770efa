"""Standard input and output of a program as streams: whatever they are, whoever reads or writes,
and when the program ends. The program is stdio.c."""
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import tty
import unittest

from process import BUILD, LIMIT_S

PROGRAM = BUILD / "test" / "cli" / "stdio"
LARGE = os.urandom(1_000_000)
BYTES = 500_000 // 64 * 64  # more than a pipe holds
NETS = ("epoll", "uring")


def lines(length):
    return b"".join(b"%063d\n" % number for number in range(length // 64))


class Child:
    """The program, with what it is given for standard input and output."""

    def __init__(self, *flags, **streams):
        words = [PROGRAM, "--cores", "1", *flags]
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, **streams}
        self.process = subprocess.Popen([str(word) for word in words], stderr=subprocess.PIPE,
                                        **streams)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(LIMIT_S)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()

    def written(self):
        """Until the program has given all to its stream."""
        for line in self.process.stderr:
            if b"written" in line:
                return
        raise AssertionError("it has not written")

    def end(self):
        """(exit code, output, standard error)"""
        output, errors = self.process.communicate(timeout=LIMIT_S)
        return self.process.returncode, output, errors.decode()


class Copy(unittest.TestCase):
    def check(self, wanted, net, **streams):
        with Child("--copy", "--net", net, **streams) as child:
            code, output, errors = child.end()
        self.assertEqual((code, errors), (0, ""))
        self.assertTrue(output == wanted)

    def each(self, check):
        for net in NETS:
            with self.subTest(net):
                check(net)

    def test_a_pipe(self):
        for net in NETS:
            with self.subTest(net), Child("--copy", "--net", net, stdin=subprocess.PIPE) as child:
                output, errors = child.process.communicate(LARGE, LIMIT_S)
                self.assertEqual((child.process.returncode, errors), (0, b""))
                self.assertTrue(output == LARGE)

    def test_files(self):
        def check(net):
            with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as sink:
                source.write(LARGE)
                source.seek(100)
                sink.write(b"before ")
                sink.flush()
                self.check(None, net, stdin=source, stdout=sink)
                sink.seek(0)
                self.assertTrue(sink.read() == b"before " + LARGE[100:])
        self.each(check)

    def test_nothing(self):
        self.each(lambda net: self.check(b"", net))
        # leat_run puts /dev/null in the place of what is closed
        self.each(lambda net: self.check(b"", net, stdin=None, preexec_fn=lambda: os.close(0)))
        self.each(lambda net: self.check(b"", net, preexec_fn=lambda: os.close(1)))

    def test_sockets(self):
        def check(net):
            ours, theirs = socket.socketpair()
            with ours, Child("--copy", "--net", net, stdin=theirs, stdout=theirs) as child:
                theirs.close()
                ours.settimeout(LIMIT_S)
                ours.sendall(b"hello")
                self.assertEqual(ours.recv(100), b"hello")
                ours.shutdown(socket.SHUT_WR)
                self.assertEqual(child.end()[0], 0)
                self.assertEqual(ours.recv(100), b"")
        self.each(check)

    def test_a_terminal(self):
        def check(net):
            ours, theirs = pty.openpty()
            tty.setraw(theirs, termios.TCSANOW)
            with Child("--copy", "--net", net, stdin=theirs, stdout=theirs) as child:
                os.write(ours, b"hello")
                got = b""
                while len(got) < 5:
                    got += os.read(ours, 100)
                self.assertEqual(got, b"hello")
                os.close(theirs)
                os.close(ours)  # it hangs up
                self.assertEqual(child.end()[0], 0)
        self.each(check)

    def test_a_reader_that_goes(self):
        def check(net):
            with Child("--copy", "--net", net, stdin=subprocess.PIPE) as child:
                child.process.stdout.close()
                child.process.stdout = None
                try:
                    child.process.communicate(LARGE, LIMIT_S)
                except BrokenPipeError:
                    pass
                self.assertEqual(child.process.wait(LIMIT_S), 1)
        self.each(check)

    def test_the_shells_descriptors_stay_as_they_are(self):
        here, there = os.pipe(), os.pipe()
        ends = here + there
        before = [os.get_blocking(end) for end in ends]
        with Child("--copy", stdin=here[0], stdout=there[1]) as child:
            os.write(here[1], b"hello")
            self.assertEqual(os.read(there[0], 100), b"hello")
            self.assertEqual([os.get_blocking(end) for end in ends], before)
            os.close(here[1])
            self.assertEqual(child.end()[0], 0)
        self.assertEqual([os.get_blocking(end) for end in (here[0], *there)], before[1:])
        for end in (here[0], *there):
            os.close(end)


class Ends(unittest.TestCase):
    """500 KB are in the stream when the end comes, and nobody has read."""

    def test_all_goes_out_to_who_reads(self):
        for flags, stop, wanted in (((), None, 0), ((), signal.SIGTERM, 0), (("--exit",), None, 7),
                                    (("--exit", "--goodbye"), None, 7)):
            for net in NETS:
                with self.subTest(flags=flags, stop=stop, net=net), \
                        Child("--write", BYTES, "--net", net, *flags) as child:
                    child.written()
                    if stop is not None:
                        child.process.send_signal(stop)
                    code, output, errors = child.end()
                    self.assertEqual((code, errors), (wanted, ""))
                    goodbye = b"goodbye\n" if "--goodbye" in flags else b""
                    self.assertTrue(output == lines(BYTES) + goodbye)

    def test_what_nobody_reads_is_cut_off_and_said(self):
        for flags, stop, wanted in (((), signal.SIGTERM, 0), (("--exit",), None, 7)):
            for net in NETS:
                with self.subTest(flags=flags, net=net), \
                        Child("--write", BYTES, "--drain-timeout", "50ms", "--net", net,
                              *flags) as child:
                    child.written()
                    if stop is not None:
                        child.process.send_signal(stop)
                    child.process.wait(LIMIT_S)
                    code, output, errors = child.end()
                    self.assertEqual(code, wanted)
                    cut = re.search(r"(\d+) bytes for standard output or error are cut off", errors)
                    self.assertIsNotNone(cut, errors)
                    self.assertEqual(len(output) + int(cut[1]), BYTES)
                    self.assertTrue(lines(BYTES).startswith(output))

    def test_a_second_signal_ends_at_once(self):
        with Child("--write", BYTES) as child:
            child.written()
            child.process.send_signal(signal.SIGINT)
            child.process.send_signal(signal.SIGTERM)
            self.assertEqual(child.process.wait(LIMIT_S), 128 + signal.SIGTERM)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v"])
