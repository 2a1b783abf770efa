#!/usr/bin/env python3
"""`./dev bench bypass` and `connections` on made-up results, and their tools on a link that is
there for a second.

    smoke_bypass.py Verdicts Connections | Link"""
import os
import pathlib
import tempfile
import types
import unittest

os.environ.setdefault("LEAT_BUILD", os.environ["MESON_BUILD_ROOT"])

import report_bypass  # noqa: E402
import report_connections  # noqa: E402
import run_bypass  # noqa: E402
import run_connections  # noqa: E402

QUIET = {"steal": 0.0, "foreign": 0.0}
REQUESTS = {"cycles": 1000.0, "per_second": 2.5e6, "client_busy": 0.8, "server_busy": 0.9,
            "requests_per_turn": 30.0, "layer_http": 400.0, **QUIET}
TRIP = {"p50": 2.0, "p99": 3.0, **QUIET}
SLEEP = {"share": 0.013, "late_us_max": 90.0, **QUIET}
REST = {"share": 0.013, "first_us": 700.0, "first_us_max": 1100.0, **QUIET}
BULK = {"gbits": 30.0, "sender": 0.3, "receiver": 0.4, **QUIET}
MACHINE = {"date": "", "commit": "", "cpu": "", "cores": 2, "memory_gib": 1, "virtual": "",
           "kernel": "", "system": "", "compiler": ""}


def verdicts_of(sections):
    document, is_whole = report_bypass.text(
        {"sections": sections, "limits": {"disturbed": 0.02}, "machine": MACHINE, "rounds": 3,
         "seconds": 1, "bare_seconds": 1, "hugepages": 0})
    cells = [line.split(" | ") for line in document.splitlines()
             if line.startswith(("| PASS", "| MISSED", "| no verdict"))]
    return {c[1]: (c[0][2:], c[4].rstrip(" |")) for c in cells}, is_whole


def verdicts(**changed):
    """Figure -> (verdict, why) when these measurements differ; and whether it may be written."""
    rounds = {name: [TRIP if "trip" in name or name == "echo" else
                     BULK if name[-3:] in ("_in", "out") else REQUESTS] * 3
              for name in run_bypass.LINK}
    for name, change in changed.items():
        rounds[name] = [{**r, **c} for r, c in zip(rounds[name], change)]
    return verdicts_of({"link": {"needed": 3, "results": rounds}})


def rest_verdicts(sleep, rest):
    results = {"bare sleep": [{**SLEEP, **sleep}], "memif": [{**REST, **rest}]}
    found, _ = verdicts_of({"rest": {"needed": 1, "results": results}})
    return [word for word, _ in found.values()]


class Verdicts(unittest.TestCase):
    def test_all_met(self):
        found, is_whole = verdicts()
        self.assertEqual({word for word, _ in found.values()}, {"PASS"})
        self.assertEqual(len(found), 7)
        self.assertTrue(is_whole)

    def test_each_can_be_missed(self):
        for name, change, figure in (
                ("hello", {"cycles": 1201}, "`--hello`, busy cycles per request"),
                ("hello", {"per_second": 1.9e6}, "`--hello`, requests per second"),
                ("connect", {"cycles": 5001}, "connect, one request, close: busy cycles"),
                ("echo", {"p50": 6.1}, "round trip of an echo by that of a bare frame, p50"),
                ("echo", {"p99": 4.1}, "round trip of an echo, p99 by p50"),
                ("bulk_in", {"gbits": 19.9}, "payload through one connection to the server"),
                ("bulk_out", {"gbits": 19.9}, "payload through one connection from the server")):
            found, is_whole = verdicts(**{name: [change] * 3})
            self.assertEqual([f for f, v in found.items() if v[0] == "MISSED"], [figure])
            self.assertTrue(is_whole)

    def test_the_link_bounds_what_bulk_must_reach(self):
        found, _ = verdicts(bulk_in=[{"gbits": 8.1}] * 3, bare_in=[{"gbits": 10.0}] * 3)
        self.assertEqual(found["payload through one connection to the server"][0], "PASS")

    def test_no_verdict_on_a_disturbed_machine(self):
        for what in ("steal", "foreign"):
            found, is_whole = verdicts(hello=[{what: 0.03}, {}, {}])
            words = {f: v[0] for f, v in found.items()}
            self.assertEqual(words["`--hello`, busy cycles per request"], "no verdict")
            self.assertEqual(words["`--hello`, requests per second"], "no verdict")
            self.assertEqual(words["connect, one request, close: busy cycles"], "PASS")
            self.assertFalse(is_whole)

    def test_none_on_round_trips_where_bare_frames_are_as_late(self):
        found, _ = verdicts(bare_trip=[{"p99": 4.1}] * 3, echo=[{"p99": 4.1}] * 3)
        word, why = found["round trip of an echo, p99 by p50"]
        self.assertEqual(word, "no verdict")
        self.assertIn("the bare frame's own p99", why)

    def test_rest(self):
        self.assertEqual(rest_verdicts({}, {}), ["PASS", "PASS"])
        self.assertEqual(rest_verdicts({}, {"share": 0.021}), ["MISSED", "PASS"])
        self.assertEqual(rest_verdicts({}, {"first_us_max": 2100.0}), ["PASS", "MISSED"])

    def test_none_on_rest_where_sleep_alone_misses(self):
        costly, late = {"share": 0.02}, {"late_us_max": 1100.0}
        self.assertEqual(rest_verdicts(costly, {"share": 0.021}), ["no verdict", "PASS"])
        self.assertEqual(rest_verdicts(late, {"first_us_max": 2100.0}), ["PASS", "no verdict"])
        self.assertEqual(rest_verdicts({**costly, **late}, {}), ["PASS", "PASS"])

    def test_none_on_a_rate_that_the_client_limits(self):
        busy = {"per_second": 1.5e6, "client_busy": 0.97, "server_busy": 0.7}
        found, is_whole = verdicts(hello=[busy] * 3)
        word, why = found["`--hello`, requests per second"]
        self.assertEqual(word, "no verdict")
        self.assertIn("the client was the limit", why)
        self.assertTrue(is_whole)


