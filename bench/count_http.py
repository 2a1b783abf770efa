#!/usr/bin/env python3
"""Instructions that one request costs `leat serve --hello` in user space, counted by callgrind.

    bench/count_http.py [--net epoll|uring] [--load NAME]... [--functions N] [--build DIR]

A server runs under callgrind; what it executes for N requests behind a warm-up is divided by N.
The loads: 16 requests with Host alone pipelined; one such request per turn of the loop (as wrk
sends with one connection), which bears the whole turn; one from each of 64 connections, in as few
turns as happen; and one with the fields of a browser.
Counts hardly depend on what else the machine does. With --functions, where they are
spent.
"""
import argparse
import pathlib
import re
import socket
import subprocess
import tempfile
import threading

ROOT = pathlib.Path(__file__).resolve().parent.parent
BARE = b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n"
BROWSER = BARE[:-2] + b"".join(field + b"\r\n" for field in (
    b"Connection: keep-alive", b"Cache-Control: max-age=0",
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:115.0) Gecko/20100101 Firefox/115.0",
    b"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    b"Accept-Language: en-US,en;q=0.5", b"Accept-Encoding: gzip, deflate, br",
    b"Cookie: session=0123456789abcdef0123456789abcdef; theme=dark", b"")) + b"\r\n"
# Name: request, requests in one packet, connections.
LOADS = {"pipelined": (BARE, 16, 1), "single": (BARE, 1, 1), "of64": (BARE, 1, 64),
         "browser": (BROWSER[:-2], 1, 1)}
REQUESTS = 3200
END_S = 60


def receive(client, answer_bytes, depth):
    """Returns the length of one answer."""
    answers = b""
    while not answers or len(answers) < answer_bytes * depth:
        piece = client.recv(65536)
        if not piece:
            raise SystemExit("the server closed the connection")
        answers += piece
        if not answer_bytes and answers.endswith(b"Hello, World!"):
            answer_bytes = len(answers) // answers.count(b"HTTP/1.1 200")
    return answer_bytes


def port_of(server):
    for line in server.stdout:
        found = re.search(r"listening on http://127\.0\.0\.1:(\d+)", line)
        if found:
            return int(found[1])
    raise SystemExit("the server did not start")


def ask(server, load):
    """Has what comes after a warm-up counted."""
    request, depth, connections = LOADS[load]
    port, answer_bytes = port_of(server), 0
    clients = [socket.create_connection(("127.0.0.1", port), END_S) for _ in range(connections)]
    for count in (REQUESTS // 4, REQUESTS):
        control(server.pid, "--zero")
        for _ in range(count // depth // connections):
            for client in clients:
                client.sendall(request * depth)
            for client in clients:
                answer_bytes = receive(client, answer_bytes, depth)
    control(server.pid, "--dump")


def control(pid, *what):
    subprocess.run(["callgrind_control", *what, str(pid)], stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, check=True, timeout=END_S)


def profile(build, net, load, folder):
    """(instructions for REQUESTS requests, function -> its own)"""
    out = pathlib.Path(folder) / load
    command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}",
               str(build / "leat"), "serve", "--hello", "--cores", "1",
               "--net", net, "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          text=True) as server:
        # Valgrind may hold the other threads up while one waits in io_uring: bounded, try again.
        end = threading.Timer(END_S, server.kill)
        end.start()
        try:
            ask(server, load)
        finally:
            end.cancel()
            server.kill()
    return functions(f"{out}.1")


def functions(path):
    """All instructions, and function -> its own."""
    text = subprocess.run(
        ["callgrind_annotate", "--auto=no", "--threshold=100", path],
        stdout=subprocess.PIPE, text=True, check=True, timeout=END_S).stdout
    total, found = 0, {}
    for line in text.splitlines():
        row = re.match(r"\s*([\d,]+) \(\s*[\d.]+%\)\s+(?:\S*?:)?(\S+)", line)
        count = int(row[1].replace(",", "")) if row else 0
        if row and row[2] == "PROGRAM":
            total = count
        elif count and count < total:  # what was on the stack all the time is given everything
            found[row[2]] = found.get(row[2], 0) + count
    return total, found


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--net", default="epoll", choices=["epoll", "uring"])
    parser.add_argument("--functions", type=int, default=0, metavar="N")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build")
    parser.add_argument("--load", choices=LOADS, action="append")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="leat-count-") as folder:
        for load in arguments.load or LOADS:
            total, cost = profile(arguments.build, arguments.net, load, folder)
            print(f"{load:10} {total / REQUESTS:7.0f} instructions per request ({arguments.net})")
            for name, n in sorted(cost.items(), key=lambda item: -item[1])[:arguments.functions]:
                print(f"{n / REQUESTS:18.1f} {name}")


if __name__ == "__main__":
    main()
