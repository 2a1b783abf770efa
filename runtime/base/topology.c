/* The CPUs that may be used, by hwloc, and which of them loops get. */
#include "runtime/base/topology_internal.h"

#include <errno.h>
#include <hwloc.h>
#include <linux/mempolicy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int cpu_list_count(const char *text, struct cpu_mask *mask, uint16_t counts[LEAT_CPUS_MAX])
{
    memset(mask, 0, sizeof(*mask));
    memset(counts, 0, LEAT_CPUS_MAX * sizeof(counts[0]));
    for (const char *at = text; *at != '\0';) {
        char *end;
        if (*at < '0' || *at > '9')
            return -EINVAL;
        unsigned long first = strtoul(at, &end, 10), last = first;
        if (*end == '-') {
            at = end + 1;
            if (*at < '0' || *at > '9')
                return -EINVAL;
            last = strtoul(at, &end, 10);
        }
        if (last < first || (*end != '\0' && *end != ','))
            return -EINVAL;
        if (last >= LEAT_CPUS_MAX)
            return -ERANGE;
        for (uint32_t cpu = (uint32_t)first; cpu <= last; cpu++) {
            cpu_mask_set(mask, cpu);
            counts[cpu]++;
        }
        at = *end == ',' ? end + 1 : end;
    }
    return text[0] != '\0' ? 0 : -EINVAL;
}

int cpu_list_parse(const char *text, struct cpu_mask *mask)
{
    uint16_t counts[LEAT_CPUS_MAX];
    return cpu_list_count(text, mask, counts);
}

static int mask_read(struct cpu_mask *mask, const struct leat_topology_source *source,
                     struct leat_error *error)
{
    const char *root = source->root != NULL ? source->root : "";
    if (source->allowed != NULL) {
        if (cpu_list_parse(source->allowed, mask) < 0)
            return leat_fail(error, -EINVAL, "\"%s\" is no CPU list", source->allowed);
    } else {
        memset(mask, 0, sizeof(*mask));
        /* The system call says how many bytes the kernel has; glibc's wrapper hides that. */
        if (syscall(SYS_sched_getaffinity, 0, sizeof(*mask), mask) < 0) {
            int code = -errno;
            return leat_fail(error, code, "cannot read the CPU affinity of this process: %s",
                             strerror(-code));
        }
    }
    cgroup_cpuset_cut(root, mask);
    return 0;
}

/* Without these files hwloc can only count, and complains on standard error. */
static bool has_sysfs(void)
{
    return access("/sys/bus/cpu/devices/cpu0/topology", R_OK) == 0 ||
           access("/sys/devices/system/cpu/cpu0/topology", R_OK) == 0;
}

/* hwloc with what is needed here and no more; NULL when it cannot say anything. The binding of the
 * calling thread is left alone, and CPUs of others are seen, so that siblings are. */
static hwloc_topology_t hwloc_read(const struct leat_topology_source *source)
{
    hwloc_topology_t hw;
    if (source->is_hwloc_off || (source->synthetic == NULL && !has_sysfs()) ||
        hwloc_topology_init(&hw) < 0)
        return NULL;
    hwloc_topology_set_all_types_filter(hw, HWLOC_TYPE_FILTER_KEEP_NONE);
    hwloc_topology_set_type_filter(hw, HWLOC_OBJ_CORE, HWLOC_TYPE_FILTER_KEEP_ALL);
    /* NUMA nodes hang on these: without them each node would claim every CPU. */
    hwloc_topology_set_type_filter(hw, HWLOC_OBJ_PACKAGE, HWLOC_TYPE_FILTER_KEEP_STRUCTURE);
    hwloc_topology_set_type_filter(hw, HWLOC_OBJ_GROUP, HWLOC_TYPE_FILTER_KEEP_STRUCTURE);
    unsigned long flags = HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED;
#if HWLOC_API_VERSION >= 0x00020500
    flags |= HWLOC_TOPOLOGY_FLAG_DONT_CHANGE_BINDING;
#endif
    hwloc_topology_set_flags(hw, flags);
    if ((source->synthetic != NULL && hwloc_topology_set_synthetic(hw, source->synthetic) < 0) ||
        hwloc_topology_load(hw) < 0) {
        hwloc_topology_destroy(hw);
        return NULL;
    }
    return hw;
}

static uint32_t core_of(hwloc_topology_t hw, hwloc_obj_t pu)
{
    hwloc_obj_t core = hwloc_get_ancestor_obj_by_type(hw, HWLOC_OBJ_CORE, pu);
    return core != NULL ? core->logical_index : pu->logical_index;
}

static uint32_t node_of(hwloc_topology_t hw, hwloc_obj_t pu)
{
    hwloc_obj_t node = NULL;
    while ((node = hwloc_get_next_obj_by_type(hw, HWLOC_OBJ_NUMANODE, node)) != NULL)
        if (node->cpuset != NULL && hwloc_bitmap_isset(node->cpuset, pu->os_index))
            return node->os_index;
    return 0;
}

