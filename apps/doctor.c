/* `leat doctor`: what this machine offers, a line each, with the command that mends what is
 * missing. "ok" is as good as it gets, "note" works and could be better, "fail" keeps Leat from
 * serving. */
#include "apps/commands.h"

#include <leat/options.h>
#include <leat_config.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <glob.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "net/port/ports.h"
#include "runtime/base/topology.h"

#define OPEN_FILES_WANTED  65536
#define BACKLOG_WANTED     4096
#define LOCKED_BYTES_ASKED (UINT64_C(64) << 20) /* io_uring: its rings, and what is lent to it */

struct doctor {
    bool has_failed;
};

static void say(const char *mark, const char *what, const char *format, ...) LEAT_PRINTF(3, 4);
static void say(const char *mark, const char *what, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    printf("%-5s %-12s %s\n", mark, what, text);
}

/* The first number in a file, or -1. */
static long long number_in(const char *path)
{
    FILE *file = fopen(path, "re");
    long long number = -1;
    if (file != NULL) {
        if (fscanf(file, "%lld", &number) != 1)
            number = -1;
        fclose(file);
    }
    return number;
}

static void check_cores(struct doctor *doctor)
{
    struct leat_topology *topology = calloc(1, sizeof(*topology));
    struct leat_error error = {0};
    char list[128];
    if (topology == NULL || leat_topology_read(topology, NULL, &error) < 0) {
        doctor->has_failed = true;
        say("fail", "cores", "%s", topology != NULL ? error.sentence : "out of memory");
        free(topology);
        return;
    }
    say("ok", "cores", "%u usable (CPUs %s), %u physical, %u NUMA node%s", topology->cpus_count,
        leat_topology_list(topology, list, sizeof(list)), topology->cores_count,
        topology->nodes_count, topology->nodes_count == 1 ? "" : "s");
    if (topology->quota_milli != 0) {
        say("note", "cpu quota",
            "%llu.%03llu of %u CPUs: fewer loops are run; raise cpu.max of the cgroup "
            "(docker run --cpus %u)",
            (unsigned long long)topology->quota_milli / 1000,
            (unsigned long long)topology->quota_milli % 1000, topology->cpus_count,
            topology->cpus_count);
    } else {
        say("ok", "cpu quota", "none below the usable cores");
    }
    free(topology);
}

static const char *uring_remedy(int code)
{
    switch (code) {
    case EPERM:
        return number_in("/proc/sys/kernel/io_uring_disabled") > 0
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

/* Asks the kernel itself, for the features that the transport uses. */
static void check_uring(void)
{
#if LEAT_HAVE_URING
    struct io_uring_params params = {.flags =
                                         IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN};
    long fd = syscall(SYS_io_uring_setup, 8, &params);
    if (fd >= 0) {
        close((int)fd);
        say("ok", "io_uring", "available");
        return;
    }
    say("note", "io_uring", "refused by the kernel (%s): connections go through epoll; mend: %s",
        strerrorname_np(errno), uring_remedy(errno));
#else
    say("note", "io_uring",
        "not built in: connections go through epoll; mend: install "
        "liburing-dev and build again");
#endif
}

static void check_sockets(struct doctor *doctor)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(fd, 1) < 0) {
        doctor->has_failed = true;
        say("fail", "sockets", "cannot listen on 127.0.0.1 (%s); mend: ip link set lo up",
            strerrorname_np(errno));
    } else {
        say("ok", "sockets", "listening on 127.0.0.1 works");
    }
    if (fd >= 0)
        close(fd);
    fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    say(fd >= 0 ? "ok" : "note", "ipv6",
        fd >= 0 ? "available" : "not available: an address of [::] cannot be listened on");
    if (fd >= 0)
        close(fd);
    long long backlog = number_in("/proc/sys/net/core/somaxconn");
    if (backlog >= 0 && backlog < BACKLOG_WANTED) {
        say("note", "backlog",
            "%lld connections may wait to be accepted; mend: sudo sysctl net.core.somaxconn=%d",
            backlog, BACKLOG_WANTED);
    } else if (backlog >= 0) {
        say("ok", "backlog", "%lld connections may wait to be accepted", backlog);
    }
}

