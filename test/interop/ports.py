"""Local ports that run out: kernel sockets say so, and not that there is no route."""
import pathlib
import subprocess

import process
import world


def main():
    world.enter()
    pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("40000 40003")
    for net in ("epoll", "uring"):
        with process.serve("--net", net, "--hello", "--listen", "127.0.0.1:0") as server:
            url = f"http://127.0.0.1:{server.address[1]}/"
            load = subprocess.run([process.BUILD / "leat", "load", "--net", net, "-c", "16", "-d",
                                   "1s", url], capture_output=True, text=True, timeout=60)
            said = load.stdout + load.stderr
            assert load.returncode != 0, said
            assert "no ports left on this address" in said, said
            assert "use fewer --connections, or more addresses with --from" in said, said
            assert "no route" not in said, said


main()