static void cpu_add(struct leat_topology *topology, const struct leat_cpu *cpu)
{
    if (topology->cpus_count < LEAT_CORES_MAX)
        topology->cpus[topology->cpus_count++] = *cpu;
}

/* Adds the CPUs of mask: as hwloc sees them, then those it does not know, each a core by itself. */
static void cpus_collect(struct leat_topology *topology, hwloc_topology_t hw, struct cpu_mask *mask)
{
    uint32_t core_next = 0;
    hwloc_obj_t pu = NULL;
    while (hw != NULL && (pu = hwloc_get_next_obj_by_type(hw, HWLOC_OBJ_PU, pu)) != NULL) {
        uint32_t core = core_of(hw, pu);
        core_next = core >= core_next ? core + 1 : core_next;
        if (!cpu_mask_has(mask, pu->os_index))
            continue;
        cpu_mask_clear(mask, pu->os_index);
        struct leat_cpu cpu = {.number = pu->os_index, .numa_node = node_of(hw, pu), .core = core};
        /* hwloc gives the CPUs of a core one after the other. */
        for (uint32_t i = topology->cpus_count; i > 0 && topology->cpus[i - 1].core == core; i--)
            cpu.is_sibling = true;
        cpu_add(topology, &cpu);
    }
    for (uint32_t number = 0; number < LEAT_CPUS_MAX; number++)
        if (cpu_mask_has(mask, number))
            cpu_add(topology, &(struct leat_cpu){.number = number, .core = core_next++});
}

static uint32_t node_cores_count(const struct leat_topology *topology, uint32_t node)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < topology->cpus_count; i++)
        count += topology->cpus[i].numa_node == node && !topology->cpus[i].is_sibling;
    return count;
}

static int cpu_compare(const void *left, const void *right, void *arg)
{
    const struct leat_cpu *a = left, *b = right;
    if (a->is_sibling != b->is_sibling)
        return a->is_sibling ? 1 : -1;
    if (a->numa_node != b->numa_node) {
        uint32_t count_a = node_cores_count(arg, a->numa_node);
        uint32_t count_b = node_cores_count(arg, b->numa_node);
        if (count_a != count_b)
            return count_a > count_b ? -1 : 1;
        return a->numa_node < b->numa_node ? -1 : 1;
    }
    return a->number < b->number ? -1 : a->number > b->number;
}

static int cpus_order(struct leat_topology *topology)
{
    struct leat_topology *before = malloc(sizeof(*before));
    if (before == NULL)
        return -ENOMEM;
    *before = *topology;
    qsort_r(topology->cpus, topology->cpus_count, sizeof(topology->cpus[0]), cpu_compare, before);
    free(before);
    for (uint32_t i = 0; i < topology->cpus_count; i++) {
        const struct leat_cpu *cpu = &topology->cpus[i];
        bool is_new_node = true;
        topology->cores_count += !cpu->is_sibling;
        for (uint32_t k = 0; k < i && is_new_node; k++)
            is_new_node = topology->cpus[k].numa_node != cpu->numa_node;
        topology->nodes_count += is_new_node;
    }
    return 0;
}

int leat_topology_read(struct leat_topology *topology, const struct leat_topology_source *source,
                       struct leat_error *error)
{
    static const struct leat_topology_source machine;
    if (source == NULL)
        source = &machine;
    memset(topology, 0, sizeof(*topology));
    struct cpu_mask mask;
    int result = mask_read(&mask, source, error);
    if (result < 0)
        return result;
    hwloc_topology_t hw = hwloc_read(source);
    cpus_collect(topology, hw, &mask);
    if (hw != NULL)
        hwloc_topology_destroy(hw);
    if (topology->cpus_count == 0) {
        return leat_fail(error, -ENODEV,
                         "this process may use no CPU: widen its affinity mask "
                         "(taskset) or the cpuset of its cgroup");
    }
    if (cpus_order(topology) < 0)
        return leat_fail(error, -ENOMEM, "cannot order the CPUs: out of memory");
    uint64_t quota = leat_cgroup_quota_milli(source->root != NULL ? source->root : "");
    topology->quota_milli = quota < UINT64_C(1000) * topology->cpus_count ? quota : 0;
    return 0;
}

