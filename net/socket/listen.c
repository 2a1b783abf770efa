/* Listeners: accepting in bounded bursts, pausing, and what happens when resources run out. */
#include "net/socket/socket_internal.h"

#include <errno.h>
#include <leat/log.h>
#include <linux/filter.h>
#include <sys/socket.h>
#include <unistd.h>

static void retry_fired(struct leat_timer *timer, void *arg);

static int listener_start(struct sock_listener *l)
{
    return l->paused || l->exhausted || l->closed ? 0 : l->transport->backend->listener_start(l);
}

int sock_listen(struct leat_transport *base, const struct leat_addr *addr,
                const struct leat_listen_options *options, const struct leat_conn_ops *ops,
                void *user, struct leat_listener **listener)
{
    struct sock_transport *t = container_of(base, struct sock_transport, base);
    struct leat_error *error = &t->core->error;
    if (t->is_shut)
        return leat_fail(error, -ESHUTDOWN, "the loop is ending: nothing can listen on it now");
    struct sock_listener *l = leat_heap_calloc(1, sizeof(*l));
    int result;
    if (l == NULL)
        return leat_fail(error, -ENOMEM, "memory is out: cannot listen");
    l->base.transport = base;
    l->transport = t;
    l->ops = ops;
    l->user = user;
    list_init(&l->waiting);
    leat_timer_init(&l->retry, t->loop, retry_fired, l);
    leat_timer_unref(&l->retry);
    l->settings = sock_settings_new(&options->conn);
    if (l->settings == NULL) {
        result = leat_fail(error, -ENOMEM, "memory is out: cannot listen");
        goto no_settings;
    }
    const struct sock_binding how = {.listen = options};
    l->fd = result = sock_port_open(t, addr, &how, &l->port, error);
    if (result < 0)
        goto no_port;
    l->base.addr = sock_port_addr(l->port);
    result = listener_start(l);
    if (result < 0) {
        leat_fail(error, result, "cannot watch the listening socket (%s)", leat_errno_name(result));
        goto no_watch;
    }
    leat_loop_ref(t->loop);
    l->next = t->listeners;
    l->prev = &t->listeners;
    if (l->next != NULL)
        l->next->prev = &l->next;
    t->listeners = l;
    *listener = &l->base;
    return 0;
no_watch:
    sock_port_close(t, l->port, l->fd);
no_port:
    sock_settings_unref(l->settings);
no_settings:
    leat_heap_free(l);
    return result;
}

static void deliver_waiting(struct sock_listener *l)
{
    struct list *link;
    while ((link = list_pull(&l->waiting)) != NULL)
        sock_conn_ready(container_of(link, struct sock_conn, link));
}

/* The kernel gives the lowest free number: the last ones are kept for files and for the program. */
static bool fd_is_kept(const struct sock_transport *t, int fd)
{
    return (uint32_t)fd >= t->fd_limit;
}

static void conn_accepted(struct sock_listener *l, int fd, bool at_once)
{
    if (unlikely(fd_is_kept(l->transport, fd))) {
        close(fd);
        sock_accept_failed(l, EMFILE);
        return;
    }
    struct sock_conn *c = sock_conn_new(l->transport, fd, l->settings, l->ops, l->user);
    if (c == NULL) {
        close(fd);
        sock_accept_failed(l, ENOMEM);
        return;
    }
    c->family = l->base.addr.family;
    c->flags |= SOCK_OPEN_DUE;
    if (l->paused)
        list_push(&l->waiting, &c->link);
    else if (at_once)
        sock_conn_open(c);
    else
        sock_conn_ready(c);
}

void sock_accepted(struct sock_listener *l, int fd)
{
    conn_accepted(l, fd, true);
}

/* What a connection in the backlog died of: the next may be well (accept(2), "error handling"). */
static bool is_of_one_connection(int error)
{
    switch (error) {
    case EINTR:
    case ECONNABORTED:
    case EPROTO:
    case EPERM:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
    case ETIMEDOUT:
        return true;
    default:
        return false;
    }
}

