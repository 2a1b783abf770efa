"""`leat serve` where a container or a sandbox refuses what it would like to have: it serves all the
same, and says so in one line. confined.c refuses system calls."""
import concurrent.futures
import http.client
import os
import pathlib
import re
import resource
import socket
import subprocess
import sys
import tempfile
import unittest

from process import BUILD, TERM, Program, finish, serve

CONFINED = BUILD / "test" / "cli" / "confined"
LEAT = BUILD / "leat"
ECHO = BUILD / "examples" / "http-echo"
THP = "/sys/kernel/mm/transparent_hugepage/enabled"
TWO_LOOPS = ("--cores", f"{min(os.sched_getaffinity(0))},{min(os.sched_getaffinity(0))}")
DOCTOR = finish(LEAT, "doctor")[1]


def may_mount(*words):
    return subprocess.run(["unshare", "-m", *words], stdout=subprocess.DEVNULL, check=False,
                          stderr=subprocess.DEVNULL, timeout=60).returncode == 0


class Confined(unittest.TestCase):
    def lines_of(self, *words, body=b"", **options):
        """What a server logs that answers, and ends as it should."""
        with Program(*words, "--listen", "127.0.0.1:0", *TWO_LOOPS, **options) as program:
            match = program.until(r"^listening on http://(\S+):(\d+)")
            for _ in range(4):
                connection = http.client.HTTPConnection(match[1], int(match[2]), timeout=30)
                connection.request("POST" if body else "GET", "/", body=body or None)
                response = connection.getresponse()
                self.assertEqual(response.status, 200)
                got = response.read()
                self.assertTrue(got == body or not body)
                connection.close()
            self.assertEqual(program.end(TERM), 0, program.text)
            return program.text["stderr"].splitlines()

    def one_line(self, pattern, *words, **options):
        lines = self.lines_of(*words, **options)
        self.assertEqual(len([line for line in lines if re.search(pattern, line)]), 1, lines)

    def test_nothing_is_said_where_nothing_is_refused(self):
        if re.search(r"^note +io_uring|plain pages|^note +cpu quota", DOCTOR, re.M):
            self.skipTest("this machine refuses some of it")
        self.assertEqual(self.lines_of(LEAT, "serve", "--hello"), [])

    def test_io_uring(self):
        if "not built in" in DOCTOR:
            self.skipTest("this build has no io_uring")
        self.one_line(r"info  core 0: using epoll: io_uring is refused \(io_uring_setup: EPERM\)",
                      CONFINED, "io_uring", LEAT, "serve", "--hello")

    def test_memory_policy(self):
        cpus = os.sched_getaffinity(0)
        if len(cpus) < 2:
            self.skipTest("with one CPU there is one node")
        environment = {**os.environ, "HWLOC_SYNTHETIC": f"numa:{max(cpus) + 1} core:1 pu:1"}
        pattern = "memory comes from the node that the kernel chooses: set_mempolicy is refused"
        self.one_line(pattern, CONFINED, "mempolicy", LEAT, "serve", "--hello", env=environment)

    def test_transparent_huge_pages(self):
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("always madvise [never]\n")
            file.flush()
            mount = ["mount", "--bind", file.name, THP]
            if not may_mount(*mount):
                self.skipTest("this user may not mount a file for itself")
            self.one_line("buffers use plain pages: ", "unshare", "-m", "sh", "-c",
                          " ".join(mount) + ' && exec "$@"', "sh", LEAT, "serve", "--hello")

    def test_locked_memory(self):
        user = 200000 + os.getpid()  # what is locked counts per user: nobody else's

        def lock_nothing():
            resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))
            if os.geteuid() == 0:
                os.setresuid(user, user, user)
        try:
            subprocess.run([ECHO, "--version"], preexec_fn=lock_nothing, check=True,
                           stdout=subprocess.DEVNULL, timeout=30)
        except (subprocess.SubprocessError, OSError):
            self.skipTest("another user may not run what was built here")
        lines = self.lines_of(ECHO, body=bytes(1 << 20), preexec_fn=lock_nothing)
        # None where nothing is missed: before 6.2 rings do not count, and nothing is lent.
        self.assertLessEqual(sum("locked memory (ulimit -l)" in line for line in lines), 1, lines)

    def test_a_cpu_quota(self):
        if len(os.sched_getaffinity(0)) < 2:
            self.skipTest("a quota of one CPU is no less than this machine has")
        with tempfile.TemporaryDirectory() as folder:
            pathlib.Path(folder, "cpu.max").write_text("100000 100000\n")
            pathlib.Path(folder, "cgroup").write_text("0::/\n")
            mount = (f"mount --bind {folder} /sys/fs/cgroup && "
                     f"mount --bind {folder}/cgroup /proc/$$/cgroup")
            if not may_mount("sh", "-c", mount):
                self.skipTest("this user may not mount a folder for itself")
            confined = ["unshare", "-m", "sh", "-c", mount + ' && exec "$@"', "sh"]
            self.one_line("the CPU quota is 1.000 of .* as --cores says may be throttled",
                          *confined, LEAT, "serve", "--hello")
            with Program(*confined, LEAT, "serve", "--listen", "127.0.0.1:0") as program:
                program.until(r"^listening on http://")
                program.until("1 loop will run; choose otherwise with --cores", "stderr")
                self.assertEqual(program.end(TERM), 0, program.text)