def connections(**changed):
    """Figure -> verdict when what was measured at a million connections differs."""
    def point(count, **more):
        return {"connections": count, "requests": 1, "ramp_s": 1.0, "per_second": 1.0, "p50_us": 1,
                "p99_us": 1, "max_us": 1, "cycles": 1000.0, "client_busy": 0.5,
                "timers_at_rest": 1, "heap_bytes": 380.0, "rss_bytes": 400.0,
                "client_heap_bytes": 400.0, "rss_mib": 900.0, **QUIET, **more}
    text = report_connections.section(
        {"points": [[point(1000)] * 3, [point(1_000_000, **changed)]], "count": 1_000_000,
         "limits": {"disturbed": 0.02}, "machine": MACHINE, "in_flight": 256, "rounds": 3})
    cells = [line.split(" | ") for line in text.splitlines()
             if line.startswith(("| PASS", "| MISSED", "| no verdict"))]
    return {c[1].split(",")[0]: c[0][2:] for c in cells}


class Connections(unittest.TestCase):
    def test_all_met(self):
        self.assertEqual(list(connections().values()), ["PASS"] * 4)

    def test_each_can_be_missed(self):
        for change, figure in (({"cycles": 2001.0}, "cycles per request at 1M connections by those "
                                                    "at 1k"),
                               ({"heap_bytes": 385.0}, "memory of an idle connection in the stack"),
                               ({"timers_at_rest": 9}, "timers that fired while all rested")):
            found = connections(**change)
            self.assertEqual([f for f, word in found.items() if word == "MISSED"], [figure])

    def test_cycles_have_no_verdict_on_a_disturbed_machine(self):
        found = connections(foreign=0.03)
        self.assertEqual([f for f, word in found.items() if word == "no verdict"],
                         ["cycles per request at 1M connections by those at 1k"])


@unittest.skipUnless((run_bypass.BUILD / "leat-dpdk.so").exists(), "the DPDK module was not built")
class Link(unittest.TestCase):
    """Without hugepages, and on whatever cores there are."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.run_once = run_bypass.Run(types.SimpleNamespace(quick=True), folder.name)
        if len(os.sched_getaffinity(0)) < 2:
            self.skipTest("needs two cores")
        self.assertTrue(pathlib.Path(run_bypass.FORWARD).exists())

    def measure(self, name):
        return run_bypass.measured(self.run_once, run_bypass.LINK[name])

    def test_bare_frames_come_back(self):
        result = self.measure("bare")
        self.assertGreater(result["cycles"], 0)
        self.assertGreater(result["per_second"], 1000)
        self.assertTrue(0 < result["client_busy"] <= 1 and 0 < result["server_busy"] <= 1, result)

    def test_a_request_costs_cycles_of_turns_that_did_work(self):
        result = self.measure("hello")
        self.assertGreater(result["cycles"], 100)
        self.assertGreater(result["per_second"], 100)
        self.assertTrue(0 < result["client_busy"] < 1.1 and 0 < result["server_busy"] < 1.1, result)

    def test_connections_are_counted_and_none_is_lost(self):
        with tempfile.TemporaryDirectory() as folder:
            result = run_connections.measure(folder, 300, 1)
        self.assertGreater(result["requests"], 300)
        self.assertGreater(result["cycles"], 100)
        self.assertGreater(result["heap_bytes"], 256)

    def test_idle_connections_cost_memory_and_no_timers(self):
        self.run_once.many = 2000
        result = run_bypass.idle_connections(self.run_once)
        self.assertTrue(200 < result["heap"] < 2000, result)
        self.assertLess(result["timers"], 0.5)

    def test_round_trips_and_streams(self):
        for name in ("bare_trip", "echo"):
            self.assertGreater(self.measure(name)["p99"], 0)
        for name in ("bare_in", "bulk_in", "bare_out", "bulk_out", "many_in", "many_out"):
            result = self.measure(name)
            self.assertGreater(min(result["gbits"], result["sender"], result["receiver"]), 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
