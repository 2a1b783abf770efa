/* `leat doctor`: each check against machines that are made up, files below a folder of the test's
 * own, so that every finding is seen on any machine. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "apps/doctor/machine.h"

#define HUGEPAGES "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages"
#define THP       "/sys/kernel/mm/transparent_hugepage/enabled"
#define VFIO      "/sys/bus/pci/drivers/vfio-pci/"
#define PMDS      "/usr/lib/x86_64-linux-gnu/dpdk/pmds-23.0/"

/* A finding, and what makes it: files "PATH=TEXT", and what the kernel would say. */
struct doctor_case {
    const char *check;
    const char *files[4];
    void (*change)(struct machine *machine); /* NULL: a machine that has everything */
    enum finding_mark mark;
    const char *fact, *mend;
};

#define CHANGE(name, what)                                                                         \
    static void name(struct machine *m)                                                            \
    {                                                                                              \
        what;                                                                                      \
    }
CHANGE(kernel_is_unknown, m->kernel[0] = '\0')
CHANGE(cores_are_unreadable, leat_fail(&m->topology_error, -EIO, "cannot read the CPUs"))
CHANGE(quota_is_two, m->topology.quota_milli = 2500)
CHANGE(listening_fails, m->listen = EADDRNOTAVAIL)
CHANGE(ipv6_is_off, m->ipv6 = EAFNOSUPPORT)
CHANGE(uring_is_not_built, m->is_uring_built = false)
CHANGE(uring_is_forbidden, m->uring = EPERM)
CHANGE(uring_is_unknown, m->uring = ENOSYS)
CHANGE(uring_is_old, m->uring = EINVAL)
CHANGE(uring_lacks_memory, m->uring = ENOMEM)
CHANGE(files_are_few, m->open_files_max = 1024)
CHANGE(memory_is_small, m->locked_bytes_max = 8 << 20; m->is_root = false)
CHANGE(memory_of_root, m->locked_bytes_max = 8 << 20)
CHANGE(counters_have_no_place, m->run_write = ENOENT)
CHANGE(user_is_no_root, m->is_root = false)
CHANGE(frames_are_forbidden, m->raw_frames = EPERM)
CHANGE(xdp_is_unknown, m->xdp = EAFNOSUPPORT)
CHANGE(dpdk_is_missing, leat_fail(&m->dpdk, -ENOENT, "DPDK is not installed; mend: apt"))

