#!/usr/bin/env python3
"""The tools of `./dev bench http` do what they are for: run by the tests, for a second."""
import json
import os
import pathlib
import platform
import shutil
import socket
import subprocess
import tempfile
import unittest
import xml.etree.ElementTree

import instructions
import machine
import report
import report_async
import report_compare
import report_latency
import report_scaling
import report_soak
import servers

BUILD = pathlib.Path(os.environ["MESON_BUILD_ROOT"])
SECONDS = "0.2"


class Tools(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.answer = servers.DEFAULT_ANSWER
        server = servers.floor(folder.name, self.answer)
        server.command[0] = str(BUILD / "bench/floor")
        self.addCleanup(server.stop)
        self.server = server.start(pinned=False)

    def load(self, depth):
        return subprocess.run(
            [BUILD / "bench/loadgen", str(self.server.port), "/", "8", str(depth), SECONDS],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=30)

    def test_the_floor_answers_with_what_it_was_given(self):
        self.assertEqual(self.server.answer, self.answer)

    def test_the_floor_finds_ends_that_were_split(self):
        request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
        for cut in range(1, len(request)):
            with socket.create_connection(("127.0.0.1", self.server.port), 5) as client:
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                client.sendall(request + request[:cut])
                self.assertEqual(servers.receive_answer(client), self.answer)
                client.sendall(request[cut:] + request)
                both = b""
                while len(both) < 2 * len(self.answer):
                    both += client.recv(65536)
                self.assertEqual(both, 2 * self.answer)

    def test_every_pipelined_request_is_answered(self):
        for depth in (1, 16):
            done = self.load(depth)
            counted = json.loads(done.stdout)
            self.assertEqual((done.returncode, counted["errors"]), (0, 0), done.stdout)
            self.assertGreaterEqual(counted["requests"], depth)
            self.assertEqual(counted["body_bytes"], counted["requests"] * len(servers.HELLO))
        self.assertGreater(self.server.cpu(), 0.0)

    def test_a_floor_closes_behind_an_answer_that_says_so(self):
        with tempfile.TemporaryDirectory() as folder:
            closing = servers.closer("floor", folder, self.answer)
            closing.command[0] = str(BUILD / "bench/floor")
            self.addCleanup(closing.stop)
            closing.start(pinned=False)
            with socket.create_connection(("127.0.0.1", closing.port), 5) as client:
                client.sendall(b"GET / HTTP/1.1\r\n\r\n")
                self.assertIn(b"Connection: close", servers.receive_answer(client))
                self.assertEqual(client.recv(1), b"")

    def test_stalls_are_waited_for(self):
        cores = sorted(os.sched_getaffinity(0))[:2]
        if len(cores) < 2:
            self.skipTest("needs two cores")
        done = subprocess.run([BUILD / "bench/stalls", *map(str, cores), SECONDS, "0", "0.9"],
                              capture_output=True, text=True, timeout=30)
        said = json.loads(done.stdout)
        self.assertTrue(0 <= said["lost"] < 1)
        for percentile in report_latency.PERCENTILES:
            self.assertLessEqual(said["0"][percentile], said["0.9"][percentile])

    def test_the_clocks_of_a_core_are_told(self):
        done = subprocess.run([BUILD / "bench/clock"], capture_output=True, text=True, timeout=30)
        said = json.loads(done.stdout)
        if platform.machine() == "x86_64":
            self.assertTrue(0.3 < said["core_ghz"] < 10 and 0.3 < said["tsc_ghz"] < 10, said)

    def test_a_server_that_went_away_is_an_error(self):
        self.server.stop()
        self.assertNotEqual(self.load(1).returncode, 0)


class Works(unittest.TestCase):
    """Those of `./dev bench async` do what they say, else they abort."""

    def figures(self, *words):
        done = subprocess.run([*map(str, words)], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        found = json.loads(done.stdout)
        self.assertTrue(found)
        for name, value in found.items():
            self.assertGreater(value, 0, name)
        return found

    def leats(self, work, *count):
        return self.figures(BUILD / "bench/async", work, "0.02", *count)

    def test_files_and_tasks(self):
        self.assertLessEqual({"read/future", "read/calls"}, set(self.leats("read")))
        self.assertEqual(len(self.leats("files", 200)), 4)
        self.assertIn("uncached/threads", self.leats("uncached"))
        self.assertIn("parked/task", self.leats("parked", 2000))

    def test_a_pipe_carries(self):
        self.assertLessEqual({"pipe/streams, epoll", "pipe/by hand, epoll"},
                             set(self.leats("pipe")))

    def test_a_stream_compresses_as_well_as_the_library(self):
        done = subprocess.run([BUILD / "bench/async", "gzip", "0.1"], capture_output=True,
                              text=True, timeout=60)
        found = json.loads(done.stdout)
        if found: # built with zlib
            self.assertAlmostEqual(found["gzip/stream ratio"], found["gzip/library ratio"], 2)

    def test_others_have_the_same_figures(self):
        own = self.leats("read")
        libuv = BUILD / "bench/peer-uv_fs"
        if libuv.exists():
            self.assertLessEqual(set(self.figures(libuv, "read", "0.02")), set(own))
        if shutil.which("node"):
            script = pathlib.Path(__file__).parent / "async_fs.js"
            self.assertLessEqual(set(self.figures("node", script, "read", "0.02")), set(own))


class Verdicts(unittest.TestCase):
    LIMITS = {"disturbed": 0.02, "floor_spread": 0.05}
    QUIET = {"steal": 0.0, "foreign": 0.0, "samples": {"floor": [1.0, 1.0, 1.01, 1.01]}}

    def verdict(self, value, **section):
        verdicts = report.Verdicts(self.LIMITS)
        verdicts.add("x", value, 1.05, why_not=verdicts.disturbed({**self.QUIET, **section}))
        return verdicts.lines[0][0]

    def test_met_and_missed(self):
        self.assertEqual(self.verdict(1.05), "PASS")
        self.assertEqual(self.verdict(1.06), "MISSED")

    def test_none_when_the_machine_was_disturbed(self):
        self.assertEqual(self.verdict(1.0, steal=0.03), "no verdict")
        self.assertEqual(self.verdict(1.0, foreign=0.03), "no verdict")
        self.assertEqual(self.verdict(1.0, samples={"floor": [1.0, 1.1, 1.2, 1.3]}), "no verdict")


    def ratio_verdict(self, ratios, **section):
        floor = [1.0, 1.3] * (len(ratios) // 2) + [1.0] * (len(ratios) % 2)  # far too uneven
        samples = {"floor": floor, "leat": [f * r for f, r in zip(floor, ratios)]}
        verdicts = report.Verdicts(self.LIMITS)
        verdicts.add_ratio("x", {**self.QUIET, "samples": samples, **section}, "leat", "floor",
                           1.05)
        return verdicts.lines[0][0]

    def test_none_on_a_late_answer_when_the_floor_is_late_too(self):
        for leat_s, floor_s, word in ((0.0009, 0.005, "PASS"), (0.005, 0.0009, "MISSED"),
                                      (0.005, 0.002, "no verdict")):
            verdicts = report.Verdicts(self.LIMITS)
            servers_seen = {name: {"cpu_share": 0.0, "first_answer_s": [0.0001, s]}
                            for name, s in (("leat (epoll)", leat_s), ("floor", floor_s))}
            report.idle_text({"idle": {"servers": servers_seen, "samples": {}, "steal": 0.0,
                                       "foreign": 0.0}}, verdicts)
            self.assertEqual([line[0] for line in verdicts.lines], ["PASS", word])

    def test_of_ratios_as_long_as_their_rounds_agree(self):
        self.assertEqual(self.ratio_verdict([0.9, 1.04] * 7), "PASS")
        self.assertEqual(self.ratio_verdict([1.06, 1.2] * 7), "MISSED")
        self.assertEqual(self.ratio_verdict([1.0, 1.09] * 7), "no verdict")
        self.assertEqual(self.ratio_verdict([0.9] * 14, foreign=0.03), "no verdict")

    def test_the_interval_of_a_median(self):
        self.assertEqual(machine.median_interval([3.0, 1.0, 2.0]), (1.0, 3.0))
        self.assertEqual(machine.median_interval(range(1, 8)), (1, 7))
        self.assertEqual(machine.median_interval(range(1, 10)), (2, 8))
        self.assertEqual(machine.median_interval(range(1, 16)), (4, 12))


class Sections(unittest.TestCase):
    """What reports say of made-up results; that they are written at all."""
    MACHINE = {"date": "", "commit": "", "cpu": "", "cores": 2, "memory_gib": 1, "virtual": "",
               "kernel": "", "system": "", "compiler": ""}
    COMMON = {"machine": MACHINE, "limits": {"disturbed": 0.02, "floor_spread": 0.05}}
    QUIET = {"steal": 0.0, "foreign": 0.0}

    def words(self, text):
        return [line.split(" | ")[0][2:] for line in text.splitlines()
                if line.startswith(("| PASS", "| MISSED", "| no verdict"))]

    def compared(self, leat, **changed):
        names = {"floor": 1e-6, "leat (epoll)": leat, "leat (uring)": leat, "nginx": 2e-6}
        more = {key: [1.0] for key in ("per_second", "p50_us", "p99_us", "p999_us", "rss_kib",
                                       "client_busy")}
        hello = {"samples": {name: [value] * 4 for name, value in names.items()},
                 "more": {name: more for name in names}, "busy": {name: 1.0 for name in names},
                 **self.QUIET, **changed}
        return self.words(report_compare.section(
            {**self.COMMON, "sections": {"hello": hello}, "rounds": 4, "seconds": 1,
             "versions": {}, "not_measured": []}))

    def test_a_comparison_is_with_the_best_peer_that_reads_http(self):
        self.assertEqual(self.compared(1.9e-6), ["PASS"] * 2)
        self.assertEqual(self.compared(2.1e-6), ["MISSED"] * 2)
        self.assertEqual(self.compared(1.9e-6, foreign=0.03), ["no verdict"] * 2)

    SEGMENT = {"rss_kib": 5000, "requests": 10, "p50_us": 100.0, "p99_us": 200.0, "late_us": 10.0,
               "unfinished": 0, "waited": 0.001}

    def soaked(self, **changed):
        segment = self.SEGMENT
        kept = {"segments": [segment] * 9, "bad": {}, "left_over": {}, "buffers_before": 1,
                "buffers_after": 2, "answered": 90, "exit_code": 0, "said": "", **self.QUIET}
        kept.update(changed)
        return report_soak.text({**self.COMMON, "soaked": {"sockets": kept}, "minutes": 1,
                                 "rate": 1, "segment_seconds": 1})[1]

    def test_a_soak_fails_when_something_grows_or_is_left(self):
        segment = self.SEGMENT
        self.assertTrue(self.soaked())
        for last in ({"rss_kib": 6000}, {"p50_us": 130.0}, {"p99_us": 300.0},
                     {"p50_us": 130.0, "waited": 0.02}, {"p99_us": 300.0, "waited": 0.004}):
            self.assertFalse(self.soaked(segments=[segment] * 6 + [{**segment, **last}] * 3))
        self.assertTrue(self.soaked(
            segments=[segment] * 6 + [{**segment, "p99_us": 300.0, "waited": 0.02}] * 3))
        for change in ({"left_over": {"http.connections": 1}}, {"buffers_after": 9},
                       {"exit_code": 1}, {"said": "2 buffers were never freed"}):
            self.assertFalse(self.soaked(**change))

    def test_two_loops_are_laid_beside_one(self):
        def way(per_second, cpu_us):
            return [{"per_second": per_second, "cpu_us": cpu_us, "p50_us": 1.0, "p99_us": 2.0,
                     "passed_on": 0.5, **self.QUIET}] * 3
        net = {"apart": way(1000.0, 4.0), "both": way(900.0, 5.0), "together": way(1000.0, 2.0)}
        text = report_scaling.section({**self.COMMON, "nets": {"tun": net}, "rounds": 3,
                                       "seconds": 1, "connections": 9})
        self.assertIn("| CPU per request, both by apart | 1.250 |", text)
        self.assertIn("| rate, both by apart | 0.900 |", text)
        self.assertIn("| CPU per request, together by apart | 0.500 |", text)

    def test_works_stand_beside_others(self):
        samples = {"read/future": [390.0] * 9, "read/calls": [320.0] * 9,
                   "gzip/stream": [90.0] * 9, "gzip/library": [100.0] * 9,
                   "parked/task": [4400.0] * 9}
        for step in ("write", "stat", "read", "remove"):
            samples.update({f"files/{step}": [2.0] * 9, f"node/files/{step}": [9.0] * 9})
        text = report_async.section({**self.COMMON, **self.QUIET, "samples": samples, "rounds": 9,
                                     "node": "20"})
        self.assertEqual(self.words(text), ["PASS", "MISSED", "MISSED", "MISSED", "PASS"])
        self.assertIn("| all four | 8.0 µs | 8.0 .. 8.0 | 0.0% | Node: 36.0 | 0.22 |", text)

    def test_latency_is_shown_and_drawn(self):
        run = {"latency_us": {p: 10.0 for p in report_latency.PERCENTILES},
               "late_us": {"p99": 1.0}, "unfinished": 0, **self.QUIET}
        waits = {p: 0.0 for p in report_latency.PERCENTILES}
        result = {**self.COMMON, "shares": [0.1, 0.8], "rounds": 1, "seconds": 1, "connections": 9,
                  "machine_alone": [{"lost": 0.01, "0.1": waits, "0.8": waits}],
                  "subjects": {"a": {"highest": 1000.0, "highest_runs": [self.QUIET],
                                     "at": {"0.1": [run], "0.8": [run]}}}}
        self.assertIn("At 80% of the highest rate", report_latency.section(result))
        self.assertEqual(set(report_latency.plots(result)), {"latency-10.svg", "latency-80.svg"})
        for picture in report_latency.plots(result).values():
            self.assertEqual(xml.etree.ElementTree.fromstring(picture).tag[-3:], "svg")


class Instructions(unittest.TestCase):
    GCC = "gcc (Debian 12.2.0-14+deb12u1) 12.2.0, x86_64 with AVX2"

    def test_only_growth_by_more_than_a_twentieth_is_a_problem(self):
        kept = {"a": 100.0, "b": 100.0, "c": 8.0}
        self.assertEqual(instructions.problems(kept, {"a": 105.0, "b": 50.0, "c": 8.9}), [])
        self.assertEqual(len(instructions.problems(kept, {"a": 106.0, "b": 100.0, "c": 9.0})), 2)

    def test_growth_since_the_frozen_column_is_a_problem_unless_it_says_why(self):
        kept = {"a": 1030.0, "b": 1030.0}
        frozen = {"a": (1000.0, ""), "b": (1000.0, "counts calls")}
        grown, still = {"a": 1020.0, "b": 1030.0}, {"a": 1010.0, "b": 1010.0}
        self.assertEqual(len(instructions.problems(kept, grown, frozen)), 1)
        self.assertEqual(instructions.problems(kept, still, frozen), [])

    def test_the_frozen_column_outlives_a_table_that_is_made_anew(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "table")
            path.write_text(f"# x\n{'a':44}       20.0       19.0  counts calls\n"
                            f"{'b':44}       30.0       29.5\n")
            instructions.write_table(self.GCC, {"a": 21.0, "b": 31.0, "c": 1.0}, path)
            self.assertEqual(instructions.read_table(path)[1], {"a": 21.0, "b": 31.0, "c": 1.0})
            self.assertEqual(instructions.read_frozen(path),
                             {"a": (19.0, "counts calls"), "b": (29.5, "")})

    def test_a_case_that_came_or_went_is_a_problem(self):
        self.assertEqual(len(instructions.problems({"a": 1.0}, {"b": 1.0})), 2)

    def test_only_the_same_kind_of_compiler_and_processor_compare(self):
        for other, same in (
                ("gcc (Debian 12.3.0-1) 12.3.0, x86_64 with AVX2", True),
                ("gcc (Debian 14.2.0-1) 14.2.0, x86_64 with AVX2", False),
                ("gcc (Ubuntu 12.2.0-14) 12.2.0, x86_64 with AVX2", False),
                ("gcc (Debian 12.2.0-14) 12.2.0, x86_64", False),
                ("gcc clang version 14.0.6, x86_64 with AVX2", False), ("", False)):
            self.assertEqual(instructions.comparable(self.GCC, other), same, other)

    def test_a_table_reads_back(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "table")
            instructions.write_table(self.GCC, {"wheel/start and stop": 12.25, "a": 1}, path)
            self.assertEqual(instructions.read_table(path),
                             (self.GCC, {"a": 1.0, "wheel/start and stop": 12.2}))


if __name__ == "__main__":
    unittest.main(verbosity=2)