/* Accepts at most max; returns 0, or the error that ended it (EAGAIN: there are no more). */
static int accept_some(struct sock_listener *l, unsigned max, bool at_once)
{
    struct sock_transport *t = l->transport;
    bool until_closed = l->closed;
    for (unsigned i = 0; i < max; i++) {
        if (t->slots.live_count >= t->slots.limit_count)
            return ENFILE;
        int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            conn_accepted(l, fd, at_once);
            if (l->paused || l->exhausted || l->closed != until_closed)
                return 0;
        } else if (!is_of_one_connection(errno)) {
            return errno;
        }
    }
    return 0;
}

void sock_accept_burst(struct sock_listener *l)
{
    int error = accept_some(l, SOCK_ACCEPTS_PER_TURN, true);
    if (error != 0 && error != EAGAIN)
        sock_accept_failed(l, error);
}

void sock_accept_failed(struct sock_listener *l, int error)
{
    struct sock_transport *t = l->transport;
    uint64_t now_ns = leat_loop_now(t->loop);
    if (is_of_one_connection(error) || error == EAGAIN || l->closed || l->exhausted)
        return;
    t->stats.exhausted_count++;
    if (t->exhausted_log_ns == 0 || now_ns - t->exhausted_log_ns >= SOCK_EXHAUSTED_LOG_NS) {
        char text[LEAT_ADDR_TEXT_BYTES_MAX];
        t->exhausted_log_ns = now_ns;
        LEAT_LOG_WARN("%s accepts nothing for now (%s, %u connections): raise the limit on open "
                      "files (ulimit -n), or the limit on connections",
                      leat_addr_format(&l->base.addr, text), leat_errno_name(error),
                      t->slots.live_count);
    }
    l->exhausted = true;
    t->backend->listener_stop(l);
    leat_timer_start_at(&l->retry, now_ns + SOCK_ACCEPT_RETRY_NS);
}

static void retry_fired(struct leat_timer *timer, void *arg)
{
    struct sock_listener *l = arg;
    l->exhausted = false;
    int result = listener_start(l);
    if (result < 0)
        sock_accept_failed(l, -result);
}

void sock_listener_pause(struct leat_listener *base, bool paused)
{
    struct sock_listener *l = container_of(base, struct sock_listener, base);
    if (l->closed || l->paused == paused || l->transport->is_shut)
        return;
    l->paused = paused;
    if (paused) {
        if (!l->exhausted)
            l->transport->backend->listener_stop(l);
        return;
    }
    deliver_waiting(l);
    int result = listener_start(l);
    if (result < 0)
        sock_accept_failed(l, -result);
}

/* From now on a SYN is not heard: its sender asks again, when nobody listens any more, instead of
 * being reset behind its first request. What else comes belongs to handshakes that have begun. */
static void listener_deafen(const struct sock_listener *l)
{
    struct sock_filter no_syn[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13), /* the flags of TCP's header */
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 1u << 1, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
    };
    struct sock_fprog program = {.len = sizeof(no_syn) / sizeof(no_syn[0]), .filter = no_syn};
    if (l->base.addr.family != LEAT_FAMILY_UNIX)
        (void)setsockopt(l->fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
}

/* Connections that the kernel has accepted for it are taken along: closing the descriptor would
 * reset them. */
void sock_listener_close(struct leat_listener *base)
{
    struct sock_listener *l = container_of(base, struct sock_listener, base);
    struct sock_transport *t = l->transport;
    if (l->closed)
        return;
    if (!l->paused && !l->exhausted)
        t->backend->listener_stop(l);
    l->closed = true;
    l->paused = false;
    l->exhausted = false;
    leat_timer_stop(&l->retry);
    deliver_waiting(l);
    listener_deafen(l);
    if (!t->is_shut)
        (void)accept_some(l, SOCK_BACKLOG_COUNT, false);
    sock_port_close(t, l->port, l->fd);
    l->fd = -1;
    l->port = NULL;
    *l->prev = l->next;
    if (l->next != NULL)
        l->next->prev = l->prev;
    l->next = t->dead_listeners;
    t->dead_listeners = l;
    leat_loop_unref(t->loop);
}

void sock_free_dead_listeners(struct sock_transport *t)
{
    struct sock_listener **at = &t->dead_listeners;
    while (*at != NULL) {
        struct sock_listener *l = *at;
        if (!t->backend->listener_is_idle(l)) {
            at = &l->next;
            continue;
        }
        *at = l->next;
        sock_settings_unref(l->settings);
        leat_heap_free(l);
    }
}
