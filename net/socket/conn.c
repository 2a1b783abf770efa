/* The life of a connection: made, opened, delivering, finished, closed, freed. The states and who
 * changes them are drawn in README.md. */
#include "net/socket/socket_internal.h"
#include "runtime/loop/profile.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

struct sock_conn *sock_conn_new(struct sock_transport *t, int fd, struct sock_settings *settings,
                                const struct leat_conn_ops *ops, void *user)
{
    struct sock_conn *c = slots_take(&t->slots);
    if (c == NULL)
        return NULL;
    c->ops = ops;
    c->user = user;
    c->transport = t;
    c->settings = settings;
    c->fd = fd;
    if (unlikely(settings->options.timeout_ns != 0) &&
        sock_deadline_set_timeout(c, settings->options.timeout_ns) < 0) {
        slots_give(&t->slots, c);
        return NULL;
    }
    settings->ref_count++;
    leat_loop_ref(t->loop);
    t->stats.live_count++;
    return c;
}

/* What a connection gives back when it ends, apart from its slot. */
static void conn_release(struct sock_conn *c)
{
    struct sock_transport *t = c->transport;
    sock_deadline_drop(c);
    sock_settings_unref(c->settings);
    leat_loop_unref(t->loop);
    t->stats.live_count--;
}

void sock_conn_free_unopened(struct sock_conn *c)
{
    conn_release(c);
    close(c->fd);
    sock_queue_drop(c);
    slots_give(&c->transport->slots, c);
}

void sock_conn_ready(struct sock_conn *c)
{
    if ((c->flags & (SOCK_ON_READY | SOCK_STARVED | SOCK_FINISHED)) == 0) {
        c->flags |= SOCK_ON_READY;
        list_push(&c->transport->ready, &c->link);
    }
}

void sock_conn_starve(struct sock_conn *c)
{
    struct sock_transport *t = c->transport;
    t->stats.starved_count++;
    if ((c->flags & (SOCK_ON_READY | SOCK_STARVED | SOCK_FINISHED)) == 0) {
        c->flags |= SOCK_STARVED;
        list_push(&t->starved, &c->link);
    }
}

void sock_conn_dirty(struct sock_conn *c)
{
    if ((c->flags & (SOCK_ON_DIRTY | SOCK_FINISHED)) == 0) {
        c->flags |= SOCK_ON_DIRTY;
        c->next_dirty = c->transport->dirty;
        c->transport->dirty = c;
    }
}

void sock_conn_try_free(struct sock_conn *c)
{
    struct sock_transport *t = c->transport;
    if ((c->flags & (SOCK_CLOSED | SOCK_ON_DIRTY)) == SOCK_CLOSED && t->backend->conn_is_idle(c)) {
        sock_queue_drop(c); /* not before: the kernel may have been reading it */
        slots_give(&t->slots, c);
    }
}

static void conn_close(struct sock_conn *c)
{
    struct sock_transport *t = c->transport;
    t->stats.closed_count++;
    t->stats.closed_by_reason[c->reason]++;
    conn_release(c);
    c->ops->on_close((leat_conn){c->id}, c->user, (enum leat_close_reason)c->reason);
    leat_loop_gate(t->loop);
    c->flags |= SOCK_CLOSED;
    slots_retire(&t->slots, c);
    sock_conn_try_free(c);
}

static void run_closing(void *arg)
{
    struct sock_transport *t = arg;
    struct list closing, *link;
    list_init(&closing);
    list_take(&closing, &t->closing);
    t->close_is_due = false;
    while ((link = list_pull(&closing)) != NULL)
        conn_close(container_of(link, struct sock_conn, link));
}

/* Without memory for the entry, the next flush asks again. */
void sock_ask_for_close_phase(struct sock_transport *t)
{
    if (!t->close_is_due && !list_is_empty(&t->closing))
        t->close_is_due = leat_loop_close_later(t->loop, run_closing, t) == 0;
}

