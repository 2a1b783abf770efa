/* The transport as the loop (a source) and as net/api (its operations) see it. */
#include "net/socket/socket_internal.h"

#include "leat_config.h"

#include <errno.h>
#include <leat/log.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#define SHUT_TURNS_MAX 1000 /* that leat_sockets_close waits for the kernel, of 1 ms each */

static struct sock_transport *transport_of(struct leat_transport *base)
{
    return container_of(base, struct sock_transport, base);
}

static struct sock_conn *conn_of(struct leat_transport *base, leat_conn conn)
{
    return slots_find(&transport_of(base)->slots, conn.id);
}

static int sock_send(struct leat_transport *base, leat_conn conn, const struct leat_buf *bufs,
                     unsigned count)
{
    struct sock_conn *c = conn_of(base, conn);
    if (unlikely(c == NULL))
        return -ESTALE;
    if (unlikely((c->flags & (SOCK_FINISHED | SOCK_END_ASKED)) != 0))
        return -EPIPE;
    if (unlikely(c->out.bytes >= c->settings->options.send_high_bytes)) {
        c->flags |= SOCK_SEND_REFUSED;
        return -EAGAIN;
    }
    int result = sock_queue_push_bufs(c, bufs, count);
    if (unlikely(result < 0))
        return result;
    sock_conn_dirty(c);
    return c->out.bytes >= c->settings->options.send_high_bytes;
}

static int sock_send_file(struct leat_transport *base, leat_conn conn, struct leat_file *file,
                          uint64_t offset_bytes, uint64_t length_bytes)
{
    struct sock_conn *c = conn_of(base, conn);
    if (c == NULL)
        return -ESTALE;
    if ((c->flags & (SOCK_FINISHED | SOCK_END_ASKED)) != 0)
        return -EPIPE;
    if (offset_bytes > INT64_MAX || length_bytes > INT64_MAX - offset_bytes)
        return -EINVAL;
    if (c->out.bytes >= c->settings->options.send_high_bytes) {
        c->flags |= SOCK_SEND_REFUSED;
        return -EAGAIN;
    }
    if (length_bytes == 0)
        return 0;
    int result = sock_queue_push_file(c, file, offset_bytes, length_bytes);
    if (result < 0)
        return result;
    sock_conn_dirty(c);
    return c->out.bytes >= c->settings->options.send_high_bytes;
}

static int sock_want_writable(struct leat_transport *base, leat_conn conn)
{
    struct sock_conn *c = conn_of(base, conn);
    if (c == NULL)
        return -ESTALE;
    if ((c->flags & (SOCK_FINISHED | SOCK_END_ASKED)) != 0)
        return -EPIPE;
    c->flags |= SOCK_WANT_WRITABLE;
    if (c->out.bytes < c->settings->options.send_low_bytes && (c->flags & SOCK_CONNECTING) == 0)
        sock_conn_ready(c);
    return 0;
}

static int sock_end(struct leat_transport *base, leat_conn conn)
{
    struct sock_conn *c = conn_of(base, conn);
    if (c == NULL)
        return -ESTALE;
    c->flags |= SOCK_END_ASKED;
    sock_conn_dirty(c);
    return 0;
}

static int sock_close(struct leat_transport *base, leat_conn conn, bool soon)
{
    struct sock_conn *c = conn_of(base, conn);
    if (c == NULL)
        return -ESTALE;
    if ((c->flags & (SOCK_FINISHED | SOCK_CLOSING)) != 0)
        return 0;
    if ((c->flags & (SOCK_CONNECTING | SOCK_OPEN_DUE)) != 0) {
        sock_conn_finish(c, LEAT_CLOSE_ABORTED);
        return 0;
    }
    bool could_read = sock_may_read(c);
    c->flags |= SOCK_CLOSING | SOCK_END_ASKED | (soon ? (uint32_t)SOCK_SOON : 0);
    c->flags &= ~(uint32_t)SOCK_END_DUE;
    if ((c->flags & SOCK_FIN_SENT) != 0 &&
        sock_deadline_set_hard(c, c->settings->options.linger_ns) < 0) {
        sock_conn_finish(c, LEAT_CLOSE_DONE);
        return 0;
    }
    sock_conn_dirty(c);
    if (!could_read && sock_may_read(c))
        transport_of(base)->backend->conn_read(c);
    return 0;
}

static int sock_abort(struct leat_transport *base, leat_conn conn)
{
    struct sock_conn *c = conn_of(base, conn);
    if (c == NULL)
        return -ESTALE;
    c->flags |= SOCK_RESETS;
    sock_conn_finish(c, LEAT_CLOSE_ABORTED);
    return 0;
}

