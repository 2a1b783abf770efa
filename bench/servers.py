"""The servers of the HTTP benchmark, each tuned as its documentation says: one worker, keep-alive
without limit, no access log. All configuration is generated into a temporary folder."""
import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time

import machine

HELLO = "Hello, World!"
DEFAULT_ANSWER = (
    b"HTTP/1.1 200 OK\r\nServer: leat\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
    b"Content-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, World!")
DESCRIPTORS = 40000
START_SECONDS_MAX = 10

NGINX = """
daemon off; user root; worker_processes 1; worker_rlimit_nofile {descriptors};
pid {folder}/nginx.pid; error_log {folder}/nginx.log crit;
events {{ worker_connections {connections}; }}
http {{
    access_log off; sendfile on; tcp_nodelay on; default_type text/plain;
    keepalive_timeout 3600s; keepalive_requests 1000000000;
    open_file_cache max=1000 inactive=60s; open_file_cache_valid 60s;
    client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location = /hello {{ return 200 "{hello}"; }}
        location / {{ root {root}; }}
    }}
}}
"""
H2O = """
user: root
num-threads: 1
max-connections: {connections}
http1-request-timeout: 3600
pid-file: {folder}/h2o.pid
error-log: {folder}/h2o.log
listen: {{ host: 127.0.0.1, port: {port} }}
hosts:
  default:
    paths:
      "/": {{ file.dir: {root} }}
"""
LIGHTTPD = """
server.port = {port}
server.bind = "127.0.0.1"
server.document-root = "{root}"
server.errorlog = "{folder}/lighttpd.log"
server.event-handler = "linux-sysepoll"
server.network-backend = "sendfile"
server.max-fds = {descriptors}
server.max-connections = {connections}
server.max-keep-alive-requests = 65535
server.max-keep-alive-idle = 3600
server.listen-backlog = 4096
mimetype.assign = ( "" => "text/plain" )
"""
HAPROXY = """
global
    nbthread 1
    maxconn {connections}
defaults
    mode http
    timeout client 3600s
    timeout server 60s
    timeout connect 5s
    timeout http-keep-alive 3600s
frontend hello
    bind 127.0.0.1:{port} backlog 4096
    http-request return status 200 content-type text/plain string "{hello}"
"""
NODE = """
const http = require('http');
const server = http.createServer((request, response) => {{
  response.writeHead(200, {{'Content-Type': 'text/plain', 'Content-Length': {hello_bytes}}});
  response.end('{hello}');
}});
server.keepAliveTimeout = 0;
server.listen({port}, '127.0.0.1');
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def raise_descriptors():
    """As many descriptors as allowed, for the servers and for this process; returns how many."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, max(DESCRIPTORS, hard)))
    except (ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def fetch(port, path, host="127.0.0.1", timeout_s=2.0):
    """The whole answer to one GET, as bytes; its connection is closed."""
    with socket.create_connection((host, port), timeout_s) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
        return receive_answer(client)


def receive_answer(client):
    data = b""
    while b"\r\n\r\n" not in data:
        piece = client.recv(65536)
        if not piece:
            raise OSError("the server closed the connection")
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(re.search(rb"\ncontent-length: *(\d+)", head.lower())[1])
    while len(body) < length:
        body += client.recv(65536)
    return head + b"\r\n\r\n" + body


def end_on_term():
    """What was started is ended, too, when the benchmark is told to end."""
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))


class Server:
    """One server process (with its children), pinned to core 0, ended by its own pid."""

    def __init__(self, name, command, path="/hello", port=None, connections_max=1 << 20):
        self.name, self.path, self.port = name, path, port or free_port()
        self.connections_max = connections_max
        self.command = [word.replace("{port}", str(self.port)) for word in command]
        self.host = "127.0.0.1"
        self.process = None

    def launched(self):
        """What is to be done once the program runs."""

    def start(self, pinned=True):
        raise_descriptors()
        self.process = subprocess.Popen(
            [*(["taskset", "-c", "0"] if pinned else []), *self.command], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)
        try:
            self.launched()
            return self.answers()
        except BaseException:  # nobody else knows of it yet
            self.stop()
            raise

    def answers(self):
        """Itself, once it does; else why not."""
        end = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < end and self.process.poll() is None:
            try:
                self.answer = fetch(self.port, self.path, self.host)
                if not self.answer.startswith(b"HTTP/1.1 200"):
                    raise RuntimeError(f"answers {self.answer[:80]!r}")
                return self
            except (OSError, TypeError):
                time.sleep(0.05)
        self.process.kill()
        self.process.wait(5)
        said = self.process.stderr.read().decode(errors="replace").strip().splitlines()
        raise RuntimeError("did not start: " + (said[-1] if said else "it says nothing"))

    def pids(self):
        return machine.descendants(self.process.pid)

    def cpu(self):
        return sum(machine.cpu_seconds(pid) for pid in self.pids())

    def rss_kib(self):
        return sum(machine.memory_kib(pid) for pid in self.pids())

    def stop(self):
        if self.process is None:
            return
        self.process.stderr.close()
        if self.process.poll() is not None:
            return
        pids = self.pids()
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            self.process.wait(5)


