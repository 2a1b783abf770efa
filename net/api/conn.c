/* Dispatch: a handle's core bits are checked here, its transport bits choose whom to call, and the
 * transport checks generation and index in its slot table. */
#include "runtime/base/handle.h"
#include "net/api/transport.h"
#include "runtime/base/core.h"
#include "runtime/loop/profile.h"

#include <errno.h>

static const struct {
    const char *name, *sentence;
} reasons[LEAT_CLOSE_REASON_COUNT] = {
#define LEAT_X(name, sentence) {#name, sentence},
    LEAT_CLOSE_REASONS(LEAT_X)
#undef LEAT_X
};

const char *leat_close_reason_name(enum leat_close_reason reason)
{
    return (unsigned)reason < LEAT_CLOSE_REASON_COUNT ? reasons[reason].name : "?";
}

const char *leat_close_reason_sentence(enum leat_close_reason reason)
{
    return (unsigned)reason < LEAT_CLOSE_REASON_COUNT ? reasons[reason].sentence
                                                      : "no reason of Leat's";
}

/* The transport of a handle that belongs to this core, or NULL with *error. */
static inline struct leat_transport *transport_of(leat_conn conn, int *error)
{
    const struct leat_core *core = leat_core_now;
    struct leat_transport *transport = NULL;
    *error = -ESTALE;
    if (unlikely(handle_table(conn.id) == LEAT_TRANSPORT_NONE))
        return NULL;
    if (unlikely(core == NULL || handle_core(conn.id) != core->index)) {
        *error = -EXDEV;
        return NULL;
    }
    transport = core->transports[handle_table(conn.id)];
    return transport;
}

/* Returns what the call returns, or why there is none to make. */
#define DISPATCH(conn, call, ...)                                                                  \
    do {                                                                                           \
        int dispatch_error;                                                                        \
        struct leat_transport *transport = transport_of((conn), &dispatch_error);                  \
        return likely(transport != NULL) ? transport->ops->call(transport, (conn), __VA_ARGS__)    \
                                         : dispatch_error;                                         \
    } while (0)

#define DISPATCH_PLAIN(conn, call)                                                                 \
    do {                                                                                           \
        int dispatch_error;                                                                        \
        struct leat_transport *transport = transport_of((conn), &dispatch_error);                  \
        return likely(transport != NULL) ? transport->ops->call(transport, (conn))                 \
                                         : dispatch_error;                                         \
    } while (0)

static int no_transport(struct leat_core *core, const struct leat_addr *addr)
{
    char text[LEAT_ADDR_TEXT_BYTES_MAX];
    return leat_fail(&core->error, -EOPNOTSUPP,
                     addr->via == LEAT_VIA_STACK
                         ? "%s wants Leat's own stack, which is not running: start it with --net"
                         : "%s wants kernel sockets, which are not open on this core",
                     leat_addr_format(addr, text));
}

/* Without a prefix the stack has the first say, because it knows which addresses are its own. */
static struct leat_transport *first_choice(struct leat_core *core, const struct leat_addr *addr)
{
    struct leat_transport *stack = core->transports[LEAT_TRANSPORT_STACK];
    struct leat_transport *sockets = core->transports[LEAT_TRANSPORT_SOCKETS];
    if (addr->via == LEAT_VIA_STACK)
        return stack;
    if (addr->via == LEAT_VIA_SOCKETS || addr->family == LEAT_FAMILY_UNIX || stack == NULL)
        return sockets;
    return stack;
}

static struct leat_transport *second_choice(struct leat_core *core, const struct leat_addr *addr,
                                            int result)
{
    struct leat_transport *sockets = core->transports[LEAT_TRANSPORT_SOCKETS];
    bool other = addr->via == LEAT_VIA_ANY && first_choice(core, addr) != sockets;
    return result == -EADDRNOTAVAIL && other ? sockets : NULL;
}

int leat_listen(struct leat_loop *loop, const struct leat_addr *addr,
                const struct leat_listen_options *options, const struct leat_conn_ops *ops,
                void *user, struct leat_listener **listener)
{
    static const struct leat_listen_options defaults;
    struct leat_core *core = leat_core_now;
    if (core == NULL || core->loop != loop)
        return -EXDEV;
    options = options != NULL ? options : &defaults;
    struct leat_transport *transport = first_choice(core, addr);
    if (transport == NULL)
        return no_transport(core, addr);
    int result = transport->ops->listen(transport, addr, options, ops, user, listener);
    transport = second_choice(core, addr, result);
    return transport == NULL
               ? result
               : transport->ops->listen(transport, addr, options, ops, user, listener);
}

void leat_listener_close(struct leat_listener *listener)
{
    listener->transport->ops->listener_close(listener);
}

void leat_listener_pause(struct leat_listener *listener)
{
    listener->transport->ops->listener_pause(listener, true);
}

void leat_listener_resume(struct leat_listener *listener)
{
    listener->transport->ops->listener_pause(listener, false);
}

