"""What a virtual machine of the tests boots: Debian's kernel, and a file system in memory with
programs of this build and the libraries that they need."""
import os
import pathlib
import re
import shutil
import stat
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("LEAT_BUILD", ROOT / "build"))
IMAGE = ROOT / "build" / "kernel" / "image"  # fetched once, whatever is built


def fetch(name, folder):
    """The package's file. Lists of packages that are old name one that is gone: then they are
    renewed; a line that breaks is apt's to try again."""
    for package in folder.glob("linux-image-*.deb"):
        package.unlink()
    words = ["apt-get", "-qq", "-o", "Acquire::Retries=5", "download", name]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
    if done.returncode != 0:
        subprocess.run(["apt-get", "-qq", "update"], check=False)
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"kernel: {name} cannot be fetched: {done.stderr.strip()}")
    package, = folder.glob("linux-image-*.deb")
    return package


def kernel():
    """The path of Debian's kernel image, fetched once as a package and not installed."""
    found = sorted(IMAGE.glob("boot/vmlinuz-*"))
    if found:
        return found[-1]
    depends = subprocess.run(["apt-cache", "depends", "linux-image-amd64"], check=True,
                             capture_output=True, text=True).stdout
    name = re.search(r"Depends: (linux-image-\d\S+)", depends)
    if not name:
        sys.exit("kernel: apt knows no linux-image-amd64: run apt-get update")
    folder = IMAGE.parent
    folder.mkdir(parents=True, exist_ok=True)
    package = fetch(name[1], folder)
    subprocess.run(["dpkg-deb", "-x", package, IMAGE], check=True)
    package.unlink()
    return sorted(IMAGE.glob("boot/vmlinuz-*"))[-1]


def modules(names):
    """The paths of these modules of the kernel, in the order given."""
    found = {path.stem: path for path in IMAGE.glob("lib/modules/**/*.ko")}
    return [found[name] for name in names]


def libraries_of(binary):
    environment = dict(os.environ, LD_LIBRARY_PATH=str(BUILD))
    listed = subprocess.run(["ldd", binary], check=True, capture_output=True, text=True,
                            env=environment).stdout
    return re.findall(r"(/\S+) \(0x", listed)


def new_root(root):
    """An empty file system with busybox in it."""
    shutil.rmtree(root, ignore_errors=True)
    for folder in ("bin", "proc", "sys", "dev", "tmp", "run", "var", "modules", "usr/lib",
                   "usr/lib64"):
        (root / folder).mkdir(parents=True)
    for link, to in (("var/run", "../run"), ("lib", "usr/lib"), ("lib64", "usr/lib64")):
        (root / link).symlink_to(to)  # one place for a library, as on Debian: two would be loaded
    shutil.copy("/bin/busybox", root / "bin")


def add(root, binary, folder="bin"):
    """A program or module of this build, and its libraries: those of the build in /lib."""
    shutil.copy(binary, root / folder)
    for library in libraries_of(binary):
        inside = root / ("lib/" + os.path.basename(library)
                         if library.startswith(str(BUILD)) else library[1:])
        inside.parent.mkdir(parents=True, exist_ok=True)
        if not inside.exists():
            shutil.copy(library, inside)


def pack(root, init, archive):
    """init is the text of the first program."""
    path = root / "init"
    path.write_text(init, encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    names = subprocess.run(["find", "."], cwd=root, check=True, capture_output=True).stdout
    with open(archive, "wb") as file:
        subprocess.run(["cpio", "--quiet", "-o", "-H", "newc"], cwd=root, input=names, check=True,
                       stdout=file)
    return archive
