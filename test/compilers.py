"""The environment that makes meson use a named compiler, through ccache where that is installed:
meson finds ccache by itself only for the compiler that it chose itself."""
import shutil


def environment(compiler, compiler_cpp):
    through = "ccache " if shutil.which("ccache") else ""
    return {"CC": through + compiler, "CXX": through + compiler_cpp}