static const struct doctor_case cases[] = {
    {"kernel", {0}, NULL, FINDING_OK, "Linux 6.1 on x86_64", ""},
    {"kernel", {0}, kernel_is_unknown, FINDING_NONE, "", ""},
    {"proc", {"/proc/self/x"}, NULL, FINDING_OK, "/proc is mounted", ""},
    {"proc",
     {0},
     NULL,
     FINDING_NOTE,
     "/proc is not mounted: a CPU quota is not heeded",
     "sudo mount -t proc proc /proc (in a container: start it with one)"},
    {"sys", {"/sys/kernel/x"}, NULL, FINDING_OK, "/sys is mounted", ""},
    {"sys",
     {0},
     NULL,
     FINDING_NOTE,
     "/sys is not mounted: quotas, NUMA nodes and sibling CPUs are not seen",
     "sudo mount -t sysfs sysfs /sys (in a container: start it with one)"},
    {"cores", {0}, NULL, FINDING_OK, "4 usable (CPUs 0-3), 2 physical, 1 NUMA node", ""},
    {"cores", {0}, cores_are_unreadable, FINDING_FAIL, "cannot read the CPUs", ""},
    {"cpu quota", {0}, NULL, FINDING_OK, "none below the usable cores", ""},
    {"cpu quota", {0}, cores_are_unreadable, FINDING_NONE, "", ""},
    {"cpu quota",
     {0},
     quota_is_two,
     FINDING_NOTE,
     "2.500 of 4 CPUs: fewer loops are run",
     "raise cpu.max of the cgroup (docker run --cpus 4)"},
    {"sockets", {0}, NULL, FINDING_OK, "listening on 127.0.0.1 works", ""},
    {"sockets",
     {0},
     listening_fails,
     FINDING_FAIL,
     "cannot listen on 127.0.0.1 (EADDRNOTAVAIL)",
     "sudo ip link set lo up"},
    {"ipv6", {0}, NULL, FINDING_OK, "available", ""},
    {"ipv6",
     {0},
     ipv6_is_off,
     FINDING_NOTE,
     "not available: an address of [::] cannot be listened on",
     "sudo sysctl net.ipv6.conf.all.disable_ipv6=0, or boot without ipv6.disable=1"},
    {"backlog", {0}, NULL, FINDING_NONE, "", ""},
    {"backlog",
     {"/proc/sys/net/core/somaxconn=4096\n"},
     NULL,
     FINDING_OK,
     "4096 connections may wait to be accepted",
     ""},
    {"backlog",
     {"/proc/sys/net/core/somaxconn=128\n"},
     NULL,
     FINDING_NOTE,
     "128 connections may wait to be accepted",
     "sudo sysctl net.core.somaxconn=4096"},
    {"io_uring", {0}, NULL, FINDING_OK, "available", ""},
    {"io_uring",
     {0},
     uring_is_not_built,
     FINDING_NOTE,
     "not built in: connections go through epoll, files through threads",
     "install liburing-dev and build again"},
    {"io_uring",
     {"/proc/sys/kernel/io_uring_disabled=2\n"},
     uring_is_forbidden,
     FINDING_NOTE,
     "refused by the kernel (EPERM): connections go through epoll, files through threads",
     "sudo sysctl kernel.io_uring_disabled=0"},
    {"io_uring",
     {"/proc/sys/kernel/io_uring_disabled=0\n"},
     uring_is_forbidden,
     FINDING_NOTE,
     "refused by the kernel (EPERM): connections go through epoll, files through threads",
     "allow io_uring_setup in the container's seccomp profile"},
    {"io_uring",
     {0},
     uring_is_unknown,
     FINDING_NOTE,
     "refused by the kernel (ENOSYS): connections go through epoll, files through threads",
     "run a kernel of 6.1 or later, outside of a sandbox that hides io_uring"},
    {"io_uring",
     {0},
     uring_is_old,
     FINDING_NOTE,
     "refused by the kernel (EINVAL): connections go through epoll, files through threads",
     "run a kernel of 6.1 or later"},
    {"io_uring",
     {0},
     uring_lacks_memory,
     FINDING_NOTE,
     "refused by the kernel (ENOMEM): connections go through epoll, files through threads",
     "ulimit -l unlimited"},
    {"open files", {0}, NULL, FINDING_OK, "at most 1048576", ""},
    {"open files",
     {0},
     files_are_few,
     FINDING_NOTE,
     "at most 1024, and so as many connections",
     "ulimit -n 65536 (or LimitNOFILE= of the service)"},
    {"hugepages", {0}, NULL, FINDING_NOTE, "cannot be told without /sys", "see \"sys\""},
    {"hugepages", {HUGEPAGES "=12\n"}, NULL, FINDING_OK, "12 of 2 MiB are free", ""},
    {"hugepages",
     {HUGEPAGES "=0\n", THP "=always [madvise] never\n"},
     NULL,
     FINDING_NOTE,
     "none are free: buffers use transparent huge pages",
     "sudo sysctl vm.nr_hugepages=64"},
    {"hugepages",
     {HUGEPAGES "=0\n", THP "=always madvise [never]\n"},
     NULL,
     FINDING_NOTE,
     "none are free: buffers use plain pages",
     "sudo sysctl vm.nr_hugepages=64"},
    {"locked memory", {0}, NULL, FINDING_OK, "enough", ""},
    {"locked memory", {0}, memory_of_root, FINDING_OK, "enough", ""},
    {"locked memory",
     {0},
     memory_is_small,
     FINDING_NOTE,
     "at most 8192 KiB",
     "ulimit -l unlimited"},
    {"counters", {0}, NULL, FINDING_OK, "leat top and leat ss find programs by /run/leat", ""},
    {"counters",
     {0},
     counters_have_no_place,
     FINDING_NOTE,
     "/run/leat cannot be written (ENOENT): leat top and leat ss do not see programs",
     "set LEAT_RUN_DIR to a folder of yours, for the program and the tools"},
    {"tun", {"/dev/net/tun"}, NULL, FINDING_OK, "--net tun:NAME works", ""},
    {"tun",
     {0},
     NULL,
     FINDING_NOTE,
     "there is no /dev/net/tun: --net tun:NAME does not work",
     "sudo modprobe tun"},
    {"tun",
     {"/dev/net/tun"},
     user_is_no_root,
     FINDING_NOTE,
     "--net tun:NAME needs a device that root has made",
     "sudo ip tuntap add NAME mode tap user $USER && sudo ip link set NAME up"},
    {"dpdk", {0}, NULL, FINDING_OK, "installed", ""},
    {"dpdk", {0}, dpdk_is_missing, FINDING_NOTE, "DPDK is not installed; mend: apt", ""},
    {"memif", {0}, NULL, FINDING_OK, "--net memif:PATH can be opened", ""},
    {"memif", {0}, dpdk_is_missing, FINDING_NONE, "", ""},
    {"memif",
     {PMDS "librte_net_memif.so.23"},
     NULL,
     FINDING_OK,
     "--net memif:PATH can be opened",
     ""},
    {"memif",
     {PMDS "librte_net_tap.so.23"},
     NULL,
     FINDING_NOTE,
     "--net memif:PATH lacks its driver",
     "sudo apt install librte-net-memif23"},
    {"packet", {0}, NULL, FINDING_OK, "--net packet:IFACE can be opened", ""},
    {"packet",
     {PMDS "librte_net_tap.so.23"},
     NULL,
     FINDING_NOTE,
     "--net packet:IFACE lacks its driver",
     "sudo apt install librte-net-af-packet23"},
    {"packet",
     {0},
     frames_are_forbidden,
     FINDING_NOTE,
     "--net packet:IFACE: needs rights for raw frames",
     "run as root, or sudo setcap cap_net_raw,cap_net_admin+ep PATH-OF-leat"},
    {"xdp", {0}, NULL, FINDING_OK, "--net xdp:IFACE can be opened", ""},
    {"xdp",
     {0},
     frames_are_forbidden,
     FINDING_NOTE,
     "--net xdp:IFACE: needs rights for raw frames",
     "run as root, or sudo setcap cap_net_raw,cap_net_admin+ep PATH-OF-leat"},
    {"xdp",
     {0},
     xdp_is_unknown,
     FINDING_NOTE,
     "--net xdp:IFACE: the kernel has no AF_XDP",
     "run one with CONFIG_XDP_SOCKETS, or use packet:"},
    {"tap", {"/dev/net/tun"}, NULL, FINDING_OK, "--net tap:NAME can be opened", ""},
    {"tap",
     {0},
     NULL,
     FINDING_NOTE,
     "--net tap:NAME: there is no /dev/net/tun",
     "sudo modprobe tun"},
    {"tap",
     {"/dev/net/tun"},
     user_is_no_root,
     FINDING_NOTE,
     "--net tap:NAME: needs root",
     "use tun:NAME on a device that root has made"},
    {"pci", {0}, NULL, FINDING_NOTE, "--net pci:ADDR: cannot be told without /sys", "see \"sys\""},
    {"pci",
     {"/sys/kernel/mm/x"},
     NULL,
     FINDING_NOTE,
     "--net pci:ADDR: needs hugepages",
     "sudo sysctl vm.nr_hugepages=256"},
    {"pci",
     {HUGEPAGES "=9\n"},
     NULL,
     FINDING_NOTE,
     "--net pci:ADDR: needs vfio, unless the card is NVIDIA's",
     "sudo modprobe vfio-pci"},
    {"pci",
     {HUGEPAGES "=9\n", "/dev/vfio/vfio"},
     user_is_no_root,
     FINDING_NOTE,
     "--net pci:ADDR: needs root",
     "sudo"},
    {"pci",
     {HUGEPAGES "=9\n", "/dev/vfio/vfio"},
     NULL,
     FINDING_OK,
     "--net pci:ADDR can be opened",
     ""},
    {"cards", {"/sys/bus/pci/drivers/vfio-pci/bind"}, NULL, FINDING_NONE, "", ""},
    {"cards",
     {VFIO "0000:03:00.1/class=0x020000\n", VFIO "0000:03:00.0/class=0x020000\n",
      VFIO "0000:01:00.0/class=0x030000\n",
      "/sys/bus/pci/drivers/uio_pci_generic/0000:02:00.0/class=0x020000\n"},
     NULL,
     FINDING_OK,
     "given to DPDK: 0000:03:00.0 (vfio-pci), 0000:03:00.1 (vfio-pci), "
     "0000:02:00.0 (uio_pci_generic)",
     ""},
    {"vfio", {"/dev/vfio/vfio"}, NULL, FINDING_OK, "loaded", ""},
    {"vfio",
     {0},
     NULL,
     FINDING_NOTE,
     "not loaded, needed for --net pci:ADDR",
     "sudo modprobe vfio-pci"},
    {"iommu", {"/sys/kernel/iommu_groups/0/type"}, NULL, FINDING_OK, "in use by the kernel", ""},
    {"iommu", {0}, NULL, FINDING_NOTE, "cannot be told without /sys", "see \"sys\""},
    {"iommu",
     {"/sys/kernel/x"},
     NULL,
     FINDING_NOTE,
     "not in use, needed for --net pci:ADDR with vfio",
     "boot with intel_iommu=on or amd_iommu=on (in a virtual machine: its host has to offer one)"},
};
#define CASES_COUNT (sizeof(cases) / sizeof(cases[0]))

