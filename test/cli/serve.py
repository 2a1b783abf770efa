"""`leat serve` as its users meet it: what it says, what it refuses, how it ends under load."""
import http.client
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from process import BUILD, INT, TERM, Program, finish, free_port, serve

LEAT = BUILD / "leat"
NOBODY = 65534


def get(address, path="/", method="GET", headers=None):
    connection = http.client.HTTPConnection(*address, timeout=30)
    try:
        connection.request(method, path, headers=headers or {})
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def own_address():
    """An address of this machine that is not a loopback one; None: it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            return None
        found = probe.getsockname()[0]
    return None if found.startswith("127.") or found == "0.0.0.0" else found


def become_nobody():
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


def needs_nobody(case):
    try:
        subprocess.run([LEAT, "--version"], preexec_fn=become_nobody, check=True,
                       stdout=subprocess.DEVNULL, timeout=30)
    except (subprocess.SubprocessError, OSError):
        case.skipTest("nobody may not run what was built here")


class Pages(unittest.TestCase):
    def test_hello_answers_any_get(self):
        with serve("--hello") as program:
            for path in ("/", "/a/b?c"):
                status, headers, body = get(program.address, path)
                self.assertEqual((status, body), (200, b"Hello, World!"))
                self.assertRegex(headers["Content-Type"], "^text/plain")
                self.assertIn("Date", headers)
                self.assertIn("Server", headers)
            status, headers, body = get(program.address, method="HEAD")
            self.assertEqual((status, headers["Content-Length"], body), (200, "13", b""))
            self.assertEqual(get(program.address, method="DELETE")[0], 405)

    def test_the_welcome_page_needs_nothing_from_elsewhere(self):
        with serve("--cores", "1") as program:
            status, headers, body = get(program.address)
            page = body.decode()
            self.assertEqual(status, 200)
            self.assertEqual(headers["Content-Type"], "text/html; charset=utf-8")
            self.assertIn("Leat is running", page)
            self.assertNotRegex(page, r'(src|href)="(https?:)?//')
            self.assertEqual(get(program.address, "/nothing")[0], 404)
            shown = json.loads(get(program.address, "/leat/status")[2])
            self.assertEqual((shown["cores"], shown["core"]), (1, 0))
            self.assertEqual(shown["pid"], program.process.pid)
            self.assertIn(shown["transport"], ("uring", "epoll"))
            for name in shown:  # each value that the page shows is one that there is
                if name != "peer":
                    self.assertIn(f'id="{name}"', page)

    def test_the_status_is_for_this_machine_alone(self):
        with serve("--cores", "1", "--listen", "127.0.0.1:0", "--listen", "[::1]:0") as program:
            for host in ("localhost", "LOCALHOST:80", "127.0.0.1", "10.0.0.1:8080", "[::1]:80"):
                got = get(program.address, "/leat/status", headers={"Host": host})[0]
                self.assertEqual(got, 200, host)
            for headers in ({"Host": "leat.example"}, {"Host": "localhost.example:80"},
                            {"Host": "127.0.0.1.example"}, {"Host": "1.2.3"}, {"Host": ""},
                            {"Forwarded": "for=1.2.3.4"}, {"X-Forwarded-For": "1.2.3.4"},
                            {"X-Real-IP": "1.2.3.4"}, {"Via": "1.1 a"},
                            {"X-Forwarded-Host": "a"}, {"X-Forwarded-Proto": "https"}):
                got = get(program.address, "/leat/status", headers=headers)[0]
                self.assertEqual(got, 404, headers)
        address = own_address()
        if address is not None:
            with serve("--cores", "1", "--listen", address + ":0") as program:
                self.assertEqual(get(program.address)[0], 200)
                self.assertEqual(get(program.address, "/leat/status")[0], 404)

    def test_the_status_counts_all_cores(self):
        if len(os.sched_getaffinity(0)) < 2:
            self.skipTest("one CPU")
        with serve("--cores", "2") as program:
            for _ in range(40):
                get(program.address)
            for _ in range(100):  # the cores publish within 100 ms of a turn
                shown = json.loads(get(program.address, "/leat/status")[2])
                if shown["requests_all"] >= 40:
                    break
                time.sleep(0.02)
            self.assertGreaterEqual(shown["requests_all"], 40)

    def test_the_largest_head_is_set_by_flags(self):
        many = {f"X-{i}": "1" for i in range(120)}
        large = {f"X-{i}": "a" * 8000 for i in range(6)}
        with serve("--hello") as program:
            self.assertEqual(get(program.address, headers=many)[0], 431)
            self.assertEqual(get(program.address, headers=large)[0], 431)
        with serve("--hello", "--max-headers", "250", "--max-head", "60k") as program:
            self.assertEqual(get(program.address, headers=many)[0], 200)
            self.assertEqual(get(program.address, headers=large)[0], 200)
        self.assertEqual(finish(LEAT, "serve", "--hello", "--max-headers", "251")[0], 2)

    def test_a_folder(self):
        with tempfile.TemporaryDirectory() as folder:
            pathlib.Path(folder, "index.html").write_text("<p>front</p>")
            pathlib.Path(folder, "sub").mkdir()
            pathlib.Path(folder, "sub", "a.txt").write_text("some text")
            with serve(folder) as program:
                status, headers, body = get(program.address)
                self.assertEqual((status, body), (200, b"<p>front</p>"))
                self.assertRegex(headers["Content-Type"], "^text/html")
                status, headers, body = get(program.address, "/sub/a.txt")
                self.assertEqual((status, body), (200, b"some text"))
                same = get(program.address, "/sub/a.txt",
                           headers={"If-None-Match": headers["ETag"]})
                self.assertEqual((same[0], same[2]), (304, b""))
                part = get(program.address, "/sub/a.txt", headers={"Range": "bytes=5-"})
                self.assertEqual((part[0], part[2]), (206, b"text"))
                for path in ("/sub/", "/absent", "/../etc/passwd", "/%2e%2e/etc/passwd",
                             "/leat/status"):
                    self.assertEqual(get(program.address, path)[0], 404, path)
            with serve(folder, "--list-directories") as program:
                status, _, body = get(program.address, "/sub/")
                self.assertEqual(status, 200)
                self.assertIn(b"a.txt", body)

    def test_a_link_that_is_switched(self):
        """What a deployment does: the folder that is served is a link, and leads elsewhere now."""
        with tempfile.TemporaryDirectory() as folder:
            for name in ("old", "new"):
                pathlib.Path(folder, name).mkdir()
                pathlib.Path(folder, name, "index.html").write_text(name)
            pathlib.Path(folder, "new", "only").write_text("there")
            link = pathlib.Path(folder, "current")
            link.symlink_to("old")
            with serve(str(link), "--cores", "1") as program:
                self.assertEqual(get(program.address)[2], b"old")
                link.unlink()  # as ln -sfn does; for a moment nothing is there
                self.assertEqual(get(program.address)[2], b"old")
                link.symlink_to("new")
                end = time.monotonic() + 30
                while get(program.address)[2] != b"new" and time.monotonic() < end:
                    time.sleep(0.01)
                self.assertEqual(get(program.address, "/only")[2], b"there")
                self.assertEqual(get(program.address)[2], b"new")

    def test_symlinks_says_which_are_followed(self):
        with tempfile.TemporaryDirectory() as folder:
            pathlib.Path(folder, "file").write_text("text")
            pathlib.Path(folder, "relative").symlink_to("file")
            pathlib.Path(folder, "absolute").symlink_to(folder + "/file")
            for which, relative, absolute in ((None, 200, 404), ("inside", 200, 404),
                                              ("none", 404, 404), ("all", 200, 200)):
                flags = () if which is None else ("--symlinks", which)
                with self.subTest(which=which), serve(folder, *flags) as program:
                    self.assertEqual(get(program.address, "/relative")[0], relative)
                    self.assertEqual(get(program.address, "/absolute")[0], absolute)
            code, _, err = finish(LEAT, "serve", folder, "--symlinks", "some")
            self.assertEqual(code, 2)
            self.assertIn("inside, none or all", err)

    def test_net_chooses_the_transport(self):
        with serve("--net", "epoll") as program:
            self.assertEqual(json.loads(get(program.address, "/leat/status")[2])["transport"],
                             "epoll")


    def test_buffers_lie_on_hugepages_that_are_free(self):
        reserved = pathlib.Path("/proc/sys/vm/nr_hugepages")
        if os.getuid() != 0 or not os.access(reserved, os.W_OK):
            self.skipTest("only root reserves hugepages")
        before = int(reserved.read_text())
        reserved.write_text(str(before + 8))
        try:
            if int(reserved.read_text()) < before + 8:
                self.skipTest("the kernel has no 8 hugepages to give")
            with serve("--hello", "--hugepages") as program:
                self.assertEqual(get(program.address)[0], 200)
                maps = pathlib.Path(f"/proc/{program.process.pid}/smaps").read_text()
                self.assertRegex(maps, r"(?m)^Private_Hugetlb: +[1-9]")
                self.assertEqual(program.end(TERM), 0)
        finally:
            reserved.write_text(str(before))


class Listening(unittest.TestCase):
    def test_every_core_listens(self):
        cores = len(os.sched_getaffinity(0))
        with serve() as program:
            seen = set()
            for _ in range(200):
                seen.add(json.loads(get(program.address, "/leat/status")[2])["core"])
                if len(seen) == cores:
                    break
            self.assertEqual(seen, set(range(cores)))

    def test_several_addresses(self):
        with tempfile.TemporaryDirectory() as folder:
            path = folder + "/s"
            with serve("--hello", "--listen", "127.0.0.1:0", f"--listen=unix:{path}") as program:
                program.until(re.escape(f"listening on unix:{path}") + "$")
                self.assertEqual(get(program.address)[0], 200)
                with socket.socket(socket.AF_UNIX) as client:
                    client.settimeout(30)
                    client.connect(path)
                    client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                    self.assertTrue(client.recv(100).startswith(b"HTTP/1.1 200 "))
                self.assertEqual(program.end(TERM), 0, program.text)
                self.assertFalse(os.path.exists(path))

    def test_every_address_is_said_so_that_it_can_be_opened(self):
        port = free_port()
        with Program(LEAT, "serve", "--listen", f":{port}") as program:
            program.until(rf"^listening on http://localhost:{port} \(every address\)$")
            self.assertEqual(get(("127.0.0.1", port))[0], 200)

    def test_ipv6(self):
        try:
            with socket.socket(socket.AF_INET6) as probe:
                probe.bind(("::1", 0))
        except OSError:
            self.skipTest("this machine has no IPv6")
        with serve("--listen", "[::1]:0") as program:
            self.assertEqual(get(program.address)[0], 200)


    def test_a_name(self):
        with serve("--listen", "localhost:0", "--cores", "1") as program:
            self.assertEqual(get(program.address)[0], 200)

    def test_a_name_of_several_addresses(self):
        """Each that this machine has, and no other."""
        if os.geteuid() != 0:
            self.skipTest("only root can give itself other names")
        script = """
            mount --bind "$HOSTS" /etc/hosts && ip link set lo up &&
            exec "$LEAT" serve --cores 1 --listen many.test:0 --listen one.test"""
        with tempfile.NamedTemporaryFile("w") as hosts:
            hosts.write("127.0.0.5 many.test\n127.0.0.6 many.test\n192.0.2.9 many.test\n"
                        "127.0.0.7 one.test\n")
            hosts.flush()
            environment = dict(os.environ, HOSTS=hosts.name, LEAT=str(LEAT))
            with Program("unshare", "--mount", "--net", "sh", "-c", script,
                         env=environment) as program:
                for address in (r"127\.0\.0\.5:\d+", r"127\.0\.0\.6:\d+", r"127\.0\.0\.7:80"):
                    program.until(rf"^listening on http://{address}$")
                self.assertNotIn("192.0.2.9", program.text["stdout"])
                self.assertEqual(program.end(TERM), 0)

    def test_a_port(self):
        for words in (("--port", "0"), ("-p", "0"), ("-p0",)):
            with Program(LEAT, "serve", "--cores", "1", *words) as program:
                match = program.until(r"^listening on http://127\.0\.0\.1:(\d+)$")
                self.assertEqual(get(("127.0.0.1", int(match[1])))[0], 200)

    def test_a_link_local_address_and_its_zone(self):
        """Every tool takes it as addresses and URLs write it (RFC 4007 11, RFC 6874)."""
        if os.geteuid() != 0:
            self.skipTest("only root can make an interface")
        script = """
            ip link set lo up && ip link add leat0 type veth peer name leat1 || exit 9
            ip link set leat0 up && ip addr add fe80::77/64 dev leat0 nodad || exit 9
            "$LEAT" serve --hello --cores 1 --listen '[fe80::77%leat0]:8080' & server=$!
            trap 'kill $server' EXIT
            for i in $(seq 100); do
                "$LEAT" ping '[fe80::77%leat0]:8080' -n 1 >/dev/null && break; sleep 0.1
            done
            "$LEAT" load 'http://[fe80::77%25leat0]:8080/' -n 3 -c 1 --json &&
            "$LEAT" load 'http://[fe80::77%leat0]:8080/' -n 3 -c 1 --json"""
        environment = dict(os.environ, LEAT=str(LEAT))
        code, out, err = finish("unshare", "--net", "sh", "-c", script, env=environment)
        self.assertEqual((code, out.count('"requests": 3')), (0, 2), err)


    @unittest.skipUnless(os.geteuid() == 0 and os.path.exists("/dev/net/tun"),
                         "needs root and /dev/net/tun")
    def test_addresses_of_the_stack_that_nobody_listens_on_are_said(self):
        words = ("unshare", "--net", LEAT, "serve", "--cores", "1", "--net", "tun:leat0", "--ip",
                 "10.9.9.2-10.9.9.3/24", "--ip", "fd00::2/64")
        for listen, is_reached in (((), False), (("sock::0",), False), ((":0",), True),
                                   (("10.9.9.3:80",), True), (("[fd00::2]:80",), True),
                                   (("net:[fd00::2%leat0]:80",), True),
                                   (("sock::0", "10.9.9.2:80"), True)):
            flags = [f"--listen={address}" for address in listen]
            with self.subTest(listen=listen), Program(*words, *flags) as program:
                program.until("^listening on ", count=max(1, len(listen)))
                if not is_reached:
                    program.until("warning: nothing listens on the addresses of --ip, only on ",
                                  "stderr")
                self.assertEqual(program.end(TERM), 0)
                self.assertEqual("warning" in program.text["stderr"], not is_reached)


class Refusals(unittest.TestCase):
    def refused(self, *words, code=1, **options):
        got, out, err = finish(LEAT, "serve", *words, **options)
        self.assertEqual((got, out), (code, ""), err)
        self.assertEqual(err.count("\n"), 1, err)
        self.assertTrue(err.startswith("leat serve: "), err)
        return err[len("leat serve: "):-1]

    def test_a_taken_port_names_its_holder(self):
        with socket.socket() as holder:
            holder.bind(("127.0.0.1", 0))
            holder.listen()
            port = holder.getsockname()[1]
            said = self.refused("--listen", f"127.0.0.1:{port}")
            self.assertRegex(said, rf"^port {port} is in use by \S+ \(pid {os.getpid()}\): "
                                   "stop it or choose another with --listen$")

    def test_a_port_taken_by_another_leat(self):
        with serve("--hello") as first:
            port = first.address[1]
            said = self.refused("--listen", f"127.0.0.1:{port}")
            self.assertEqual(said, f"port {port} is in use by leat (pid {first.process.pid}): "
                                   "stop it or choose another with --listen")
            self.assertEqual(get(first.address)[0], 200)

    def test_an_address_given_twice(self):
        port = free_port()
        said = self.refused("--listen", f"127.0.0.1:{port}", "--listen", f":{port}")
        self.assertRegex(said, rf"^port {port} is in use by leat \(pid \d+, this program itself\)")

    def test_a_unix_path_that_is_something_else(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "notes")
            path.write_text("keep")
            said = self.refused("--listen", f"unix:{path}")
            self.assertEqual(said, f"unix:{path} is a file that is there already, and no socket: "
                                   "choose another path")
            self.assertEqual(path.read_text(), "keep")

    def test_an_address_of_another_machine(self):
        self.assertIn("is not an address of this machine",
                      self.refused("--listen", "192.0.2.1:8080"))

    def test_an_address_that_is_none(self):
        self.assertIn('"1.2.3:4"', self.refused("--listen", "1.2.3:4", code=2))
        self.assertIn("cannot find the address of no.such.invalid",
                      self.refused("--listen", "no.such.invalid:80"))
        self.assertIn("the port must be a number", self.refused("--listen", "localhost:x", code=2))
        self.assertIn("use one of them", self.refused("-p", "0", "--listen", ":0", code=2))

    def test_a_port_that_needs_a_privilege(self):
        with open("/proc/sys/net/ipv4/ip_unprivileged_port_start") as file:
            first_free = int(file.read())
        if first_free <= 80:
            self.skipTest("every user may listen on port 80 here")
        needs_nobody(self)
        said = self.refused("--listen", "127.0.0.1:80", preexec_fn=become_nobody)
        self.assertIn("choose a port from 1024 on", said)

    def test_folders_that_cannot_be_served(self):
        with tempfile.TemporaryDirectory() as folder:
            absent = folder + "/absent"
            self.assertEqual(self.refused(absent), f"cannot serve {absent}: there is no such "
                                                   "directory: name one that exists")
            file = pathlib.Path(folder, "file")
            file.write_text("x")
            self.assertEqual(self.refused(file), f"cannot serve {file}: it is a file: name the "
                                                 "directory that it is in")

    def test_a_folder_that_may_not_be_read(self):
        needs_nobody(self)
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0)
            said = self.refused(folder, preexec_fn=become_nobody)
            os.chmod(folder, 0o700)
            self.assertEqual(said, f"cannot serve {folder}: this user may not read it: change its "
                                   "mode or serve as a user who may")

    def test_flags_that_do_not_go_together(self):
        self.assertIn("--hello", self.refused("--hello", ".", code=2))
        self.assertIn("--list-directories", self.refused("--list-directories", code=2))

    def test_flags_and_words_that_are_not_known(self):
        self.assertEqual(self.refused("--helo", code=2),
                         "unknown flag --helo: did you mean --help? See leat serve --help")
        self.assertEqual(self.refused("a", "b", code=2),
                         '"b" is too much: leat serve takes at most 1 of [DIR]')

    def test_help_names_every_flag(self):
        code, out, _ = finish(LEAT, "serve", "--help")
        self.assertEqual(code, 0)
        for flag in ("--hello", "--access-log", "--list-directories", "--listen", "--cores",
                     "--net", "--busy-poll", "--json-log", "--log-level", "--drain-timeout"):
            self.assertIn(flag, out)


class Client(threading.Thread):
    """Asks until the server says that it closes; notes how each request ended."""

    def __init__(self, address, keep_alive):
        super().__init__(daemon=True)
        self.address, self.keep_alive = address, keep_alive
        self.answered, self.failures = 0, []

    def connect(self):
        try:
            connection = http.client.HTTPConnection(*self.address, timeout=30)
            connection.connect()
            return connection
        except ConnectionRefusedError:
            return None  # nobody listens any more

    def run(self):
        headers = {} if self.keep_alive else {"Connection": "close"}
        connection = self.connect()
        while connection is not None:
            try:
                connection.request("GET", "/", headers=headers)
                response = connection.getresponse()
                body = response.read()
            except Exception as failure:
                self.failures.append(repr(failure))
                return
            if (response.status, body) != (200, b"Hello, World!"):
                self.failures.append(f"{response.status} {body}")
            self.answered += 1
            if response.will_close:
                connection.close()
                connection = self.connect()


class End(unittest.TestCase):
    def under_load(self, net):
        with serve("--hello", "--net", net) as program:
            clients = [Client(program.address, i % 2 == 0) for i in range(16)]
            for client in clients:
                client.start()
            while sum(client.answered for client in clients) < 500:
                self.assertIsNone(program.process.poll())
                if not any(client.is_alive() for client in clients):
                    break
                clients[0].join(0.01)
            self.assertEqual(program.end(TERM), 0, program.text)
            for client in clients:
                client.join(60)
                self.assertFalse(client.is_alive())
            self.assertEqual([client.failures for client in clients if client.failures], [])
            self.assertGreaterEqual(sum(client.answered for client in clients), 500)

    def test_sigterm_under_load_fails_no_request_on_uring(self):
        self.under_load("auto")

    def test_sigterm_under_load_fails_no_request_on_epoll(self):
        self.under_load("epoll")

    def test_a_request_in_flight_is_finished(self):
        with serve("--hello") as program, socket.create_connection(program.address) as client:
            client.settimeout(30)
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
            get(program.address)  # by now the half request has arrived
            program.send(TERM)
            while True:  # until nobody listens any more: the drain has begun
                try:
                    socket.create_connection(program.address, timeout=30).close()
                except OSError:
                    break
            client.sendall(b"\r\n")
            answer = b""
            while piece := client.recv(4096):
                answer += piece
            self.assertTrue(answer.startswith(b"HTTP/1.1 200 "), answer)
            self.assertIn(b"Connection: close\r\n", answer)
            self.assertTrue(answer.endswith(b"\r\n\r\nHello, World!"), answer)
            self.assertEqual(program.end(), 0)

    def test_a_second_signal_ends_at_once(self):
        with serve("--hello", "--drain-timeout", "50s") as program:
            with socket.create_connection(program.address) as client:
                client.sendall(b"GET / HTTP/1.1\r\n")
                get(program.address)
                program.send(INT)
                while True:
                    try:
                        socket.create_connection(program.address, timeout=30).close()
                    except OSError:
                        break
                time.sleep(0.1)  # what comes within 20 ms counts as the same signal
                self.assertEqual(program.end(INT), 130)

    def test_access_log(self):
        with serve("--hello", "--access-log", "--cores", "1") as program:
            get(program.address, "/seen")
            self.assertEqual(program.end(TERM), 0, program.text)
            self.assertRegex(program.text["stdout"] + program.text["stderr"], r"GET /seen\b.*200")

    def test_access_log_says_what_went_out_and_how_long_it_took(self):
        with tempfile.TemporaryDirectory() as folder:
            size = 64 << 20
            with open(folder + "/large", "wb") as out:
                out.truncate(size)
            with serve(folder, "--access-log", "--json-log", "--cores", "1") as program:
                request = b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

                def client(bytes_max, pause_s):
                    """Reads so much, waits, and goes on to the end, or leaves."""
                    with socket.socket() as peer:
                        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
                        peer.settimeout(30)
                        peer.connect(program.address)
                        peer.sendall(request)
                        got = 0
                        while got < bytes_max:
                            got += len(peer.recv(65536))
                        time.sleep(pause_s)
                        while bytes_max > 1 << 20 and peer.recv(1 << 20):
                            pass
                client(2 << 20, 0.3)
                client(1 << 20, 0)
                program.until(r'"left":true')
                self.assertEqual(program.end(TERM), 0, program.text)
                lines = [json.loads(line) for line in program.text["stdout"].splitlines()
                         if '"status":200' in line]
            self.assertEqual([line.get("left", False) for line in lines], [False, True])
            self.assertEqual(lines[0]["body_bytes"], size)
            self.assertGreaterEqual(lines[0]["duration_us"], 300000)
            self.assertGreaterEqual(lines[1]["body_bytes"], 1 << 20)
            self.assertLess(lines[1]["body_bytes"], size // 2)

    def test_access_log_of_hostile_bytes(self):
        hostile = [b'GET /"quo\\te HTTP/1.1\r\nHost: a\r\n\r\n', b"\0\x01\x7f\xff\r\n\r\n",
                   b"B'EW /" + b"x" * 5000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
                   b"GET /" + b"y" * 70000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"]
        for flags in ([], ["--json-log"]):
            with serve("--hello", "--access-log", "--cores", "1", *flags) as program:
                for request in hostile:
                    with socket.create_connection(program.address, timeout=30) as client:
                        client.sendall(request)
                        client.recv(4096)
                self.assertEqual(program.end(TERM), 0, program.text)
                lines = program.text["stdout"].splitlines()[1:]
                self.assertEqual(len(lines), len(hostile), lines)
                for line in lines:
                    if flags:
                        json.loads(line)
                    else:
                        self.assertRegex(line, r' "\S+ \S+" [1-5]\d\d \d+ \d+us$')

    def test_access_log_as_json(self):
        with serve("--hello", "--access-log", "--json-log", "--cores", "1") as program:
            get(program.address, "/seen")
            self.assertEqual(program.end(TERM), 0, program.text)
            text = program.text["stdout"] + program.text["stderr"]
            said = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
            self.assertTrue(any("/seen" in json.dumps(line) for line in said), text)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v"])
