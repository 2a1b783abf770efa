"""Programs under test: started with a bound on their time, ended by their own id."""
import os
import pathlib
import re
import select
import signal
import socket
import subprocess
import time

BUILD = pathlib.Path(os.environ["LEAT_BUILD"])
LIMIT_S = 60  # a loaded machine is slow; nothing here takes long by itself


def finish(*words, **options):
    """(exit code, standard output, standard error) of a program that ends by itself."""
    done = subprocess.run([str(word) for word in words], stdin=subprocess.DEVNULL, text=True,
                          capture_output=True, timeout=LIMIT_S, **options)
    return done.returncode, done.stdout, done.stderr


class Program:
    """A program that runs until it is told to end. `with Program(...) as program:`"""

    def __init__(self, *words, **options):
        self.process = subprocess.Popen([str(word) for word in words], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
        self.text = {"stdout": "", "stderr": ""}
        for stream in (self.process.stdout, self.process.stderr):
            os.set_blocking(stream.fileno(), False)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(LIMIT_S)
        self.process.stdout.close()
        self.process.stderr.close()

    def _read(self, timeout_s):
        streams = {self.process.stdout: "stdout", self.process.stderr: "stderr"}
        for stream in select.select(list(streams), [], [], timeout_s)[0]:
            piece = stream.read() or b""
            self.text[streams[stream]] += piece.decode(errors="replace")

    def until(self, pattern, where="stdout", count=1):
        """Waits until pattern was said count times; returns the last match."""
        deadline = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline:
            matches = list(re.finditer(pattern, self.text[where], re.MULTILINE))
            if len(matches) >= count:
                return matches[count - 1]
            ended = self.process.poll() is not None
            self._read(0.05)
            if ended and len(re.findall(pattern, self.text[where], re.MULTILINE)) < count:
                break
        raise AssertionError(f"{pattern!r} did not come on {where}: {self.text}")

    def send(self, number):
        self.process.send_signal(number)

    def send_taken(self, number):
        """Sends it, and waits until the program has taken it and will not count the next as the
        same: what comes within 20 ms does."""
        self.send(number)
        deadline = time.monotonic() + LIMIT_S
        while self._is_pending(number):
            if time.monotonic() > deadline:
                raise AssertionError(f"it does not take signal {number}: {self.text}")
            time.sleep(0.01)
        time.sleep(0.05)

    def _is_pending(self, number):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"ShdPnd:\s*(\w+)", status)[1], 16) >> (number - 1) & 1

    def end(self, number=None):
        """(exit code) after a signal, if one is given; 128 + n for a death by signal n."""
        if number is not None:
            self.send(number)
        deadline = time.monotonic() + LIMIT_S
        while self.process.poll() is None:
            if time.monotonic() > deadline:
                raise AssertionError(f"it does not end: {self.text}")
            self._read(0.05)
        self._read(0)
        code = self.process.returncode
        return 128 - code if code < 0 else code


def serve(*flags, **options):
    """`leat serve` on a free port; .address is (host, port) when it is ready."""
    words = [BUILD / "leat", "serve", *flags]
    if not any(str(flag).startswith("--listen") for flag in flags):
        words += ["--listen", "127.0.0.1:0"]
    program = Program(*words, **options)
    try:
        match = program.until(r"^listening on http://(\S+):(\d+)")
    except BaseException:
        program.__exit__()
        raise
    program.address = (match[1].strip("[]"), int(match[2]))
    return program


class Listening:
    """A program that says where it listens, and ends well; .address is that place. tun: the device
    it opens and the address of the kernel's side, on Leat's own stack."""

    def __init__(self, *words, tun=None, **options):
        self.program = Program(*words, **options)
        try:
            match = self.program.until(r"^listening on \w+://(\S+):(\d+)$")
            self.address = match[1], int(match[2])
            if tun is not None:
                subprocess.run(["ip", "addr", "add", f"{tun[1]}/24", "dev", tun[0]], check=True,
                               timeout=10)
        except BaseException:
            self.program.__exit__()
            raise

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        with self.program as program:
            code = program.end(TERM)
            if kind is None and (code != 0 or "never freed" in program.text["stderr"]):
                raise AssertionError(f"it ended with {code}: {program.text}")

    def connect(self):
        return socket.create_connection(self.address, timeout=30)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


TERM, INT, HUP = signal.SIGTERM, signal.SIGINT, signal.SIGHUP