/* A machine that has everything but files. */
static void machine_make(struct machine *m, const char *root)
{
    *m = (struct machine){.root = root,
                          .run_folder = "/run/leat",
                          .kernel = "Linux 6.1 on x86_64",
                          .is_uring_built = true,
                          .is_root = true,
                          .open_files_max = 1 << 20,
                          .locked_bytes_max = UINT64_MAX};
    m->topology.cpus_count = 4;
    m->topology.cores_count = 2;
    m->topology.nodes_count = 1;
    for (unsigned i = 0; i < 4; i++)
        m->topology.cpus[i].number = i;
}

/* "PATH=TEXT", or an empty file, with the folders on its way. */
static void file_make(const char *root, const char *spec)
{
    char path[PATH_MAX];
    const char *text = strchr(spec, '=');
    int length = text != NULL ? (int)(text - spec) : (int)strlen(spec);
    snprintf(path, sizeof(path), "%s%.*s", root, length, spec);
    for (char *slash = path + strlen(root) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        assert_true(mkdir(path, 0700) == 0 || errno == EEXIST);
        *slash = '/';
    }
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text != NULL ? text + 1 : "", file);
    assert_int_equal(fclose(file), 0);
}

static int file_remove(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    return remove(path);
}

static const struct doctor_check *check_find(const char *name)
{
    for (unsigned i = 0; i < doctor_checks_count; i++)
        if (strcmp(doctor_checks[i].name, name) == 0)
            return &doctor_checks[i];
    return NULL;
}

