"""The public names, read as one language: how many functions, one meaning for a word, one spelling
for an operation; and docs/api.md, which `./dev check api --write` generates from the headers."""
import os
import re

import files
import layering

PAGE = "docs/api.md"
FUNCTIONS_MAX = 550  # for all that is planned

# Word in a public name -> its one meaning, and the names that may have it.
WORDS = {
    "drain": ("the graceful end of a server or program",
              r"leat_(http|run)_(on_|is_)?drain(ing|_timeout)?|LEAT_DRAIN_TIMEOUT_NS|on_drain"
              r"|drain(_timeout)?_ns|LEAT_STREAM_DRAIN"),  # the last: Node's event
    "hold": ("keeping received bytes", r"leat_(conn|udp|request)_hold"),
    "held": ("received bytes that are kept", r"leat_held(_release)?|held(_bytes)?"),
    "release": ("giving held bytes back", r"leat_(conn|udp|held)_release"),
    "take": ("moving ownership to the caller", r"leat_request_take_body|leat_(future|conn)_take"),
    "discard": ("reading what nobody wants", r"discard_bytes_max"),
}
# What is not written -> what is written instead, and the names that are right all the same.
SPELLINGS = [
    (r"_(destroy|dispose|delete|cleanup)\b", "free, or fini for memory of the caller's",
     {"leat_http_delete": "the method",
      "leat_stream_destroy": "Node's word: both sides end, and events follow; nothing is freed"}),
    (r"_(create|make|alloc_new)\b", "new, or init for memory of the caller's", {}),
    (r"_(register|subscribe)_", "on_EVENT", {}),
    (r"_get_", "the noun alone", {"leat_http_get_options": "leat_http_options would read like a "
                                                           "route for OPTIONS"}),
    (r"_(was|can|does|wants|should)_", "is_ or has_", {"leat_request_wants_upgrade": "the client "
                                                                                    "does"}),
    (r"_[a-z]+s_count\b", "the singular: NOUN_count", {}),
    (r"_(size|len|length)\b", "length_bytes", {"leat_request_content_length": "the field's name"}),
    (r"_(cb|callback|handler)$", "fn, or on_EVENT", {}),
]
# Whoever makes something takes the loop; what was made knows it.
MAKERS = re.compile(r"_(new|init|add|bind|connect|listen|metrics)$|^leat_(set|next|queue)_\w+$"
                    r"|^leat_connect$|^leat_listen$")
LOOPS_OWN = re.compile(r"^leat_(loop|run)_")
# An operation makes the future, or the stream, that it returns.
FUTURES = re.compile(r"^LEAT_API struct leat_(?:future|stream) \*(leat_\w+)\(", re.M)

# One operation is one function, which returns a future: leat_call makes the callback form of each,
# leat_await the third. So these words in a name say nothing but how the caller is told.
FORMS = {"async", "await", "blocking", "call", "callback", "cb", "done", "fn", "future", "later",
         "now", "promise", "sync", "then"}
# What libc has no single call for may be done before the loop turns, too.
SYNC = {f"leat_fs_{what}_sync" for what in ("read_file", "write_file", "replace_file", "mkdir_all",
                                            "remove", "copy")}

DECLARATION = re.compile(r"^LEAT_API ([^;]*);([ \t]*/\*.*?\*/)?", re.M | re.S)
NAME = re.compile(r"(\w+)\(")
PIECE = re.compile(r"^/\*.*?\*/|^LEAT_API [^;]*;(?:[ \t]*/\*.*?\*/)?"
                   r"|^static inline [^{;]*\n\{.*?^\}|\n\n", re.M | re.S)
TYPE = re.compile(r"^(?:typedef )?(struct|enum) (leat_\w+) \{", re.M)


def names_of(text):
    """What a header declares: no comments, no strings."""
    return sorted(set(re.findall(r"\b[A-Za-z]\w+\b",
                                 re.sub(r'/\*.*?\*/|"[^"\n]*"', "", text, flags=re.S))))


def functions(text):
    """name -> parameters, as written, of each function that a header declares."""
    found = {}
    for match in DECLARATION.finditer(text):
        declaration = " ".join(match[1].split())
        name = NAME.search(re.sub(r"LEAT_\w+\(.*?\)", "", declaration))
        if name:
            found[name[1]] = declaration[declaration.index(name[0]) + len(name[0]):]
    return found


def comment_text(comment):
    """The sentences of one comment, as lines without the stars."""
    inner = comment.strip()[2:-2]
    lines = [re.sub(r"^ ?\* ?", "", line).rstrip() for line in inner.strip("\n").split("\n")]
    return "\n".join(lines).strip()


