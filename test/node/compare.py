"""Runs one program under node and on Leat: both must print the same trace.

usage: compare.py NODE-SCENARIOS NAME.js
"""
import pathlib
import shutil
import subprocess
import sys

TIMEOUT_S = 20
SKIPPED = 77


def trace(command):
    result = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if result.returncode != 0 or not result.stdout.strip():
        sys.exit(f"{command} ended with {result.returncode}: {result.stdout}{result.stderr}")
    return result.stdout.strip()


def main():
    binary, script = sys.argv[1], pathlib.Path(sys.argv[2])
    node = shutil.which("node")
    if node is None:
        print("node is not installed: the order of callbacks is not compared with Node's")
        sys.exit(SKIPPED)
    on_node, on_leat = trace([node, str(script)]), trace([binary, script.stem])
    print(f"node: {on_node}\nleat: {on_leat}")
    sys.exit(0 if on_node == on_leat else 1)


main()