static void case_run(const struct doctor_case *c)
{
    static struct machine machine;
    char root[] = "/tmp/leat-doctor-XXXXXX";
    assert_non_null(mkdtemp(root));
    for (unsigned i = 0; i < 4 && c->files[i] != NULL; i++)
        file_make(root, c->files[i]);
    machine_make(&machine, root);
    if (c->change != NULL)
        c->change(&machine);
    const struct doctor_check *check = check_find(c->check);
    struct finding found = {0};
    if (check != NULL)
        found = check->check(&machine);
    assert_int_equal(nftw(root, file_remove, 8, FTW_DEPTH | FTW_PHYS), 0);
    assert_non_null(check);
    assert_string_equal(found.fact, c->fact);
    assert_string_equal(found.mend, c->mend);
    assert_int_equal(found.mark, c->mark);
}

static void each_finding_is_what_the_machine_is(void **state)
{
    for (size_t i = 0; i < CASES_COUNT; i++)
        case_run(&cases[i]);
}

static void every_check_has_a_case(void **state)
{
    for (unsigned i = 0; i < doctor_checks_count; i++) {
        bool is_tried = false;
        for (size_t k = 0; k < CASES_COUNT; k++)
            is_tried = is_tried || strcmp(cases[k].check, doctor_checks[i].name) == 0;
        if (!is_tried)
            fail_msg("check %s has no case here", doctor_checks[i].name);
    }
}

/* What keeps Leat from serving, or could be better, says what to do, unless its fact does. */
static void what_is_not_well_names_its_remedy(void **state)
{
    for (size_t i = 0; i < CASES_COUNT; i++) {
        const struct doctor_case *c = &cases[i];
        bool is_well = c->mark == FINDING_OK || c->mark == FINDING_NONE;
        bool is_told = strcmp(c->check, "dpdk") == 0 || strcmp(c->check, "cores") == 0;
        assert_true(is_well == (c->mend[0] == '\0') || is_told);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_finding_is_what_the_machine_is),
        cmocka_unit_test(every_check_has_a_case),
        cmocka_unit_test(what_is_not_well_names_its_remedy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
