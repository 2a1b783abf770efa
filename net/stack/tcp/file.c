/* Files in the send stream (C19), and what else was accepted before it has sequence numbers.
 *
 * What cannot be sent soon waits behind the stream in struct tcp_later: files, all that comes after
 * one, and what would make the numbers ambiguous. A file is read ahead of what was sent, in pieces:
 * what lies in memory on the loop, the rest on the pool's threads, so that neither its length nor
 * its disk matters to the loop. One read per connection is under way at a time. */
#include "net/stack/tcp/tcp.h"

#include <errno.h>

#include "runtime/os/fs_sys.h"
#include "runtime/os/op.h"

#define AHEAD_BYTES  (256u << 10) /* read and not sent, of one connection */
#define PIECE_BYTES  (64u << 10)
#define STREAM_BYTES (UINT32_C(1) << 30) /* numbered at a time: half of them would be ambiguous */

struct tcp_read {
    struct op op; /* first */
    leat_conn conn;
    struct leat_file *file; /* with a reference */
    struct leat_buf buf;
    uint64_t offset_bytes, done_bytes;
};

static void push_later(struct tcp_work *w, struct tcp_later *l)
{
    struct tcp_rare *rare = tcp_rare(w);
    l->next = NULL;
    if (rare->later_last != NULL)
        rare->later_last->next = l;
    else
        w->later_first = l;
    rare->later_last = l;
    rare->later_bytes += l->left_bytes;
}

static void drop_first(struct stack_tcp *t, struct tcp_work *w)
{
    struct tcp_later *l = w->later_first;
    w->later_first = l->next;
    if (l->next == NULL)
        w->rare.later_last = NULL;
    w->rare.later_bytes -= l->left_bytes;
    if (l->file != NULL)
        leat_file_unref(l->file);
    else
        leat_buf_unref(l->buf);
    tcp_pool_give(&t->laters, l);
}

int tcp_later_file(struct stack_tcp *t, struct tcp_conn *c, struct leat_file *file,
                   uint64_t offset_bytes, uint64_t length_bytes)
{
    struct tcp_work *w = tcp_work_of(c);
    struct tcp_later *l = w != NULL ? tcp_pool_take(&t->laters) : NULL;
    if (l == NULL)
        return -ENOMEM;
    *l = (struct tcp_later){.file = leat_file_ref(file),
                            .offset_bytes = offset_bytes,
                            .left_bytes = length_bytes};
    push_later(w, l);
    return 0;
}

/* All or nothing; takes the references. */
int tcp_later_bufs(struct stack_tcp *t, struct tcp_conn *c, const struct leat_buf *bufs,
                   unsigned count)
{
    struct tcp_later *spare = NULL;
    unsigned have = 0;
    for (struct tcp_later *l; have < count && (l = tcp_pool_take(&t->laters)) != NULL; have++) {
        l->next = spare;
        spare = l;
    }
    for (unsigned i = 0; have == count && i < count; i++) {
        struct tcp_later *l = spare;
        if (bufs[i].length_bytes == 0) {
            leat_buf_unref(bufs[i]);
            continue;
        }
        spare = l->next;
        *l = (struct tcp_later){.buf = bufs[i], .left_bytes = bufs[i].length_bytes};
        push_later(c->work, l);
    }
    while (spare != NULL) {
        struct tcp_later *l = spare;
        spare = l->next;
        tcp_pool_give(&t->laters, l);
    }
    return have == count ? 0 : -ENOMEM;
}

void tcp_later_drop(struct stack_tcp *t, struct tcp_work *w)
{
    while (w->later_first != NULL)
        drop_first(t, w);
}

bool tcp_has_numbers_for(const struct tcp_conn *c, uint64_t bytes)
{
    uint32_t used = seq_span(c->snd_una, c->work->send_end);
    return used + bytes < STREAM_BYTES;
}

/* ---- reading ---- */

static void file_fail(struct stack_tcp *t, struct tcp_conn *c, enum leat_close_reason reason)
{
    tcp_send_reset(t, c);
    tcp_conn_close(t, c, reason);
}

static void on_piece(struct stack_tcp *t, struct tcp_conn *c, struct tcp_read *read)
{
    struct tcp_work *w = c->work;
    struct tcp_later *l = w->later_first;
    struct tcp_chunk *k = NULL;
    w->is_reading = false;
    if (read->op.value != (int64_t)read->buf.length_bytes) {
        file_fail(t, c, LEAT_CLOSE_FILE);
        return;
    }
    k = tcp_pool_take(&t->chunks);
    if (k == NULL) {
        file_fail(t, c, LEAT_CLOSE_NO_MEMORY);
        return;
    }
    uint32_t bytes = (uint32_t)read->buf.length_bytes;
    tcp_push_chunk(w, k, leat_buf_ref(read->buf));
    l->offset_bytes += bytes;
    l->left_bytes -= bytes;
    w->rare.later_bytes -= bytes;
    if (l->left_bytes == 0)
        drop_first(t, w);
}

static void piece_run(struct op *op)
{
    struct tcp_read *read = container_of(op, struct tcp_read, op);
    size_t done = (size_t)read->done_bytes;
    int64_t n = fs_sys_read_all(op->sys, leat_file_fd(read->file), read->buf.data + done,
                                read->buf.length_bytes - done, read->offset_bytes + done);
    op->value = n < 0 ? n : n + (int64_t)done;
}

