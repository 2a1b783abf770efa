/* Which DPDK device a --net means; what can be seen to be wrong before DPDK is asked is said here.
 */
#include "net/port/dpdk/dpdk_internal.h"

#include <errno.h>
#include <limits.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define MEMIF_RING_LOG2 11
#define DRIVER_SUFFIX   ".leat" /* of the socket that is the driver's alone */

struct request {
    const struct dpdk_host *host;
    const struct port_options *options;
    struct dpdk_device *device;
    struct leat_error *error;
};

static void add_mac(const struct request *r)
{
    const uint8_t *m = r->options->mac;
    char *args = r->device->args;
    size_t length = strlen(args);
    if (r->options->is_mac_given)
        snprintf(args + length, sizeof(r->device->args) - length,
                 ",mac=%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
}

/* ---- pci ---- */

/* "03:00.0" and "0000:03:00.0". */
static bool pci_parse(const char *text, char name[64])
{
    unsigned domain = 0, bus, slot, function;
    int end = -1;
    if (sscanf(text, "%4x:%2x:%2x.%1x%n", &domain, &bus, &slot, &function, &end) != 4 ||
        text[end] != '\0') {
        domain = 0;
        end = -1;
        if (sscanf(text, "%2x:%2x.%1x%n", &bus, &slot, &function, &end) != 3 || text[end] != '\0')
            return false;
    }
    snprintf(name, 64, "%04x:%02x:%02x.%x", domain, bus, slot, function);
    return true;
}

/* Cards of Mellanox and Microsoft stay with their kernel drivers. */
static bool driver_serves_dpdk(const char *driver)
{
    static const char *const drivers[] = {"vfio-pci", "igb_uio", "uio_pci_generic", "mlx5_core",
                                          "mlx4_core"};
    for (unsigned i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++)
        if (strcmp(driver, drivers[i]) == 0)
            return true;
    return false;
}

static int device_pci(const struct request *r)
{
    char path[128], target[PATH_MAX];
    struct dpdk_device *d = r->device;
    d->is_pci = true;
    d->has_trusted_offloads = true;
    d->driver = "pci";
    if (!pci_parse(r->options->where, d->name))
        return r->host->fail(r->error, -EINVAL,
                             "--net pci: takes an address such as 0000:03:00.0 (lspci -D lists "
                             "them), not \"%s\"",
                             r->options->where);
    snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", d->name);
    if (access(path, F_OK) < 0)
        return r->host->fail(r->error, -ENODEV,
                             "there is no PCI device %s: lspci -D | grep -i ether lists the cards",
                             d->name);
    snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver", d->name);
    const char *driver = realpath(path, target) != NULL ? strrchr(target, '/') + 1 : "none";
    if (!driver_serves_dpdk(driver))
        return r->host->fail(r->error, -EBUSY,
                             "the card %s is not given to DPDK (its driver is %s): sudo modprobe "
                             "vfio-pci && sudo dpdk-devbind.py -b vfio-pci %s takes it away from "
                             "the kernel",
                             d->name, driver, d->name);
    return 0;
}

/* ---- interfaces of the kernel's ---- */

static int interface_take(const struct request *r, const char *kind)
{
    int result = dpdk_interface_check(r->host, r->options, kind, r->error);
    r->device->is_hearing_all = true;
    r->device->interface = r->options->where;
    return result;
}

static int device_xdp(const struct request *r)
{
    struct dpdk_device *d = r->device;
    d->driver = "net_af_xdp";
    d->package = "librte-net-af-xdp23";
    snprintf(d->name, sizeof(d->name), "net_af_xdp0");
    snprintf(d->args, sizeof(d->args), "iface=%s,start_queue=0,queue_count=%u", r->options->where,
             r->options->queue_count);
    return interface_take(r, "xdp");
}

static int device_packet(const struct request *r)
{
    struct dpdk_device *d = r->device;
    d->driver = "net_af_packet";
    d->package = "librte-net-af-packet23";
    snprintf(d->name, sizeof(d->name), "net_af_packet0");
    snprintf(d->args, sizeof(d->args),
             "iface=%s,qpairs=%u,framesz=2048,blocksz=4096,framecnt=1024,qdisc_bypass=1",
             r->options->where, r->options->queue_count);
    return interface_take(r, "packet");
}

static int device_tap(const struct request *r)
{
    struct dpdk_device *d = r->device;
    const char *name = r->options->where;
    d->driver = "net_tap";
    d->package = "librte-net-tap23";
    if (strlen(name) >= IFNAMSIZ || strpbrk(name, "/:, ") != NULL)
        return r->host->fail(r->error, -EINVAL,
                             "\"%s\" cannot be the name of a device: give 1 to %d letters and "
                             "digits, as in tap:leat0",
                             name, IFNAMSIZ - 1);
    if (access("/dev/net/tun", F_OK) < 0)
        return r->host->fail(r->error, -ENODEV,
                             "there is no /dev/net/tun: load it with sudo modprobe tun, or give "
                             "the container the device (docker run --device /dev/net/tun)");
    if (geteuid() != 0)
        return r->host->fail(r->error, -EPERM,
                             "--net tap:%s needs root; tun:%s is the same without DPDK, on a "
                             "device that root has made once",
                             name, name);
    if (if_nametoindex(name) != 0)
        return r->host->fail(r->error, -EBUSY,
                             "the device %s exists, and tap: makes its own: choose another name",
                             name);
    snprintf(d->name, sizeof(d->name), "net_tap0");
    snprintf(d->args, sizeof(d->args), "iface=%s", name);
    d->has_own_mac = true;
    d->interface = name;
    return 0;
}

/* ---- memif ---- */

/* A socket file that a server left behind when it was killed keeps the next one from listening. A
 * live one is told from it by a connection of the wrong type: it is refused with EPROTOTYPE, and
 * the server never sees it. (A right one that vanishes at once confuses the driver's server.) */
static int stale_socket_remove(const struct request *r, const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    struct stat status;
    if (lstat(path, &status) < 0)
        return 0;
    if (!S_ISSOCK(status.st_mode))
        return r->host->fail(r->error, -EEXIST,
                             "%s exists and is no socket: choose another path for memif", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return 0;
    memcpy(addr.sun_path, path, strlen(path) + 1);
    bool is_dead = connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 && errno == ECONNREFUSED;
    close(fd);
    if (!is_dead)
        return r->host->fail(r->error, -EADDRINUSE,
                             "another program serves %s: end it, or choose another path", path);
    return unlink(path) == 0
               ? 0
               : r->host->fail(r->error, -errno,
                               "%s was left behind by a program that has ended, and cannot be "
                               "removed (%s): remove it",
                               path, strerror(errno));
}

/* The peer's socket, and the one beside it over which the driver talks to memif.c. Both fit. */
static int sockets_name(const struct request *r, const char *path, bool is_server)
{
    struct dpdk_device *d = r->device;
    uint8_t random[6];
    d->is_relayed = true;
    d->is_server = is_server;
    r->host->random_mac(random);
    size_t length = strlen(path);
    memcpy(d->peer_path, path, length + 1);
    if (!is_server) {
        snprintf(d->driver_path, sizeof(d->driver_path), "leat-memif-%d-%02x%02x%02x%02x",
                 (int)getpid(), random[2], random[3], random[4], random[5]);
        return 0;
    }
    memcpy(d->driver_path, path, length);
    memcpy(d->driver_path + length, DRIVER_SUFFIX, sizeof(DRIVER_SUFFIX));
    return stale_socket_remove(r, d->driver_path);
}

static int device_memif(const struct request *r)
{
    struct dpdk_device *d = r->device;
    char path[PATH_MAX], folder[PATH_MAX];
    d->driver = "net_memif";
    d->package = "librte-net-memif23";
    snprintf(path, sizeof(path), "%s", r->options->where);
    char *comma = strchr(path, ',');
    bool is_server = comma != NULL && strcmp(comma, ",server") == 0;
    if (comma != NULL && !is_server)
        return r->host->fail(r->error, -EINVAL,
                             "--net memif: takes a path, and \",server\" behind it on one of the "
                             "two sides, not \"%s\"",
                             r->options->where);
    if (is_server)
        *comma = '\0';
    if (strlen(path) >= sizeof(d->driver_path) - strlen(DRIVER_SUFFIX))
        return r->host->fail(r->error, -ENAMETOOLONG,
                             "the path of memif's socket is longer than %zu bytes: %s",
                             sizeof(d->driver_path) - sizeof(DRIVER_SUFFIX), path);
    snprintf(folder, sizeof(folder), "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash != NULL)
        slash[slash == folder] = '\0';
    if (access(slash != NULL ? folder : ".", is_server ? W_OK : X_OK) < 0)
        return r->host->fail(r->error, -errno,
                             "memif's socket cannot be in %s (%s): choose a folder that exists and "
                             "that this user may write to",
                             slash != NULL ? folder : "this folder", strerror(errno));
    int result = is_server ? stale_socket_remove(r, path) : 0;
    if (result < 0 || (result = sockets_name(r, path, is_server)) < 0)
        return result;
    snprintf(d->name, sizeof(d->name), "net_memif0");
    snprintf(d->args, sizeof(d->args),
             "role=%s,id=0,socket=%s,socket-abstract=%s,bsize=2048,rsize=%d",
             is_server ? "server" : "client", d->driver_path, is_server ? "no" : "yes",
             MEMIF_RING_LOG2);
    struct port_options with_mac = *r->options;
    if (!with_mac.is_mac_given)
        r->host->random_mac(with_mac.mac);
    with_mac.is_mac_given = true;
    add_mac(&(struct request){r->host, &with_mac, d, r->error});
    return 0;
}

/* ---- everything else ---- */

static int device_raw(const struct request *r)
{
    struct dpdk_device *d = r->device;
    const char *comma = strchrnul(r->options->where, ',');
    size_t length = (size_t)(comma - r->options->where);
    d->driver = "dpdk";
    d->has_trusted_offloads = true;
    if (length == 0 || length >= sizeof(d->name) || strlen(comma) >= sizeof(d->args))
        return r->host->fail(r->error, -EINVAL,
                             "--net dpdk: takes a device as DPDK's --vdev does, such as "
                             "net_ring0 or net_tap1,iface=x, not \"%s\"",
                             r->options->where);
    memcpy(d->name, r->options->where, length);
    snprintf(d->args, sizeof(d->args), "%s", comma[0] == ',' ? comma + 1 : "");
    return 0;
}

int dpdk_device_of(const struct dpdk_host *host, const struct port_options *options,
                   struct dpdk_device *device, struct leat_error *error)
{
    static const struct {
        const char *kind;
        int (*make)(const struct request *r);
    } makers[] = {
        {"pci", device_pci},     {"xdp", device_xdp}, {"packet", device_packet},
        {"memif", device_memif}, {"tap", device_tap}, {"dpdk", device_raw},
    };
    const struct request request = {host, options, device, error};
    *device = (struct dpdk_device){0};
    for (unsigned i = 0; i < sizeof(makers) / sizeof(makers[0]); i++)
        if (strcmp(options->kind, makers[i].kind) == 0)
            return makers[i].make(&request);
    return host->fail(error, -EINVAL, "DPDK has no kind of port called %s", options->kind);
}
