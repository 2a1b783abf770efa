"""Leat's JSON beside Python's and Node's: thousands of texts, right, wrong, and nearly right, and
doubles; each text whole and cut at every byte.

usage: beside.py SAY
"""
import json
import math
import pathlib
import random
import shutil
import struct
import subprocess
import sys

SKIPPED = 77
SEED, TEXTS, DOUBLES = 20240229, 2500, 20000
HERE = pathlib.Path(__file__).resolve().parent

# By hand: (text, is right). What they are about stands in RFC 8259.
BY_HAND = [
    *((text, True) for text in [
        b"null", b"true", b"false", b"0", b"-0", b"1", b"-1", b"10", b"0.5", b"-0.0", b"1e5",
        b"1E+5", b"1e-5", b"0e0", b"123456789012345678901234567890", b"9223372036854775807",
        b"9223372036854775808", b"-9223372036854775808", b"-9223372036854775809", b'""', b'"a"',
        b"[]", b"{}", b" \t\r\n[ \t\r\n] ", b'{"":0}', b'{"a":1,"a":2}', b"[[[[]]],{}]",
        b'"\\"\\\\\\/\\b\\f\\n\\r\\t"', b'"\\u0000"', b'"\\u00e9\\u20AC"', b'"\\ud83d\\ude00"',
        '"é€😀\x7f\u2028"'.encode(), b"1.7976931348623157e308", b"5e-324", b"1e-400",
        b"0.1", b"0.30000000000000004", b"9007199254740993", b"2.2250738585072011e-308",
        b"[" * 64 + b"]" * 64, b"1" * 400 + b"e-400", b"0." + b"0" * 330 + b"123e330"]),
    *((text, False) for text in [
        b"", b" ", b"nul", b"nulll", b"True", b"NaN", b"Infinity", b"-Infinity", b"undefined",
        b"'a'", b"+1",
        b"01", b"-01", b"1.", b".5", b"1e", b"1e+", b"-", b"- 1", b"0x10", b"1_000", b"1,",
        b"00", b"1.e5", b"1e5.5", b"--1", b"[", b"]", b"{", b"}", b"[1", b"[1,", b"[1,]", b"[,1]",
        b"[1 2]", b"[1,,2]", b"{1:2}", b'{"a"}', b'{"a":}', b'{"a":1,}', b'{"a" 1}', b'{"a"::1}',
        b'{,}', b'{"a":1 "b":2}', b"{a:1}", b"[1}", b'{"a":1]', b'"', b'"\\', b'"\\"', b'"\\x41"',
        b'"\\u"', b'"\\u12"', b'"\\u123g"', b'"\\U0041"', b'"a\nb"', b'"\t"', b'"\x00"', b'"\x1f"',
        b"[1]x", b"1 1", b"{} {}", b"// c\n1", b"/* c */1", b"1 # c", b"\xef\xbb\xbf1", b"[\x0c1]",
        b"\xc2\xa01", b"\x00", b'"\xff"', b'"\xc3"', b'"\xed\xa0\x80"', b'"\xc0\xaf"', b"\xe9",
        b'"\xf4\x90\x80\x80"', b'[1]\x00', b'tru e', b"[true,fals]"]),
]
# Leat refuses what others take; json.h says why. Each is a test of its own here.
REFUSED_HERE = [
    b'"\\ud800"', b'"\\udc00"', b'"\\ud800x"', b'"\\ud800\\n"', b'"\\ud800\\u0041"',
    b'"\\ud83d\\ud83d\\ude00"', b"[" * 65 + b"]" * 65, b'"' + b"a" * (1 << 18) * 4 + b'a"',
    b"1" * 1025]


def value_of(draw, depth):
    """A value, as text."""
    kind = draw.randrange(9 if depth < 5 else 6)
    if kind == 0:
        return draw.choice(["null", "true", "false"])
    if kind < 3:
        return draw.choice([
            lambda: str(draw.randrange(-1000, 1000)), lambda: str(draw.getrandbits(70)),
            lambda: repr(draw.uniform(-10, 10)), lambda: repr(double_of(draw)),
            lambda: f"{draw.randrange(100)}.{draw.randrange(10)}E{draw.randrange(-320, 300)}"])()
    if kind < 6:
        return string_of(draw)
    space = draw.choice(["", "", " ", "\n\t"])
    if kind < 8:
        items = [value_of(draw, depth + 1) for _ in range(draw.randrange(5))]
        return "[" + space + ("," + space).join(items) + space + "]"
    items = [f"{string_of(draw)}{space}:{space}{value_of(draw, depth + 1)}"
             for _ in range(draw.randrange(5))]
    return "{" + space + ("," + space).join(items) + "}"


def string_of(draw):
    pieces = ["a", "b c", "é", "€", "😀", "\\n", "\\\"", "\\\\", "\\/", "\\u0041", "\\u00e9",
              "\\ud83d\\ude00", "\\u0000", "x" * 20, "\x7f"]
    return '"' + "".join(draw.choice(pieces) for _ in range(draw.randrange(6))) + '"'


