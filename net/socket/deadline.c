/* Time limits of a connection: one timer, re-armed lazily, and only where a limit is set. */
#include "net/socket/socket_internal.h"

#include <errno.h>

static uint64_t deadline_due_ns(const struct sock_deadline *d)
{
    uint64_t idle_ns = UINT64_MAX;
    if (d->timeout_ns != 0 && d->timeout_ns < UINT64_MAX - d->moved_ns)
        idle_ns = d->moved_ns + d->timeout_ns;
    return idle_ns < d->hard_ns ? idle_ns : d->hard_ns;
}

static void deadline_fired(struct leat_timer *timer, void *arg)
{
    struct sock_deadline *d = arg;
    struct sock_conn *c = d->conn;
    uint64_t due_ns = deadline_due_ns(d);
    if (due_ns > timer->deadline_ns) { /* bytes have moved since it was started */
        leat_timer_start_at(timer, due_ns);
        return;
    }
    if (!leat_loop_has_heard(timer->loop, due_ns)) { /* bytes may have come that nobody has read */
        leat_timer_start_at(timer, due_ns);
        return;
    }
    bool is_hard = d->hard_ns <= due_ns;
    if (is_hard && (c->flags & SOCK_CONNECTING) != 0)
        sock_conn_finish(c, LEAT_CLOSE_CONNECT_TIMEOUT);
    else
        sock_conn_finish(c, is_hard ? LEAT_CLOSE_DONE : LEAT_CLOSE_TIMEOUT);
}

static struct sock_deadline *deadline_take(struct sock_conn *c)
{
    struct sock_transport *t = c->transport;
    struct sock_deadline *d = t->deadlines;
    if (d != NULL) {
        t->deadlines = (struct sock_deadline *)d->conn;
        t->deadlines_cached_count--;
    } else {
        d = leat_heap_alloc(sizeof(*d));
    }
    if (d != NULL) {
        *d = (struct sock_deadline){.conn = c, .hard_ns = UINT64_MAX};
        leat_timer_init(&d->timer, t->loop, deadline_fired, d);
        leat_timer_unref(&d->timer);
        c->deadline = d;
    }
    return d;
}

static void deadline_start(struct sock_deadline *d)
{
    uint64_t due_ns = deadline_due_ns(d);
    if (due_ns == UINT64_MAX)
        sock_deadline_drop(d->conn);
    else
        leat_timer_start_at(&d->timer, due_ns);
}

int sock_deadline_set_timeout(struct sock_conn *c, uint64_t timeout_ns)
{
    struct sock_deadline *d = c->deadline;
    if (d == NULL && timeout_ns == 0)
        return 0;
    if (d == NULL && (d = deadline_take(c)) == NULL)
        return -ENOMEM;
    d->timeout_ns = timeout_ns;
    d->moved_ns = leat_loop_clock(c->transport->loop);
    deadline_start(d);
    return 0;
}

int sock_deadline_set_hard(struct sock_conn *c, uint64_t after_ns)
{
    struct sock_deadline *d = c->deadline;
    if (d == NULL && after_ns == UINT64_MAX)
        return 0;
    if (d == NULL && (d = deadline_take(c)) == NULL)
        return -ENOMEM;
    uint64_t now_ns = leat_loop_clock(c->transport->loop);
    d->hard_ns = after_ns < UINT64_MAX - now_ns ? now_ns + after_ns : UINT64_MAX;
    deadline_start(d);
    return 0;
}

void sock_deadline_drop(struct sock_conn *c)
{
    struct sock_transport *t = c->transport;
    struct sock_deadline *d = c->deadline;
    if (d == NULL)
        return;
    leat_timer_stop(&d->timer);
    c->deadline = NULL;
    if (t->deadlines_cached_count < SOCK_CACHED_COUNT_MAX) {
        d->conn = (struct sock_conn *)t->deadlines;
        t->deadlines = d;
        t->deadlines_cached_count++;
    } else {
        leat_heap_free(d);
    }
}
