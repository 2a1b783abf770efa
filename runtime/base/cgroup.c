/* Limits that a control group sets. */
#include "runtime/base/topology_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH_BYTES_MAX 4096

/* One line of a cgroup file; false when it is not there. */
static bool read_line(const char *path, char *line, int size)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    bool had_any = fgets(line, size, file) != NULL;
    fclose(file);
    if (had_any)
        line[strcspn(line, "\n")] = '\0';
    return had_any;
}

static bool read_in(const char *directory, const char *name, char *line, int size)
{
    char path[PATH_BYTES_MAX + 64];
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    return read_line(path, line, size);
}

static void quota_of(const char *directory, uint64_t *least_milli)
{
    char line[128];
    long long quota = -1, period = 0;
    if (read_in(directory, "cpu.max", line, sizeof(line))) {
        if (sscanf(line, "%lld %lld", &quota, &period) != 2)
            return; /* "max 100000" */
    } else if (read_in(directory, "cpu.cfs_quota_us", line, sizeof(line))) {
        quota = atoll(line);
        if (read_in(directory, "cpu.cfs_period_us", line, sizeof(line)))
            period = atoll(line);
    }
    if (quota <= 0 || period <= 0)
        return;
    uint64_t milli = (uint64_t)quota * 1000 / (uint64_t)period;
    if (*least_milli == 0 || milli < *least_milli)
        *least_milli = milli > 0 ? milli : 1;
}

/* Calls on each directory from group up to the top of the hierarchy at mount: a limit of a parent
 * binds its children. */
static void walk_up(const char *mount, const char *group,
                    void (*visit)(const char *directory, void *arg), void *arg)
{
    char path[PATH_BYTES_MAX];
    int n = snprintf(path, sizeof(path), "%s%s", mount, strcmp(group, "/") == 0 ? "" : group);
    if (n < 0 || (size_t)n >= sizeof(path))
        return;
    for (size_t top = strlen(mount);;) {
        visit(path, arg);
        char *slash = strrchr(path, '/');
        if (strlen(path) <= top || slash == NULL || (size_t)(slash - path) < top)
            return;
        *slash = '\0';
    }
}

/* Visits the groups of this process in the hierarchies that have controller (v1), and in the
 * unified one (v2): proc_pid_cgroup(5). In a container the path told may lie outside of what is
 * mounted; the walk then still ends at the mount, which is the container's own group. */
static void each_group(const char *root, const char *controller,
                       void (*visit)(const char *directory, void *arg), void *arg)
{
    char path[PATH_BYTES_MAX], line[PATH_BYTES_MAX], mount[PATH_BYTES_MAX];
    snprintf(path, sizeof(path), "%s/proc/self/cgroup", root);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        snprintf(mount, sizeof(mount), "%s/sys/fs/cgroup", root);
        visit(mount, arg);
        return;
    }
    while (fgets(line, sizeof(line), file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        char *names = strchr(line, ':');
        char *group = names != NULL ? strchr(names + 1, ':') : NULL;
        if (group == NULL)
            continue;
        *group++ = '\0';
        names++;
        if (names[0] == '\0') {
            snprintf(mount, sizeof(mount), "%s/sys/fs/cgroup", root);
            walk_up(mount, group, visit, arg);
            snprintf(mount, sizeof(mount), "%s/sys/fs/cgroup/unified", root);
            walk_up(mount, group, visit, arg);
            continue;
        }
        bool is_ours = false;
        char *rest = NULL;
        for (char *name = strtok_r(names, ",", &rest); name != NULL;
             name = strtok_r(NULL, ",", &rest))
            is_ours = is_ours || strcmp(name, controller) == 0;
        if (is_ours) {
            snprintf(mount, sizeof(mount), "%s/sys/fs/cgroup/%s", root, controller);
            walk_up(mount, group, visit, arg);
        }
    }
    fclose(file);
}

static void visit_quota(const char *directory, void *arg)
{
    quota_of(directory, arg);
}

uint64_t leat_cgroup_quota_milli(const char *root)
{
    uint64_t least_milli = 0;
    each_group(root, "cpu", visit_quota, &least_milli);
    return least_milli;
}

/* No limit is "max" in v2 and the largest number of whole pages in v1. Past memory.high a group is
 * slowed down until it hardly runs: that is as good as a limit. */
static void visit_memory(const char *directory, void *arg)
{
    static const char *const names[] = {"memory.max", "memory.high", "memory.limit_in_bytes"};
    uint64_t *least_bytes = arg;
    char line[128];
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (!read_in(directory, names[i], line, sizeof(line)) || line[0] < '0' || line[0] > '9')
            continue;
        uint64_t bytes = strtoull(line, NULL, 10);
        if (bytes < *least_bytes)
            *least_bytes = bytes;
    }
}

uint64_t leat_memory_bytes(const char *root)
{
    uint64_t bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    each_group(root, "memory", visit_memory, &bytes);
    return bytes;
}

static void visit_cpuset(const char *directory, void *arg)
{
    static const char *const names[] = {"cpuset.cpus.effective", "cpuset.effective_cpus"};
    struct cpu_mask *mask = arg, group;
    char line[PATH_BYTES_MAX];
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (read_in(directory, names[i], line, sizeof(line)) && cpu_list_parse(line, &group) == 0 &&
            cpu_mask_overlaps(mask, &group))
            cpu_mask_and(mask, &group);
}

void cgroup_cpuset_cut(const char *root, struct cpu_mask *mask)
{
    each_group(root, "cpuset", visit_cpuset, mask);
}
