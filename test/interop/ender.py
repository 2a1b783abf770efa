"""A process that ends inside DPDK: its user reads on standard error why, although DPDK's log and
the descriptors of a port that opens are kept aside."""
import os
import sys

import process
import world

# How it ends, the exit code, and what must be read.
ENDS = (("panic", 134, ("PANIC in", "the driver has lost its ring", "SIGABRT")),
        ("exit", 1, ("the driver wants no more of it",)),
        ("abort", 134, ("SIGABRT",)),
        ("fault", 139, ("SIGSEGV",)))


def check(how, wanted_code, words):
    environment = dict(os.environ, LD_PRELOAD=sys.argv[1], LEAT_ENDER=f"setup:{how}",
                       ASAN_OPTIONS="verify_asan_link_order=0:handle_segv=0:handle_abort=0:"
                                    "detect_leaks=0")
    code, out, err = process.finish(process.BUILD / "leat", "serve", "--hello", "--net",
                                    "dpdk:net_ring0", "--ip", "10.9.0.2/24", "--listen",
                                    "10.9.0.2:80", env=environment)
    code = 128 - code if code < 0 else code
    assert code == wanted_code, (how, code, out, err)
    for word in (*words, "leat: the process ends", "words of a library below"):
        assert word in err, (how, word, err)
    assert "words of a library" not in out, (how, out)


def main():
    world.enter()
    for how, code, words in ENDS:
        check(how, code, words)


main()
