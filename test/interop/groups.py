"""A bridge of the kernel that snoops on MLD learns which groups the stack listens to."""
import time

import process
import world

MAC = "02:00:00:00:00:57"
GROUPS = ["ff02::1:ff00:57", "ff02::1:ff00:1234"]  # of the link-local address, and of --ip


def await_groups():
    deadline = time.monotonic() + world.LIMIT_S
    missing = GROUPS
    while missing:
        assert time.monotonic() < deadline, f"the bridge does not know {missing}"
        time.sleep(0.05)
        known = world.run("bridge", "mdb", "show")
        missing = [group for group in GROUPS if f"port leat0 grp {group} " not in known + " "]


def main():
    world.enter("bridge")
    world.ip("link", "add", "leat-br0", "type", "bridge", "mcast_snooping", "1",
             "mcast_querier", "1", "mcast_query_interval", "200")
    world.ip("link", "set", "leat-br0", "up")
    with process.Program(process.BUILD / "leat", "serve", "--hello", "--net", "tun:leat0",
                         "--listen", ":80", "--cores", "2", "--mac", MAC,
                         "--ip", "fd09::1234/64") as program:
        program.until("listening on")
        world.ip("link", "set", "leat0", "master", "leat-br0")
        world.ip("link", "set", "leat0", "up")
        await_groups()


main()
