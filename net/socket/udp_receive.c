/* Datagrams from the kernel, in batches, and what its error queue says. */
#include "net/socket/udp_internal.h"

/* The kernel's headers stand behind those of the C library. */
#include <linux/errqueue.h>

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

/* No readiness is asked for: EPOLLERR remains, once for each error. */
#define ERRORS_ONLY ((uint32_t)EPOLLET)

union control {
    struct cmsghdr header;
    uint8_t bytes[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(struct in_pktinfo))];
};

struct batch {
    struct mmsghdr headers[UDP_BATCH];
    struct iovec iov[UDP_BATCH];
    struct sockaddr_storage from[UDP_BATCH];
    union control controls[UDP_BATCH];
};

void sock_udp_watch(struct udp_socket *k)
{
    uint32_t events = 0;
    if ((k->flags & UDP_FINISHED) != 0)
        return;
    if (udp_may_read(k))
        events |= EPOLLIN;
    if ((k->flags & UDP_BLOCKED) != 0)
        events |= EPOLLOUT;
    if (events == 0)
        events = ERRORS_ONLY;
    if (k->watch.events != events && leat_watch_start(&k->watch, events) < 0)
        sock_udp_finish(k, LEAT_CLOSE_NO_MEMORY);
}

static unsigned blocks_fill(struct sock_udp_core *u)
{
    unsigned count = 0;
    for (; count < UDP_BATCH; count++) {
        if (u->blocks[count].data == NULL)
            u->blocks[count] = leat_buf_alloc_unsafe(UDP_BLOCK_BYTES);
        if (u->blocks[count].data == NULL)
            break;
    }
    return count;
}

void sock_udp_drop_blocks(struct sock_udp_core *u)
{
    for (unsigned i = 0; i < UDP_BATCH; i++) {
        leat_buf_unref(u->blocks[i]);
        u->blocks[i] = (struct leat_buf){0};
    }
}

/* What nobody holds is received into again. */
static void blocks_recycle(struct sock_udp_core *u, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (!leat_buf_resize(&u->blocks[i], u->blocks[i].length_bytes)) {
            leat_buf_unref(u->blocks[i]);
            u->blocks[i] = (struct leat_buf){0};
        }
    }
}

static void set_ip(struct leat_addr *to, const uint8_t ip[16])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    bool is_v4 = memcmp(ip, mapped, sizeof(mapped)) == 0;
    to->family = is_v4 ? LEAT_FAMILY_IPV4 : LEAT_FAMILY_IPV6;
    memset(to->ip, 0, sizeof(to->ip));
    memcpy(to->ip, ip + (is_v4 ? 12 : 0), is_v4 ? 4 : 16);
}

/* Where it was sent to: the kernel says so for a socket on every address. */
static void set_to(struct leat_addr *to, const struct udp_socket *k, struct msghdr *header)
{
    *to = k->local;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c != NULL; c = CMSG_NXTHDR(header, c)) {
        if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof(info));
            set_ip(to, info.ipi6_addr.s6_addr);
        } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof(info));
            to->family = LEAT_FAMILY_IPV4;
            memset(to->ip, 0, sizeof(to->ip));
            memcpy(to->ip, &info.ipi_addr, sizeof(info.ipi_addr));
        }
    }
}

static int receive_batch(struct udp_socket *k, struct batch *b, unsigned count)
{
    struct sock_udp_core *u = k->core;
    for (unsigned i = 0; i < count; i++) {
        b->iov[i] = (struct iovec){u->blocks[i].data, u->blocks[i].length_bytes};
        b->headers[i] = (struct mmsghdr){.msg_hdr.msg_name = &b->from[i],
                                         .msg_hdr.msg_namelen = sizeof(b->from[i]),
                                         .msg_hdr.msg_iov = &b->iov[i],
                                         .msg_hdr.msg_iovlen = 1,
                                         .msg_hdr.msg_control = &b->controls[i],
                                         .msg_hdr.msg_controllen = sizeof(b->controls[i])};
    }
    return recvmmsg(k->fd, b->headers, count, MSG_DONTWAIT, NULL);
}

/* What came from others before the socket had its peer is not delivered. */
static bool is_for(const struct udp_socket *k, const struct leat_addr *from)
{
    return (k->flags & UDP_CONNECTED) == 0 ||
           (from->port == k->peer.port && leat_addr_equal(from, &k->peer));
}

