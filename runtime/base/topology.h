/* Which CPUs this process may use, in the order in which loops should take them, and pinning.
 *
 * Usable is what the affinity mask, the cpuset of the cgroup and hwloc agree on; a CPU quota of the
 * cgroup (v1 and v2) says how many loops make sense. One logical CPU of each physical core comes
 * before any second one; NUMA nodes are filled one after the other, the one with most usable cores
 * first. Where hwloc or /sys cannot say, each logical CPU counts as a core of node 0.
 *
 * hwloc's own topology is freed before leat_topology_read returns: it is needed once. Set-up code:
 * any thread, no core. Internal: not installed. */
#ifndef LEAT_TOPOLOGY_H
#define LEAT_TOPOLOGY_H

#include "runtime/base/core.h"

#define LEAT_CPUS_MAX 8192 /* the highest CPU number that is understood, plus one */

struct cpu_mask {
    uint64_t words[LEAT_CPUS_MAX / 64];
};

struct leat_cpu {
    uint32_t number; /* as the operating system counts */
    uint32_t numa_node;
    uint32_t core;   /* physical core, unique in the machine */
    bool is_sibling; /* another usable CPU of the same physical core stands before it */
};

struct leat_topology {
    struct leat_cpu cpus[LEAT_CORES_MAX]; /* in order of preference */
    uint32_t cpus_count;
    uint32_t cores_count; /* physical ones among them */
    uint32_t nodes_count; /* NUMA nodes among them */
    uint64_t quota_milli; /* thousandths of a CPU; 0: none, or not below cpus_count */
};

/* What to read from; zero is the machine itself. Tests say something else. */
struct leat_topology_source {
    const char *synthetic; /* hwloc's synthetic description */
    const char *allowed;   /* CPU list instead of the affinity mask */
    const char *root;      /* before "/sys/fs/cgroup" and "/proc/self" [""] */
    bool is_hwloc_off;     /* as if hwloc could not say anything */
};

/* Returns 0, or -errno with a sentence. */
int leat_topology_read(struct leat_topology *topology, const struct leat_topology_source *source,
                       struct leat_error *error) LEAT_MUST_CHECK;

/* Picks the CPUs for loops: spec NULL: every usable one within the quota; "3": the first three;
 * "0,2-5" or "4,": these, by number; "0,1,0,1": one named twice gets two loops. Writes at most
 * LEAT_CORES_MAX to cpus and returns how many, or -EINVAL with a sentence. *is_quota_cut tells that
 * the quota made it fewer, or is exceeded. */
int leat_topology_choose(const struct leat_topology *topology, const char *spec,
                         struct leat_cpu cpus[LEAT_CORES_MAX], bool *is_quota_cut,
                         struct leat_error *error) LEAT_MUST_CHECK;

/* Usable CPU numbers as "0,2-5", cut at size. Returns text. */
char *leat_topology_list(const struct leat_topology *topology, char *text, size_t size);

/* Pins the calling thread, and asks for memory on the CPU's node where there are several. Returns 0
 * or -errno of the pinning; a refused memory policy is no failure (*is_memory_refused tells). */
int leat_topology_pin(const struct leat_topology *topology, const struct leat_cpu *cpu,
                      bool *is_memory_refused);

/* Where threads that are no loops run (placement.c). loops holds the CPUs that loops are pinned to:
 * adds the calling thread's, if it is pinned to one alone. Returns whether it is. */
bool leat_topology_note_pinned(struct cpu_mask *loops);
/* The CPUs of this process's first thread that are not in loops; all of them where none would be
 * left. Returns how many are free of loops. */
uint32_t leat_topology_spare(const struct cpu_mask *loops, struct cpu_mask *spare);
/* The calling thread runs on these from now on. A refusal leaves it where it is: no failure. */
void leat_topology_settle(const struct cpu_mask *cpus);

/* The quota that applies to this process by its cgroup files, in thousandths of a CPU; 0: none. */
uint64_t leat_cgroup_quota_milli(const char *root);
/* Bytes of memory that this process may use: the machine's, or the least limit of its cgroups and
 * of those that these are in. */
uint64_t leat_memory_bytes(const char *root);

#endif