const struct leat_addr *leat_listener_addr(const struct leat_listener *listener)
{
    return &listener->addr;
}

int leat_connect(struct leat_loop *loop, const struct leat_addr *to, const struct leat_addr *from,
                 const struct leat_conn_options *options, const struct leat_conn_ops *ops,
                 void *user, leat_conn *conn)
{
    static const struct leat_conn_options defaults;
    struct leat_core *core = leat_core_now;
    if (core == NULL || core->loop != loop)
        return -EXDEV;
    options = options != NULL ? options : &defaults;
    struct leat_transport *transport = first_choice(core, to);
    if (transport == NULL)
        return no_transport(core, to);
    int result = transport->ops->connect(transport, to, from, options, ops, user, conn);
    transport = second_choice(core, to, result);
    return transport == NULL
               ? result
               : transport->ops->connect(transport, to, from, options, ops, user, conn);
}

int leat_conn_send(leat_conn conn, const struct leat_buf *bufs, unsigned count)
{
    int result;
    struct leat_transport *transport = transport_of(conn, &result);
    if (unlikely(transport == NULL))
        return result;
    enum leat_layer outer = profile_enter(LEAT_LAYER_NET_OUT);
    result = transport->ops->send(transport, conn, bufs, count);
    profile_leave(outer);
    return result;
}

int leat_conn_send_bytes(leat_conn conn, const void *bytes, size_t length_bytes)
{
    int result;
    struct leat_transport *transport = transport_of(conn, &result);
    if (unlikely(transport == NULL))
        return result;
    struct leat_buf copy = leat_buf_from_bytes(bytes, length_bytes);
    if (copy.data == NULL && length_bytes != 0)
        return -ENOMEM;
    result = transport->ops->send(transport, conn, &copy, length_bytes != 0 ? 1 : 0);
    if (result < 0)
        leat_buf_unref(copy);
    return result;
}

int leat_conn_send_file(leat_conn conn, struct leat_file *file, uint64_t offset_bytes,
                        uint64_t length_bytes)
{
    DISPATCH(conn, send_file, file, offset_bytes, length_bytes);
}

int leat_conn_want_writable(leat_conn conn)
{
    DISPATCH_PLAIN(conn, want_writable);
}

int leat_conn_end(leat_conn conn)
{
    DISPATCH_PLAIN(conn, end);
}

int leat_conn_close(leat_conn conn)
{
    DISPATCH(conn, close, false);
}

int leat_conn_close_soon(leat_conn conn)
{
    DISPATCH(conn, close, true);
}

int leat_conn_abort(leat_conn conn)
{
    DISPATCH_PLAIN(conn, abort);
}

int leat_conn_pause(leat_conn conn)
{
    DISPATCH(conn, pause, true);
}

int leat_conn_resume(leat_conn conn)
{
    DISPATCH(conn, pause, false);
}

struct leat_buf leat_conn_hold(leat_conn conn, struct leat_buf slice)
{
    int error;
    struct leat_transport *transport = transport_of(conn, &error);
    return transport != NULL ? transport->ops->hold(transport, conn, slice) : (struct leat_buf){0};
}

struct leat_buf leat_conn_take(leat_conn conn, struct leat_buf slice)
{
    int error;
    struct leat_transport *transport = transport_of(conn, &error);
    return transport != NULL ? transport->ops->take(transport, conn, slice) : (struct leat_buf){0};
}

void leat_conn_release(leat_conn conn, struct leat_buf held)
{
    int error;
    struct leat_transport *transport = transport_of(conn, &error);
    if (transport != NULL)
        transport->ops->release(transport, conn, held);
    else
        leat_buf_unref(held);
}

int leat_conn_set(leat_conn conn, const struct leat_conn_ops *ops, void *user)
{
    DISPATCH(conn, set, ops, user);
}

int leat_conn_set_timeout(leat_conn conn, uint64_t timeout_ns)
{
    DISPATCH(conn, set_timeout, timeout_ns);
}

int leat_conn_set_nagle(leat_conn conn, bool is_on)
{
    DISPATCH(conn, set_option, LEAT_TRANSPORT_NAGLE, is_on);
}

int leat_conn_set_keepalive(leat_conn conn, uint64_t keepalive_ns)
{
    DISPATCH(conn, set_option, LEAT_TRANSPORT_KEEPALIVE, keepalive_ns);
}

int leat_conn_set_user_timeout(leat_conn conn, uint64_t user_timeout_ns)
{
    DISPATCH(conn, set_option, LEAT_TRANSPORT_USER_TIMEOUT, user_timeout_ns);
}

int leat_conn_local(leat_conn conn, struct leat_addr *addr)
{
    DISPATCH(conn, address, false, addr);
}

int leat_conn_peer(leat_conn conn, struct leat_addr *addr)
{
    DISPATCH(conn, address, true, addr);
}

int leat_conn_info(leat_conn conn, struct leat_conn_info *info)
{
    DISPATCH(conn, info, info);
}