def configured(name, folder, root, template, command):
    """A server that reads a configuration file."""
    port = free_port()
    descriptors = raise_descriptors()
    connections = descriptors // 2 - 100  # haproxy reserves two descriptors for each
    path = os.path.join(folder, f"{name}.conf")
    with open(path, "w", encoding="utf-8") as file:
        file.write(template.format(
            port=port, folder=folder, root=root, hello=HELLO, hello_bytes=len(HELLO),
            descriptors=descriptors, connections=connections))
    command = [w.replace("{conf}", path).replace("{folder}", folder) for w in command]
    return Server(name, command, port=port, connections_max=connections)


PEERS = {
    "nginx": (NGINX, ["nginx", "-p", "{folder}", "-c", "{conf}"], ["nginx", "-v"]),
    "h2o": (H2O, ["h2o", "-m", "worker", "-c", "{conf}"], ["h2o", "--version"]),
    "lighttpd": (LIGHTTPD, ["lighttpd", "-D", "-f", "{conf}"], ["lighttpd", "-v"]),
    "haproxy": (HAPROXY, ["haproxy", "-db", "-f", "{conf}"], ["haproxy", "-v"]),
    "node": (NODE, ["node", "{conf}"], ["node", "--version"]),
}

# Servers on libraries, in bench/peers: arguments behind the port.
LIBRARIES = {"uv": (["{folder}/answer"], "libuv"), "evhttp": (["{root}"], "libevent"),
             "microhttpd": (["{root}", str(DESCRIPTORS - 100)], "libmicrohttpd")}


def peer(name, folder, root):
    """The peer, or None when it is not installed."""
    if name in LIBRARIES:
        words = [word.format(folder=folder, root=root) for word in LIBRARIES[name][0]]
        program = f"build/bench/peer-{name}"
        return Server(name, [program, "{port}", *words]) if os.path.exists(program) else None
    template, command, _ = PEERS[name]
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    return configured(name, folder, root, template, command) if shutil.which(command[0]) else None


def version(name):
    if name in LIBRARIES:
        return machine.first_line("pkg-config", "--modversion", LIBRARIES[name][1])
    found = re.search(r"\d+\.\d[\w.+-]*", machine.first_line(*PEERS[name][2]))
    return found[0] if found else ""


def counters(pid):
    """Sums over the cores of a running Leat of what it publishes."""
    done = subprocess.run(["build/leat", "top", str(pid), "--once", "--interval", "200ms",
                           "--json"], capture_output=True, text=True, timeout=30)
    if done.returncode != 0:
        raise RuntimeError(f"leat top: {done.stderr.strip()}")
    total = {}
    for core in json.loads(done.stdout)["cores"]:
        for name, value in core["counters"].items():
            total[name] = total.get(name, 0) + value
    return total


def leat(name, net, *arguments, path="/hello"):
    return Server(name, ["build/leat", "serve", *arguments, "--listen", "127.0.0.1:{port}",
                         "--cores", "1", "--net", net], path=path)


def floor(folder, answer):
    """The floor program, with the very answer that is given."""
    return Server("floor", ["build/bench/floor", "{port}", kept(folder, "answer", answer)])


CLOSERS = {"floor": "build/bench/floor", "uv": "build/bench/peer-uv"}


def closer(name, folder, answer):
    """One that reads no HTTP, and is told by its answer to close after it."""
    path = kept(folder, "last-answer",
                answer.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
    return Server(name, [CLOSERS[name], "{port}", path])


def kept(folder, name, data):
    path = os.path.join(folder, name)
    with open(path, "wb") as file:
        file.write(data)
    return path