class Memory(unittest.TestCase):
    """A real control group of 64 MiB; it goes with the test."""

    ROOTS = (("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max"))

    def group(self):
        for root, name in self.ROOTS:
            path = f"{root}/leat-test-{os.getpid()}"
            try:
                os.mkdir(path)
                self.addCleanup(os.rmdir, path)
                pathlib.Path(path, name).write_text(str(64 << 20))
                return path
            except OSError:
                continue
        return self.skipTest("this user may not make a control group with a memory limit")

    @staticmethod
    def upload(address, size):
        """The status of the answer, which may come before all is sent."""
        with socket.create_connection(address, timeout=60) as client:
            try:
                client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size)
                for _ in range(size >> 16):
                    client.sendall(bytes(1 << 16))
            except OSError:
                pass
            try:
                return client.recv(12)[9:12]
            except OSError:
                return b"reset"

    def test_uploads_that_do_not_fit_are_refused(self):
        group = self.group()

        def enter():
            pathlib.Path(group, "cgroup.procs").write_text(str(os.getpid()))
        with Program(ECHO, "--listen", "127.0.0.1:0", *TWO_LOOPS, preexec_fn=enter) as program:
            match = program.until(r"^listening on http://(\S+):(\d+)")
            address = (match[1], int(match[2]))
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                answers = list(pool.map(self.upload, [address] * 8, [14 << 20] * 8))
            self.assertIsNone(program.process.poll(), "it was killed")
            self.assertIn(b"503", answers)
            self.assertEqual(set(answers) - {b"200", b"503"}, set(), answers)
            self.assertEqual(self.upload(address, 1 << 20), b"200")  # and it goes on
            self.assertEqual(program.end(TERM), 0)


class Descriptors(unittest.TestCase):
    @staticmethod
    def limits_of(pid):
        line = re.search(r"Max open files\s+(\d+)\s+(\d+)",
                         pathlib.Path(f"/proc/{pid}/limits").read_text())
        return int(line[1]), int(line[2])

    def test_the_soft_limit_is_raised(self):
        def lower():
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, 512))
        with serve("--hello", *TWO_LOOPS, preexec_fn=lower) as program:
            self.assertEqual(self.limits_of(program.process.pid), (512, 512))
            self.assertEqual(program.end(TERM), 0)

    def test_more_connections_than_files_are_warned_of(self):
        def lower():
            resource.setrlimit(resource.RLIMIT_NOFILE, (128, 512))
        for count, is_warned in ((512, False), (513, True)):
            with serve("--hello", "--max-connections", str(count), preexec_fn=lower) as program:
                self.assertEqual(program.end(TERM), 0)
            wanted = (f"leat serve: warning: --max-connections {count} is more than the 512 files "
                      "that this process may open: raise the hard limit (ulimit -Hn, or "
                      "LimitNOFILE= of the service)\n")
            self.assertEqual(wanted in program.text["stderr"], is_warned, program.text)

    def test_connections_leave_some_for_files(self):
        def lower():
            resource.setrlimit(resource.RLIMIT_NOFILE, (96, 96))
        for net in ("epoll", "auto"):
            with self.subTest(net=net), tempfile.TemporaryDirectory() as folder:
                pathlib.Path(folder, "file").write_bytes(bytes(1 << 20))
                pathlib.Path(folder, "other").write_bytes(b"other")
                with serve("--net", net, "--cores", "1", folder, preexec_fn=lower) as program:
                    first = http.client.HTTPConnection(*program.address, timeout=30)
                    first.connect()
                    others = [socket.create_connection(program.address, timeout=30)
                              for _ in range(150)]
                    program.until("accepts nothing for now", "stderr")
                    for name, size in (("file", 1 << 20), ("other", 5)):
                        first.request("GET", f"/{name}")
                        response = first.getresponse()
                        self.assertEqual((response.status, len(response.read())), (200, size))
                    used = len(os.listdir(f"/proc/{program.process.pid}/fd"))
                    self.assertLessEqual(used, 96 - 96 // 4 + 4)
                    for other in others:
                        other.close()
                    first.close()
                    self.assertEqual(program.end(TERM), 0)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v"])