static void check_files(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    unsigned long long soft = limit.rlim_cur;
    if (limit.rlim_cur < OPEN_FILES_WANTED) {
        say("note", "open files",
            "at most %llu, and so as many connections; mend: ulimit -n %d (or LimitNOFILE= of "
            "the service)",
            soft, OPEN_FILES_WANTED);
    } else {
        say("ok", "open files", "at most %llu", soft);
    }
}

static void check_memory(void)
{
    struct rlimit limit;
    long long pages = number_in("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
    char thp[128] = "";
    FILE *file = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "re");
    if (file != NULL) {
        if (fgets(thp, sizeof(thp), file) == NULL)
            thp[0] = '\0';
        fclose(file);
    }
    bool has_thp = thp[0] != '\0' && strstr(thp, "[never]") == NULL;
    if (pages > 0) {
        say("ok", "hugepages", "%lld of 2 MiB are free", pages);
    } else {
        say("note", "hugepages",
            "none are free: buffers use %s pages; mend: sudo sysctl "
            "vm.nr_hugepages=64",
            has_thp ? "transparent huge" : "plain");
    }
    if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur < LOCKED_BYTES_ASKED &&
        geteuid() != 0) {
        say("note", "locked memory", "at most %llu KiB; mend: ulimit -l unlimited",
            (unsigned long long)limit.rlim_cur / 1024);
    } else {
        say("ok", "locked memory", "enough");
    }
}

/* ---- for Leat's own stack (--net) ---- */

static void check_tun(void)
{
    struct stat status;
    if (stat("/dev/net/tun", &status) < 0) {
        say("note", "tun",
            "there is no /dev/net/tun: --net tun:NAME does not work; mend: sudo modprobe tun");
        return;
    }
    bool may_make = geteuid() == 0;
    say(may_make ? "ok" : "note", "tun", "%s",
        may_make ? "--net tun:NAME works"
                 : "--net tun:NAME needs a device that root has made; mend: sudo ip tuntap add "
                   "NAME mode tap user $USER && sudo ip link set NAME up");
}

/* A driver of DPDK's lies beside the others; where there are none, DPDK may have all in one. */
static bool has_driver(const char *file)
{
    static const char *const folders[] = {"/usr/lib/*/dpdk/pmds-*/",
                                          "/usr/local/lib/*/dpdk/pmds-*/",
                                          "/usr/lib64/dpdk/pmds-*/"};
    bool has_folder = false, has_file = false;
    for (unsigned i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        char pattern[128];
        glob_t found;
        snprintf(pattern, sizeof(pattern), "%s%s*", folders[i], file);
        has_file = glob(pattern, 0, NULL, &found) == 0 || has_file;
        globfree(&found);
        has_folder = glob(folders[i], 0, NULL, &found) == 0 || has_folder;
        globfree(&found);
    }
    return has_file || !has_folder;
}

