/* Dispatch of leat/udp.h: which transport, whose core; what both would check alike. */
#include "net/api/udp_transport.h"

#include <errno.h>
#include <string.h>

#include "runtime/base/handle.h"
#include "runtime/base/core.h"

static struct leat_udp_transport **transport_place(struct leat_core *core, uint32_t number)
{
    return number == LEAT_TRANSPORT_UDP_SOCKETS ? &core->udp_sockets
           : number == LEAT_TRANSPORT_UDP_STACK ? &core->udp_stack
                                                : NULL;
}

/* The transport of a handle that belongs to this core, or NULL with *error. */
static struct leat_udp_transport *transport_of(leat_udp udp, int *error)
{
    struct leat_core *core = leat_core_now;
    *error = -ESTALE;
    if (unlikely(handle_table(udp.id) == LEAT_TRANSPORT_NONE))
        return NULL;
    if (unlikely(core == NULL || handle_core(udp.id) != core->index)) {
        *error = -EXDEV;
        return NULL;
    }
    struct leat_udp_transport **at = transport_place(core, handle_table(udp.id));
    return at != NULL ? *at : NULL;
}

#define DISPATCH(udp, call, ...)                                                                   \
    do {                                                                                           \
        int dispatch_error;                                                                        \
        struct leat_udp_transport *transport = transport_of((udp), &dispatch_error);               \
        return likely(transport != NULL) ? transport->ops->call(transport, (udp), __VA_ARGS__)     \
                                         : dispatch_error;                                         \
    } while (0)

static bool is_ip(const struct leat_addr *addr)
{
    return addr->family == LEAT_FAMILY_IPV4 || addr->family == LEAT_FAMILY_IPV6;
}

static int check_peer(struct leat_core *core, const struct leat_addr *to)
{
    char text[LEAT_ADDR_TEXT_BYTES_MAX];
    if (is_ip(to) && to->port != 0 && !leat_addr_is_wildcard(to))
        return 0;
    return leat_fail(&core->error, -EINVAL, "datagrams cannot be sent to %s",
                     leat_addr_format(to, text));
}

/* The stack has the first say, because it knows which addresses are its own. */
static int open_socket(struct leat_loop *loop, const struct leat_addr *addr,
                       const struct leat_addr *to, const struct leat_udp_options *options,
                       const struct leat_udp_ops *ops, void *user, leat_udp *udp)
{
    static const struct leat_udp_options defaults;
    struct leat_core *core = leat_core_now;
    if (core == NULL || core->loop != loop)
        return -EXDEV;
    const struct leat_addr *decides = to != NULL ? to : addr;
    CHECK(decides != NULL);
    if (to != NULL && check_peer(core, to) < 0)
        return -EINVAL;
    if (addr != NULL && !is_ip(addr))
        return leat_fail(&core->error, -EAFNOSUPPORT, "datagrams need an IPv4 or IPv6 address");
    struct leat_udp_transport *stack = core->udp_stack, *sockets = core->udp_sockets;
    int result = -EADDRNOTAVAIL;
    options = options != NULL ? options : &defaults;
    if (decides->via != LEAT_VIA_SOCKETS && stack != NULL)
        result = stack->ops->open(stack, addr, to, options, ops, user, udp);
    else if (decides->via == LEAT_VIA_STACK)
        return leat_fail(&core->error, -EOPNOTSUPP,
                         "Leat's own stack is not running: start it "
                         "with --net");
    if (result != -EADDRNOTAVAIL || decides->via == LEAT_VIA_STACK)
        return result;
    if (sockets == NULL)
        return stack != NULL ? result
                             : leat_fail(&core->error, -EOPNOTSUPP,
                                         "kernel sockets are not open on this core");
    return sockets->ops->open(sockets, addr, to, options, ops, user, udp);
}

int leat_udp_bind(struct leat_loop *loop, const struct leat_addr *addr,
                  const struct leat_udp_options *options, const struct leat_udp_ops *ops,
                  void *user, leat_udp *udp)
{
    return open_socket(loop, addr, NULL, options, ops, user, udp);
}

int leat_udp_connect(struct leat_loop *loop, const struct leat_addr *to,
                     const struct leat_addr *from, const struct leat_udp_options *options,
                     const struct leat_udp_ops *ops, void *user, leat_udp *udp)
{
    return open_socket(loop, from, to, options, ops, user, udp);
}