static int sock_pause(struct leat_transport *base, leat_conn conn, bool paused)
{
    struct sock_conn *c = conn_of(base, conn);
    if (c == NULL)
        return -ESTALE;
    if (paused) {
        c->flags |= SOCK_PAUSED;
    } else if ((c->flags & SOCK_PAUSED) != 0) {
        c->flags &= ~(uint32_t)SOCK_PAUSED;
        if (sock_may_read(c))
            transport_of(base)->backend->conn_read(c);
        if ((c->flags & SOCK_END_DUE) != 0)
            sock_conn_ready(c);
    }
    return 0;
}

/* A slice that fills less than half of its block is copied, so that nobody pins much more memory
 * than is charged for. */
static struct leat_buf slice_keep(struct sock_transport *t, struct leat_buf slice)
{
    if (slice.length_bytes * 2 >= t->receive_block_bytes)
        return leat_buf_ref(slice);
    t->stats.compacted_count++;
    return leat_buf_from_bytes(slice.data, slice.length_bytes);
}

static struct leat_buf sock_hold(struct leat_transport *base, leat_conn conn, struct leat_buf slice)
{
    struct sock_conn *c = conn_of(base, conn);
    struct leat_buf held = {0};
    if (c != NULL)
        held = slice_keep(transport_of(base), slice);
    if (held.data != NULL)
        c->held_bytes += (uint32_t)held.length_bytes;
    return held;
}

/* The blocks are the core's already. */
static struct leat_buf sock_take(struct leat_transport *base, leat_conn conn, struct leat_buf slice)
{
    return conn_of(base, conn) != NULL ? slice_keep(transport_of(base), slice)
                                       : (struct leat_buf){0};
}

static void sock_release(struct leat_transport *base, leat_conn conn, struct leat_buf held)
{
    struct sock_conn *c = conn_of(base, conn);
    if (c != NULL) {
        DCHECK(held.length_bytes <= c->held_bytes);
        bool could_read = sock_may_read(c);
        c->held_bytes -= (uint32_t)held.length_bytes;
        if (!could_read && sock_may_read(c))
            c->transport->backend->conn_read(c);
    }
    leat_buf_unref(held);
}

static int sock_set(struct leat_transport *base, leat_conn conn, const struct leat_conn_ops *ops,
                    void *user)
{
    struct sock_conn *c = conn_of(base, conn);
    if (c == NULL)
        return -ESTALE;
    c->ops = ops != NULL ? ops : c->ops;
    c->user = user;
    return 0;
}

static int sock_set_timeout(struct leat_transport *base, leat_conn conn, uint64_t timeout_ns)
{
    struct sock_conn *c = conn_of(base, conn);
    if (c == NULL)
        return -ESTALE;
    return (c->flags & SOCK_FINISHED) != 0 ? 0 : sock_deadline_set_timeout(c, timeout_ns);
}

static int sock_set_option(struct leat_transport *base, leat_conn conn,
                           enum leat_transport_option option, uint64_t value)
{
    struct sock_conn *c = conn_of(base, conn);
    struct sockaddr_storage storage = {0};
    socklen_t length = sizeof(storage);
    if (c == NULL)
        return -ESTALE;
    if ((c->flags & (SOCK_CONNECTING | SOCK_FINISHED)) != 0)
        return -ENOTCONN;
    if (getsockname(c->fd, (struct sockaddr *)&storage, &length) < 0)
        return -errno;
    return storage.ss_family == AF_UNIX ? 0 : sock_option_set(c->fd, option, value);
}

static int sock_address(struct leat_transport *base, leat_conn conn, bool peer,
                        struct leat_addr *addr)
{
    struct sock_conn *c = conn_of(base, conn);
    struct sockaddr_storage storage = {0};
    socklen_t length = sizeof(storage);
    if (c == NULL)
        return -ESTALE;
    if ((c->flags & SOCK_FINISHED) != 0)
        return -ENOTCONN;
    int result = peer ? getpeername(c->fd, (struct sockaddr *)&storage, &length)
                      : getsockname(c->fd, (struct sockaddr *)&storage, &length);
    if (result < 0)
        return -errno;
    sock_addr_from(&storage, length, addr);
    return 0;
}

static int sock_info(struct leat_transport *base, leat_conn conn, struct leat_conn_info *info)
{
    struct sock_conn *c = conn_of(base, conn);
    if (c == NULL)
        return -ESTALE;
    *info = (struct leat_conn_info){
        .received_bytes = c->received_bytes,
        .sent_bytes = c->sent_bytes,
        .queued_bytes = c->out.bytes,
        .held_bytes = c->held_bytes,
        .transport = transport_of(base)->backend->name,
    };
    return 0;
}

