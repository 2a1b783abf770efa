/* What can be seen to be wrong with an interface of the kernel's before DPDK is asked for it. */
#include "net/port/dpdk/dpdk_internal.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* An IPv4 or IPv6 default route leaves through it. */
static bool has_default_route(const char *name)
{
    static const char zeros[] = "00000000000000000000000000000000";
    char line[512], to[64], device[64];
    unsigned bits;
    bool found = false;
    FILE *file = fopen("/proc/net/route", "re");
    while (file != NULL && !found && fgets(line, sizeof(line), file) != NULL)
        found = sscanf(line, "%63s %63s", device, to) == 2 && strcmp(device, name) == 0 &&
                strcmp(to, "00000000") == 0;
    if (file != NULL)
        fclose(file);
    file = fopen("/proc/net/ipv6_route", "re");
    while (file != NULL && !found && fgets(line, sizeof(line), file) != NULL)
        found = sscanf(line, "%63s %x %*s %*s %*s %*s %*s %*s %*s %63s", to, &bits, device) == 3 &&
                bits == 0 && strcmp(to, zeros) == 0 && strcmp(device, name) == 0;
    if (file != NULL)
        fclose(file);
    return found;
}

/* -1: not known. */
static int flags_of(int fd, const char *name)
{
    struct ifreq request = {0};
    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
    return ioctl(fd, SIOCGIFFLAGS, &request) == 0 ? (unsigned short)request.ifr_flags : -1;
}

int dpdk_interface_check(const struct dpdk_host *host, const struct port_options *options,
                         const char *kind, struct leat_error *error)
{
    const char *name = options->where;
    if (strlen(name) >= IFNAMSIZ || strchr(name, ',') != NULL || if_nametoindex(name) == 0)
        return host->fail(error, -ENODEV, "there is no interface %s: ip -br link lists them", name);
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return host->fail(error, -EPERM,
                          "--net %s:%s reads and writes raw frames: run as root, or with "
                          "CAP_NET_RAW and CAP_NET_ADMIN",
                          kind, name);
    int flags = flags_of(fd, name);
    close(fd);
    if (flags >= 0 && (flags & IFF_LOOPBACK))
        return host->fail(error, -EOPNOTSUPP,
                          "%s carries this machine's own traffic only: use kernel sockets there, "
                          "without --net",
                          name);
    if (flags >= 0 && !(flags & IFF_UP))
        return host->fail(error, -ENETDOWN, "the interface %s is down: sudo ip link set %s up",
                          name, name);
    if (strcmp(kind, "xdp") == 0 && has_default_route(name))
        return host->fail(error, -EBUSY,
                          "%s carries this machine's default route: xdp: would take frames away "
                          "from its other programs, your login among them; choose another "
                          "interface, or packet:%s, which gets copies",
                          name, name);
    if (options->is_mac_given)
        return host->fail(error, -EINVAL,
                          "--mac cannot be given with %s:, which uses the interface's address; "
                          "change that with: sudo ip link set %s address ...",
                          kind, name);
    return 0;
}
