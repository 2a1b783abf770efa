/* What Leat's own stack needs of a machine, for each kind of --net. */
#include "apps/doctor/machine.h"

#include <errno.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define PCI_CLASS_NETWORK "0x02"
#define HUGEPAGES_FREE    "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages"

struct finding check_tun(const struct machine *machine)
{
    if (!machine_has(machine, "/dev/net/tun"))
        return finding_note("sudo modprobe tun",
                            "there is no /dev/net/tun: --net tun:NAME does not work");
    if (machine->is_root)
        return finding_ok("--net tun:NAME works");
    return finding_note("sudo ip tuntap add NAME mode tap user $USER && sudo ip link set NAME up",
                        "--net tun:NAME needs a device that root has made");
}

struct finding check_dpdk(const struct machine *machine)
{
    return machine->dpdk.code == 0 ? finding_ok("installed")
                                   : finding_note(NULL, "%s", machine->dpdk.sentence);
}

/* ---- the kinds of --net that DPDK drives ---- */

struct port_kind {
    const char *example, *driver, *package;
};

/* A driver of DPDK's lies beside the others; where there are none, DPDK may have all in one. */
static bool driver_is_missing(const struct machine *machine, const char *file)
{
    static const char *const folders[] = {"/usr/lib/*/dpdk/pmds-*/",
                                          "/usr/local/lib/*/dpdk/pmds-*/",
                                          "/usr/lib64/dpdk/pmds-*/"};
    bool has_folder = false, has_file = false;
    for (unsigned i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        char pattern[128];
        snprintf(pattern, sizeof(pattern), "%s%s*", folders[i], file);
        has_file = has_file || machine_has_like(machine, pattern);
        has_folder = has_folder || machine_has_like(machine, folders[i]);
    }
    return has_folder && !has_file;
}

/* What is to be said before the rights: nothing without DPDK, or that the driver is missing. True:
 * *finding says it all. */
static bool kind_is_settled(const struct machine *machine, const struct port_kind *kind,
                            struct finding *finding)
{
    char mend[FINDING_MEND_BYTES_MAX];
    *finding = (struct finding){0};
    if (machine->dpdk.code != 0)
        return true;
    if (kind->driver == NULL || !driver_is_missing(machine, kind->driver))
        return false;
    snprintf(mend, sizeof(mend), "sudo apt install %s", kind->package);
    *finding = finding_note(mend, "--net %s lacks its driver", kind->example);
    return true;
}

static struct finding kind_works(const struct port_kind *kind)
{
    return finding_ok("--net %s can be opened", kind->example);
}

static struct finding kind_lacks(const struct port_kind *kind, const char *what, const char *mend)
{
    return finding_note(mend, "--net %s: %s", kind->example, what);
}

static struct finding frames_refused(const struct port_kind *kind)
{
    return kind_lacks(kind, "needs rights for raw frames",
                      "run as root, or sudo setcap cap_net_raw,cap_net_admin+ep PATH-OF-leat");
}

struct finding check_memif(const struct machine *machine)
{
    static const struct port_kind kind = {"memif:PATH", "librte_net_memif.so",
                                          "librte-net-memif23"};
    struct finding finding;
    return kind_is_settled(machine, &kind, &finding) ? finding : kind_works(&kind);
}

struct finding check_packet(const struct machine *machine)
{
    static const struct port_kind kind = {"packet:IFACE", "librte_net_af_packet.so",
                                          "librte-net-af-packet23"};
    struct finding finding;
    if (kind_is_settled(machine, &kind, &finding))
        return finding;
    return machine->raw_frames == 0 ? kind_works(&kind) : frames_refused(&kind);
}

struct finding check_xdp(const struct machine *machine)
{
    static const struct port_kind kind = {"xdp:IFACE", "librte_net_af_xdp.so",
                                          "librte-net-af-xdp23"};
    struct finding finding;
    if (kind_is_settled(machine, &kind, &finding))
        return finding;
    if (machine->raw_frames != 0)
        return frames_refused(&kind);
    if (machine->xdp == EAFNOSUPPORT)
        return kind_lacks(&kind, "the kernel has no AF_XDP",
                          "run one with CONFIG_XDP_SOCKETS, or use packet:");
    return kind_works(&kind);
}

