/* Guards below stacks: by MADV_GUARD_INSTALL, else by mprotect, of which the system allows so many
 * for a process. */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "runtime/async/stacks.h"

#if !defined(MADV_GUARD_INSTALL)
#define MADV_GUARD_INSTALL 102 /* Linux 6.13 */
#endif

#define MAPPINGS_PER_GUARD  2    /* the guard, and the stack that it cuts off */
#define MAPPINGS_FOR_OTHERS 4096 /* are left to the rest of the process */
#define MAPPINGS_DEFAULT    65530
#define MAPPINGS_UNKNOWN    INT64_MIN

/* Of the process, since the kernel counts so. */
static _Atomic int64_t mappings_left = MAPPINGS_UNKNOWN;

static unsigned mappings_max(void)
{
    unsigned count = MAPPINGS_DEFAULT;
    FILE *file = fopen("/proc/sys/vm/max_map_count", "re");
    if (file != NULL) {
        if (fscanf(file, "%u", &count) != 1)
            count = MAPPINGS_DEFAULT;
        fclose(file);
    }
    return count;
}

static unsigned mappings_now(void)
{
    unsigned count = 0;
    int byte;
    FILE *file = fopen("/proc/self/maps", "re");
    if (file == NULL)
        return 0;
    while ((byte = getc(file)) != EOF)
        count += byte == '\n';
    fclose(file);
    return count;
}

/* The first who asks reads it; of two at once the second's reading is dropped. */
static void mappings_read(void)
{
    int64_t unknown = MAPPINGS_UNKNOWN;
    int64_t left = (int64_t)mappings_max() - mappings_now() - MAPPINGS_FOR_OTHERS;
    atomic_compare_exchange_strong(&mappings_left, &unknown, left);
}

static int guard_refuse(struct leat_error *error)
{
    unsigned count = mappings_max();
    return leat_fail(error, -EAGAIN,
                     "no stack for another task: its guard needs mappings, and of the %u that the "
                     "system allows the process too few are left; sysctl vm.max_map_count=%u "
                     "allows more (Linux 6.13 needs none for guards)",
                     count, count * 4);
}

static int guard_protect(char *guard, struct leat_error *error)
{
    if (atomic_load(&mappings_left) == MAPPINGS_UNKNOWN)
        mappings_read();
    if (atomic_fetch_sub(&mappings_left, MAPPINGS_PER_GUARD) < MAPPINGS_PER_GUARD) {
        stack_guard_return(MAPPINGS_PER_GUARD);
        return guard_refuse(error);
    }
    if (mprotect(guard, LEAT_TASK_GUARD_BYTES, PROT_NONE) != 0) {
        stack_guard_return(MAPPINGS_PER_GUARD);
        return guard_refuse(error);
    }
    return MAPPINGS_PER_GUARD;
}

/* It fails with EINVAL before 6.13, and where memory is locked (mlockall). */
int stack_guard_make(char *low, bool is_old, struct leat_error *error)
{
    char *guard = low - LEAT_TASK_GUARD_BYTES;
    if (!is_old && madvise(guard, LEAT_TASK_GUARD_BYTES, MADV_GUARD_INSTALL) == 0)
        return 0;
    return guard_protect(guard, error);
}

void stack_guard_return(uint32_t mapped_count)
{
    atomic_fetch_add(&mappings_left, mapped_count);
}

void stack_guard_pretend(uint32_t left)
{
    atomic_store(&mappings_left, left == UINT32_MAX ? MAPPINGS_UNKNOWN : (int64_t)left);
}
