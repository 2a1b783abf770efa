"""`leat top` and `leat ss` beside programs that are idle, busy, stuck, killed, or not there."""
import fcntl
import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from process import BUILD, TERM, Program, finish, serve

LEAT = BUILD / "leat"
LIFE = BUILD / "test" / "cli" / "life"
NOBODY = 65534


class Tools(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.env = dict(os.environ, LEAT_RUN_DIR=folder.name)

    def tool(self, *words, **options):
        return finish(LEAT, *words, env=self.env, **options)

    def top(self, *words):
        code, out, err = self.tool("top", "--once", "--json", "--interval", "100ms", *words)
        self.assertEqual((code, err), (0, ""))
        return json.loads(out)

    def until(self, wanted, *words):
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            shown = self.top(*words)
            if wanted(shown):
                return shown
        raise AssertionError(f"it never came: {shown}")


class Top(Tools):
    def test_counts_requests_of_the_only_server(self):
        with serve("--hello", "--cores", "1", env=self.env) as program:
            for _ in range(7):
                connection = http.client.HTTPConnection(*program.address, timeout=30)
                connection.request("GET", "/")
                connection.getresponse().read()
                connection.close()
            shown = self.until(lambda s: s["cores"][0]["counters"]["http.connections"] == 0)
            self.assertEqual((shown["pid"], shown["program"]),
                             (program.process.pid, "leat serve"))
            counters = shown["cores"][0]["counters"]
            self.assertEqual(counters["http.requests"], 7)
            self.assertEqual(counters["http.status_2xx"], 7)
            self.assertEqual(counters["http.connections_total"], 7)

    def test_an_idle_core_is_asleep_and_costs_nothing(self):
        with serve("--hello", "--cores", "1", env=self.env):
            shown = self.until(lambda s: s["cores"][0]["utilisation"] < 0.05)
            self.assertEqual(shown["cores"][0]["state"], "asleep")
            turns = self.top()["cores"][0]["counters"]["loop.turn_ns"]
            time.sleep(0.5)  # a reader does not wake it, and neither do the counters
            self.assertEqual(self.top()["cores"][0]["counters"]["loop.turn_ns"], turns)

    def test_a_busy_core_is_as_busy_as_its_thread(self):
        """With io_uring the kernel works for the loop while that sleeps."""
        with serve("--hello", "--cores", "1", env=self.env) as program:
            pid, (host, port) = program.process.pid, program.address
            task = next(path for path in pathlib.Path(f"/proc/{pid}/task").iterdir()
                        if (path / "comm").read_text() == "leat-0\n")
            with Program(LEAT, "load", "-c", "8", "--rate", "20000", "--duration", "20s",
                         "--cores", "1", f"http://{host}:{port}/", env=self.env) as load:
                self.until(lambda s: s["cores"][0]["requests_per_second"] > 100, str(pid))
                before, began = int((task / "schedstat").read_text().split()[0]), time.monotonic()
                code, out, _ = self.tool("top", "--once", "--json", "--interval", "2s", str(pid))
                used = int((task / "schedstat").read_text().split()[0]) - before
                share = used / 1e9 / (time.monotonic() - began)
                load.end(TERM)
            self.assertEqual(code, 0)
            core = json.loads(out)["cores"][0]
            self.assertGreater(core["utilisation"], share - 0.1 * share - 0.02)
            self.assertEqual(program.end(TERM), 0)

    def test_a_core_that_hangs_is_called_stuck(self):
        with Program(LIFE, "--stall", "--cores", "2", env=self.env) as program:
            program.until("^listening on")
            shown = self.until(lambda s: s["cores"][0]["state"] == "stuck")
            self.assertGreaterEqual(shown["cores"][0]["stuck_ms"], 200)
            self.assertGreater(shown["cores"][0]["utilisation"], 0.9)
            self.assertNotEqual(shown["cores"][1]["state"], "stuck")
            code, out, err = self.tool("ss")
            self.assertEqual((code, out), (1, ""))
            self.assertEqual(err.count("\n"), 1)
            self.assertIn("core 0 does not answer", err)

    def test_text(self):
        with serve("--hello", "--cores", "1", env=self.env) as program:
            code, out, err = self.tool("top", "--once", "--interval", "1ms")
            self.assertEqual((code, err), (0, ""))
            self.assertRegex(out, rf"^leat serve, process {program.process.pid}, net auto, up ")
            self.assertRegex(out, r"(?m)^ +0 (asleep|awake) ")

    def test_it_ends_with_the_program(self):
        with serve("--hello", env=self.env) as program:
            with Program(LEAT, "top", "--interval", "50ms", env=self.env) as top:
                top.until("^core state")
                program.end(TERM)
                self.assertEqual(top.end(), 0)
                self.assertIn("has ended", top.text["stderr"])


class Choice(Tools):
    def test_none(self):
        for tool in ("top", "ss"):
            code, out, err = self.tool(tool)
            self.assertEqual((code, out), (1, ""))
            self.assertEqual(err, f"leat {tool}: no Leat program is running here: leat serve "
                             "starts one\n")

    def test_without_a_folder_to_look_into(self):
        self.env["LEAT_RUN_DIR"] = str(self.folder / "absent")
        for tool in ("top", "ss"):
            code, out, err = self.tool(tool)
            self.assertEqual((code, out), (1, ""))
            self.assertEqual(err.count("\n"), 1)
            self.assertIn("absent, where running programs are found: No such file or directory; "
                          "set LEAT_RUN_DIR to another folder", err)

    def test_which(self):
        with serve("--hello", env=self.env) as one, serve("--hello", env=self.env) as other:
            code, out, err = self.tool("ss")
            self.assertEqual((code, out, err.count("\n")), (1, "", 1))
            for program in (one, other):
                self.assertIn(f"{program.process.pid} (leat serve)", err)
            self.assertEqual(self.top(str(one.process.pid))["pid"], one.process.pid)
            self.assertEqual(self.tool("ss", str(other.process.pid)), (0, "", ""))

    def test_a_wrong_number(self):
        self.assertEqual(self.tool("top", "zebra"),
                         (2, "", 'leat top: "zebra" is no process number\n'))
        self.assertEqual(self.tool("ss", str(os.getpid())),
                         (1, "", f"leat ss: process {os.getpid()} is no running Leat program\n"))

    @unittest.skipUnless(os.geteuid() == 0, "only root can become somebody else")
    def test_another_users(self):
        def become_nobody():
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        self.folder.chmod(0o755)
        with serve("--hello", env=self.env) as program:
            for words in (("top",), ("ss",), ("ss", str(program.process.pid))):
                done = subprocess.run([LEAT, *words], env=self.env, capture_output=True, text=True,
                                      timeout=60, preexec_fn=become_nobody)
                self.assertEqual((done.returncode, done.stdout), (1, ""))
                self.assertIn("another user's: sudo", done.stderr)

    def test_another_version(self):
        with serve("--hello", env=self.env) as program:
            path = self.folder / f"leat.{program.process.pid}"
            with open(path, "r+b") as file:
                file.seek(8)
                file.write((99).to_bytes(4, sys.byteorder))
            code, _, err = self.tool("top", str(program.process.pid))
            self.assertEqual(code, 1)
            self.assertIn("runs another version of Leat", err)


class Columns(Tools):
    def test_each_key_is_explained_without_a_program(self):
        code, out, err = self.tool("ss", "--columns")
        self.assertEqual((code, err), (0, ""))
        for line in (r"state +state +as in RFC 9293 3.3.2", r"rtt_us +rtt ms +smoothed round trip",
                     r"held +bytes delivered and kept by the application"):
            self.assertRegex(out, f"(?m)^{line}")
        code, out, err = self.tool("top", "--columns")
        self.assertEqual((code, err), (0, ""))
        self.assertRegex(out, r"(?m)^busy_percent +busy % +of the time between readings$")

    def test_top_shows_them_all(self):
        keys = {line.split()[0] for line in self.tool("top", "--columns")[1].splitlines()}
        with serve("--hello", "--cores", "1", env=self.env):
            self.assertEqual(set(self.top()["cores"][0]), keys | {"counters"})

    def test_no_standard_output(self):
        """What is opened must not take its place."""
        with serve("--hello", "--cores", "1", env=self.env):
            for words in (("top", "--once", "--interval", "1ms"), ("ss", "--columns")):
                for closed in (">&-", "<&- >&-"):
                    code, _, err = finish("sh", "-c", f'exec "$@" {closed}', "sh", LEAT, *words,
                                          env=self.env)
                    self.assertEqual((code, err.count("\n")), (1, 1), err)
                    self.assertIn("cannot write to standard output", err)

    def test_a_state_that_is_none(self):
        self.assertEqual(self.tool("ss", "--state", "etsablished"),
                         (2, "", "leat ss: --state etsablished is no state of TCP: did you mean "
                          "established\n"))
        self.assertIn("such as established", self.tool("ss", "--state", "zzz")[2])
        self.assertIn("no Leat program is running", self.tool("ss", "--state", "Time-Wait")[2])

    def test_an_answer_that_is_not_understood(self):
        """A program whose control socket says something else, as of another version."""
        with serve("--hello", env=self.env) as program:
            path = self.folder / f"leat.{program.process.pid}.sock"
            path.unlink()
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(str(path))
                listener.listen()
                for said, heard in ((b'{"core": [1]}\n', "does not understand"),
                                    (b'{"error": "no"}\n', "does not understand"),
                                    (b'{"core": 1, "end": false}\n', "stopped answering")):
                    answer = threading.Thread(target=self.answer, args=(listener, said))
                    answer.start()
                    code, _, err = self.tool("ss")
                    answer.join(30)
                    self.assertEqual((code, err.count("\n")), (1, 1))
                    self.assertIn(heard, err)

    @staticmethod
    def answer(listener, said):
        with listener.accept()[0] as client:
            client.recv(100)
            client.sendall(said)


class Files(Tools):
    def names(self):
        return sorted(p.name for p in self.folder.iterdir())

    def test_they_go_with_the_program(self):
        with serve("--hello", env=self.env) as program:
            pid = program.process.pid
            self.assertEqual(self.names(), [f"leat.{pid}", f"leat.{pid}.sock"])
            for name in self.names():
                self.assertEqual((self.folder / name).stat().st_mode & 0o777, 0o600)
            self.assertEqual(program.end(TERM), 0)
            self.assertEqual(self.names(), [])

    def test_what_a_killed_one_left_is_cleared_away(self):
        with serve("--hello", env=self.env) as program:
            program.end(signal.SIGKILL)
        self.assertEqual(len(self.names()), 2)
        self.assertIn("no Leat program is running", self.tool("top")[2])
        self.assertEqual(self.names(), [])

    def test_the_next_program_clears_it_away_too(self):
        with serve("--hello", env=self.env) as program:
            program.end(signal.SIGKILL)
        with serve("--hello", env=self.env) as program:
            pid = program.process.pid
            self.assertEqual(self.names(), [f"leat.{pid}", f"leat.{pid}.sock"])

    def test_files_of_others_stay(self):
        for name in ("leat.conf", "leat.", "leat.0", "other"):
            (self.folder / name).write_text("mine")
        self.assertIn("no Leat program is running", self.tool("ss")[2])
        self.assertEqual(len(self.names()), 4)

    def test_a_file_that_is_cut_short_is_not_believed(self):
        with serve("--hello", env=self.env) as program:
            path = self.folder / f"leat.{program.process.pid}"
            whole = path.read_bytes()
            for length in (0, 8, 64, 4000, len(whole) - 8):
                copy = self.folder / "leat.1"
                copy.write_bytes(whole[:length])
                with open(copy, "rb") as held:
                    fcntl.flock(held, fcntl.LOCK_EX)
                    code, _, err = self.tool("top", "1")
                self.assertEqual(code, 1, length)
                self.assertRegex(err, "another version|no running Leat program")

    def test_without_a_place_it_serves_and_says_so(self):
        self.env["LEAT_RUN_DIR"] = str(self.folder / "absent")
        with serve("--hello", env=self.env) as program:
            program.until("leat top and leat ss will not see this program", "stderr")
            self.assertEqual(program.end(TERM), 0)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v"])
