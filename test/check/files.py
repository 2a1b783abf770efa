"""The project's own files, as the checks see them."""
import os

SKIPPED = {".git", ".cache", "__pycache__", "corpus"}


def walk(root, *endings):
    """Paths relative to root, sorted, without build folders."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(f for f in folders if f not in SKIPPED and not f.startswith("build"))
        for name in sorted(names):
            if name.endswith(endings):
                yield os.path.relpath(os.path.join(folder, name), root)


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8", errors="replace") as file:
        return file.read()
