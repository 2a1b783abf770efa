"""Forms with files: the parser of net/http/message against that of Python's email, over forms from
a fixed seed and ten that are new each time, each cut at a length of its own.

usage: multipart.py MULTIPART_READ
"""
import email
import random
import struct
import subprocess
import sys
import time

FIXED_SEED = 38
FIXED, FRESH = 600, 10
BOUNDARY_BYTES = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'()+_,-./:=?"
NAMES = [b"a", b"file", b"a b", b"a;b=c", b"\xc3\xa9", b"", b"x" * 300, b"[0][name]"]
FILES = [b"a.txt", b"C:\\dir\\b.png", b"../../etc/passwd", b"", b"\xe2\x82\xac" * 100, b"..", b"a/",
         b"say \\\"hi\\\".txt", b"semi;colon=.x", b"x" * 254 + b"\xe2\x82\xac"]
TYPES = [None, b"text/plain", b"application/octet-stream", b"text/plain; charset=utf-8"]


def data_of(rng, boundary):
    """Bytes with all that a delimiter is made of, but no delimiter."""
    pieces = [b"\r\n", b"\r", b"-", b"--", b"\r\n--", b"\r\n--" + boundary[:-1],
              b"\r\n-" + boundary, boundary, b"--" + boundary, b"\x00\xff", b"text ",
              bytes([rng.randrange(256)])]
    data = b"".join(rng.choice(pieces) for _ in range(rng.randrange(30)))
    lines = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    if any(line.startswith(b"--" + boundary) for line in lines):
        return b"plain"
    return data


def form_of(rng):
    boundary = bytes(rng.choice(BOUNDARY_BYTES) for _ in range(rng.randrange(1, 71)))
    quoted = any(c not in b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'+_-."
                 for c in boundary)
    written = b'"' + boundary + b'"' if quoted or rng.random() < 0.3 else boundary
    body = b"" if rng.random() < 0.8 else b"a preamble\r\n"
    for _ in range(rng.randrange(6)):
        body += b"--" + boundary + rng.choice([b"", b"", b" ", b"\t "]) + b"\r\n"
        body += b'Content-Disposition: form-data; name="' + rng.choice(NAMES) + b'"'
        if rng.random() < 0.5:
            body += b'; filename="' + rng.choice(FILES) + b'"'
        body += b"\r\n"
        kind = rng.choice(TYPES)
        if kind is not None:
            body += b"Content-Type: " + kind + b"\r\n"
        body += b"\r\n" + data_of(rng, boundary) + b"\r\n"
    body += b"--" + boundary + b"--" + rng.choice([b"", b"\r\n", b"\r\nan epilogue"])
    return b"multipart/form-data; boundary=" + written, body


def safe(name):
    """As struct http_part says."""
    name = name.replace(b"\\", b"/").rsplit(b"/", 1)[-1]
    name = bytes(c for c in name if c >= 0x20 and c != 0x7F)
    if len(name) > 255:
        end = 255
        while name[end] & 0xC0 == 0x80:
            end -= 1
        name = name[:end]
    return b"" if name in (b".", b"..") else name


def param(part, name):
    value = part.get_param(name, header="content-disposition")
    return None if value is None else value.encode("latin-1")


def expected_of(kind, body):
    """Each byte is a character of Latin-1, so that none is interpreted."""
    text = b"Content-Type: " + kind + b"\r\n\r\n" + body
    message = email.message_from_string(text.decode("latin-1"))
    parts = message.get_payload() if message.is_multipart() else []
    lines = []
    for part in parts:
        file, type_ = param(part, "filename"), part["content-type"]
        row = [param(part, "name"), None if file is None else safe(file),
               None if type_ is None else type_.encode("latin-1")]
        data = part.get_payload().encode("latin-1")
        lines.append(" ".join("-" if v is None else v.hex() for v in row) + " ." + data.hex())
    return lines


def main():
    seed = time.time_ns()
    forms = [form_of(random.Random(FIXED_SEED + i)) for i in range(FIXED)]
    forms += [form_of(random.Random(seed + i)) for i in range(FRESH)]
    sizes = random.Random(FIXED_SEED)
    records = b"".join(struct.pack("<III", len(kind), len(body), sizes.choice([1, 2, 7, 64, 65536]))
                       + kind + body for kind, body in forms)
    done = subprocess.run([sys.argv[1]], input=records, capture_output=True, timeout=60, check=True)
    answers = done.stdout.decode().split("end ")
    for i, (kind, body) in enumerate(forms):
        head, _, rest = answers[i].partition("\n") if i > 0 else ("", "", answers[0])
        status = int(answers[i + 1].split("\n", 1)[0])
        got, want = rest.splitlines(), expected_of(kind, body)
        if status != 0 or got != want:
            sys.exit(f"form {i}, seed {seed}: status {status}\n{kind}\n{body}\ngot  {got}\n"
                     f"want {want}")
    parts = sum(answer.count(" .") for answer in answers)
    if parts < FIXED:
        sys.exit(f"only {parts} parts were compared")


if __name__ == "__main__":
    main()
