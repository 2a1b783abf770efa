"""Leat's tasks in gdb, of a program that runs or of the kernel's core file:

  leat tasks   each task of each core: its number, place, name, and where it was started
  leat bt N    the backtrace of task N of that list

gdb loads this file by itself beside libleat.so and the command, where they are installed; for a
program that Leat was linked into: `source /usr/share/gdb/auto-load/.../libleat.so.*-gdb.py`."""
import gdb
import gdb.types
import gdb.unwinder

FRAMES_MAX = 100
# Where switch_stacks leaves registers, from the stack pointer on (switch_frame.h); and what that
# becomes when they are taken back.
BY_HAND = {
    "i386:x86-64": ({"r15": 0, "r14": 8, "r13": 16, "r12": 24, "rbx": 32, "rbp": 40, "rip": 48},
                    "rsp", "rip", 56),
    "aarch64": ({**{f"x{19 + i}": 8 * i for i in range(12)}, "pc": 88}, "sp", "pc", 160),
}
# In a ucontext_t (switch_ucontext.c): gregs of glibc's mcontext_t.
BY_UCONTEXT = {
    "i386:x86-64": {"r12": 72, "r13": 80, "r14": 88, "r15": 96, "rbp": 120, "rbx": 128, "rsp": 160,
                    "rip": 168},
}


def word(address):
    """The eight bytes there, as a number."""
    kind = gdb.lookup_type("unsigned long").pointer()
    return int(gdb.Value(address).cast(kind).dereference())


def has_type(name):
    try:
        return gdb.lookup_type(name) is not None
    except gdb.error:
        return False