/* One buf of them all with a reference of its own; the given ones are untouched. */
static struct leat_buf bufs_join(const struct leat_buf *bufs, unsigned count, uint64_t bytes)
{
    struct leat_buf joined = leat_buf_alloc_unsafe(bytes);
    size_t at = 0;
    for (unsigned i = 0; i < count && joined.data != NULL; i++) {
        if (bufs[i].length_bytes > 0)
            memcpy(joined.data + at, bufs[i].data, bufs[i].length_bytes);
        at += bufs[i].length_bytes;
    }
    return joined;
}

static int send_joined(leat_udp udp, struct udp_outgoing *out, const struct leat_buf *bufs,
                       unsigned count)
{
    int result;
    struct leat_udp_transport *transport = transport_of(udp, &result);
    if (unlikely(transport == NULL))
        return result;
    uint64_t bytes = 0;
    for (unsigned i = 0; i < count; i++)
        bytes += bufs[i].length_bytes;
    if (unlikely(bytes > LEAT_UDP_BYTES_MAX_V6))
        return -EMSGSIZE;
    if (unlikely(out->to != NULL && check_peer(leat_core_now, out->to) < 0))
        return -EINVAL;
    if (likely(count == 1)) {
        out->data = bufs[0];
        return transport->ops->send(transport, udp, out);
    }
    if (bytes > 0) {
        out->data = bufs_join(bufs, count, bytes);
        if (out->data.data == NULL)
            return -ENOMEM;
    }
    result = transport->ops->send(transport, udp, out);
    if (result < 0) {
        leat_buf_unref(out->data);
        return result;
    }
    for (unsigned i = 0; i < count; i++)
        leat_buf_unref(bufs[i]);
    return 0;
}

int leat_udp_send(leat_udp udp, const struct leat_addr *to, const struct leat_buf *bufs,
                  unsigned count)
{
    struct udp_outgoing out = {.to = to};
    return send_joined(udp, &out, bufs, count);
}

int leat_udp_send_bytes(leat_udp udp, const struct leat_addr *to, const void *bytes,
                        size_t length_bytes)
{
    struct udp_outgoing out = {.to = to};
    if (length_bytes > LEAT_UDP_BYTES_MAX_V6)
        return -EMSGSIZE;
    struct leat_buf copy = leat_buf_from_bytes(bytes, length_bytes);
    if (copy.data == NULL && length_bytes != 0)
        return -ENOMEM;
    int result = send_joined(udp, &out, &copy, 1);
    if (result < 0)
        leat_buf_unref(copy);
    return result;
}

int leat_udp_reply(leat_udp udp, const struct leat_datagram *datagram, const struct leat_buf *bufs,
                   unsigned count)
{
    struct leat_addr peer;
    struct udp_outgoing out = {.to = &datagram->from, .from = &datagram->to};
    if (leat_udp_peer(udp, &peer) == 0)
        out = (struct udp_outgoing){0};
    return send_joined(udp, &out, bufs, count);
}

int leat_udp_pause(leat_udp udp)
{
    DISPATCH(udp, pause, true);
}

int leat_udp_resume(leat_udp udp)
{
    DISPATCH(udp, pause, false);
}

int leat_udp_close(leat_udp udp)
{
    int error;
    struct leat_udp_transport *transport = transport_of(udp, &error);
    return transport != NULL ? transport->ops->close(transport, udp) : error;
}

struct leat_buf leat_udp_hold(leat_udp udp, struct leat_buf data)
{
    int error;
    struct leat_udp_transport *transport = transport_of(udp, &error);
    return transport != NULL ? transport->ops->hold(transport, udp, data) : (struct leat_buf){0};
}

void leat_udp_release(leat_udp udp, struct leat_buf held)
{
    int error;
    struct leat_udp_transport *transport = transport_of(udp, &error);
    if (transport != NULL)
        transport->ops->release(transport, udp, held);
    else
        leat_buf_unref(held);
}

int leat_udp_join(leat_udp udp, const struct leat_addr *group)
{
    DISPATCH(udp, join, group, true);
}

int leat_udp_leave(leat_udp udp, const struct leat_addr *group)
{
    DISPATCH(udp, join, group, false);
}

int leat_udp_set(leat_udp udp, const struct leat_udp_ops *ops, void *user)
{
    DISPATCH(udp, set, ops, user);
}

int leat_udp_local(leat_udp udp, struct leat_addr *addr)
{
    DISPATCH(udp, address, false, addr);
}

int leat_udp_peer(leat_udp udp, struct leat_addr *addr)
{
    DISPATCH(udp, address, true, addr);
}

int leat_udp_info(leat_udp udp, struct leat_udp_info *info)
{
    DISPATCH(udp, info, info);
}
