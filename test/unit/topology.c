/* Which CPUs are used, on machines that are not here: hwloc's synthetic topologies, cgroup files in
 * a folder. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/topology_internal.h"

static struct leat_topology topology;
static struct leat_cpu cpus[LEAT_CORES_MAX];
static struct leat_error error;
static char text[4096];

/* The order as "0 4 1 5"; CPUs that share their core with one before are in brackets. */
static const char *order(const struct leat_topology_source *source)
{
    memset(&error, 0, sizeof(error));
    if (leat_topology_read(&topology, source, &error) < 0)
        return error.sentence;
    size_t used = 0;
    for (uint32_t i = 0; i < topology.cpus_count; i++) {
        const struct leat_cpu *cpu = &topology.cpus[i];
        used +=
            (size_t)snprintf(text + used, sizeof(text) - used, cpu->is_sibling ? "%s(%u)" : "%s%u",
                             i > 0 ? " " : "", cpu->number);
    }
    return text;
}

/* Nothing of this machine's cgroup must play a part. */
#define NOWHERE "/nonexistent"

static void prefers_physical_cores(void **state)
{
    struct leat_topology_source source = {"pack:1 core:4 pu:2", "0-7", NOWHERE, false};
    assert_string_equal(order(&source), "0 2 4 6 (1) (3) (5) (7)");
    assert_int_equal(topology.cores_count, 4);
    assert_int_equal(topology.nodes_count, 1);
}

static void counts_a_lone_sibling_as_a_core(void **state)
{
    struct leat_topology_source source = {"pack:1 core:4 pu:2", "1,2,3,7", NOWHERE, false};
    assert_string_equal(order(&source), "1 2 7 (3)");
    assert_int_equal(topology.cores_count, 3);
}

static void fills_one_node_after_the_other(void **state)
{
    struct leat_topology_source source = {"numa:2 core:2 pu:2", "0-7", NOWHERE, false};
    assert_string_equal(order(&source), "0 2 4 6 (1) (3) (5) (7)");
    assert_int_equal(topology.nodes_count, 2);
    assert_int_equal(topology.cpus[1].numa_node, 0);
    assert_int_equal(topology.cpus[2].numa_node, 1);
    source.allowed = "0,4-7"; /* node 1 has more cores to give */
    assert_string_equal(order(&source), "4 6 0 (5) (7)");
}

static void works_on_one_cpu(void **state)
{
    struct leat_topology_source source = {"pack:1 core:1 pu:1", "0", NOWHERE, false};
    assert_string_equal(order(&source), "0");
    bool is_cut;
    assert_int_equal(leat_topology_choose(&topology, NULL, cpus, &is_cut, &error), 1);
    assert_false(is_cut);
}

static void works_when_hwloc_knows_less(void **state)
{
    struct leat_topology_source off = {NULL, "3,5,64", NOWHERE, true};
    assert_string_equal(order(&off), "3 5 64");
    assert_int_equal(topology.cores_count, 3);
    struct leat_topology_source few = {"pack:1 core:2 pu:1", "0-3", NOWHERE, false};
    assert_string_equal(order(&few), "0 1 2 3");
    assert_int_equal(topology.cores_count, 4);
    struct leat_topology_source broken = {"no such thing", "0-1", NOWHERE, false};
    assert_string_equal(order(&broken), "0 1");
}

static void reads_this_machine(void **state)
{
    assert_int_equal(leat_topology_read(&topology, NULL, &error), 0);
    cpu_set_t set;
    assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
    assert_in_range(topology.cpus_count, 1, (unsigned)CPU_COUNT(&set));
    assert_true(CPU_ISSET(topology.cpus[0].number, &set));
}

static void *pin_here(void *arg)
{
    bool is_refused;
    cpu_set_t set;
    const struct leat_cpu *cpu = &topology.cpus[topology.cpus_count - 1];
    assert_int_equal(leat_topology_pin(&topology, cpu, &is_refused), 0);
    assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
    assert_int_equal(CPU_COUNT(&set), 1);
    assert_true(CPU_ISSET(cpu->number, &set));
    struct leat_cpu absent = {.number = LEAT_CPUS_MAX - 1};
    assert_int_equal(leat_topology_pin(&topology, &absent, &is_refused), -EINVAL);
    return arg;
}

