"""HTTP for longer than the limits of the server allow at rest, and a server that is stopped while
requests come: for real, on the transport that is named: epoll, uring, tun or memif."""
import contextlib
import os
import pathlib
import socket
import sys
import tempfile
import time

import process
import world

PROGRAM = process.BUILD / "test" / "http" / "lasting-program"
CGROUPS = (pathlib.Path("/sys/fs/cgroup"), pathlib.Path("/sys/fs/cgroup/unified"))
OWN, PEER = "10.9.0.2", "10.9.0.1"
WAITING = 100
LASTING_MS = 500  # each limit, of what lasts ten times as long
PAUSED_MS, PAUSE_S = 2000, 2.5  # a pause outlives each limit; all ask within it, if slowly
DRAIN_S = 1.5  # all ask within it; less than a stop's 2 s before the end of PAUSE_S
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n1234"


def flags_of(net, folder):
    """(of the server, of its clients, where it listens); in a namespace of this test's own."""
    if net in ("epoll", "uring"):
        return ["--net", net], ["--net", net], "127.0.0.1:0"
    if net == "tun":
        return ["--net", "tun:leat0", "--ip", f"{OWN}/24"], [], f"{OWN}:80"
    path = f"memif:{folder}/memif.sock"
    return (["--net", f"{path},server", "--ip", f"{OWN}/24"],
            ["--net", path, "--ip", f"{PEER}/24"], f"{OWN}:80")


@contextlib.contextmanager
def server(net, flags, listen, limit_ms):
    with process.Program(PROGRAM, *flags, "--cores", "1", "--drain-timeout", f"{DRAIN_S}s",
                         env={**os.environ, "LASTING_LISTEN": listen,
                              "LASTING_LIMIT_MS": str(limit_ms)}) as program:
        match = program.until(r"^listening on http://(\S+):(\d+)")
        if net == "tun":
            world.ip("addr", "add", f"{PEER}/24", "dev", "leat0")
        program.address = (match[1], int(match[2]))
        yield program
        if program.process.poll() is None:
            program.send(process.TERM)
        assert program.end() == 0, program.text
        assert "never freed" not in program.text["stderr"], program.text


def check_lasting(program, flags):
    host, port = program.address
    words = [PROGRAM, *flags, "--cores", "1"]
    with process.Program(*words, env={**os.environ, "LASTING_TO": f"{host}:{port}"}) as clients:
        assert clients.end() == 0, (clients.text, program.text)


def hold_by_signal(program):
    @contextlib.contextmanager
    def hold():
        os.kill(program.process.pid, process.signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(program.process.pid, process.signal.SIGCONT)
    return hold


def hold_by_freezer(program):
    """As a container is frozen; None where this machine has no cgroups of version 2 to make."""
    root = next((path for path in CGROUPS if (path / "cgroup.controllers").exists()), None)
    if root is None:
        return None
    folder = root / f"leat-test-{os.getpid()}"

    @contextlib.contextmanager
    def hold():
        try:
            folder.mkdir()
            (folder / "cgroup.procs").write_text(str(program.process.pid))
            (folder / "cgroup.freeze").write_text("1")
            yield
        finally:
            (folder / "cgroup.freeze").write_text("0")
            (root / "cgroup.procs").write_text(str(program.process.pid))
            deadline = time.monotonic() + process.LIMIT_S
            while folder.exists() and time.monotonic() < deadline:
                with contextlib.suppress(OSError):
                    folder.rmdir()
    return hold


def hold_by_callback(program):
    """A handler that does not return for PAUSE_S."""
    @contextlib.contextmanager
    def hold():
        with socket.create_connection(program.address, process.LIMIT_S) as slow:
            slow.sendall(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
            time.sleep(0.1)
            yield
            assert slow.recv(4096).startswith(b"HTTP/1.1 200")
    return hold


def answers_of(connections):
    count = 0
    for connection in connections:
        connection.settimeout(process.LIMIT_S)
        with contextlib.suppress(ConnectionError):
            count += connection.recv(4096).startswith(b"HTTP/1.1 200")
    return count


def check_pause(program, hold, first, second, is_answered):
    """What is said within the limit is answered, however late the server reads it."""
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(socket.create_connection(program.address,
                                                                    process.LIMIT_S))
                       for _ in range(WAITING)]
        for connection in connections:
            connection.sendall(first)
        if is_answered:
            assert answers_of(connections) == WAITING, "before the pause"
        with hold():
            for connection in connections:
                connection.sendall(second)
            time.sleep(PAUSE_S)
        count = answers_of(connections)
        assert count == WAITING, f"{count} of {WAITING} answered: {first!r}, {second!r}"


def check_drain(program, hold, is_drain_seen):
    """What is said before the drain's limit is answered, however late the server reads it."""
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(socket.create_connection(program.address,
                                                                    process.LIMIT_S))
                       for _ in range(WAITING)]
        for connection in connections:
            connection.sendall(GET[:9])
        with socket.create_connection(program.address, process.LIMIT_S) as last:
            last.sendall(GET)  # when it is answered, the others have been heard: none is idle
            assert answers_of([last]) == 1, program.text
        if is_drain_seen:
            drain_begin(program)
        with hold():
            if not is_drain_seen:  # the loop learns of the drain and of its limit afterwards
                program.send_taken(process.TERM)
            for connection in connections:
                connection.sendall(GET[9:])
            time.sleep(PAUSE_S)
        count = answers_of(connections)
        assert count == WAITING, f"{count} of {WAITING} answered in the drain: {program.text}"
        program.until("the drain took longer than --drain-timeout", "stderr")
        program.process.wait(process.LIMIT_S)  # its clients are still there: it is cut off


def drain_begin(program):
    """Returns when nobody listens any more."""
    program.send(process.TERM)
    deadline = time.monotonic() + process.LIMIT_S
    while time.monotonic() < deadline:
        try:
            socket.create_connection(program.address, process.LIMIT_S).close()
        except ConnectionError:
            return
    raise AssertionError(f"it does not drain: {program.text}")


def main():
    net = sys.argv[1]
    os.environ["LEAT_MODULES"] = str(process.BUILD)
    if net in ("tun", "memif"):
        world.enter()
    with tempfile.TemporaryDirectory() as folder:
        for_server, for_clients, listen = flags_of(net, folder)
        with server(net, for_server, listen, LASTING_MS) as program:
            check_lasting(program, for_clients)
        if net == "memif":  # no client of the kernel's can be there
            return
        with server(net, for_server, listen, PAUSED_MS) as program:
            hold = hold_by_signal(program)
            check_pause(program, hold, GET, GET, True)
            check_pause(program, hold, GET[:9], GET[9:], False)
            check_pause(program, hold, POST, b"5678", False)
            for hold in filter(None, (hold_by_freezer(program), hold_by_callback(program))):
                check_pause(program, hold, GET, GET, True)
        for holder, is_drain_seen in ((hold_by_signal, True), (hold_by_callback, False)):
            with server(net, for_server, listen, PAUSED_MS) as program:
                check_drain(program, holder(program), is_drain_seen)


if __name__ == "__main__":
    main()