static const struct leat_transport_ops transport_ops = {
    .name = "sockets",
    .listen = sock_listen,
    .connect = sock_connect,
    .listener_close = sock_listener_close,
    .listener_pause = sock_listener_pause,
    .send = sock_send,
    .send_file = sock_send_file,
    .want_writable = sock_want_writable,
    .end = sock_end,
    .close = sock_close,
    .abort = sock_abort,
    .pause = sock_pause,
    .hold = sock_hold,
    .take = sock_take,
    .release = sock_release,
    .set = sock_set,
    .set_timeout = sock_set_timeout,
    .set_option = sock_set_option,
    .address = sock_address,
    .info = sock_info,
};

void sock_conn_flush(struct sock_conn *c)
{
    c->flags &= ~(uint32_t)SOCK_ON_DIRTY;
    if (unlikely((c->flags & SOCK_FINISHED) != 0))
        sock_conn_try_free(c);
    else if (likely((c->flags & (SOCK_BLOCKED | SOCK_CONNECTING)) == 0))
        c->transport->backend->conn_flush(c);
}

void sock_flush(struct sock_transport *t)
{
    struct sock_conn *c = t->dirty;
    t->dirty = NULL;
    while (c != NULL) {
        struct sock_conn *next = c->next_dirty;
        sock_conn_flush(c);
        c = next;
    }
    if (unlikely(t->dead_listeners != NULL))
        sock_free_dead_listeners(t);
    sock_udp_flush(t->udp);
    sock_ask_for_close_phase(t);
}

void sock_arm(struct sock_transport *t, struct leat_nap *nap)
{
    nap->has_work = !list_is_empty(&t->ready) || t->dirty != NULL;
    if (!list_is_empty(&t->starved) || !list_is_empty(&t->closing))
        nap->nap_ns_max = SOCK_STARVED_RETRY_NS;
}

static struct sock_transport *transport_now(struct leat_loop *loop)
{
    struct leat_core *core = leat_core_now;
    struct leat_transport *base =
        core != NULL && core->loop == loop ? core->transports[LEAT_TRANSPORT_SOCKETS] : NULL;
    return base != NULL ? transport_of(base) : NULL;
}

static void ignore_sigpipe(void)
{
    struct sigaction now;
    if (sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler == SIG_DFL)
        signal(SIGPIPE, SIG_IGN);
}

static int open_backend(struct sock_transport *t, const struct leat_sockets_options *options,
                        struct leat_error *error)
{
#if LEAT_HAVE_URING
    if (options->which != LEAT_SOCKETS_EPOLL) {
        struct leat_error refused = {0};
        t->backend = &sock_uring;
        int result = t->backend->open(t, options, &refused);
        if (result == 0 || options->which == LEAT_SOCKETS_URING)
            return result == 0 ? 0 : leat_fail(error, result, "%s", refused.sentence);
        if (sock_tells_first(t->shared, SOCK_TOLD_EPOLL))
            LEAT_LOG_INFO("using epoll: %s", refused.sentence);
    }
#else
    if (options->which == LEAT_SOCKETS_URING) {
        return leat_fail(error, -ENOSYS,
                         "this build of Leat has no io_uring: use epoll, or build with liburing");
    }
#endif
    t->backend = &sock_epoll;
    return t->backend->open(t, options, error);
}

static struct sock_transport *transport_new(struct leat_loop *loop)
{
    struct sock_transport *t = leat_heap_calloc(1, sizeof(*t));
    if (t == NULL)
        return NULL;
    t->base.ops = &transport_ops;
    t->loop = loop;
    t->core = leat_core_now;
    list_init(&t->ready);
    list_init(&t->starved);
    list_init(&t->closing);
    return t;
}

/* Of few descriptors a quarter is kept. */
static uint32_t fd_limit_of_connections(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur > INT32_MAX)
        return INT32_MAX;
    uint32_t count = (uint32_t)limit.rlim_cur, kept = count / 4;
    return count - (kept < LEAT_SOCKETS_KEPT_FDS ? kept : LEAT_SOCKETS_KEPT_FDS);
}

