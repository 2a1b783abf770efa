/* Making, or attaching to, a TAP device. */
#include "net/port/tun_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ETHERNET_BYTES 18 /* with a VLAN tag */
#define MTU_DEFAULT    1500
#define MTU_MAX        65517 /* what the kernel takes for a TAP device */

void port_random_mac(uint8_t mac[6])
{
    CHECK(getrandom(mac, 6, 0) == 6);
    mac[0] = (uint8_t)((mac[0] & 0xfc) | 0x02);
}

static bool stock_init(struct tun_stock *stock, uint32_t count, uint32_t buffer_bytes)
{
    *stock = (struct tun_stock){.count = count, .buffer_bytes = buffer_bytes};
    if (count == 0)
        return true;
    stock->free = calloc(count, sizeof(stock->free[0]));
    stock->memory_bytes = (size_t)count * buffer_bytes;
    void *memory = mmap(NULL, stock->memory_bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stock->free == NULL || memory == MAP_FAILED) {
        free(stock->free);
        if (memory != MAP_FAILED)
            munmap(memory, stock->memory_bytes);
        *stock = (struct tun_stock){0};
        return false;
    }
    stock->memory = memory;
    for (uint32_t i = 0; i < count; i++) /* the lowest lies on top: memory is touched as needed */
        stock->free[stock->free_count++] = stock->memory + (size_t)(count - 1 - i) * buffer_bytes;
    return true;
}

static int fail_open(int code, struct leat_error *error)
{
    if (code == -ENOENT || code == -ENODEV || code == -ENXIO)
        return leat_fail(error, code,
                         "there is no /dev/net/tun: load it with sudo modprobe tun, or give the "
                         "container the device (docker run --device /dev/net/tun)");
    if (code == -EACCES || code == -EPERM)
        return leat_fail(error, code,
                         "may not open /dev/net/tun: sudo chmod 666 /dev/net/tun, or run as root");
    return leat_fail(error, code, "cannot open /dev/net/tun: %s", leat_errno_name(code));
}

/* The kernel has it, and as something else. */
static bool is_other_device(const char *name)
{
    struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};
    struct ifreq request = {.ifr_data = (char *)&info};
    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool is_known = fd >= 0 && ioctl(fd, SIOCETHTOOL, &request) == 0;
    if (fd >= 0)
        close(fd);
    return if_nametoindex(name) != 0 && (!is_known || strcmp(info.driver, "tun") != 0);
}

static int fail_attach(const char *name, int code, struct leat_error *error)
{
    if (code == -EINVAL && is_other_device(name))
        return leat_fail(error, -EEXIST, "%s is an interface of another kind: choose another name",
                         name);
    switch (code) {
    case -EPERM:
    case -EACCES:
        return leat_fail(error, code,
                         "may not make the device %s: run as root, or with CAP_NET_ADMIN, or have "
                         "it made once: sudo ip tuntap add %s mode tap multi_queue user $USER",
                         name, name);
    case -EBUSY:
        return leat_fail(error, code,
                         "the device %s is in use by another program: end that, or choose another "
                         "name",
                         name);
    case -EINVAL:
    case -E2BIG:
        return leat_fail(error, -E2BIG,
                         "%s cannot be opened as a TAP device of this many queues: choose another "
                         "name, or delete it with sudo ip link del %s",
                         name, name);
    default:
        return leat_fail(error, code, "cannot make the device %s: %s", name, leat_errno_name(code));
    }
}

/* One more queue. A device that exists takes IFF_MULTI_QUEUE only if it was made with it, and not
 * without it otherwise. */
static int queue_attach(struct tun_port *tun, int *fd, struct leat_error *error)
{
    *fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (*fd < 0)
        return fail_open(-errno, error);
    short several = tun->queue_count > 1 ? IFF_MULTI_QUEUE : 0;
    struct ifreq request = {.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | several)};
    memcpy(request.ifr_name, tun->name, sizeof(tun->name));
    int result = ioctl(*fd, TUNSETIFF, &request) < 0 ? -errno : 0;
    if (result == -EINVAL && tun->queue_count == 1) {
        request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE;
        result = ioctl(*fd, TUNSETIFF, &request) < 0 ? -errno : 0;
    }
    if (result < 0)
        return fail_attach(tun->name, result, error);
    int header_bytes = (int)TUN_VNET_BYTES;
    if (ioctl(*fd, TUNSETVNETHDRSZ, &header_bytes) < 0)
        return leat_fail(error, -errno, "the device %s takes no offload header: %s", tun->name,
                         leat_errno_name(errno));
    return 0;
}