static void udp_deliver_batch(struct udp_socket *k, struct batch *b, unsigned received)
{
    struct leat_datagram datagrams[UDP_BATCH];
    unsigned count = 0;
    for (unsigned i = 0; i < received; i++) {
        struct leat_datagram *d = &datagrams[count];
        struct msghdr *header = &b->headers[i].msg_hdr;
        sock_addr_from(&b->from[i], header->msg_namelen, &d->from);
        if (!is_for(k, &d->from))
            continue;
        set_to(&d->to, k, header);
        d->data = k->core->blocks[i];
        d->data.length_bytes = b->headers[i].msg_len;
        k->count.received_bytes += d->data.length_bytes;
        count++;
    }
    k->count.received_count += count;
    if (count > 0 && k->ops->on_datagrams != NULL)
        k->ops->on_datagrams((leat_udp){k->id}, k->user, datagrams, count);
    leat_loop_gate(k->core->transport->loop);
}

static void udp_receive_batch(struct udp_socket *k)
{
    struct sock_udp_core *u = k->core;
    struct batch b;
    for (unsigned i = 0; i < SOCK_READS_PER_TURN && udp_may_read(k); i++) {
        unsigned count = blocks_fill(u);
        if (count == 0) {
            k->flags |= UDP_STARVED;
            leat_timer_start_at(&u->retry, leat_loop_now(u->transport->loop) + UDP_RETRY_NS);
            break;
        }
        int received = receive_batch(k, &b, count);
        if (received <= 0)
            break;
        udp_deliver_batch(k, &b, (unsigned)received);
        blocks_recycle(u, (unsigned)received);
        if ((unsigned)received < count)
            break;
    }
    sock_udp_watch(k);
}

/* ---- errors ---- */

static enum leat_close_reason reason_of(uint32_t code)
{
    return code == ECONNREFUSED ? LEAT_CLOSE_REFUSED
           : code == EPROTO     ? LEAT_CLOSE_PROTOCOL
                                : LEAT_CLOSE_UNREACHABLE;
}

static void on_error(struct udp_socket *k, struct msghdr *header,
                     const struct sockaddr_storage *peer)
{
    struct sock_extended_err e = {0};
    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c != NULL; c = CMSG_NXTHDR(header, c))
        if ((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) ||
            (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR))
            memcpy(&e, CMSG_DATA(c), sizeof(e));
    bool is_icmp = e.ee_origin == SO_EE_ORIGIN_ICMP || e.ee_origin == SO_EE_ORIGIN_ICMP6;
    if (!is_icmp || e.ee_errno == EMSGSIZE)
        return;
    struct leat_addr to;
    sock_addr_from(peer, header->msg_namelen, &to);
    if ((k->flags & UDP_CONNECTED) != 0)
        to = k->peer;
    if (k->ops->on_error != NULL)
        k->ops->on_error((leat_udp){k->id}, k->user, &to, reason_of(e.ee_errno));
    leat_loop_gate(k->core->transport->loop);
}

static void udp_read_errors(struct udp_socket *k)
{
    int code;
    socklen_t length = sizeof(code);
    for (unsigned i = 0; i < UDP_ERRORS_MAX && (k->flags & UDP_FINISHED) == 0; i++) {
        union {
            struct cmsghdr header;
            uint8_t bytes[512];
        } control;
        struct sockaddr_storage peer = {0};
        struct msghdr header = {.msg_name = &peer,
                                .msg_namelen = sizeof(peer),
                                .msg_control = &control,
                                .msg_controllen = sizeof(control)};
        if (recvmsg(k->fd, &header, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
            break;
        on_error(k, &header, &peer);
    }
    if ((k->flags & UDP_FINISHED) == 0) /* reading it clears it */
        (void)getsockopt(k->fd, SOL_SOCKET, SO_ERROR, &code, &length);
}

void sock_udp_on_ready(struct leat_watch *watch, uint32_t events, void *arg)
{
    struct udp_socket *k = arg;
    if ((events & EPOLLERR) != 0)
        udp_read_errors(k);
    if ((k->flags & (UDP_BLOCKED | UDP_FINISHED)) == UDP_BLOCKED && (events & EPOLLOUT) != 0) {
        k->flags &= (uint16_t)~UDP_BLOCKED;
        sock_udp_flush_one(k);
    }
    if ((k->flags & UDP_FINISHED) == 0 && (events & EPOLLIN) != 0)
        udp_receive_batch(k);
}