def declaration_of(piece):
    """LEAT_API or inline, without its body and its margin."""
    if piece.startswith("LEAT_API"):
        return re.sub(r"^(LEAT_API|        ) ", "", piece, flags=re.M)
    return re.sub(r"^(static inline|             ) ", "", piece.split("\n{")[0] + ";", flags=re.M)


def sections(text):
    """(comment, [declarations]) for each run of functions of a header."""
    comment, found = "", []
    for match in PIECE.finditer(text):
        piece = match[0]
        if piece.startswith("/*"):
            comment = comment_text(piece)
            found.append((comment, []))
        elif piece.startswith(("LEAT_API", "static inline")):
            if not found:
                found.append(("", []))
            found[-1][1].append(declaration_of(piece))
        elif found and found[-1][1]:
            found.append(("", []))
    return [(said, declared) for said, declared in found if declared]


def page_of_header(name, text):
    opening = comment_text(re.match(r"/\*.*?\*/", text, re.S)[0])
    lines = [f"## leat/{name}", "", opening.split("\n\n")[0].strip(), ""]
    types = sorted({f"`{kind} {what}`" for kind, what in TYPE.findall(text)})
    if types:
        lines += ["Types: " + ", ".join(types) + ".", ""]
    for said, declared in sections(text):
        lines += ([said, ""] if said else []) + ["```c", *declared, "```", ""]
    return lines


def headers(root):
    """NAME.h -> text, but for the one that includes all others."""
    return {name: files.read(root, path)
            for name, path in sorted(layering.public_headers(root).items()) if name != "leat.h"}


def page(root):
    texts = headers(root)
    count = sum(len(functions(text)) for text in texts.values())
    lines = ["# The API", "",
             "Generated from the public headers by `./dev check api --write`; do not edit by hand.",
             "Each header says more: threads, lifetimes, bounds, and the fields of each type.", "",
             f"{count} functions in {len(texts)} headers. `#include <leat/leat.h>` has all.",
             ""]
    for name, text in texts.items():
        lines += page_of_header(name, text)
    return "\n".join(lines).rstrip() + "\n"


def write(root):
    with open(os.path.join(root, PAGE), "w", encoding="utf-8") as file:
        file.write(page(root))


def check_words(name, text):
    """Each name in which a word of the table stands must be one that the table knows."""
    problems = []
    for used in names_of(text):
        for word in re.findall(r"[a-z]+", used.lower()):
            stem = word[:-3] if word == "draining" else word
            meaning, allowed = WORDS.get(stem, (None, None))
            if meaning and not re.fullmatch(allowed, used):
                problems.append(f"leat/{name}: {used}: '{word}' means {meaning}; say it otherwise, "
                                "or add it to the table of test/check/api.py")
    return problems


def check_spellings(name, text, declared):
    problems, makers = [], set(FUTURES.findall(text))
    for function, parameters in declared.items():
        for wrong, right, exceptions in SPELLINGS:
            found = re.search(wrong, function)
            if found and function not in exceptions:
                problems.append(f"leat/{name}: {function}: not '{found[0].strip('_')}': {right}")
        takes_loop = re.search(r"struct leat_loop \*", parameters)
        if takes_loop and not (MAKERS.search(function) or LOOPS_OWN.match(function)
                               or function in makers):
            if re.search(r"_new|_fail|_init", function) is None:
                problems.append(f"leat/{name}: {function}: a method does not take the loop")
    return problems


def operation_of(function):
    """The words of noun and verb, in any order: without those that name a form."""
    return frozenset(function.split("_")[1:]) - FORMS


def check_forms(texts):
    """An operation that returns a future has no second spelling, in whatever form."""
    problems, operations, homes = [], {}, {}
    for name, text in texts.items():
        for function in functions(text):
            homes[function] = name
        for function in FUTURES.findall(text):
            if operation_of(function):
                operations.setdefault(operation_of(function), function)
    for function, home in sorted(homes.items()):
        first = operations.get(operation_of(function))
        if first not in (None, function) and function not in SYNC:
            problems.append(f"leat/{home}: {function}: a second spelling of {first}, whose other "
                            "forms are leat_call and leat_await")
        elif first is None and function.endswith("_sync"):
            problems.append(f"leat/{home}: {function}: the sync form of no operation")
    return problems


def check(root):
    texts = headers(root)
    problems, count = check_forms(texts), 0
    for name, text in texts.items():
        declared = functions(text)
        count += len(declared)
        problems += check_words(name, text) + check_spellings(name, text, declared)
    if count > FUNCTIONS_MAX:
        problems.append(f"{count} public functions: {FUNCTIONS_MAX} at most")
    path = os.path.join(root, PAGE)
    if not os.path.exists(path) or files.read(root, PAGE) != page(root):
        problems.append(f"{PAGE} is older than the headers: ./dev check api --write")
    return problems