static void pins_a_thread(void **state)
{
    pthread_t thread;
    assert_int_equal(leat_topology_read(&topology, NULL, &error), 0);
    assert_int_equal(pthread_create(&thread, NULL, pin_here, NULL), 0);
    pthread_join(thread, NULL);
}

static const char *chosen(const char *spec)
{
    bool is_cut;
    int count = leat_topology_choose(&topology, spec, cpus, &is_cut, &error);
    if (count < 0)
        return error.sentence;
    size_t used = 0;
    text[0] = '\0';
    for (int i = 0; i < count; i++) {
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%u", i > 0 ? " " : "",
                                 cpus[i].number);
    }
    return text;
}

static void chooses_by_number_and_by_list(void **state)
{
    struct leat_topology_source source = {"pack:1 core:4 pu:2", "0-5,7", NOWHERE, false};
    order(&source);
    assert_string_equal(chosen(NULL), "0 2 4 7 1 3 5");
    assert_string_equal(chosen("3"), "0 2 4");
    assert_string_equal(chosen("3,"), "3");
    assert_string_equal(chosen("1-3,7"), "2 7 1 3");
    assert_string_equal(chosen("0"), "--cores 0 leaves nothing to run on: give at least 1");
    assert_string_equal(chosen("8"),
                        "--cores 8 is more than this process may use: give at most 7 (CPUs "
                        "0-5,7), or widen its affinity mask or cpuset");
    assert_string_equal(chosen("5,6"), "--cores 5,6: this process may not use CPU 6: choose among "
                                       "0-5,7");
    assert_string_equal(chosen("0,99999"),
                        "--cores 0,99999: this machine has no such CPU: choose among 0-5,7");
    assert_string_equal(chosen("1,0-2"), "0 2 1 1");
    assert_string_equal(chosen("0,1,0,1,0"), "0 1 0 1 0");
    assert_string_equal(chosen("0,0,6"),
                        "--cores 0,0,6: this process may not use CPU 6: choose among 0-5,7");
    static const char *const broken[] = {"", "x", "-1", "1-", "3-1", "1,,2", "1 2", "0x3", ","};
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        char said[128];
        snprintf(said, sizeof(said),
                 "--cores takes a number (4) or a list of CPUs (0,2-5), not \"%s\"", broken[i]);
        assert_string_equal(chosen(broken[i]), said);
    }
}

/* A folder with the cgroup files that the tests write. */
static char root[64];

static void put(const char *path, const char *line)
{
    char full[512];
    snprintf(full, sizeof(full), "%s%s", root, path);
    for (char *slash = strchr(full + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(full, 0755);
        *slash = '/';
    }
    FILE *file = fopen(full, "w");
    assert_non_null(file);
    fprintf(file, "%s\n", line);
    fclose(file);
}

static int root_new(void **state)
{
    snprintf(root, sizeof(root), "/tmp/leat-topology-XXXXXX");
    return mkdtemp(root) != NULL ? 0 : -1;
}

static int root_free(void **state)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", root);
    return system(command);
}

static void heeds_quota_and_cpuset_of_v2(void **state)
{
    put("/proc/self/cgroup", "0::/a/b");
    put("/sys/fs/cgroup/a/cpu.max", "250000 100000");
    put("/sys/fs/cgroup/a/b/cpu.max", "max 100000");
    put("/sys/fs/cgroup/a/b/cpuset.cpus.effective", "0-5");
    assert_int_equal(leat_cgroup_quota_milli(root), 2500);
    struct leat_topology_source source = {"pack:1 core:8 pu:1", "1-7", root, false};
    assert_string_equal(order(&source), "1 2 3 4 5");
    bool is_cut;
    assert_int_equal(leat_topology_choose(&topology, NULL, cpus, &is_cut, &error), 2);
    assert_true(is_cut);
    assert_int_equal(leat_topology_choose(&topology, "2", cpus, &is_cut, &error), 2);
    assert_false(is_cut);
    assert_int_equal(leat_topology_choose(&topology, "3", cpus, &is_cut, &error), 3);
    assert_true(is_cut);
    put("/sys/fs/cgroup/a/b/cpu.max", "50000 100000"); /* half a CPU still needs one loop */
    order(&source);
    assert_int_equal(leat_topology_choose(&topology, NULL, cpus, &is_cut, &error), 1);
    put("/sys/fs/cgroup/a/b/cpu.max", "800000 100000"); /* the parent's binds */
    assert_int_equal(leat_cgroup_quota_milli(root), 2500);
    put("/sys/fs/cgroup/a/b/cpuset.cpus.effective", "100"); /* would leave nothing: not believed */
    assert_string_equal(order(&source), "1 2 3 4 5 6 7");
}

