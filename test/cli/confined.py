"""`leat serve` where a container or a sandbox refuses what it would like to have: it serves all the
same, and says so in one line. confined.c refuses system calls."""
import http.client
import os
import pathlib
import re
import resource
import subprocess
import sys
import tempfile
import unittest

from process import BUILD, TERM, Program, finish

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


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v"])