/* The socket for the ioctls of the interface. It is bound to a name of its network namespace, so
 * that a second program does not become another queue of the same device. */
static int control_open(struct tun_port *tun, struct leat_error *error)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int length = snprintf(addr.sun_path + 1, sizeof(addr.sun_path) - 1, "leat-tun-%s", tun->name);
    tun->control_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (tun->control_fd < 0)
        return leat_fail(error, -errno, "cannot open a socket: %s", leat_errno_name(errno));
    socklen_t bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
    if (bind(tun->control_fd, (const struct sockaddr *)&addr, bytes) < 0)
        return fail_attach(tun->name, errno == EADDRINUSE ? -EBUSY : -errno, error);
    return 0;
}

static bool name_is_valid(const char *name)
{
    size_t length = strlen(name);
    return length > 0 && length < IFNAMSIZ && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
           strpbrk(name, "/:% \t\n") == NULL;
}

/* Sets the MTU that was asked for, or takes the device's; returns it. */
static int mtu_settle(struct tun_port *tun, unsigned mtu_bytes, struct leat_error *error)
{
    struct ifreq request = {0};
    memcpy(request.ifr_name, tun->name, sizeof(tun->name));
    if (ioctl(tun->control_fd, SIOCGIFMTU, &request) < 0)
        return leat_fail(error, -errno, "cannot read the MTU of %s: %s", tun->name,
                         leat_errno_name(errno));
    if (mtu_bytes == 0 || request.ifr_mtu == (int)mtu_bytes)
        return request.ifr_mtu;
    request.ifr_mtu = (int)mtu_bytes;
    if (ioctl(tun->control_fd, SIOCSIFMTU, &request) < 0)
        return leat_fail(error, -errno,
                         errno == EPERM
                             ? "may not set the MTU of %s to %u: run as root, or with "
                               "CAP_NET_ADMIN, or set it once: sudo ip link set %s mtu %u"
                             : "cannot set the MTU of %s to %u; try sudo ip link set %s mtu %u",
                         tun->name, mtu_bytes, tun->name, mtu_bytes);
    return (int)mtu_bytes;
}

static int bring_up(struct tun_port *tun, struct leat_error *error)
{
    struct ifreq request = {0};
    memcpy(request.ifr_name, tun->name, sizeof(tun->name));
    if (ioctl(tun->control_fd, SIOCGIFFLAGS, &request) == 0 && (request.ifr_flags & IFF_UP))
        return 0;
    request.ifr_flags |= IFF_UP;
    if (ioctl(tun->control_fd, SIOCSIFFLAGS, &request) < 0)
        return leat_fail(error, -errno,
                         "may not bring up the device %s: run as root, or with CAP_NET_ADMIN, or "
                         "do it once: sudo ip link set %s up",
                         tun->name, tun->name);
    return 0;
}

/* Checksums and large segments that the kernel may leave to us; a kernel that refuses gets them
 * done by itself. */
static bool offloads_take(struct tun_port *tun)
{
    unsigned long wanted = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
    for (unsigned i = 0; i < tun->queue_count; i++)
        if (ioctl(tun->queues[i].fd, TUNSETOFFLOAD, wanted) < 0)
            return false;
    return true;
}