char *leat_topology_list(const struct leat_topology *topology, char *text, size_t size)
{
    struct cpu_mask mask = {0};
    for (uint32_t i = 0; i < topology->cpus_count; i++)
        cpu_mask_set(&mask, topology->cpus[i].number);
    size_t used = 0;
    text[0] = '\0';
    for (uint32_t cpu = 0; cpu < LEAT_CPUS_MAX && used < size; cpu++) {
        uint32_t last = cpu;
        if (!cpu_mask_has(&mask, cpu))
            continue;
        while (cpu_mask_has(&mask, last + 1))
            last++;
        const char *comma = used > 0 ? "," : "";
        int n = last > cpu ? snprintf(text + used, size - used, "%s%u-%u", comma, cpu, last)
                           : snprintf(text + used, size - used, "%s%u", comma, cpu);
        used += n > 0 ? (size_t)n : 0;
        cpu = last;
    }
    return text;
}

static int choose_first(const struct leat_topology *topology, const char *spec, uint32_t most,
                        struct leat_error *error)
{
    unsigned long count = 0;
    char list[128];
    if (spec != NULL)
        count = strtoul(spec, NULL, 10);
    if (spec != NULL && count == 0)
        return leat_fail(error, -EINVAL, "--cores 0 leaves nothing to run on: give at least 1");
    if (count > topology->cpus_count) {
        return leat_fail(error, -EINVAL,
                         "--cores %s is more than this process may use: give at most %u (CPUs %s), "
                         "or widen its affinity mask or cpuset",
                         spec, topology->cpus_count,
                         leat_topology_list(topology, list, sizeof(list)));
    }
    return (int)(spec != NULL ? (uint32_t)count : most);
}

static int choose_list(const struct leat_topology *topology, const char *spec,
                       struct leat_cpu cpus[LEAT_CORES_MAX], struct leat_error *error)
{
    struct cpu_mask mask;
    uint16_t counts[LEAT_CPUS_MAX];
    char list[128];
    int result = cpu_list_count(spec, &mask, counts), count = 0;
    if (result == -EINVAL) {
        return leat_fail(error, -EINVAL,
                         "--cores takes a number (4) or a list of CPUs (0,2-5), not \"%s\"", spec);
    }
    if (result == -ERANGE) {
        return leat_fail(error, -EINVAL,
                         "--cores %s: this machine has no such CPU: choose among %s", spec,
                         leat_topology_list(topology, list, sizeof(list)));
    }
    /* Each once, then again those that are named again. */
    for (int before = -1; before != count && count <= LEAT_CORES_MAX;) {
        before = count;
        for (uint32_t i = 0; i < topology->cpus_count && count < LEAT_CORES_MAX; i++) {
            uint32_t number = topology->cpus[i].number;
            cpu_mask_clear(&mask, number);
            if (counts[number] > 0) {
                counts[number]--;
                cpus[count++] = topology->cpus[i];
            }
        }
    }
    for (uint32_t cpu = 0; cpu < LEAT_CPUS_MAX; cpu++) {
        if (cpu_mask_has(&mask, cpu)) {
            return leat_fail(error, -EINVAL,
                             "--cores %s: this process may not use CPU %u: choose among %s", spec,
                             cpu, leat_topology_list(topology, list, sizeof(list)));
        }
    }
    return count;
}

int leat_topology_choose(const struct leat_topology *topology, const char *spec,
                         struct leat_cpu cpus[LEAT_CORES_MAX], bool *is_quota_cut,
                         struct leat_error *error)
{
    /* A loop that is throttled within a period stalls its clients, so a broken CPU is left unused.
     */
    uint32_t by_quota = topology->cpus_count;
    if (topology->quota_milli != 0)
        by_quota = topology->quota_milli < 1000 ? 1 : (uint32_t)(topology->quota_milli / 1000);
    int count;
    size_t length = spec != NULL ? strlen(spec) : 0;
    if (spec == NULL || (length > 0 && strspn(spec, "0123456789") == length)) {
        count = choose_first(topology, spec, by_quota, error);
        memcpy(cpus, topology->cpus, (size_t)(count > 0 ? count : 0) * sizeof(cpus[0]));
    } else {
        count = choose_list(topology, spec, cpus, error);
    }
    *is_quota_cut = count > 0 && by_quota < topology->cpus_count &&
                    (spec == NULL || (uint32_t)count > by_quota);
    return count;
}

int leat_topology_pin(const struct leat_topology *topology, const struct leat_cpu *cpu,
                      bool *is_memory_refused)
{
    struct cpu_mask mask = {0};
    cpu_mask_set(&mask, cpu->number);
    *is_memory_refused = false;
    if (syscall(SYS_sched_setaffinity, 0, sizeof(mask), &mask) < 0)
        return -errno;
    if (topology->nodes_count > 1 && cpu->numa_node < 1024) {
        unsigned long nodes[1024 / (8 * sizeof(unsigned long))] = {0};
        nodes[cpu->numa_node / (8 * sizeof(nodes[0]))] |=
            1UL << (cpu->numa_node % (8 * sizeof(nodes[0])));
        *is_memory_refused = syscall(SYS_set_mempolicy, MPOL_PREFERRED, nodes, 1024) < 0;
    }
    return 0;
}