struct finding check_tap(const struct machine *machine)
{
    static const struct port_kind kind = {"tap:NAME", "librte_net_tap.so", "librte-net-tap23"};
    struct finding finding;
    if (kind_is_settled(machine, &kind, &finding))
        return finding;
    if (!machine_has(machine, "/dev/net/tun"))
        return kind_lacks(&kind, "there is no /dev/net/tun", "sudo modprobe tun");
    return machine->is_root
               ? kind_works(&kind)
               : kind_lacks(&kind, "needs root", "use tun:NAME on a device that root has made");
}

struct finding check_pci(const struct machine *machine)
{
    static const struct port_kind kind = {"pci:ADDR", NULL, NULL};
    struct finding finding;
    if (kind_is_settled(machine, &kind, &finding))
        return finding;
    if (!machine_has(machine, "/sys/kernel/mm"))
        return kind_lacks(&kind, MACHINE_NO_SYS, MACHINE_NO_SYS_MEND);
    if (machine_number(machine, HUGEPAGES_FREE) <= 0)
        return kind_lacks(&kind, "needs hugepages", "sudo sysctl vm.nr_hugepages=256");
    if (!machine_has(machine, "/dev/vfio/vfio"))
        return kind_lacks(&kind, "needs vfio, unless the card is NVIDIA's",
                          "sudo modprobe vfio-pci");
    return machine->is_root ? kind_works(&kind) : kind_lacks(&kind, "needs root", "sudo");
}

/* ---- cards that were given away ---- */

/* Adds those that a driver of the kernel's holds for DPDK: "0000:03:00.0 (vfio-pci)". */
static void cards_add(const struct machine *machine, const char *driver, char *text, size_t size)
{
    char pattern[128], path[PATH_MAX], class[16];
    glob_t found;
    snprintf(pattern, sizeof(pattern), "/sys/bus/pci/drivers/%s/*:*:*.*", driver);
    if (glob(machine_path(machine, pattern, path), 0, NULL, &found) != 0)
        return;
    for (size_t i = 0; i < found.gl_pathc; i++) {
        const char *address = strrchr(found.gl_pathv[i], '/') + 1;
        snprintf(pattern, sizeof(pattern), "/sys/bus/pci/drivers/%s/%s/class", driver, address);
        machine_line(machine, pattern, class, sizeof(class));
        if (strncmp(class, PCI_CLASS_NETWORK, strlen(PCI_CLASS_NETWORK)) != 0)
            continue;
        size_t at = strlen(text);
        snprintf(text + at, size - at, "%s%s (%s)", at > 0 ? ", " : "", address, driver);
    }
    globfree(&found);
}

struct finding check_cards(const struct machine *machine)
{
    static const char *const drivers[] = {"vfio-pci", "igb_uio", "uio_pci_generic"};
    char text[FINDING_FACT_BYTES_MAX] = "";
    for (unsigned i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++)
        cards_add(machine, drivers[i], text, sizeof(text));
    return text[0] != '\0' ? finding_ok("given to DPDK: %s", text) : (struct finding){0};
}

struct finding check_vfio(const struct machine *machine)
{
    return machine_has(machine, "/dev/vfio/vfio")
               ? finding_ok("loaded")
               : finding_note("sudo modprobe vfio-pci", "not loaded, needed for --net pci:ADDR");
}

/* Groups appear when the kernel uses an IOMMU; cards are given away through vfio-pci. */
struct finding check_iommu(const struct machine *machine)
{
    if (!machine_has(machine, "/sys/kernel"))
        return finding_note(MACHINE_NO_SYS_MEND, MACHINE_NO_SYS);
    return machine_folder_is_filled(machine, "/sys/kernel/iommu_groups")
               ? finding_ok("in use by the kernel")
               : finding_note("boot with intel_iommu=on or amd_iommu=on (in a virtual machine: its "
                              "host has to offer one)",
                              "not in use, needed for --net pci:ADDR with vfio");
}