static int device_open(struct tun_port *tun, const struct port_options *o, struct leat_error *error)
{
    for (unsigned i = 0; i < tun->queue_count; i++) {
        int result = queue_attach(tun, &tun->queues[i].fd, error);
        if (i == 0 && result == -E2BIG && !o->is_queue_count_given && tun->queue_count > 1) {
            tun->queue_count = 1; /* a device that was made for one */
            close(tun->queues[i].fd);
            result = queue_attach(tun, &tun->queues[i].fd, error);
        }
        if (result < 0)
            return result;
    }
    tun->index = if_nametoindex(tun->name);
    int mtu = mtu_settle(tun, o->mtu_bytes, error);
    int result = mtu < 0 ? mtu : bring_up(tun, error);
    if (result < 0)
        return result;
    tun->vnet_bytes = TUN_VNET_BYTES;
    tun->port.info = (struct leat_port_info){
        .driver = "tun",
        /* What the port accepts for sending needs nothing of the kernel; what it receives may be
         * large where the kernel was told so. */
        .can = LEAT_PORT_CAN_TX_L4_CHECKSUM | LEAT_PORT_CAN_TSO,
        .tso_bytes_max = 65535 - 256,
        .slices_max = LEAT_PORT_SLICES_MAX,
        .mtu_bytes_max = (uint16_t)mtu,
        .rx_queue_count = (uint16_t)tun->queue_count,
        .tx_queue_count = (uint16_t)tun->queue_count,
        .rx_buffers_count = TUN_SMALL_COUNT,
        .link_kind = LEAT_LINK_ETHERNET,
        .wake = LEAT_WAKE_DEVICE,
    };
    tun->frame_max = (uint32_t)mtu + ETHERNET_BYTES;
    if (offloads_take(tun)) {
        tun->port.info.can |= LEAT_PORT_CAN_RX_L4_CHECKSUM;
        tun->port.info.rx_buffers_count = TUN_LARGE_COUNT; /* each frame needs one to come in */
        tun->frame_max = TUN_FRAME_MAX;
    }
    if (o->is_mac_given)
        memcpy(tun->port.info.mac, o->mac, sizeof(o->mac));
    else
        port_random_mac(tun->port.info.mac);
    return 0;
}

static int stocks_init(struct tun_port *tun, struct leat_error *error)
{
    bool has_large = tun->frame_max > TUN_SMALL_BYTES;
    uint32_t large_bytes = (tun->frame_max + 63) & ~UINT32_C(63);
    for (unsigned i = 0; i < tun->queue_count; i++) {
        struct tun_queue *q = &tun->queues[i];
        if (!stock_init(&q->small, TUN_SMALL_COUNT, TUN_SMALL_BYTES) ||
            !stock_init(&q->large, has_large ? TUN_LARGE_COUNT : 0, large_bytes) ||
            !stock_init(&q->heads, TUN_HEADS_COUNT, LEAT_PORT_HEAD_BYTES))
            return leat_fail(error, -ENOMEM, "no memory for the buffers of %s", tun->name);
    }
    return 0;
}

struct leat_port *tun_port_open(const struct port_options *o, struct leat_error *error)
{
    if (!name_is_valid(o->where)) {
        leat_fail(error, -EINVAL,
                  "\"%s\" cannot be the name of a device: give 1 to %d letters and digits, as in "
                  "tun:leat0",
                  o->where, IFNAMSIZ - 1);
        return NULL;
    }
    if (o->mtu_bytes > MTU_MAX) {
        leat_fail(error, -EINVAL, "an MTU of %u is more than a TAP device can: at most %d",
                  o->mtu_bytes, MTU_MAX);
        return NULL;
    }
    size_t bytes = sizeof(struct tun_port) + o->queue_count * sizeof(struct tun_queue);
    struct tun_port *tun = aligned_alloc(64, (bytes + 63) & ~(size_t)63);
    if (tun == NULL) {
        leat_fail(error, -ENOMEM, "no memory for the port on %s", o->where);
        return NULL;
    }
    memset(tun, 0, bytes);
    tun->control_fd = -1;
    tun->port.ops = &tun_port_ops;
    memcpy(tun->name, o->where, strlen(o->where));
    tun->queue_count = o->queue_count;
    for (unsigned i = 0; i < o->queue_count; i++)
        tun->queues[i].fd = -1;
    int result = control_open(tun, error);
    if (result == 0)
        result = device_open(tun, o, error);
    if (result == 0)
        result = stocks_init(tun, error);
    if (result < 0) {
        tun_port_ops.close(&tun->port);
        return NULL;
    }
    return &tun->port;
}