static bool may_open(int family)
{
    int fd = socket(family, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static const char *rights_for_frames(void)
{
    return may_open(AF_PACKET) ? NULL
                               : "needs rights for raw frames; mend: run as root, or sudo setcap "
                                 "cap_net_raw,cap_net_admin+ep PATH-OF-leat";
}

static const char *rights_for_xdp(void)
{
    if (rights_for_frames() != NULL)
        return rights_for_frames();
    return may_open(AF_XDP) || errno != EAFNOSUPPORT
               ? NULL
               : "the kernel has no AF_XDP; mend: run one with CONFIG_XDP_SOCKETS, or use packet:";
}

static const char *rights_for_tap(void)
{
    if (access("/dev/net/tun", F_OK) < 0)
        return "there is no /dev/net/tun; mend: sudo modprobe tun";
    return geteuid() == 0 ? NULL : "needs root; mend: use tun:NAME on a device that root has made";
}

static const char *rights_for_pci(void)
{
    if (number_in("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages") <= 0)
        return "needs hugepages; mend: sudo sysctl vm.nr_hugepages=256";
    if (access("/dev/vfio/vfio", F_OK) < 0)
        return "needs vfio, unless the card is NVIDIA's; mend: sudo modprobe vfio-pci";
    return geteuid() == 0 ? NULL : "needs root; mend: sudo";
}

static const char *nothing_missing(void)
{
    return NULL;
}

/* The kinds of --net that DPDK drives, each with what it lacks. */
static void check_dpdk(void)
{
    static const struct {
        const char *kind, *example, *driver, *package;
        const char *(*lacks)(void);
    } kinds[] = {
        {"memif", "memif:PATH", "librte_net_memif.so", "librte-net-memif23", nothing_missing},
        {"packet", "packet:IFACE", "librte_net_af_packet.so", "librte-net-af-packet23",
         rights_for_frames},
        {"xdp", "xdp:IFACE", "librte_net_af_xdp.so", "librte-net-af-xdp23", rights_for_xdp},
        {"tap", "tap:NAME", "librte_net_tap.so", "librte-net-tap23", rights_for_tap},
        {"pci", "pci:ADDR", NULL, NULL, rights_for_pci},
    };
    struct leat_error error = {0};
    if (dpdk_module_check(&error) < 0) {
        say("note", "dpdk", "%s", error.sentence);
        return;
    }
    say("ok", "dpdk", "installed");
    for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        const char *lack = kinds[i].lacks();
        if (kinds[i].driver != NULL && !has_driver(kinds[i].driver))
            say("note", kinds[i].kind, "--net %s lacks its driver; mend: sudo apt install %s",
                kinds[i].example, kinds[i].package);
        else if (lack != NULL)
            say("note", kinds[i].kind, "--net %s: %s", kinds[i].example, lack);
        else
            say("ok", kinds[i].kind, "--net %s can be opened", kinds[i].example);
    }
}

/* Groups appear when the kernel uses an IOMMU; cards are given away through vfio-pci. */
static void check_vfio(void)
{
    bool has_iommu = false;
    DIR *groups = opendir("/sys/kernel/iommu_groups");
    for (struct dirent *entry; groups != NULL && (entry = readdir(groups)) != NULL;)
        has_iommu = has_iommu || entry->d_name[0] != '.';
    if (groups != NULL)
        closedir(groups);
    if (access("/dev/vfio/vfio", F_OK) < 0)
        say("note", "vfio", "not loaded, needed for --net pci:ADDR; mend: sudo modprobe vfio-pci");
    else
        say("ok", "vfio", "loaded");
    if (has_iommu) {
        say("ok", "iommu", "in use by the kernel");
    } else {
        say("note", "iommu",
            "not in use, needed for --net pci:ADDR with vfio; mend: boot with intel_iommu=on or "
            "amd_iommu=on (in a virtual machine: its host has to offer one)");
    }
}

int doctor_main(int argc, char **argv)
{
    struct leat_command_line line = {
        .name = "leat doctor",
        .summary = "Tells what this machine offers Leat, and the command that mends what is "
                   "missing.\nExit code 0 when serving over plain sockets works.",
    };
    int code = leat_command_line_answer(&line, argc, argv);
    if (code >= 0)
        return code;
    struct doctor doctor = {false};
    struct utsname name;
    if (uname(&name) == 0)
        say("ok", "kernel", "%s %s on %s", name.sysname, name.release, name.machine);
    check_cores(&doctor);
    check_sockets(&doctor);
    check_uring();
    check_files();
    check_memory();
    check_tun();
    check_dpdk();
    check_vfio();
    printf("%s\n", doctor.has_failed ? "leat cannot serve here until what is marked \"fail\" is "
                                       "mended"
                                     : "leat serve works here");
    return doctor.has_failed ? 1 : 0;
}
