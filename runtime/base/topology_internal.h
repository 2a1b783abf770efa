/* CPU masks, shared by topology.c and cgroup.c. */
#ifndef LEAT_TOPOLOGY_INTERNAL_H
#define LEAT_TOPOLOGY_INTERNAL_H

#include "runtime/base/topology.h"

static inline bool cpu_mask_has(const struct cpu_mask *mask, uint32_t cpu)
{
    return cpu < LEAT_CPUS_MAX && (mask->words[cpu / 64] >> (cpu % 64) & 1) != 0;
}

static inline void cpu_mask_set(struct cpu_mask *mask, uint32_t cpu)
{
    mask->words[cpu / 64] |= UINT64_C(1) << (cpu % 64);
}

static inline void cpu_mask_clear(struct cpu_mask *mask, uint32_t cpu)
{
    mask->words[cpu / 64] &= ~(UINT64_C(1) << (cpu % 64));
}

static inline void cpu_mask_and(struct cpu_mask *mask, const struct cpu_mask *other)
{
    for (size_t i = 0; i < LEAT_CPUS_MAX / 64; i++)
        mask->words[i] &= other->words[i];
}

static inline bool cpu_mask_overlaps(const struct cpu_mask *a, const struct cpu_mask *b)
{
    for (size_t i = 0; i < LEAT_CPUS_MAX / 64; i++)
        if ((a->words[i] & b->words[i]) != 0)
            return true;
    return false;
}

/* "0,2-5" and "4,": 0, -EINVAL when it is no such list, -ERANGE for a CPU past LEAT_CPUS_MAX,
 */
int cpu_list_parse(const char *text, struct cpu_mask *mask);
/* The same, and how often each CPU stands there. */
int cpu_list_count(const char *text, struct cpu_mask *mask, uint16_t counts[LEAT_CPUS_MAX]);

/* Removes from mask what the cpuset of this process's cgroup excludes. */
void cgroup_cpuset_cut(const char *root, struct cpu_mask *mask);

#endif
