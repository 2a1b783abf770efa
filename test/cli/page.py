"""The welcome page in a browser: it shows live values, and says nothing that is not so."""
import html
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

from process import BUILD, LIMIT_S, finish, serve

ROOT = pathlib.Path(__file__).resolve().parents[2]
BROWSER = shutil.which("chromium")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--disable-dev-shm-usage", "--virtual-time-budget=2500", "--dump-dom"]


def text_of(markup):
    return html.unescape(re.sub(r"<[^>]*>", "", markup))


def commands_of(page):
    return [text_of(one) for one in re.findall(r'<pre class="command">(.*?)</pre>', page, re.S)]


def shown(address):
    """The page as the browser has it after its script ran."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        done = subprocess.run(
            [BROWSER, *FLAGS, f"--user-data-dir={home}/profile", "http://%s:%d/" % address],
            env={**os.environ, "HOME": home}, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=LIMIT_S)
        return done.stdout


@unittest.skipUnless(BROWSER, "chromium is not installed (./dev deps test)")
class InABrowser(unittest.TestCase):
    def test_live_values_and_commands_for_this_server(self):
        for net, name in (("epoll", "kernel sockets (epoll)"), ("auto", "kernel sockets (")):
            with self.subTest(net=net), serve("--cores", "1", "--net", net) as program:
                page = shown(program.address)
                values = dict(re.findall(r'<dd id="(\w+)">([^<]*)</dd>', page))
                self.assertTrue(values.get("transport", "").startswith(name), page[-3000:])
                self.assertEqual((values["cores"], values["core"]), ("1", "0"))
                self.assertGreaterEqual(int(values["requests"]), 2)
                self.assertRegex(values["version"], r"^\d+\.\d+\.\d+$")
                commands = commands_of(page)
                port = program.address[1]
                self.assertIn(f"curl -i http://127.0.0.1:{port}/leat/status", commands)
                self.assertNotIn(f"--listen 127.0.0.1:{port}", " ".join(commands))


class AsWritten(unittest.TestCase):
    PAGE = (ROOT / "apps" / "welcome.html").read_text()

    def test_its_commands_exist_with_their_flags(self):
        commands = re.findall(r"build/leat (\w+)(.*)", "\n".join(commands_of(self.PAGE)))
        self.assertGreaterEqual({word for word, _ in commands}, {"serve", "doctor", "load"})
        for word, rest in commands:
            code, said, _ = finish(BUILD / "leat", "help", word)
            self.assertEqual(code, 0, word)
            for flag in re.findall(r"(?<=\s)--?\w[\w-]*", rest):
                self.assertIn(flag, said, word)

    def test_its_program_is_the_example(self):
        def code(text):
            return re.sub(r"\s*/\*.*?\*/", "", text)
        example = (ROOT / "apps" / "examples" / "hello.c").read_text()
        programs = re.findall(r"<pre>(.*?)</pre>", self.PAGE, re.S)
        self.assertIn(code(example).strip(), [code(text_of(one)).strip() for one in programs])


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v"])
