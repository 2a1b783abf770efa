/* Where threads run that are no loops: on the CPUs of this process that no loop is pinned to, and
 * on all of them where none is left. */
#include "runtime/base/topology_internal.h"

#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static uint32_t mask_count(const struct cpu_mask *mask)
{
    uint32_t count = 0;
    for (size_t i = 0; i < LEAT_CPUS_MAX / 64; i++)
        count += (uint32_t)__builtin_popcountll(mask->words[i]);
    return count;
}

/* The system call itself, for glibc's wrapper cuts the mask. */
static bool mask_of_thread(pid_t thread, struct cpu_mask *mask)
{
    memset(mask, 0, sizeof(*mask));
    return syscall(SYS_sched_getaffinity, thread, sizeof(*mask), mask) > 0;
}

bool leat_topology_note_pinned(struct cpu_mask *loops)
{
    struct cpu_mask own;
    if (!mask_of_thread(0, &own) || mask_count(&own) != 1)
        return false;
    for (size_t i = 0; i < LEAT_CPUS_MAX / 64; i++)
        loops->words[i] |= own.words[i];
    return true;
}

uint32_t leat_topology_spare(const struct cpu_mask *loops, struct cpu_mask *spare)
{
    struct cpu_mask all;
    if (!mask_of_thread(getpid(), &all) && !mask_of_thread(0, &all))
        return 0;
    for (size_t i = 0; i < LEAT_CPUS_MAX / 64; i++)
        spare->words[i] = all.words[i] & ~loops->words[i];
    uint32_t count = mask_count(spare);
    if (count == 0)
        *spare = all;
    return count;
}

void leat_topology_settle(const struct cpu_mask *cpus)
{
    if (mask_count(cpus) > 0)
        (void)syscall(SYS_sched_setaffinity, 0, sizeof(*cpus), cpus);
}
