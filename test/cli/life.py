"""How programs on leat_main start and end; the program is life.c."""
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from process import BUILD, HUP, INT, TERM, Program, finish

LIFE = BUILD / "test" / "cli" / "life"
CORES = len(os.sched_getaffinity(0))
READY = r"^listening on life://127\.0\.0\.1:7$"


def lines(text, pattern):
    return len(re.findall(pattern, text, re.MULTILINE))


class Start(unittest.TestCase):
    def test_starts_once_on_every_core_and_says_ready_once(self):
        with Program(LIFE) as program:
            program.until(READY)
            program.until(rf"start of {CORES}$", "stderr", CORES)
            self.assertEqual(program.end(TERM), 0)
            self.assertEqual(lines(program.text["stdout"], READY), 1)
            self.assertEqual(lines(program.text["stderr"], "start of"), CORES)

    def test_one_core(self):
        with Program(LIFE, "--cores", "1") as program:
            program.until(READY)
            self.assertEqual(program.end(TERM), 0)
            self.assertEqual(lines(program.text["stderr"], "start of 1$"), 1)

    def test_loops_are_pinned(self):
        cpu = max(os.sched_getaffinity(0))
        with Program(LIFE, "--cores", f"{cpu},") as program:
            program.until(READY)
            masks = {}
            for task in os.listdir(f"/proc/{program.process.pid}/task"):
                with open(f"/proc/{program.process.pid}/task/{task}/status") as file:
                    status = dict(line.split(":\t") for line in file if ":\t" in line)
                masks[status["Name"].strip()] = status["Cpus_allowed_list"].strip()
            self.assertEqual(masks["leat-0"], str(cpu))
            self.assertEqual(program.end(TERM), 0)

    def test_affinity_bounds_the_cores(self):
        cpu = max(os.sched_getaffinity(0))
        with Program(LIFE, preexec_fn=lambda: os.sched_setaffinity(0, {cpu})) as program:
            program.until(READY)
            program.until("start of 1$", "stderr")
            self.assertEqual(program.end(TERM), 0)

    def test_starts_without_proc_and_sys(self):
        bare = "mount -t tmpfs none /sys && mount -t tmpfs none /proc && exec"
        try:
            subprocess.run(["unshare", "-m", "sh", "-c", bare + " true"], check=True, timeout=60,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        except (OSError, subprocess.SubprocessError):
            self.skipTest("this user may not unmount /proc for itself")
        with Program("unshare", "-m", "sh", "-c", f"{bare} {LIFE} --log-level warn") as program:
            program.until(READY)
            code = program.end(TERM)
            if "LeakSanitizer has encountered" in program.text["stderr"]:
                self.skipTest("the leak checker of this build cannot do without /proc")
            self.assertEqual(code, 0)
            said = [line for line in program.text["stderr"].splitlines()
                    if not re.match(r"==\d+==WARNING: |$", line)]
            self.assertEqual(said, [])

    def test_closed_standard_descriptors_go_to_no_connection(self):
        with Program("sh", "-c", f"exec {LIFE} --cores 1 --reload >&- <&-") as program:
            program.until("start of 1$", "stderr")
            program.send(HUP)
            program.until("reload$", "stderr")  # it runs: SIGTERM is no longer that of a start
            for number in (0, 1):
                self.assertEqual(os.readlink(f"/proc/{program.process.pid}/fd/{number}"),
                                 "/dev/null")
            self.assertEqual(program.end(TERM), 0)

    def test_a_full_log_file_does_not_end_the_program(self):
        with tempfile.TemporaryFile() as log:
            done = subprocess.run(["sh", "-c", f"ulimit -f 0; exec {LIFE} --dry"], stderr=log,
                                  stdout=subprocess.DEVNULL, timeout=60)
            self.assertEqual((done.returncode, os.fstat(log.fileno()).st_size), (0, 0))

    def test_a_failed_start_stops_all_and_is_told_once(self):
        for core in range(min(CORES, 2)):
            code, out, err = finish(LIFE, "--fail-on", core, "--log-level", "error")
            self.assertEqual((code, out, err), (1, "", f"life: core {core} must fail\n"))

    def test_a_failure_without_a_sentence_gets_one(self):
        code, _, err = finish(LIFE, "--fail-on", "0", "--silent", "--log-level", "error")
        self.assertEqual(code, 1)
        self.assertEqual(err, "life: the program's start function failed with EIO\n")

    def test_posts_reach_every_core(self):
        code, _, err = finish(LIFE, "--post")
        self.assertEqual(code, 0)
        self.assertEqual(lines(err, "post$"), CORES)


class End(unittest.TestCase):
    def test_ends_when_the_loops_run_dry(self):
        code, _, err = finish(LIFE, "--dry", "--log-level", "warn")
        self.assertEqual((code, err), (0, ""))

    def test_exit_code_of_the_program(self):
        self.assertEqual(finish(LIFE, "--exit-with-3")[0], 3)

    def test_leaving_at_once_cuts_the_drain_off(self):
        code, _, err = finish(LIFE, "--exit-at-once", "--hold")
        self.assertEqual(code, 4)
        self.assertEqual((lines(err, "released$"), lines(err, "end$")), (0, CORES))

    def test_what_hooks_before_the_exit_begin_is_done(self):
        code, _, err = finish(LIFE, "--dry", "--before-exit", "--cores", "1")
        self.assertEqual(code, 0)
        said = re.findall("before exit|more work|: end$", err, re.M)
        self.assertEqual(said, ["before exit", "more work", "before exit", ": end"])

    def test_last_words_come_after_the_report(self):
        code, _, err = finish(LIFE, "--last-words", "--crash-on", "0", "--cores", "1")
        self.assertEqual(code, -signal.SIGSEGV)
        self.assertEqual(lines(err, "last words of core 0$"), 1)
        self.assertLess(err.index("addresses:"), err.index("last words"))

    def test_a_rejection_that_nobody_handles_ends_it(self):
        for _ in range(10):  # a core may be told to drain while it ends already
            code, _, err = finish(LIFE, "--unhandled")
            self.assertEqual(code, 1)
            self.assertEqual(lines(err, r"nobody handles: future of .*: nobody looks \(EIO\)$"), 1)

    def test_a_task_that_waits_for_ever_is_named(self):
        code, _, err = finish(LIFE, "--parked", "--cores", "1")
        self.assertEqual(code, 13)
        self.assertEqual(lines(err, "a task waits for ever: waiter, a task of .*, which awaits$"),
                         1)
        self.assertEqual(lines(err, "parked: ECANCELED$"), 1)

    def test_tasks_and_coders_are_bounded_as_told(self):
        for flags, said in (((), "3 tasks, 8 coders"), (("--tasks", "2"), "2 tasks, 8 coders"),
                            (("--codec-memory", "1M"), "3 tasks, 3 coders")):
            code, _, err = finish(LIFE, "--fill", "--cores", "1", *flags)
            self.assertEqual((code, lines(err, f"{said}$")), (0, 1), err)
        for flags, said in ((("--tasks", "0"), "--tasks 0 is out of range: give at least 1 and at "
                                               "most 100000"),
                            (("--tasks", "100001"), "--tasks 100001 is out of range"),
                            (("--tasks", "many"), '--tasks takes .*, not "many"'),
                            (("--codec-memory", "1k"), "--codec-memory 1k is too small: give at "
                                                       "least 1M"),
                            (("--codec-memory", "x"), '--codec-memory takes .*, not "x"')):
            code, out, err = finish(LIFE, "--fill", *flags)
            self.assertEqual((code, out), (2, ""))
            self.assertRegex(err, said)

    def test_a_start_that_awaits(self):
        with Program(LIFE, "--ready", "well") as program:
            program.until(READY)
            self.assertEqual(lines(program.text["stderr"], "prepared$"), CORES)
            self.assertEqual(program.end(TERM), 0)
        code, out, err = finish(LIFE, "--ready", "badly")
        self.assertEqual((code, out), (1, ""))
        self.assertEqual(lines(err, "the program's start: the database is locked$"), 1)
        code, out, err = finish(LIFE, "--ready", "never")
        self.assertEqual((code, out), (1, ""))
        self.assertEqual(lines(err, "start waits for what nothing will bring$"), 1)

    def test_signals_drain_every_core_and_end_hooks_run(self):
        for number in (TERM, INT):
            with Program(LIFE, "--hold") as program:
                program.until(READY)
                self.assertEqual(program.end(number), 0)
                for word in ("drain", "released", "end"):
                    self.assertEqual(lines(program.text["stderr"], f"{word}$"), CORES, word)

    def test_a_second_signal_ends_at_once(self):
        for number, code in ((TERM, 143), (INT, 130)):
            with Program(LIFE, "--hold", "--drain-timeout", "50s") as program:
                program.until(READY)
                program.send(number)
                program.until("drain$", "stderr", CORES)
                time.sleep(0.1)  # what comes within 20 ms counts as the same signal
                self.assertEqual(program.end(number), code)
                self.assertEqual(lines(program.text["stderr"], "again: ending at once"), 1)

    def test_a_signal_to_the_process_and_its_group_is_one(self):
        with Program(LIFE, "--hold", start_new_session=True) as program:
            program.until(READY)
            os.kill(program.process.pid, TERM)
            os.killpg(program.process.pid, TERM)
            self.assertEqual(program.end(), 0)
            self.assertEqual(lines(program.text["stderr"], "released$"), CORES)

    def test_a_core_that_hangs_cannot_keep_a_second_signal_off(self):
        with Program(LIFE, "--stall") as program:
            program.until(READY)
            program.send_taken(TERM)
            self.assertEqual(program.end(TERM), 143)

    def test_a_signal_ends_what_has_not_all_started(self):
        for number, code in ((TERM, 143), (INT, 130)):
            with Program(LIFE, "--hang") as program:
                program.until("start of", "stderr")
                before = time.monotonic()
                self.assertEqual(program.end(number), code)
                self.assertLess(time.monotonic() - before, 10)  # the drain's limit
                self.assertIn("does not come back from its start", program.text["stderr"])

    def test_a_signal_before_all_have_started_ends_those_that_have(self):
        if CORES < 2:
            self.skipTest("one core is all of them")
        with Program(LIFE, "--slow-start", "--cores", "2", "--log-level", "info") as program:
            program.until("start of", "stderr")
            program.send_taken(TERM)
            self.assertEqual(program.end(signal.SIGUSR2), 143)  # its first core goes on
            self.assertEqual(lines(program.text["stderr"], "start of"), 1)
            self.assertEqual(lines(program.text["stderr"], "end$"), 1)
            self.assertEqual(program.text["stdout"], "")

    def test_the_drain_has_a_limit(self):
        with Program(LIFE, "--hold", "--drain-timeout", "20ms") as program:
            program.until(READY)
            self.assertEqual(program.end(TERM), 0)
            self.assertIn("the drain took longer than --drain-timeout", program.text["stderr"])

    def test_reload_hooks_take_sighup(self):
        with Program(LIFE, "--reload") as program:
            program.until(READY)
            program.send(HUP)
            program.until("reload$", "stderr", CORES)
            self.assertEqual(program.end(TERM), 0)

    def test_a_crash_is_reported_and_keeps_its_signal(self):
        with Program(LIFE, "--cores", "1", "--crash-on", "0") as program:
            self.assertEqual(program.end(), 128 + 11)
            self.assertIn("leat: SIGSEGV on core 0 in phase timers\n", program.text["stderr"])


class Log(unittest.TestCase):
    def test_json_lines(self):
        import json
        _, _, err = finish(LIFE, "--dry", "--json-log", "--cores", "1")
        said = [json.loads(line) for line in err.splitlines()]
        self.assertEqual([(line["level"], line["core"], line["message"]) for line in said],
                         [("info", 0, "start of 1")])

    def test_a_reader_that_does_not_read_keeps_nobody_from_ending(self):
        with Program(LIFE, "--post") as program:
            self.assertEqual(program.end(), 0)


class Refusals(unittest.TestCase):
    CASES = {
        ("--core", "1"): "unknown flag --core: did you mean --cores? See life --help",
        ("--cores",): "--cores needs a value: --cores N|LIST",
        ("--cores", "0"): "--cores 0 leaves nothing to run on: give at least 1",
        ("--cores", "x"): '--cores takes a number (4) or a list of CPUs (0,2-5), not "x"',
        ("--net", "xyz"): "--net takes auto, uring or epoll for kernel sockets, or a port such as "
                          'tun:leat0, not "xyz"',
        ("--net", "rfc1149:crow"): "--net rfc1149:crow: there is no kind of port called "
                                   '"rfc1149", see --help',
        ("--log-level", "loud"): '--log-level takes error, warn, info or debug, not "loud"',
        ("--drain-timeout", "soon"): "--drain-timeout takes a time such as 500ms, 1.5s or 2m, not "
                                     '"soon"',
        ("--busy-poll=1",): '--busy-poll takes no value: leave out "=1"',
        ("operand",): 'life takes no "operand": flags begin with two dashes, see life --help',
    }

    def test_each_says_one_sentence_and_exits_with_2(self):
        for flags, sentence in self.CASES.items():
            with self.subTest(flags=flags):
                self.assertEqual(finish(LIFE, *flags), (2, "", f"life: {sentence}\n"))

    def test_cores_that_are_not_there(self):
        absent = max(os.sched_getaffinity(0)) + 1
        code, _, err = finish(LIFE, "--cores", f"{absent},")
        self.assertEqual(code, 2)
        self.assertIn(f"this process may not use CPU {absent}: choose among", err)
        code, _, err = finish(LIFE, "--cores", CORES + 1)
        self.assertEqual(code, 2)
        self.assertIn(f"more than this process may use: give at most {CORES}", err)

    def test_help_and_version(self):
        code, out, err = finish(LIFE, "--help")
        self.assertEqual((code, err), (0, ""))
        for flag in ("--listen", "--cores", "--net", "--busy-poll", "--drain-timeout", "--hold"):
            self.assertIn(flag, out)
        self.assertRegex(finish(LIFE, "--version")[1], r"^leat \d+\.\d+\.\d+\n")


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v"])
