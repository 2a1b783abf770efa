/* What every program needs of a machine: cores, sockets, memory, limits. */
#include "apps/doctor/machine.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define OPEN_FILES_WANTED  65536
#define BACKLOG_WANTED     4096
#define LOCKED_BYTES_ASKED (UINT64_C(64) << 20) /* io_uring: its rings, and what is lent to it */

struct finding check_kernel(const struct machine *machine)
{
    return machine->kernel[0] != '\0' ? finding_ok("%s", machine->kernel) : (struct finding){0};
}

/* What Leat goes without where a container or a chroot has left them out. */
struct finding check_proc(const struct machine *machine)
{
    if (machine_has(machine, "/proc/self"))
        return finding_ok("/proc is mounted");
    return finding_note("sudo mount -t proc proc /proc (in a container: start it with one)",
                        "/proc is not mounted: a CPU quota is not heeded");
}

struct finding check_sys(const struct machine *machine)
{
    if (machine_has(machine, "/sys/kernel"))
        return finding_ok("/sys is mounted");
    return finding_note("sudo mount -t sysfs sysfs /sys (in a container: start it with one)",
                        "/sys is not mounted: quotas, NUMA nodes and sibling CPUs are not seen");
}

struct finding check_cores(const struct machine *machine)
{
    const struct leat_topology *topology = &machine->topology;
    char list[128];
    if (machine->topology_error.code != 0)
        return finding_fail(NULL, "%s", machine->topology_error.sentence);
    return finding_ok("%u usable (CPUs %s), %u physical, %u NUMA node%s", topology->cpus_count,
                      leat_topology_list(topology, list, sizeof(list)), topology->cores_count,
                      topology->nodes_count, topology->nodes_count == 1 ? "" : "s");
}

struct finding check_quota(const struct machine *machine)
{
    const struct leat_topology *topology = &machine->topology;
    char mend[FINDING_MEND_BYTES_MAX];
    if (machine->topology_error.code != 0)
        return (struct finding){0};
    if (topology->quota_milli == 0)
        return finding_ok("none below the usable cores");
    snprintf(mend, sizeof(mend), "raise cpu.max of the cgroup (docker run --cpus %u)",
             topology->cpus_count);
    return finding_note(mend, "%" PRIu64 ".%03" PRIu64 " of %u CPUs: fewer loops are run",
                        topology->quota_milli / 1000, topology->quota_milli % 1000,
                        topology->cpus_count);
}

struct finding check_sockets(const struct machine *machine)
{
    return machine->listen == 0
               ? finding_ok("listening on 127.0.0.1 works")
               : finding_fail("sudo ip link set lo up", "cannot listen on 127.0.0.1 (%s)",
                              leat_errno_name(machine->listen));
}

struct finding check_ipv6(const struct machine *machine)
{
    return machine->ipv6 == 0
               ? finding_ok("available")
               : finding_note("sudo sysctl net.ipv6.conf.all.disable_ipv6=0, or boot without "
                              "ipv6.disable=1",
                              "not available: an address of [::] cannot be listened on");
}

struct finding check_backlog(const struct machine *machine)
{
    long long backlog = machine_number(machine, "/proc/sys/net/core/somaxconn");
    char mend[FINDING_MEND_BYTES_MAX];
    if (backlog < 0)
        return (struct finding){0};
    if (backlog >= BACKLOG_WANTED)
        return finding_ok("%lld connections may wait to be accepted", backlog);
    snprintf(mend, sizeof(mend), "sudo sysctl net.core.somaxconn=%d", BACKLOG_WANTED);
    return finding_note(mend, "%lld connections may wait to be accepted", backlog);
}

static const char *uring_mend(const struct machine *machine)
{
    switch (machine->uring) {
    case EPERM:
        return machine_number(machine, "/proc/sys/kernel/io_uring_disabled") > 0
                   ? "sudo sysctl kernel.io_uring_disabled=0"
                   : "allow io_uring_setup in the container's seccomp profile";
    case ENOSYS:
        return "run a kernel of 6.1 or later, outside of a sandbox that hides io_uring";
    case EINVAL:
        return "run a kernel of 6.1 or later";
    case ENOMEM:
        return "ulimit -l unlimited";
    default:
        return "see io_uring_setup(2)";
    }
}

struct finding check_uring(const struct machine *machine)
{
    if (!machine->is_uring_built)
        return finding_note("install liburing-dev and build again",
                            "not built in: connections go through epoll, files through threads");
    if (machine->uring == 0)
        return finding_ok("available");
    return finding_note(uring_mend(machine),
                        "refused by the kernel (%s): connections go through epoll, "
                        "files through threads",
                        leat_errno_name(machine->uring));
}

struct finding check_files(const struct machine *machine)
{
    char mend[FINDING_MEND_BYTES_MAX];
    if (machine->open_files_max >= OPEN_FILES_WANTED)
        return finding_ok("at most %" PRIu64, machine->open_files_max);
    snprintf(mend, sizeof(mend), "ulimit -n %d (or LimitNOFILE= of the service)",
             OPEN_FILES_WANTED);
    return finding_note(mend, "at most %" PRIu64 ", and so as many connections",
                        machine->open_files_max);
}

struct finding check_hugepages(const struct machine *machine)
{
    char thp[128];
    if (!machine_has(machine, "/sys/kernel/mm"))
        return finding_note(MACHINE_NO_SYS_MEND, MACHINE_NO_SYS);
    long long pages =
        machine_number(machine, "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
    if (pages > 0)
        return finding_ok("%lld of 2 MiB are free", pages);
    machine_line(machine, "/sys/kernel/mm/transparent_hugepage/enabled", thp, sizeof(thp));
    bool has_thp = thp[0] != '\0' && strstr(thp, "[never]") == NULL;
    return finding_note("sudo sysctl vm.nr_hugepages=64", "none are free: buffers use %s pages",
                        has_thp ? "transparent huge" : "plain");
}

struct finding check_locked_memory(const struct machine *machine)
{
    if (machine->is_root || machine->locked_bytes_max >= LOCKED_BYTES_ASKED)
        return finding_ok("enough");
    return finding_note("ulimit -l unlimited", "at most %" PRIu64 " KiB",
                        machine->locked_bytes_max / 1024);
}

/* Where a program leaves its counters for leat top and leat ss. */
struct finding check_counters(const struct machine *machine)
{
    if (machine->run_write == 0)
        return finding_ok("leat top and leat ss find programs by %s", machine->run_folder);
    return finding_note("set LEAT_RUN_DIR to a folder of yours, for the program and the tools",
                        "%s cannot be written (%s): leat top and leat ss do not see programs",
                        machine->run_folder, leat_errno_name(machine->run_write));
}
