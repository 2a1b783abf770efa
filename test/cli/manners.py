"""How programs take signals, terminals that go away, and output that nobody reads."""
import contextlib
import http.client
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

from process import BUILD, HUP, INT, LIMIT_S, TERM, Program

LEAT = BUILD / "leat"
LIFE = BUILD / "test" / "cli" / "life"
READY = r"^listening on life://127\.0\.0\.1:7$"
USR1 = signal.SIGUSR1


def wait(process, limit_s=LIMIT_S):
    """The exit code; 128 + n for a death by signal n."""
    try:
        code = process.wait(limit_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise
    return 128 - code if code < 0 else code


def until(condition, what):
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def text_of(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


IS_LISTENING = 40  # struct counters_header of net/watch/counters_file.h


def is_ready(process, folder):
    """Every core has started: what it says next is that it listens, then it takes signals."""
    try:
        with open(os.path.join(folder, f"leat.{process.pid}"), "rb") as file:
            return file.read(IS_LISTENING + 4)[IS_LISTENING:] == (1).to_bytes(4, sys.byteorder)
    except FileNotFoundError:
        return False


def ignoring(*numbers):
    def ignore():
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
    return ignore


def full_pipe():
    """(reader, writer) of a pipe that takes not one byte more."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, bytes(4096))
    except BlockingIOError:
        pass
    os.set_blocking(writer, True)
    return reader, writer


class Signals(unittest.TestCase):
    def test_a_hang_up_ends_nothing_that_has_no_terminal(self):
        with Program(LIFE, start_new_session=True) as program:
            program.until(READY)
            for count in (1, 2):
                program.send(HUP)
                program.until("SIGHUP: log files are opened again", "stderr", count)
            self.assertEqual(program.end(TERM), 0)

    def test_what_is_ignored_at_the_start_stays_ignored(self):
        for number, other in ((HUP, TERM), (INT, TERM), (TERM, INT)):
            with Program(LIFE, "--stats", preexec_fn=ignoring(number)) as program:
                program.until(READY)
                program.send(number)
                program.send(USR1)  # it takes this one, after the other
                program.until(r'^\{"core":0', "stderr")
                self.assertNotIn("drain", program.text["stderr"])
                self.assertNotIn("SIGHUP", program.text["stderr"])
                self.assertEqual(program.end(other), 0)

    def test_an_ignored_request_for_figures(self):
        with Program(LIFE, "--stats", "--cores", "1", preexec_fn=ignoring(USR1)) as program:
            program.until(READY)
            program.send(USR1)
            self.assertEqual(program.end(TERM), 0)
            self.assertEqual(program.text["stderr"].count('{"core":0'), 1)  # at the end

    def test_an_unwanted_signal_does_not_end_it_at_the_end(self):
        with Program(LIFE) as program:
            program.until(READY)
            program.send(USR1)
            self.assertEqual(program.end(TERM), 0)


class Terminal(unittest.TestCase):
    """The program is the leader of a session whose terminal is a pty."""

    def start(self, *words):
        """(pid, master)"""
        pid, master = pty.fork()
        if pid == 0:
            os.execv(words[0], [str(word) for word in words])
        self.addCleanup(self.close, master)
        return pid, master

    @staticmethod
    def close(fd):
        try:
            os.close(fd)
        except OSError:
            pass

    @staticmethod
    def read_until(master, pattern):
        text, deadline = "", time.monotonic() + LIMIT_S
        while not re.search(pattern, text, re.MULTILINE):
            assert time.monotonic() < deadline, text
            text += os.read(master, 4096).decode(errors="replace").replace("\r", "")
        return text

    def ended(self, pid):
        code = None

        def has_ended():
            nonlocal code
            done, status = os.waitpid(pid, os.WNOHANG)
            code = os.waitstatus_to_exitcode(status) if done else None
            return done != 0
        try:
            until(has_ended, "it does not end")
        except AssertionError:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
        return code

    def test_a_hang_up_ends_nothing_whose_terminal_is_there(self):
        pid, master = self.start(LIFE, "--cores", "1")
        self.read_until(master, READY)
        os.kill(pid, HUP)
        self.read_until(master, "SIGHUP: log files are opened again")
        time.sleep(0.3)  # it looks for its terminal once more
        os.kill(pid, TERM)
        self.assertIn("drain", self.read_until(master, "end$"))
        self.assertEqual(self.ended(pid), 0)

    def test_it_drains_when_its_terminal_goes(self):
        with tempfile.TemporaryDirectory() as folder:
            log = os.path.join(folder, "log")
            pid, master = self.start("/bin/sh", "-c",
                                     f"exec {LIFE} --cores 1 2>{log}")
            self.read_until(master, READY)
            os.close(master)
            self.assertEqual(self.ended(pid), 0)
            self.assertRegex(text_of(log), "(?s)drain.*end\n$")

    def test_nohup(self):
        with tempfile.TemporaryDirectory() as folder:
            log = os.path.join(folder, "log")
            pid, master = self.start("/usr/bin/env", "nohup", "sh", "-c",
                                     f"exec {LIFE} --cores 1 >{log} 2>&1")
            until(lambda: os.path.exists(log) and "listening" in text_of(log), "ready")
            os.close(master)
            os.kill(pid, HUP)
            time.sleep(0.3)
            os.kill(pid, TERM)
            self.assertEqual(self.ended(pid), 0)
            self.assertNotIn("SIGHUP", text_of(log))

    def test_output_on_a_terminal_that_is_gone(self):
        """The program ignores the signal, so that it lives on without one."""
        pid, master = self.start("/bin/sh", "-c",
                                 f"trap '' HUP; exec {LIFE} --cores 1 --stats")
        self.read_until(master, READY)
        os.close(master)
        for _ in range(20):
            os.kill(pid, USR1)
        os.kill(pid, TERM)
        self.assertEqual(self.ended(pid), 0)


class Unread(unittest.TestCase):
    """Standard output and error that nobody reads, or that take nothing."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.env = dict(os.environ, LEAT_RUN_DIR=folder.name)

    def check(self, out, error, *flags, signals=(TERM,), code=0):
        process = subprocess.Popen([str(LIFE), "--stats", *flags], stdin=subprocess.DEVNULL,
                                   stdout=out, stderr=error, env=self.env)
        try:
            if signals:
                until(lambda: is_ready(process, self.folder), "it does not start")
            for number in signals:
                process.send_signal(number)
                time.sleep(0.1)  # two within 20 ms are one
            self.assertEqual(wait(process, 30), code)
        finally:
            process.kill()
            process.wait()

    def test_full_pipes(self):
        reader, writer = full_pipe()
        for signals, flags, code in (((TERM,), (), 0),
                                     ((USR1, USR1, TERM), (), 0),
                                     ((INT,), (), 0),
                                     ((TERM, TERM), ("--hold",), 143),
                                     ((TERM,), ("--stall", "--drain-timeout", "20ms"), 1),
                                     ((TERM,), ("--hold", "--drain-timeout", "20ms"), 0)):
            with self.subTest(signals=signals, flags=flags):
                self.check(writer, writer, *flags, signals=signals, code=code)
        os.close(reader)
        os.close(writer)

    def test_full_pipes_and_an_end_of_its_own(self):
        reader, writer = full_pipe()
        for flags, code in ((("--exit-with-3",), 3), (("--fail-on", "0"), 1), (("--dry",), 0)):
            with self.subTest(flags=flags):
                self.check(writer, writer, *flags, signals=(), code=code)
        os.close(reader)
        os.close(writer)

    def test_a_full_socket(self):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            theirs.setblocking(False)
            try:
                while True:
                    theirs.send(bytes(4096))
            except BlockingIOError:
                theirs.setblocking(True)
            self.check(theirs, theirs, signals=(USR1, TERM))

    def test_a_reader_that_is_gone(self):
        reader, writer = os.pipe()
        os.close(reader)
        self.check(writer, writer, signals=(USR1, TERM))
        os.close(writer)

    def test_a_full_disk(self):
        with open("/dev/full", "wb") as full:
            self.check(full, full, signals=(USR1, TERM))

    def test_a_pipe_that_only_one_of_them_is(self):
        reader, writer = full_pipe()
        process = subprocess.Popen([str(LIFE), "--stats", "--cores", "1"], stdout=writer,
                                   stderr=subprocess.PIPE, text=True, env=self.env)
        until(lambda: is_ready(process, self.folder), "it does not start")
        process.send_signal(TERM)
        self.assertEqual(wait(process), 0)
        self.assertIn("lines were lost on standard output: nobody reads it", process.stderr.read())
        process.stderr.close()
        os.close(reader)
        os.close(writer)


class Rotation(unittest.TestCase):
    def test_a_log_that_was_renamed_is_opened_again(self):
        with tempfile.TemporaryDirectory() as folder:
            first, second = os.path.join(folder, "log"), os.path.join(folder, "log.1")
            process = subprocess.Popen(["/bin/sh", "-c", f"exec {LIFE} --cores 1 --stats >>{first} "
                                        "2>&1"], start_new_session=True)
            try:
                until(lambda: os.path.exists(first) and "listening" in text_of(first), "ready")
                os.chmod(first, 0o640)
                os.rename(first, second)
                process.send_signal(HUP)
                until(lambda: os.path.exists(first), "it is not opened again")
                process.send_signal(USR1)
                until(lambda: '{"core":0' in text_of(first), "it is not written")
                process.send_signal(HUP)  # the same file still
                process.send_signal(TERM)
                self.assertEqual(wait(process), 0)
                self.assertNotIn('{"core":0', text_of(second))
                self.assertIn("SIGHUP", text_of(second))
                self.assertRegex(text_of(first), "(?s)drain.*end\n")
                self.assertEqual(os.stat(first).st_mode & 0o777, 0o640 & ~0o022)
            finally:
                process.kill()
                process.wait()

    def test_a_folder_that_is_gone_is_told(self):
        with tempfile.TemporaryDirectory() as folder:
            inner = os.path.join(folder, "inner")
            os.mkdir(inner)
            log = os.path.join(inner, "log")
            process = subprocess.Popen(["/bin/sh", "-c", f"exec {LIFE} --cores 1 >>{log} 2>&1"],
                                       start_new_session=True)
            try:
                until(lambda: os.path.exists(log) and "listening" in text_of(log), "ready")
                os.rename(inner, inner + ".1")
                process.send_signal(HUP)
                log = os.path.join(inner + ".1", "log")
                until(lambda: "again: No such file or directory; the old file is written on" in
                      text_of(log), "it is not told")
                process.send_signal(TERM)
                self.assertEqual(wait(process), 0)
            finally:
                process.kill()
                process.wait()


def counter_of(process, name, env):
    done = subprocess.run([str(LEAT), "top", "--once", "--json", "--interval", "20ms",
                           str(process.pid)], env=env, timeout=60, capture_output=True, text=True,
                          check=True)
    return json.loads(done.stdout)["cores"][0]["counters"][name]


class Lost(unittest.TestCase):
    def test_lines_that_a_disk_does_not_take_are_counted_and_said(self):
        with tempfile.TemporaryDirectory() as folder, open("/dev/full", "wb") as full:
            env = dict(os.environ, LEAT_RUN_DIR=folder)
            process = subprocess.Popen([str(LEAT), "serve", "--hello", "--cores", "1",
                                        "--access-log", "--listen", f"unix:{folder}/socket"],
                                       stdout=full, stderr=subprocess.PIPE, env=env, text=True)
            try:
                until(lambda: os.path.exists(f"{folder}/socket"), "it does not listen")
                for _ in range(3):
                    client = http.client.HTTPConnection("x", timeout=30)
                    client.sock = socket.socket(socket.AF_UNIX)
                    client.sock.connect(f"{folder}/socket")
                    client.request("GET", "/")
                    self.assertEqual(client.getresponse().status, 200)
                    client.close()

                until(lambda: counter_of(process, "log.lost_write", env) == 3,
                      "they are not counted")
                process.send_signal(TERM)
                self.assertEqual(wait(process), 0)
                self.assertRegex(process.stderr.read(), "[1-4] lines were lost on standard output: "
                                 "No space left on device")
            finally:
                process.kill()
                process.wait()
                process.stderr.close()

    def test_an_access_log_that_nobody_reads_holds_up_no_request(self):
        """Its newest lines are lost: each is counted, and how many is said once there is room."""
        requests = 3000
        reader, writer = full_pipe()
        with tempfile.TemporaryDirectory() as folder:
            env = dict(os.environ, LEAT_RUN_DIR=folder)
            process = subprocess.Popen([str(LEAT), "serve", "--hello", "--cores", "1",
                                        "--access-log", "--log-buffer", "64k",
                                        "--listen", f"unix:{folder}/socket"],
                                       stdout=writer, stderr=subprocess.PIPE, env=env, text=True)
            os.close(writer)
            try:
                until(lambda: os.path.exists(f"{folder}/socket"), "it does not listen")
                client = http.client.HTTPConnection("x", timeout=30)
                client.sock = socket.socket(socket.AF_UNIX)
                client.sock.connect(f"{folder}/socket")
                for number in range(requests):  # 100 bytes of the log each
                    client.request("GET", f"/{number:020}")
                    answer = client.getresponse()
                    answer.read()
                    self.assertEqual(answer.status, 200)
                client.close()
                os.set_blocking(reader, False)
                lines = []

                def lost():
                    """The counter, when it and the lines are all of them; else 0."""
                    with contextlib.suppress(BlockingIOError):
                        while piece := os.read(reader, 1 << 20):  # a line may be cut in two
                            lines.append(piece)
                    count = counter_of(process, "log.lost_full", env)
                    got = len(re.findall(rb"GET /\d{20}", b"".join(lines)))
                    return count if got + count == requests else 0
                until(lost, "they are not counted")
                count = lost()
                self.assertGreater(count, requests // 4)
                numbers = re.findall(rb"GET /(\d{20})", b"".join(lines))
                half = len(numbers) // 2  # the oldest are kept; now and then a later one fits in
                self.assertEqual([int(number) for number in numbers[:half]], list(range(half)))
                process.send_signal(TERM)
                self.assertEqual(wait(process), 0)
                self.assertIn(f"{count} log lines were lost: they come faster than they are read; "
                              "--log-buffer holds more", process.stderr.read())
                process.stderr.close()
            finally:
                process.kill()
                process.wait()
                os.close(reader)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v"])
