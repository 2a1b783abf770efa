"""Counts of test cases, read from what test programs print."""
import re

OUTPUT_LINES_SHOWN = 60


class Tally:
    """Counts, and what is worth showing. A case that one build skips counts as run when another
    build passed it."""

    def __init__(self, skips_fail):
        self.skips_fail = skips_fail
        self.passed = self.failed = 0
        self.ran, self.skips = set(), {}

    def add(self, name, outcome, reason=""):
        """outcome: "ok", "failed" or "skipped"."""
        if outcome == "ok":
            self.passed += 1
            self.ran.add(name)
        elif outcome == "failed":
            self.failed += 1
        else:
            self.skips.setdefault(name, reason)

    def fail(self, name, output):
        self.failed += 1
        show_failure(name, output)

    def program(self, name, result, output):
        """Adds one test program's outcome: result is meson's word for it."""
        if result == "SKIP":
            lines = output.strip().splitlines()
            self.add(name, "skipped", lines[-1] if lines else "the program gives no reason")
            return
        cases = cases_of(output) or [("the program", "ok" if result == "OK" else "failed", "")]
        for case, outcome, reason in cases:
            self.add(f"{name}: {case}", outcome, reason)
        if result != "OK":
            if not any(outcome == "failed" for _, outcome, _ in cases):
                self.failed += 1
            show_failure(f"{name} ({result.lower()})", output)

    def finish(self):
        """Prints what was skipped and, last, the line of counts; returns the exit code."""
        skipped = 0
        for name, reason in sorted(self.skips.items()):
            if name in self.ran:
                continue
            if self.skips_fail:
                self.failed += 1
                print(f"FAILED {name}: skipped where nothing may be: {reason}")
            else:
                skipped += 1
                print(f"skipped {name}: {reason}")
        line = f"{self.passed} passed, {self.failed} failed"
        print(line + (f", {skipped} skipped" if skipped else ""))
        return 1 if self.failed or not self.passed else 0


def show_failure(name, output):
    print(f"FAILED {name}")
    for line in output.splitlines()[-OUTPUT_LINES_SHOWN:]:
        print("    " + line)


def unittest_cases(output):
    """(name, outcome, reason) of each case of a program that uses unittest with -v."""
    cases = []
    line = r"^(\w+ \([\w.]+\)).*?\.\.\. ?.*?(ok|FAIL|ERROR|skipped [^\n]*)$"
    for name, result in re.findall(line, output, re.M | re.S):
        if result == "ok":
            cases.append((name, "ok", ""))
        elif result.startswith("skipped"):
            cases.append((name, "skipped", result[len("skipped "):].strip("'\"")))
        else:
            cases.append((name, "failed", ""))
    return cases


def cmocka_cases(output):
    """The same of a cmocka program; a skipping case says why with print_message("skip: ...")."""
    said = {"       OK ": "ok", "  FAILED  ": "failed", "  SKIPPED ": "skipped"}
    cases, reason = {}, "the program gives no reason"
    for line in output.splitlines():
        match = re.match(r"^\[(       OK |  FAILED  |  SKIPPED )\] (?!\d+ test\(s\))(.*)$", line)
        if match:
            cases.setdefault(match[2], (match[2], said[match[1]], reason))
        elif line.startswith("skip: "):
            reason = line[len("skip: "):]
    return list(cases.values())


def cases_of(output):
    """What the program's own output says of its cases; None when it does not count them."""
    if re.search(r"^\[==========\] .*\d+ test\(s\)", output, re.M):
        return cmocka_cases(output)
    checks = re.findall(r"^(ok|FAILED) (check \w+)$", output, re.M)
    if checks:
        return [(name, "ok" if word == "ok" else "failed", "") for word, name in checks]
    ran = re.search(r"^Ran (\d+) tests? in", output, re.M)
    if not ran:
        return None
    cases = unittest_cases(output)
    if len(cases) >= int(ran[1]):
        return cases
    numbers = dict(re.findall(r"(failures|errors|skipped)=(\d+)", output[ran.end():]))
    failed = int(numbers.get("failures", 0)) + int(numbers.get("errors", 0))
    skipped = int(numbers.get("skipped", 0))
    outcomes = ["failed"] * failed + ["skipped"] * skipped
    outcomes += ["ok"] * (int(ran[1]) - failed - skipped)
    return [(f"case {i + 1}", outcome, "run it with -v for the reason")
            for i, outcome in enumerate(outcomes)]
