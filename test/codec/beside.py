"""Leat's coders and digests beside others': Python's zlib and hashlib, Node's brotli, the zstd
command. What Leat writes they read, what they write Leat reads.

usage: beside.py FILTER
"""
import gzip
import hashlib
import pathlib
import random
import shutil
import subprocess
import sys
import zlib

SEED, TIMEOUT_S, SKIPPED = 5, 30, 77
FILTER = sys.argv[1]


def piped(command, data):
    done = subprocess.run(command, input=data, capture_output=True, timeout=TIMEOUT_S, check=False)
    if done.returncode == SKIPPED:
        return None
    if done.returncode != 0:
        sys.exit(f"{command}: {done.returncode}: {done.stderr.decode(errors='replace')[-1000:]}")
    return done.stdout


def raw_of(data):
    coder = zlib.compressobj(9, zlib.DEFLATED, -15)
    return coder.compress(data) + coder.flush()


def brotli_by_node(direction):
    return lambda data: piped(["node", "-e", f"""
        const data = require('fs').readFileSync(0);
        process.stdout.write(require('zlib').brotli{direction}Sync(data));"""], data)


# Coding -> (the command it needs, its encoder, its decoder, levels to try)
OTHERS = {
    "gzip": (None, gzip.compress, gzip.decompress, [1, 6, 9]),
    "deflate": (None, zlib.compress, zlib.decompress, [1, 6, 9]),
    "raw": (None, raw_of, lambda data: zlib.decompress(data, -15), [6]),
    "brotli": ("node", brotli_by_node("Compress"), brotli_by_node("Decompress"), [1, 4, 9]),
    "zstd": ("zstd", lambda data: piped(["zstd", "-q", "-c"], data),
             lambda data: piped(["zstd", "-q", "-d", "-c"], data), [1, 3, 19]),
}


def samples():
    draw = random.Random(SEED)
    words = [bytes(draw.choices(b"abcdefghij", k=draw.randrange(2, 9))) for _ in range(200)]
    yield b""
    yield b"x"
    yield draw.randbytes(3000)
    yield b" ".join(draw.choices(words, k=30000))
    yield bytes(1 << 20)
    yield pathlib.Path(__file__).read_bytes()


def check_coding(coding, data):
    """What does not agree, as sentences; None: this build has not that coding."""
    _, encode, decode, levels = OTHERS[coding]
    wrong = []
    for piece in ["100", "65536"]:
        if piece == "100" and len(data) > 300000:
            continue
        theirs = piped([FILTER, "decode", coding, "0", piece], encode(data))
        if theirs is None:
            return None
        if theirs != data:
            wrong.append(f"{coding}: theirs of {len(data)} bytes reads otherwise")
        for level in levels:
            ours = piped([FILTER, "encode", coding, str(level), piece], data)
            if decode(ours) != data:
                wrong.append(f"{coding} {level}: ours of {len(data)} bytes reads otherwise")
    return wrong


def check_digests(data):
    wrong = []
    for kind in ["sha1", "sha256"]:
        for piece in ["1", "63", "64", "65", "100000"]:
            if int(piece) * 100000 < len(data):
                continue
            ours = piped([FILTER, "digest", kind, "0", piece], data)
            if ours != hashlib.new(kind, data).digest():
                wrong.append(f"{kind} of {len(data)} bytes, {piece} at a time")
    return wrong


def main():
    wrong = []
    for data in samples():
        wrong += check_digests(data)
        for coding, (needs, *_) in OTHERS.items():
            if needs is not None and shutil.which(needs) is None:
                print(f"{needs} is not installed: {coding} is not compared")
                continue
            found = check_coding(coding, data)
            if found is None:
                print(f"built without {coding}")
            wrong += found or []
    print("\n".join(wrong) or "they agree")
    sys.exit(1 if wrong else 0)


main()