void sock_conn_finish(struct sock_conn *c, enum leat_close_reason reason)
{
    struct sock_transport *t = c->transport;
    if ((c->flags & SOCK_FINISHED) != 0)
        return;
    if ((c->flags & SOCK_RESETS) != 0) {
        static const struct linger reset = {.l_onoff = 1, .l_linger = 0};
        (void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    }
    c->reason = (uint8_t)reason;
    c->flags |= SOCK_FINISHED;
    sock_deadline_drop(c);
    t->backend->conn_stop(c);
    if ((c->flags & (SOCK_ON_READY | SOCK_STARVED)) != 0) {
        c->flags &= ~(uint32_t)(SOCK_ON_READY | SOCK_STARVED);
        list_unlink(&c->link);
    }
    list_push(&t->closing, &c->link);
    sock_ask_for_close_phase(t);
}

void sock_conn_fail(struct sock_conn *c, int error)
{
    sock_conn_finish(c, sock_reason_of(error, (c->flags & SOCK_CONNECTING) != 0));
}

static void count_unopened(struct sock_conn *c)
{
    struct sock_transport *t = c->transport;
    t->stats.exhausted_count++;
    sock_conn_free_unopened(c);
}

void sock_conn_open(struct sock_conn *c)
{
    struct sock_transport *t = c->transport;
    c->flags &= ~(uint32_t)SOCK_OPEN_DUE;
    if ((c->flags & SOCK_OUTGOING) != 0) {
        t->stats.connected_count++;
        t->backend->conn_established(c);
        if ((c->flags & SOCK_FINISHED) != 0)
            return;
    } else if (t->backend->conn_start(c) == 0) {
        t->stats.accepted_count++;
    } else {
        count_unopened(c);
        return;
    }
    c->flags |= SOCK_OPENED;
    /* fails for a connection that has ended already: then there is nothing to wait for */
    (void)sock_settings_apply_open(c->fd, c->family, &c->settings->options);
    if (c->ops->on_open != NULL) {
        c->ops->on_open((leat_conn){c->id}, c->user);
        leat_loop_gate(t->loop);
    }
    if ((c->flags & (SOCK_OUTGOING | SOCK_FINISHED)) == 0 && t->backend->conn_opened != NULL)
        t->backend->conn_opened(c);
}

void sock_conn_established(struct sock_conn *c)
{
    c->flags &= ~(uint32_t)SOCK_CONNECTING;
    (void)sock_deadline_set_hard(c, UINT64_MAX);
    if (c->out.first != NULL || (c->flags & (SOCK_END_ASKED | SOCK_WANT_WRITABLE)) != 0)
        sock_conn_dirty(c);
    sock_conn_open(c);
}

void sock_received(struct sock_conn *c, const struct leat_buf *slices, unsigned count, size_t bytes)
{
    sock_moved(c);
    c->received_bytes += bytes;
    if ((c->flags & SOCK_CLOSING) == 0 && c->ops->on_data != NULL) {
        enum leat_layer outer = profile_enter(LEAT_LAYER_HANDLER);
        c->ops->on_data((leat_conn){c->id}, c->user, slices, count);
        profile_leave(outer);
        leat_loop_gate(c->transport->loop);
    }
}

static void deliver_end(struct sock_conn *c)
{
    c->flags &= ~(uint32_t)SOCK_END_DUE;
    if (c->ops->on_end != NULL) {
        c->ops->on_end((leat_conn){c->id}, c->user);
        leat_loop_gate(c->transport->loop);
    }
    if ((c->flags & (SOCK_FIN_SENT | SOCK_FINISHED)) == SOCK_FIN_SENT)
        sock_conn_finish(c, LEAT_CLOSE_DONE);
}

void sock_peer_ended(struct sock_conn *c)
{
    c->flags |= SOCK_PEER_ENDED;
    sock_moved(c);
    if ((c->flags & SOCK_CLOSING) != 0) {
        if ((c->flags & SOCK_FIN_SENT) != 0)
            sock_conn_finish(c, LEAT_CLOSE_DONE);
    } else if ((c->flags & SOCK_PAUSED) != 0) {
        c->flags |= SOCK_END_DUE;
    } else {
        deliver_end(c);
    }
}

static void call_writable(struct sock_conn *c)
{
    const uint32_t owed = SOCK_SEND_REFUSED | SOCK_WANT_WRITABLE;
    if ((c->flags & owed) == 0 || (c->flags & SOCK_END_ASKED) != 0 ||
        c->out.bytes >= c->settings->options.send_low_bytes)
        return;
    c->flags &= ~owed;
    if (c->ops->on_writable != NULL) {
        c->ops->on_writable((leat_conn){c->id}, c->user);
        leat_loop_gate(c->transport->loop);
    }
}

static void run_one(struct sock_conn *c)
{
    c->flags &= ~(uint32_t)SOCK_ON_READY;
    if ((c->flags & SOCK_OPEN_DUE) != 0) {
        sock_conn_open(c);
        return;
    }
    call_writable(c);
    if (sock_may_read(c))
        c->transport->backend->conn_deliver_parked(c);
    if ((c->flags & (SOCK_END_DUE | SOCK_PAUSED | SOCK_FINISHED)) == SOCK_END_DUE)
        deliver_end(c);
}

unsigned sock_run_ready(struct sock_transport *t)
{
    struct list running, *link;
    unsigned count = 0;
    list_init(&running);
    list_take(&running, &t->ready);
    while ((link = list_pull(&running)) != NULL) {
        run_one(container_of(link, struct sock_conn, link));
        count++;
    }
    return count;
}

void sock_run_starved(struct sock_transport *t)
{
    struct list waiting, *link;
    if (list_is_empty(&t->starved) || !t->backend->has_buffers(t))
        return;
    list_init(&waiting);
    list_take(&waiting, &t->starved);
    while ((link = list_pull(&waiting)) != NULL) {
        struct sock_conn *c = container_of(link, struct sock_conn, link);
        c->flags &= ~(uint32_t)SOCK_STARVED;
        call_writable(c);
        if ((c->flags & SOCK_FINISHED) == 0)
            t->backend->conn_read(c);
    }
}
