"""Hugepages of 2 MiB, reserved for the time of a run and given back."""
import pathlib

SIZED = pathlib.Path("/sys/kernel/mm/hugepages/hugepages-2048kB")


def count_of(name):
    return int((SIZED / name).read_text())


class Hugepages:
    """So many pages more than there were. `with Hugepages(512):`"""

    def __init__(self, count):
        self.count, self.added = count, 0

    def __enter__(self):
        before = count_of("nr_hugepages")
        (SIZED / "nr_hugepages").write_text(str(before + self.count))
        self.added = count_of("nr_hugepages") - before
        if count_of("free_hugepages") < self.count:
            self.__exit__()
            raise OSError(f"the kernel has no {self.count} hugepages of 2 MiB to give: memory is "
                          "short or in pieces; end other programs, or restart the machine")
        return self

    def __exit__(self, *exception):
        (SIZED / "nr_hugepages").write_text(str(max(0, count_of("nr_hugepages") - self.added)))
        self.added = 0