def container(link, kind, field):
    """The struct of that kind whose field is at link."""
    target = gdb.lookup_type(kind)
    offset = next(f.bitpos // 8 for f in target.fields() if f.name == field)
    return gdb.Value(int(link) - offset).cast(target.pointer()).dereference()


class Task:
    def __init__(self, value, thread):
        self.value, self.thread = value, thread
        places = gdb.types.make_enum_dict(gdb.lookup_type("enum task_place"))
        names = {number: name for name, number in places.items()}
        self.place = names[int(value["place"])].removeprefix("TASK_").lower()

    def describe(self):
        name = self.value["name"].string()
        fn = self.value["fn"].format_string(symbols=True, address=False).strip("<>")
        site = int(self.value["site"])
        line = gdb.find_pc_line(site - 1)
        where = f" at {line.symtab.filename}:{line.line}" if line.symtab else f" at {site:#x}"
        return f"{self.place:6} {name or '-'}  {fn}, started{where}"

    def registers(self):
        """Those of the moment at which it was left, or None: it runs, or nobody knows how."""
        if self.place == "runs":
            return None
        sp = int(self.value["fiber"]["context"]["sp"])
        machine = gdb.selected_inferior().architecture().name()
        if has_type("struct switch_start"):
            found = BY_UCONTEXT.get(machine)
            return found and {name: word(sp + at) for name, at in found.items()}
        if machine not in BY_HAND:
            return None
        saved, stack_pointer, _, size = BY_HAND[machine]
        return {**{name: word(sp + at) for name, at in saved.items()}, stack_pointer: sp + size}


def core_of_thread():
    """The selected thread's, or None. In core files gdb finds some threads' variables elsewhere:
    a core is one whose loop says so."""
    try:
        core = gdb.parse_and_eval("leat_core_now")
        return core if int(core) != 0 and int(core["loop"]["core"].address) == int(core) else None
    except gdb.error:
        return None


def tasks_of_thread(thread):
    core = core_of_thread()
    if core is None or int(core["tasks"]) == 0:
        return
    first = core["tasks"].dereference()["all"]
    link = first["next"]
    while int(link) != int(first.address):
        yield int(core["index"]), Task(container(link, "struct task", "link"), thread)
        link = link.dereference()["next"]


def all_tasks():
    """(core, task) of every thread, in the order of the cores."""
    if not has_type("struct task"):
        raise gdb.GdbError("no debug information of Leat here: build with -g, or load its symbols")
    before, found = gdb.selected_thread(), []
    if before is None:
        raise gdb.GdbError("no program runs, and no core file is loaded")
    try:
        for thread in gdb.selected_inferior().threads():
            thread.switch()
            found += tasks_of_thread(thread)
    except gdb.MemoryError as error:
        raise gdb.GdbError("the stacks of tasks are not in this core file: gdb's gcore leaves out "
                           "what has guards, the kernel's core files have it") from error
    finally:
        before.switch()
    return sorted(found, key=lambda pair: pair[0])


def number_value(number):
    return gdb.Value(number).cast(gdb.lookup_type("unsigned long"))


class FrameId:
    def __init__(self, sp, pc):
        self.sp, self.pc = number_value(sp), pc


class ParkedUnwinder(gdb.unwinder.Unwinder):
    """Says that who called the thread's innermost frame is a parked task, while one is looked at.
    Nothing is written, so that it works for core files as well."""

    def __init__(self):
        super().__init__("leat-parked-task")
        self.registers = None

    def __call__(self, pending):
        if self.registers is None or pending.level() != 0:
            return None
        _, stack_pointer, pc, _ = BY_HAND[pending.architecture().name()]
        # Below the task's own frames: gdb refuses callers whose frames are further in.
        info = pending.create_unwind_info(FrameId(self.registers[stack_pointer] - 8,
                                                  pending.read_register(pc)))
        for name, value in self.registers.items():
            info.add_saved_register(name, number_value(value))
        return info


UNWINDER = ParkedUnwinder()
gdb.unwinder.register_unwinder(None, UNWINDER, replace=True)


def frame_line(number, frame):
    sal, name = frame.find_sal(), frame.name() or "??"
    where = f" at {sal.symtab.filename}:{sal.line}" if sal.symtab else ""
    return f"#{number:<3}{frame.pc():#018x} in {name}{where}"


def print_parked(task, registers):
    before = gdb.selected_thread()
    task.thread.switch()
    UNWINDER.registers = registers
    gdb.invalidate_cached_frames()
    try:
        frame = gdb.newest_frame().older()
        for number in range(FRAMES_MAX):
            if frame is None or not frame.is_valid():
                break
            print(frame_line(number, frame))
            frame = frame.older()
    finally:
        UNWINDER.registers = None
        gdb.invalidate_cached_frames()
        before.switch()


class Leat(gdb.Command):
    """Leat: what its loops do. `leat tasks`, `leat bt N`."""

    def __init__(self):
        super().__init__("leat", gdb.COMMAND_STACK, prefix=True)


class LeatTasks(gdb.Command):
    """Lists the tasks of each core: number, core, place, name, function, where it was started."""

    def __init__(self):
        super().__init__("leat tasks", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        tasks = all_tasks()
        for number, (core, task) in enumerate(tasks, 1):
            print(f"{number:<4}core {core}  {task.describe()}")
        print(f"{len(tasks)} tasks")


class LeatBt(gdb.Command):
    """Prints the backtrace of a task: leat bt N, with its number in `leat tasks`."""

    def __init__(self):
        super().__init__("leat bt", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        tasks = all_tasks()
        if not argument.isdigit() or not 1 <= int(argument) <= len(tasks):
            raise gdb.GdbError(f"leat bt N: a number of `leat tasks`, 1 to {len(tasks)}")
        core, task = tasks[int(argument) - 1]
        print(f"{argument:<4}core {core}  {task.describe()}")
        registers = task.registers()
        if registers is not None:
            print_parked(task, registers)
        elif task.place == "runs":
            print(f"it runs: see the backtrace of thread {task.thread.num}")
        else:
            raise gdb.GdbError("how stacks are switched on this machine is not known here")


Leat()
LeatTasks()
LeatBt()