static void heeds_quota_and_cpuset_of_v1(void **state)
{
    put("/proc/self/cgroup", "3:cpuset:/\n2:cpu,cpuacct:/docker/x\n0::/");
    put("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1");
    put("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000");
    assert_int_equal(leat_cgroup_quota_milli(root), 0);
    put("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "300000"); /* the group's folder is not mounted */
    put("/sys/fs/cgroup/cpuset/cpuset.effective_cpus", "0-3");
    assert_int_equal(leat_cgroup_quota_milli(root), 3000);
    struct leat_topology_source source = {"pack:1 core:8 pu:1", "0-7", root, false};
    assert_string_equal(order(&source), "0 1 2 3");
}

static void ignores_a_quota_that_does_not_bind(void **state)
{
    put("/proc/self/cgroup", "0::/");
    put("/sys/fs/cgroup/cpu.max", "400000 100000");
    struct leat_topology_source source = {"pack:1 core:4 pu:1", "0-3", root, false};
    order(&source);
    assert_int_equal(topology.quota_milli, 0);
    put("/sys/fs/cgroup/cpu.max", "garbage");
    assert_int_equal(leat_cgroup_quota_milli(root), 0);
    assert_int_equal(leat_cgroup_quota_milli(NOWHERE), 0);
}

static void heeds_the_memory_of_v2(void **state)
{
    put("/proc/self/cgroup", "0::/a/b");
    uint64_t machine = leat_memory_bytes(NOWHERE);
    assert_true(machine > 1 << 20);
    put("/sys/fs/cgroup/a/b/memory.max", "max");
    assert_true(leat_memory_bytes(root) == machine);
    put("/sys/fs/cgroup/a/memory.max", "67108864"); /* the parent's binds */
    assert_int_equal(leat_memory_bytes(root), 64 << 20);
    put("/sys/fs/cgroup/a/b/memory.high", "33554432");
    assert_int_equal(leat_memory_bytes(root), 32 << 20);
    put("/sys/fs/cgroup/a/b/memory.max", "16777216");
    assert_int_equal(leat_memory_bytes(root), 16 << 20);
    put("/sys/fs/cgroup/a/b/memory.max", "garbage");
    assert_int_equal(leat_memory_bytes(root), 32 << 20);
}

static void heeds_the_memory_of_v1(void **state)
{
    put("/proc/self/cgroup", "4:memory:/docker/x\n0::/");
    put("/sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes", "9223372036854771712");
    assert_true(leat_memory_bytes(root) == leat_memory_bytes(NOWHERE));
    put("/sys/fs/cgroup/memory/docker/memory.limit_in_bytes", "67108864");
    assert_int_equal(leat_memory_bytes(root), 64 << 20);
    put("/sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes", "33554432");
    assert_int_equal(leat_memory_bytes(root), 32 << 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prefers_physical_cores),
        cmocka_unit_test(counts_a_lone_sibling_as_a_core),
        cmocka_unit_test(fills_one_node_after_the_other),
        cmocka_unit_test(works_on_one_cpu),
        cmocka_unit_test(works_when_hwloc_knows_less),
        cmocka_unit_test(reads_this_machine),
        cmocka_unit_test(pins_a_thread),
        cmocka_unit_test(chooses_by_number_and_by_list),
        cmocka_unit_test_setup_teardown(heeds_quota_and_cpuset_of_v2, root_new, root_free),
        cmocka_unit_test_setup_teardown(heeds_quota_and_cpuset_of_v1, root_new, root_free),
        cmocka_unit_test_setup_teardown(heeds_the_memory_of_v2, root_new, root_free),
        cmocka_unit_test_setup_teardown(heeds_the_memory_of_v1, root_new, root_free),
        cmocka_unit_test_setup_teardown(ignores_a_quota_that_does_not_bind, root_new, root_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
