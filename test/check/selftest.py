"""Each check must have been seen to fail: bad samples, and good ones beside them."""
import os
import pathlib
import subprocess
import tempfile
import unittest

import api
import docs
import hardening
import layering
import style
import symbols


class Sample(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.root = self.folder.name

    def write(self, path, text):
        full = pathlib.Path(self.root, path)
        full.parent.mkdir(parents=True, exist_ok=True)
        full.write_text(text)

    def expect(self, problems, *parts):
        """One problem for each part, in any order, and no others."""
        self.assertEqual(len(problems), len(parts), problems)
        for part in parts:
            self.assertTrue(any(part in p for p in problems), f"{part} not in {problems}")


class Api(Sample):
    def header(self, text):
        self.write("net/api/meson.build", "leat_public += files('sample.h')\n")
        self.write("net/api/sample.h", "/* A sample. */\n" + text)
        api.write(self.root)

    def test_a_good_header_passes_and_an_old_page_does_not(self):
        good = "/* Says. */\nLEAT_API void leat_sample_ref(struct leat_sample *sample);\n"
        os.mkdir(os.path.join(self.root, "docs"))
        self.header(good)
        self.expect(api.check(self.root))
        with open(os.path.join(self.root, api.PAGE), encoding="utf-8") as page:
            self.assertIn("1 functions", page.read())
        self.write("net/api/sample.h", "/* A sample. */\n" + good.replace("Says.", "Says more."))
        self.expect(api.check(self.root), "older than the headers")

    def test_words_have_one_meaning_and_operations_one_spelling(self):
        os.mkdir(os.path.join(self.root, "docs"))
        self.header("LEAT_API void leat_response_on_drain(int a /* hold */);\n"
                    "LEAT_API int leat_cat_destroy(struct leat_cat *cat);\n"
                    "LEAT_API int leat_cat_cores_count(const struct leat_cat *cat);\n"
                    "LEAT_API int leat_cat_feed(struct leat_loop *loop, struct leat_cat *cat);\n"
                    "LEAT_API struct leat_cat *leat_cat_new(struct leat_loop *loop);\n")
        self.expect(api.check(self.root), "leat_response_on_drain: 'drain'", "not 'destroy'",
                    "not 'cores_count'", "leat_cat_feed: a method")

    def test_an_operation_has_one_function(self):
        os.mkdir(os.path.join(self.root, "docs"))
        self.header("".join(f"LEAT_API struct leat_future *leat_fs_{what}(const char *path);\n"
                            for what in ("stat", "sync", "copy", "read_file"))
                    + "LEAT_API void leat_fs_stat_call(const char *path, leat_done *done);\n"
                    "LEAT_API struct leat_result leat_await_fs_stat(const char *path);\n"
                    "LEAT_API struct leat_future *leat_stat_fs_async(const char *path);\n"
                    "LEAT_API int leat_fs_copy_sync(const char *path);\n"
                    "LEAT_API int leat_fs_stat_sync(const char *path);\n"
                    "LEAT_API int leat_fs_walk_sync(const char *path);\n"
                    "LEAT_API void leat_fs_stat_free(void *stat);\n"
                    "LEAT_API void leat_call(leat_done *done);\n")
        twins = ("leat_fs_stat_call", "leat_await_fs_stat", "leat_stat_fs_async",
                 "leat_fs_stat_sync")
        self.expect(api.check(self.root), "leat_fs_walk_sync: the sync form of no operation",
                    *[f"{name}: a second spelling of leat_fs_stat" for name in twins])

    def test_there_are_not_too_many_functions(self):
        os.mkdir(os.path.join(self.root, "docs"))
        self.header("".join(f"LEAT_API void leat_f{i}(void);\n" for i in range(551)))
        self.expect(api.check(self.root), "551 public functions")


class Hardening(Sample):
    GOOD = """  Type:                              DYN (Shared object file)
  GNU_STACK      0x000000 0x0000000000000000 0x0000000000000000 0x000000 0x000000 RW  0x10
  GNU_RELRO      0x0b64e8 0x00000000000b74e8 0x00000000000b74e8 0x005b18 0x005b18 R   0x1
 0x000000000000001e (FLAGS)              BIND_NOW STATIC_TLS
    30: 0000000000000000     0 FUNC    GLOBAL DEFAULT  UND __snprintf_chk@GLIBC_2.3.4 (4)
"""

    def test_each_flag_is_missed(self):
        self.expect(hardening.problems_of("leat", self.GOOD, True))
        for was, now, what in (("DYN (Sh", "EXEC (E", "fixed address"),
                               ("GNU_RELRO", "LOAD", "relocations"),
                               ("BIND_NOW ", "", "binds symbols late"),
                               ("RW  0x10", "RWE 0x10", "executable stack"),
                               ("GNU_STACK", "LOAD", "executable stack"),
                               ("__snprintf_chk", "snprintf", "checks lengths")):
            self.expect(hardening.problems_of("leat", self.GOOD.replace(was, now), True), what)
        self.expect(hardening.problems_of("x.so", self.GOOD.replace("_chk", ""), False))

    def test_what_was_not_built_is_named(self):
        self.expect(hardening.check(pathlib.Path(self.root)), "leat:", "libleat.so:",
                    "leat-simulator.so:")


class Layering(Sample):
    def test_a_lower_floor_may_not_know_a_higher_one(self):
        self.write("net/api/meson.build", "leat_public += files('conn.h')\n")
        self.write("runtime/loop/loop.c", '#include <leat/conn.h>\n#include "net/api/slots.h"\n')
        self.write("net/http/http.c", '#include <leat/conn.h>\n')
        self.expect(layering.check(self.root), "loop.c:1", "loop.c:2")

    def test_neighbours_do_not_know_each_other(self):
        self.write("net/stack/tcp/in.c", '#include "net/socket/socket.h"\n')
        self.expect(layering.check(self.root), "in.c:1")

    def test_internal_headers_stay_in_their_folder(self):
        self.write("net/http/http.c", '#include "net/api/slots_internal.h"\n')
        self.write("net/api/slots.c", '#include "net/api/slots_internal.h"\n')
        self.expect(layering.check(self.root), "http.c:1")

    def test_some_libraries_have_one_home(self):
        self.write("net/stack/a.c", "#include <rte_mbuf.h>\n")
        self.write("net/port/dpdk/a.c", "#include <rte_mbuf.h>\n")
        self.write("bench/rte_hash.c", "#include <rte_hash.h>\n")
        self.write("bench/stack.c", "#include <rte_hash.h>\n")
        for name in "abcd":  # three may
            self.write(f"net/socket/{name}.c", "#include <liburing.h>\n")
        self.write("net/http/tls.c", "#include <openssl/ssl.h>\n")
        self.expect(layering.check(self.root), "rte_mbuf.h", "bench/stack.c:1: rte_hash.h",
                    "4 files", "openssl")

    def test_unknown_folders_and_headers_are_named(self):
        self.write("other/a.c", "#include <leat/nothing.h>\n")
        self.expect(layering.check(self.root), "no floor", "leat/nothing.h")


class Style(Sample):
    def test_long_lines_and_spaces(self):
        self.write("a.c", "x" * 101 + "\n" + "x" * 100 + "\nint a; \n")
        self.expect(style.check(self.root), "a.c:1: 101", "a.c:3: space")

    def test_long_functions(self):
        body = "    x();\n"
        self.write("a.c", "int f(void)\n{\n" + body * 69 + "}\n"
                   "int g(void)\n{\n" + body * 68 + "}\n")
        self.write("a.py", "def f():\n" + "    pass\n" * 70)
        self.expect(style.check(self.root), "f has 71 lines", "a.py:1: f has 71 lines")

    def test_leftovers_and_names(self):
        self.write("net/utils.c", "/* TODO */\n")
        self.write("a.h", "/* a placeholder */\n/* 501 Not Implemented */\n")
        self.expect(style.check(self.root), "says nothing", "'TODO'", "'placeholder'")

    def test_sentences_and_nouns(self):
        self.write("net/a.c", "static int find(void)\n{\n}\n")
        self.write("net/b.c", "/* What it is. */\nstatic int thing_find(void)\n{\n}\n")
        self.write("apps/c.c", "/* What it is. */\nstatic int start(void)\n{\n}\n")
        self.expect(style.check(self.root), "net/a.c:1: does not begin", "net/a.c:1: find has no")

    def test_the_sign_of_a_sender_is_no_refusal(self):
        self.write("a.c", "x = leat_conn_send(conn, &buf,\n                    1) == 0;\n"
                          "y = leat_conn_send_bytes(conn, text, 5) != 0;\n"
                          "z = leat_conn_send_file(conn, file, 0, 1) < 0;\n")
        self.expect(style.check(self.root), "a.c:1: leat_conn_send is", "a.c:3: leat_conn_send_byt")


class Docs(Sample):
    def test_what_is_named_must_exist(self):
        self.write("dev", "  build    builds\n")
        self.write("net/a.c", "int leat_a(void)\n{\n}\n")
        self.write("ARCHITECTURE.md", "`net/a.c` `leat_a()` `net/` `./dev build`\n"
                   "`net/b.c` `leat_b()` `nets/` `./dev fly` [x](docs/x.md)\n")
        self.expect(docs.check(self.root), "net/b.c", "leat_b()", "nets/", "'fly'", "docs/x.md")


class Symbols(Sample):
    def compiled(self, text):
        self.write("a.c", text)
        source, target = os.path.join(self.root, "a.c"), os.path.join(self.root, "a.o")
        subprocess.run(["gcc", "-fPIC", "-c", source, "-o", target], check=True)
        return target

    def test_state_is_found_and_constants_are_not(self):
        target = self.compiled(
            "int zero; static int one = 1; static __thread int tls; __thread int leat_core_now;\n"
            "static const char *const names[] = {\"a\", \"b\"};\n"
            "static const int table[] = {1, 2};\n"
            "const char *f(int i)\n"
            "{ static int calls; return names[i + one + tls + table[calls++]]; }\n")
        self.expect(symbols.check_state(symbols.output_of("objdump", "-t", target)),
                    "zero is a mutable", "one is a mutable", "calls is a mutable", "tls is thread")

    def test_exports_have_the_prefix(self):
        target = self.compiled("void leat_a(void)\n{}\nvoid other(void)\n{}\n")
        shared = os.path.join(self.root, "a.so")
        subprocess.run(["gcc", "-shared", target, "-o", shared], check=True)
        self.expect(symbols.check_exports(symbols.output_of("nm", "-D", "--defined-only", shared)),
                    "other")


def check(_root):
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromModule(__import__("selftest")).run(result)
    if result.testsRun < 10:
        return [f"selftest.py: only {result.testsRun} tests ran"]
    return [f"selftest.py: {test}: {trace.strip().splitlines()[-1]}"
            for test, trace in result.failures + result.errors]


if __name__ == "__main__":
    unittest.main()