int leat_sockets_open(struct leat_loop *loop, const struct leat_sockets_options *options,
                      struct leat_error *error)
{
    static const struct leat_sockets_options defaults;
    CHECK(leat_core_now != NULL && leat_core_now->loop == loop);
    options = options != NULL ? options : &defaults;
    if (transport_now(loop) != NULL)
        return leat_fail(error, -EBUSY, "this loop has its sockets open already");
    int result = -ENOMEM;
    uint32_t limit = options->connection_count_max != 0 ? options->connection_count_max
                                                        : SOCK_CONNECTIONS_DEFAULT;
    struct sock_transport *t = transport_new(loop);
    if (t == NULL)
        goto no_transport;
    t->fd_limit = fd_limit_of_connections();
    t->own_shared = options->shared == NULL ? leat_sockets_shared_new() : NULL;
    t->shared = options->shared != NULL ? options->shared : t->own_shared;
    if (t->shared == NULL)
        goto no_shared;
    if (slots_init(&t->slots, LEAT_TRANSPORT_SOCKETS, sizeof(struct sock_conn), limit) < 0)
        goto no_slots;
    t->udp = sock_udp_new(t);
    if (t->udp == NULL)
        goto no_udp;
    result = open_backend(t, options, error);
    if (result < 0)
        goto no_backend;
    ignore_sigpipe();
    leat_core_now->transports[LEAT_TRANSPORT_SOCKETS] = &t->base;
    return 0;
no_backend:
    sock_udp_free(t->udp);
no_udp:
    slots_fini(&t->slots);
no_slots:
    leat_sockets_shared_free(t->own_shared);
no_shared:
    leat_heap_free(t);
no_transport:
    return result == -ENOMEM && (error == NULL || error->code != result)
               ? leat_fail(error, -ENOMEM, "memory is out: the sockets cannot be opened")
               : result;
}

static void finish_all(struct sock_transport *t)
{
    for (uint32_t i = 0; i < t->slots.capacity_count; i++) {
        struct sock_conn *c = slots_at(&t->slots, i);
        if (c == NULL)
            continue;
        if ((c->flags & (SOCK_OPEN_DUE | SOCK_OUTGOING)) == SOCK_OPEN_DUE) {
            list_unlink(&c->link);
            sock_conn_free_unopened(c);
        } else {
            sock_conn_finish(c, LEAT_CLOSE_SHUTDOWN);
        }
    }
}

static void free_caches(struct sock_transport *t)
{
    while (t->pieces != NULL) {
        struct sock_piece *piece = t->pieces;
        t->pieces = piece->next;
        leat_heap_free(piece);
    }
    while (t->deadlines != NULL) {
        struct sock_deadline *deadline = t->deadlines;
        t->deadlines = (struct sock_deadline *)deadline->conn;
        leat_heap_free(deadline);
    }
    if (t->settings != NULL)
        sock_settings_unref(t->settings);
}

/* Turns the loop until the kernel has let go of all connections and of listeners that are closed.
 */
static void transport_settle(struct sock_transport *t)
{
    for (unsigned turn = 0; turn < SHUT_TURNS_MAX; turn++) {
        if (sock_udp_shut(t->udp) && t->slots.live_count == 0 && !t->close_is_due &&
            t->dead_listeners == NULL && t->dirty == NULL)
            return;
        leat_loop_turn(t->loop, turn < 2 ? 0 : LEAT_NS_PER_MS);
    }
}

void leat_sockets_shut(struct leat_loop *loop)
{
    struct sock_transport *t = transport_now(loop);
    if (t == NULL || t->is_shut)
        return;
    for (struct sock_listener *l = t->listeners; l != NULL; l = l->next)
        sock_listener_pause(&l->base, true);
    t->is_shut = true;
    finish_all(t);
    transport_settle(t);
}

void leat_sockets_close(struct leat_loop *loop)
{
    struct sock_transport *t = transport_now(loop);
    if (t == NULL)
        return;
    leat_sockets_shut(loop);
    while (t->listeners != NULL)
        sock_listener_close(&t->listeners->base);
    transport_settle(t);
    if (t->slots.live_count != 0 || t->close_is_due) {
        LEAT_LOG_WARN("the kernel did not finish with %u connections: their memory is lost",
                      t->slots.live_count);
        return;
    }
    t->backend->close(t);
    leat_buf_unref(t->block);
    sock_udp_free(t->udp);
    leat_core_now->transports[LEAT_TRANSPORT_SOCKETS] = NULL;
    free_caches(t);
    slots_fini(&t->slots);
    leat_sockets_shared_free(t->own_shared);
    leat_heap_free(t);
}

const char *leat_sockets_name(struct leat_loop *loop)
{
    struct sock_transport *t = transport_now(loop);
    return t != NULL ? t->backend->name : NULL;
}

void leat_sockets_stats(struct leat_loop *loop, struct leat_sockets_stats *stats)
{
    struct sock_transport *t = transport_now(loop);
    *stats = t != NULL ? t->stats : (struct leat_sockets_stats){0};
    stats->conn_bytes = t != NULL ? t->slots.slot_bytes : 0;
}
