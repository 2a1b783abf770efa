/* Devices that go away: an interface of the kernel's that is deleted, a card that is pulled.
 *
 * The kernel asks for a card back before it lets it go (VFIO's request, which DPDK passes on as an
 * event of its interrupt thread). Then no core may touch the device: the gate is shut for good, the
 * cores are woken, and when each has seen it a thread closes the device and gives it back. The
 * pools stay: the stack has buffers of theirs. */
/* The events of devices are stable since DPDK 23.11, and as they are since 18. */
#define ALLOW_EXPERIMENTAL_API
#include "net/port/dpdk/dpdk_internal.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <rte_dev.h>

#define LOOK_NS 1000000 /* between two looks whether every core has seen it */

/* No core uses the driver any more from its next call on. */
static void gate_shut(struct dpdk_port *port)
{
    atomic_store(&port->is_gone, true);
    atomic_fetch_or(&port->gate_turn, 1);
}

/* ---- interfaces of the kernel's ---- */

void dpdk_interface_watch(struct dpdk_port *port, const char *interface)
{
    port->interface_index = if_nametoindex(interface);
    port->control_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

/* By its number: it may have been given another name, and another its name. */
void dpdk_interface_look(struct dpdk_port *port, struct leat_link *link)
{
    struct ifreq request = {.ifr_ifindex = (int)port->interface_index};
    if (port->control_fd < 0 || port->interface_index == 0)
        return;
    bool is_there = ioctl(port->control_fd, SIOCGIFNAME, &request) == 0;
    if (!is_there && (errno == ENODEV || errno == ENXIO)) {
        gate_shut(port);
        *link = (struct leat_link){.is_gone = true};
        return;
    }
    if (is_there && ioctl(port->control_fd, SIOCGIFFLAGS, &request) == 0)
        link->up = (request.ifr_flags & IFF_UP) != 0 && (request.ifr_flags & IFF_RUNNING) != 0;
}

/* ---- cards ---- */

static bool cores_have_seen(struct dpdk_port *port)
{
    uint32_t turn = atomic_load(&port->gate_turn);
    for (unsigned i = 0; i < port->queue_count; i++)
        if (atomic_load_explicit(&port->queues[i].seen_turn, memory_order_acquire) != turn)
            return false;
    return true;
}

static void cores_wake(const struct dpdk_port *port)
{
    static const uint64_t one = 1;
    for (unsigned i = 0; i < port->queue_count; i++)
        if (port->queues[i].is_interrupt_on_demand) {
            ssize_t n = write(port->queues[i].interrupt_fd, &one, sizeof(one));
            (void)n;
        }
}

/* A thread of its own: DPDK's interrupt thread cannot end what it serves. */
static void *card_give_back(void *arg)
{
    struct dpdk_port *port = arg;
    const struct timespec pause = {.tv_nsec = LOOK_NS};
    while (!cores_have_seen(port) && !atomic_load(&port->is_closing)) {
        cores_wake(port);
        nanosleep(&pause, NULL);
    }
    dpdk_device_close(port);
    return NULL;
}

/* Whoever hears of it first: DPDK's interrupt thread or core 0. */
static void card_pulled(struct dpdk_port *port)
{
    if (atomic_exchange(&port->is_pulled, true))
        return;
    gate_shut(port);
    port->has_remover = pthread_create(&port->remover, NULL, card_give_back, port) == 0;
}

static void on_device_event(const char *device, enum rte_dev_event_type type, void *arg)
{
    struct dpdk_port *port = arg;
    if (type == RTE_DEV_EVENT_REMOVE && strcmp(device, port->device) == 0)
        card_pulled(port);
}

/* Not every driver of the kernel's asks before it lets a card go. */
void dpdk_card_look(struct dpdk_port *port, struct leat_link *link)
{
    char path[128];
    snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", port->device);
    if (!port->is_unplug_watched || access(path, F_OK) == 0 || errno != ENOENT)
        return;
    card_pulled(port);
    *link = (struct leat_link){.is_gone = true};
}

void dpdk_unplug_watch(struct dpdk_port *port)
{
    port->is_unplug_watched =
        rte_dev_event_callback_register(port->device, on_device_event, port) == 0;
}

void dpdk_unplug_end(struct dpdk_port *port)
{
    atomic_store(&port->is_closing, true);
    if (port->is_unplug_watched)
        while (rte_dev_event_callback_unregister(port->device, on_device_event, port) == -EAGAIN)
            continue;
    if (port->has_remover)
        pthread_join(port->remover, NULL);
    port->is_unplug_watched = port->has_remover = false;
}
