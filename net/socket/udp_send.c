/* Datagrams to the kernel: a queue for each socket, sent in batches at the end of the turn. */
#include "net/socket/udp_internal.h"

#include <errno.h>
#include <string.h>

socklen_t sock_udp_sockaddr(uint8_t family, const struct leat_addr *addr, struct sockaddr_in6 *to)
{
    struct sockaddr_storage storage;
    if (family == addr->family) {
        socklen_t length = sock_addr_to(addr, &storage);
        memcpy(to, &storage, sizeof(*to));
        return length;
    }
    if (family != LEAT_FAMILY_IPV6)
        return 0;
    *to = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(addr->port)};
    memset(to->sin6_addr.s6_addr + 10, 0xff, 2);
    memcpy(to->sin6_addr.s6_addr + 12, addr->ip, 4);
    return sizeof(*to);
}

static void set_from(struct udp_message *m, const struct leat_addr *from)
{
    static const struct in6_addr mapped = {.s6_addr = {[10] = 0xff, [11] = 0xff}};
    bool is_v4 = from->family == LEAT_FAMILY_IPV4;
    bool is_group = is_v4 ? from->ip[0] >= 224 : from->ip[0] == 0xff;
    if (is_group || leat_addr_is_wildcard(from))
        return;
    m->has_from = true;
    m->from = mapped;
    memcpy(m->from.s6_addr + (is_v4 ? 12 : 0), from->ip, is_v4 ? 4 : 16);
}

static struct udp_message *message_take(struct sock_udp_core *u)
{
    struct udp_message *m = u->spare;
    if (m == NULL)
        return leat_heap_alloc(sizeof(*m));
    u->spare = m->next;
    u->spare_count--;
    return m;
}

static void message_give(struct sock_udp_core *u, struct udp_message *m)
{
    if (u->spare_count >= UDP_SPARE_MAX) {
        leat_heap_free(m);
        return;
    }
    m->next = u->spare;
    u->spare = m;
    u->spare_count++;
}

int sock_udp_push(struct udp_socket *k, const struct udp_outgoing *out)
{
    static const uint8_t all_ones[4] = {255, 255, 255, 255};
    const struct leat_addr *to = out->to != NULL ? out->to : &k->peer;
    if (out->data.length_bytes > udp_bytes_max(to->family))
        return -EMSGSIZE;
    if (to->family == LEAT_FAMILY_IPV4 && !k->options.broadcast &&
        memcmp(to->ip, all_ones, sizeof(all_ones)) == 0)
        return -EACCES;
    struct udp_message *m = message_take(k->core);
    if (m == NULL)
        return -ENOMEM;
    *m = (struct udp_message){.buf = out->data};
    if (out->to != NULL) {
        m->to_bytes = sock_udp_sockaddr(k->family, out->to, &m->to);
        if (m->to_bytes == 0) {
            message_give(k->core, m);
            return -EAFNOSUPPORT;
        }
        if (out->from != NULL)
            set_from(m, out->from);
    }
    if (k->last != NULL)
        k->last->next = m;
    else
        k->first = m;
    k->last = m;
    k->count.queued_bytes += m->buf.length_bytes;
    return 0;
}

static void message_pop(struct udp_socket *k)
{
    struct udp_message *m = k->first;
    k->first = m->next;
    if (k->first == NULL)
        k->last = NULL;
    k->count.queued_bytes -= m->buf.length_bytes;
    leat_buf_unref(m->buf);
    message_give(k->core, m);
}

void sock_udp_drop_queue(struct udp_socket *k)
{
    while (k->first != NULL)
        message_pop(k);
}

union control {
    struct cmsghdr header;
    uint8_t bytes[CMSG_SPACE(sizeof(struct in6_pktinfo))];
};

/* The source address, where a reply wants a certain one. */
static void set_control(struct msghdr *header, union control *control, const struct udp_socket *k,
                        const struct udp_message *m)
{
    bool is_v6 = k->family == LEAT_FAMILY_IPV6;
    struct in_pktinfo four = {0};
    struct in6_pktinfo six = {.ipi6_addr = m->from};
    memcpy(&four.ipi_spec_dst, m->from.s6_addr + 12, sizeof(four.ipi_spec_dst));
    size_t bytes = is_v6 ? sizeof(six) : sizeof(four);
    memset(control, 0, sizeof(*control));
    header->msg_control = control;
    header->msg_controllen = CMSG_SPACE(bytes);
    struct cmsghdr *c = CMSG_FIRSTHDR(header);
    c->cmsg_level = is_v6 ? IPPROTO_IPV6 : IPPROTO_IP;
    c->cmsg_type = is_v6 ? IPV6_PKTINFO : IP_PKTINFO;
    c->cmsg_len = CMSG_LEN(bytes);
    memcpy(CMSG_DATA(c), is_v6 ? (const void *)&six : (const void *)&four, bytes);
}

/* Returns how many were sent, or -errno of the first. */
static int send_batch(struct udp_socket *k)
{
    struct mmsghdr headers[UDP_BATCH];
    struct iovec iov[UDP_BATCH];
    union control controls[UDP_BATCH];
    unsigned count = 0;
    for (struct udp_message *m = k->first; m != NULL && count < UDP_BATCH; m = m->next, count++) {
        iov[count] = (struct iovec){m->buf.data, m->buf.length_bytes};
        headers[count] = (struct mmsghdr){.msg_hdr.msg_iov = &iov[count], .msg_hdr.msg_iovlen = 1};
        if (m->to_bytes != 0) {
            headers[count].msg_hdr.msg_name = &m->to;
            headers[count].msg_hdr.msg_namelen = m->to_bytes;
        }
        if (m->has_from)
            set_control(&headers[count].msg_hdr, &controls[count], k, m);
    }
    int sent = sendmmsg(k->fd, headers, count, MSG_DONTWAIT | MSG_NOSIGNAL);
    return sent < 0 ? -errno : sent;
}

/* What the kernel refuses of one destination is the caller's to know, and no obstacle to the next.
 */
static void message_refuse(struct udp_socket *k, int code)
{
    struct udp_message *m = k->first;
    struct sockaddr_storage storage = {0};
    memcpy(&storage, &m->to, sizeof(m->to));
    if (m->to_bytes != 0)
        sock_addr_from(&storage, m->to_bytes, &k->failed_to);
    else
        k->failed_to = k->peer;
    k->failed_reason = (uint8_t)(code == -EPROTO ? LEAT_CLOSE_PROTOCOL : LEAT_CLOSE_UNREACHABLE);
    k->flags |= UDP_FAILED;
    message_pop(k);
    sock_udp_ready(k);
}

void sock_udp_flush_one(struct udp_socket *k)
{
    bool has_failed = false;
    while (k->first != NULL) {
        int sent = send_batch(k);
        if (sent == -EAGAIN) {
            k->flags |= UDP_BLOCKED;
            break;
        }
        if (sent < 0) {
            /* An ICMP error that came in makes one call fail: the next tells of this datagram. */
            if (has_failed)
                message_refuse(k, sent);
            has_failed = !has_failed;
            continue;
        }
        has_failed = false;
        for (int i = 0; i < sent; i++) {
            k->count.sent_count++;
            k->count.sent_bytes += k->first->buf.length_bytes;
            message_pop(k);
        }
    }
    sock_udp_watch(k);
    if ((k->flags & UDP_SEND_REFUSED) != 0 && k->count.queued_bytes < k->options.send_low_bytes)
        sock_udp_ready(k);
}