static enum op_tried piece_try(struct op *op)
{
    struct tcp_read *read = container_of(op, struct tcp_read, op);
    int64_t n = op->sys->read_cached(op->sys, leat_file_fd(read->file), read->buf.data,
                                     read->buf.length_bytes, (int64_t)read->offset_bytes);
    if (n > 0)
        read->done_bytes = (uint64_t)n;
    op->value = n;
    return n == (int64_t)read->buf.length_bytes ? OP_DONE : OP_LEFT;
}

/* On the loop, in its poll phase, in whichever place among the sources. */
static struct leat_result piece_result(struct op *op)
{
    struct tcp_read *read = container_of(op, struct tcp_read, op);
    struct stack_tcp *t = tcp_of(NULL);
    struct tcp_conn *c = t != NULL ? slots_find(&t->conns, read->conn.id) : NULL;
    if (c == NULL || c->state == TCP_CLOSED)
        return leat_nothing(); /* it ended in between */
    t->stack->now_ns = leat_loop_now(t->loop);
    t->now_ms = (uint32_t)(t->stack->now_ns / LEAT_NS_PER_MS);
    on_piece(t, c, read);
    tcp_later_advance(t, c);
    if (c->state != TCP_CLOSED)
        tcp_dirty(c);
    return leat_nothing();
}

static void piece_drop(struct leat_future *future)
{
    struct tcp_read *read = container_of(future, struct tcp_read, op.future);
    leat_buf_unref(read->buf);
    if (read->file != NULL)
        leat_file_unref(read->file);
}

static const struct op_class piece_class = {.future = {.name = "piece of a file",
                                                       .length_bytes = sizeof(struct tcp_read),
                                                       .cancel = op_cancel,
                                                       .drop = piece_drop},
                                            .lane = LEAT_LANE_FS,
                                            .run = piece_run,
                                            .try = piece_try,
                                            .result = piece_result};

/* False: not now, for want of memory, or of the first thread. For a place in the pool's queue it
 * waits, as one that reads late would: others may have filled it. */
static bool start_read(struct stack_tcp *t, struct tcp_conn *c, struct tcp_later *l)
{
    size_t bytes = l->left_bytes < PIECE_BYTES ? (size_t)l->left_bytes : PIECE_BYTES;
    struct leat_buf buf = leat_buf_alloc_unsafe(bytes);
    struct op *op =
        buf.data != NULL ? op_new(t->loop, &piece_class, 0, __builtin_return_address(0)) : NULL;
    if (op == NULL) {
        leat_buf_unref(buf);
        return false;
    }
    struct tcp_read *read = container_of(op, struct tcp_read, op);
    read->conn = (leat_conn){c->id};
    read->file = leat_file_ref(l->file);
    read->buf = buf;
    read->offset_bytes = l->offset_bytes;
    op->sys = file_sys(l->file);
    op->is_in_line = true;
    struct leat_future *future = op_start(op);
    bool is_refused = leat_future_result(future) != NULL;
    c->work->is_reading = !is_refused;
    leat_future_ignore(future);
    leat_future_unref(future);
    return !is_refused;
}

static uint32_t ahead_bytes(const struct tcp_conn *c)
{
    const struct tcp_work *w = c->work;
    return seq_lt(c->snd_nxt, w->send_end) ? seq_span(c->snd_nxt, w->send_end) : 0;
}

/* Gives numbers to the first bytes of what waits in memory. False: not now. */
static bool bytes_move(struct stack_tcp *t, struct tcp_conn *c, struct tcp_later *l)
{
    struct tcp_work *w = c->work;
    uint32_t room = STREAM_BYTES - 1 - seq_span(c->snd_una, w->send_end);
    uint32_t bytes = l->left_bytes < room ? (uint32_t)l->left_bytes : room;
    struct tcp_chunk *k = bytes > 0 ? tcp_pool_take(&t->chunks) : NULL;
    if (k == NULL)
        return false;
    tcp_push_chunk(w, k, leat_buf_slice(l->buf, l->offset_bytes, bytes));
    l->offset_bytes += bytes;
    l->left_bytes -= bytes;
    w->rare.later_bytes -= bytes;
    if (l->left_bytes == 0)
        drop_first(t, w);
    return true;
}

/* Moves on what waits, as far as it may. May close the connection. */
void tcp_later_advance(struct stack_tcp *t, struct tcp_conn *c)
{
    struct tcp_later *l;
    while (c->state != TCP_CLOSED && (l = c->work->later_first) != NULL && !c->work->is_reading) {
        if (l->file == NULL) {
            if (!bytes_move(t, c, l))
                return;
        } else if (ahead_bytes(c) >= AHEAD_BYTES || !tcp_has_numbers_for(c, PIECE_BYTES)) {
            return;
        } else if (!start_read(t, c, l)) {
            if (seq_eq(c->snd_una, c->work->send_end)) /* else an ACK brings us here again */
                file_fail(t, c, LEAT_CLOSE_NO_MEMORY);
            return;
        }
    }
}