def double_of(draw):
    """Any finite double; powers of two and subnormal ones often."""
    kind = draw.randrange(5)
    if kind == 0:
        return math.ldexp(1.0, draw.randrange(-1074, 1024))
    if kind == 1:
        return draw.getrandbits(52) * 5e-324
    if kind == 2:
        return float(f"{draw.randrange(10 ** draw.randrange(1, 18))}e{draw.randrange(-30, 30)}")
    while True:
        value = struct.unpack(">d", struct.pack(">Q", draw.getrandbits(64)))[0]
        if math.isfinite(value):
            return value


def changed(draw, text):
    """A byte removed, doubled, replaced or put in: mostly wrong, sometimes right."""
    at, kind = draw.randrange(len(text) + 1), draw.randrange(4)
    byte = bytes([draw.choice(b'{}[]:,"\\0123456789.eE+-tfnu \n\x00\x1f\x80\xc3\xff')])
    if kind == 0:
        return text[:at] + text[at + 1:]
    if kind == 1:
        return text[:at] + text[at:at + 1] + text[at:]
    return text[:at] + byte + text[at + (kind == 2):]


def refuse(constant):
    raise ValueError(constant)


def of_python(text):
    """(is right, value)"""
    try:
        return True, json.loads(text.decode("utf-8"), parse_constant=refuse)
    except (ValueError, RecursionError):
        return False, None


def is_same(a, b):
    """Equal, and of the same types, so that 1 is not 1.0 and -0.0 not 0.0."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(is_same(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(is_same(x, y) for x, y in zip(a, b))
    return repr(a) == repr(b)


def has_lone_surrogate(value):
    if isinstance(value, str):
        return any(0xd800 <= ord(c) < 0xe000 for c in value)
    if isinstance(value, dict):
        return any(has_lone_surrogate(k) or has_lone_surrogate(v) for k, v in value.items())
    return isinstance(value, list) and any(map(has_lone_surrogate, value))


def told(command, lines):
    done = subprocess.run(command, input="".join(line + "\n" for line in lines), text=True,
                          capture_output=True, timeout=50, check=False)
    answers = done.stdout.split("\n")[:-1]
    if done.returncode != 0 or len(answers) != len(lines):
        sys.exit(f"{command}: {done.returncode} after {len(answers)} of {len(lines)} answers:\n"
                 f"{done.stderr[-2000:]}\nat {lines[min(len(answers), len(lines) - 1)][:2000]}")
    return answers


def is_explained(text, value):
    """A difference that json.h documents."""
    return has_lone_surrogate(value) or text in REFUSED_HERE


def check_text(text, here, node):
    """What is wrong with the three answers, or None."""
    right, value = of_python(text)
    if right != node.startswith("ok "):
        return "Python and Node do not agree"
    if not here.startswith("ok "):
        return "refused here" if right and not is_explained(text, value) else None
    if not right:
        return "accepted here"
    written = bytes.fromhex(here[3:])
    if not is_same(value, of_python(written)[1]):
        return f"means something else here: {written}"
    return None


def check_texts(say, node):
    draw = random.Random(SEED)
    texts = [text for text, _ in BY_HAND] + REFUSED_HERE
    while len(texts) < TEXTS:
        text = value_of(draw, 0).encode()
        texts += [text, changed(draw, text), changed(draw, changed(draw, text))]
    lines = [f"json {text.hex()}" for text in texts]
    here, there = told([say], lines), told([node, str(HERE / "say.js")], lines)
    wrong = []
    for text, ours, nodes in zip(texts, here, there):
        problem = check_text(text, ours, nodes)
        if problem:
            wrong.append(f"{text[:300]!r}: {problem}\n  here: {ours[:300]}\n  node: {nodes[:300]}")
    for (text, right), ours in zip(BY_HAND, here):
        if right != ours.startswith("ok "):
            wrong.append(f"{text!r}: {ours}")
    for text, ours in zip(REFUSED_HERE, here[len(BY_HAND):]):
        if not ours.startswith("no "):
            wrong.append(f"{text[:100]!r}: not refused")
    rights = sum(ours.startswith("ok ") for ours in here)
    print(f"{len(texts)} texts, {rights} right ones, {len(wrong)} differences")
    return wrong


def check_doubles(say, node):
    draw = random.Random(SEED)
    values = [0.0, -0.0, 1e21, 1e20, 123456789012345680000.0, 1e-6, 1e-7, 5e-324, 0.1, 2.0 ** 53,
              2.0 ** -44, 1.7976931348623157e308, 2.2250738585072014e-308, 9007199254740993.0]
    values += [double_of(draw) for _ in range(DOUBLES)]
    lines = ["double " + struct.pack(">d", value).hex() for value in values]
    wrong = [f"{line}: {ours}, Node {nodes}" for line, ours, nodes in zip(
        lines, told([say], lines), told([node, str(HERE / "say.js")], lines)) if ours != nodes]
    print(f"{len(values)} doubles, {len(wrong)} differences")
    return wrong


def main():
    node = shutil.which("node")
    if node is None:
        print("node is not installed: JSON is not compared with Node's")
        sys.exit(SKIPPED)
    wrong = check_texts(sys.argv[1], node) + check_doubles(sys.argv[1], node)
    print("\n".join(wrong[:20]))
    sys.exit(1 if wrong else 0)


main()
