/* Function, file and line of an address, where libdw is there to tell. */
#include "runtime/base/crash.h"

#include <leat_config.h>

#include <execinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if LEAT_HAVE_LIBDW
#include <elfutils/libdwfl.h>

static const Dwfl_Callbacks dwfl_callbacks = {
    .find_elf = dwfl_linux_proc_find_elf,
    .find_debuginfo = dwfl_standard_find_debuginfo,
};

static Dwfl *dwfl_open(void)
{
    unsetenv("DEBUGINFOD_URLS"); /* no network in a report of a crash */
    Dwfl *dwfl = dwfl_begin(&dwfl_callbacks);
    if (dwfl != NULL &&
        (dwfl_linux_proc_report(dwfl, getpid()) != 0 || dwfl_report_end(dwfl, NULL, NULL) != 0)) {
        dwfl_end(dwfl);
        return NULL;
    }
    return dwfl;
}

/* "../net/x.c" as the compiler was told it, to "net/x.c". */
static const char *short_path(const char *path)
{
    while (strncmp(path, "../", 3) == 0)
        path += 3;
    return path;
}

/* The source line of address, its path and number. Without .debug_aranges, which clang leaves out,
 * each compilation unit is asked. */
static const char *source_of(Dwfl_Module *module, Dwarf_Addr address, int *number)
{
    Dwfl_Line *line = dwfl_module_getsrc(module, address);
    if (line != NULL)
        return dwfl_lineinfo(line, NULL, number, NULL, NULL, NULL);
    Dwarf_Addr bias;
    Dwarf_Die *unit = NULL;
    while ((unit = dwfl_module_nextcu(module, unit, &bias)) != NULL) {
        Dwarf_Line *found =
            dwarf_haspc(unit, address - bias) == 1 ? dwarf_getsrc_die(unit, address - bias) : NULL;
        if (found != NULL && dwarf_lineno(found, number) == 0)
            return dwarf_linesrc(found, NULL, NULL);
    }
    return NULL;
}

static void frame_print(int fd, Dwfl *dwfl, unsigned number, void *frame)
{
    /* The address of a call is the one behind it; only the innermost frame stands on its own. */
    Dwarf_Addr address = (Dwarf_Addr)(uintptr_t)frame - (number > 0);
    Dwfl_Module *module = dwfl_addrmodule(dwfl, address);
    if (module == NULL) {
        dprintf(fd, "  #%-2u %p (no module)\n", number, frame);
        return;
    }
    const char *name = dwfl_module_addrname(module, address);
    Dwarf_Addr start = 0;
    const char *file = dwfl_module_info(module, NULL, &start, NULL, NULL, NULL, NULL, NULL);
    int line = 0;
    const char *path = source_of(module, address, &line);
    if (path != NULL) {
        dprintf(fd, "  #%-2u %s (%s:%d)\n", number, name != NULL ? name : "?", short_path(path),
                line);
    } else if (name != NULL) {
        dprintf(fd, "  #%-2u %s (%s)\n", number, name, file != NULL ? file : "?");
    } else {
        dprintf(fd, "  #%-2u %p (%s+0x%llx)\n", number, frame, file != NULL ? file : "?",
                (unsigned long long)(address - start));
    }
}

void leat_crash_symbols(int fd, void *const *frames, unsigned count)
{
    Dwfl *dwfl = dwfl_open();
    if (dwfl == NULL) {
        backtrace_symbols_fd((void **)(uintptr_t)frames, (int)count, fd);
        return;
    }
    for (unsigned i = 0; i < count; i++)
        frame_print(fd, dwfl, i, frames[i]);
    dwfl_end(dwfl);
}

#else

void leat_crash_symbols(int fd, void *const *frames, unsigned count)
{
    backtrace_symbols_fd((void **)(uintptr_t)frames, (int)count, fd);
}

#endif
