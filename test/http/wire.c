#include "test/http/wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "buffers/slots.h"
#include "net/api/transport.h"
#include "runtime/base/clock.h"
#include "runtime/base/core.h"

#define STEP_NS (10 * LEAT_NS_PER_MS)

struct wire_clock {
    struct leat_clock clock;
    uint64_t now_ns;
};

struct wire {
    struct leat_transport transport;
    struct wire_clock clock;
    struct leat_loop *loop;
    struct slots slots;
    struct wire_conn *conns; /* of the test, gone ones too */
};

static uint64_t clock_now(const struct leat_clock *clock)
{
    return ((const struct wire_clock *)clock)->now_ns;
}

static struct wire_conn *find(struct leat_transport *transport, leat_conn conn)
{
    struct wire *wire = (struct wire *)transport;
    uint64_t *slot = slots_find(&wire->slots, conn.id);

    return slot ? *(struct wire_conn **)(void *)(slot + 1) : NULL;
}

static void append(uint8_t **to, size_t *length, size_t *capacity, const void *bytes, size_t count)
{
    while (*length + count + 1 > *capacity)
        *capacity = *capacity ? *capacity * 2 : 1024;
    *to = realloc(*to, *capacity);
    CHECK(*to);
    memcpy(*to + *length, bytes, count);
    *length += count;
    (*to)[*length] = '\0';
}

static void move(struct wire_conn *conn)
{
    size_t bytes =
        conn->queued_bytes < conn->window_bytes ? conn->queued_bytes : conn->window_bytes;

    append(&conn->sent, &conn->sent_bytes, &conn->sent_capacity, conn->queued, bytes);
    conn->queued_bytes -= bytes;
    if (conn->queued_bytes)
        memmove(conn->queued, conn->queued + bytes, conn->queued_bytes);
    if (conn->window_bytes != SIZE_MAX)
        conn->window_bytes -= bytes;
}

/* ---- The contract ---- */

static int send_check(struct wire_conn *conn)
{
    if (!conn)
        return -ESTALE;
    if (conn->ended || conn->closed || conn->aborted)
        return -EPIPE;
    if (conn->queued_bytes >= conn->high_bytes) {
        conn->refused = true;
        return -EAGAIN;
    }
    return 0;
}

static int wire_send(struct leat_transport *transport, leat_conn handle,
                     const struct leat_buf *bufs, unsigned count)
{
    struct wire_conn *conn = find(transport, handle);
    int result = send_check(conn);

    for (unsigned i = 0; !result && i < count; i++) {
        append(&conn->queued, &conn->queued_bytes, &conn->queued_capacity, bufs[i].data,
               bufs[i].length_bytes);
        leat_buf_unref(bufs[i]);
    }
    return result < 0 ? result : conn->queued_bytes >= conn->high_bytes;
}

static int wire_send_file(struct leat_transport *transport, leat_conn handle,
                          struct leat_file *file, uint64_t offset, uint64_t length)
{
    struct wire_conn *conn = find(transport, handle);
    int result = send_check(conn);
    char *bytes;

    if (result)
        return result;
    bytes = malloc(length);
    CHECK(bytes && pread(leat_file_fd(file), bytes, length, (off_t)offset) == (ssize_t)length);
    append(&conn->queued, &conn->queued_bytes, &conn->queued_capacity, bytes, length);
    free(bytes);
    return conn->queued_bytes >= conn->high_bytes;
}

static int wire_want_writable(struct leat_transport *transport, leat_conn handle)
{
    struct wire_conn *conn = find(transport, handle);

    if (conn)
        conn->wants_writable = true;
    return conn ? 0 : -ESTALE;
}

static int wire_half_close(struct leat_transport *transport, leat_conn handle)
{
    struct wire_conn *conn = find(transport, handle);

    if (conn)
        conn->ended = true;
    return conn ? 0 : -ESTALE;
}

static int wire_close(struct leat_transport *transport, leat_conn handle, bool soon)
{
    struct wire_conn *conn = find(transport, handle);

    if (conn) {
        conn->closed = true;
        conn->soon = soon;
    }
    return conn ? 0 : -ESTALE;
}

static int wire_abort(struct leat_transport *transport, leat_conn handle)
{
    struct wire_conn *conn = find(transport, handle);

    if (conn)
        conn->aborted = true;
    return conn ? 0 : -ESTALE;
}

static int wire_pause(struct leat_transport *transport, leat_conn handle, bool paused)
{
    struct wire_conn *conn = find(transport, handle);

    if (conn)
        conn->paused = paused;
    return conn ? 0 : -ESTALE;
}

static struct leat_buf wire_hold(struct leat_transport *transport, leat_conn handle,
                                 struct leat_buf slice)
{
    struct wire_conn *conn = find(transport, handle);

    if (!conn)
        return (struct leat_buf){0};
    conn->held_count++;
    return leat_buf_from_bytes(slice.data, slice.length_bytes);
}

static struct leat_buf wire_conn_take(struct leat_transport *transport, leat_conn handle,
                                      struct leat_buf slice)
{
    return find(transport, handle) ? leat_buf_from_bytes(slice.data, slice.length_bytes)
                                   : (struct leat_buf){0};
}

static void wire_release(struct leat_transport *transport, leat_conn handle, struct leat_buf held)
{
    struct wire_conn *conn = find(transport, handle);

    if (conn)
        conn->held_count--;
    leat_buf_unref(held);
}

static int wire_set(struct leat_transport *transport, leat_conn handle,
                    const struct leat_conn_ops *ops, void *user)
{
    struct wire_conn *conn = find(transport, handle);

    if (!conn)
        return -ESTALE;
    conn->ops = ops ? ops : conn->ops;
    conn->user = user;
    return 0;
}

static int wire_address(struct leat_transport *transport, leat_conn handle, bool peer,
                        struct leat_addr *addr)
{
    *addr = (struct leat_addr){.family = LEAT_FAMILY_IPV4, .port = 1, .ip = {192, 0, 2, 1}};
    return 0;
}

static int wire_info(struct leat_transport *transport, leat_conn handle,
                     struct leat_conn_info *info)
{
    struct wire_conn *conn = find(transport, handle);

    if (!conn)
        return -ESTALE;
    *info = (struct leat_conn_info){.sent_bytes = conn->sent_bytes,
                                    .queued_bytes = conn->queued_bytes,
                                    .transport = "wire"};
    return 0;
}

static const struct leat_transport_ops wire_ops = {
    .name = "wire",
    .send = wire_send,
    .send_file = wire_send_file,
    .want_writable = wire_want_writable,
    .end = wire_half_close,
    .close = wire_close,
    .abort = wire_abort,
    .pause = wire_pause,
    .hold = wire_hold,
    .take = wire_conn_take,
    .release = wire_release,
    .set = wire_set,
    .address = wire_address,
    .info = wire_info,
};

/* ---- Life ---- */

struct wire *wire_new(void)
{
    struct wire *wire = calloc(1, sizeof(*wire));
    struct leat_error error;

    CHECK(wire);
    wire->clock.clock.now = clock_now;
    wire->clock.now_ns = 1000 * LEAT_NS_PER_S;
    struct leat_loop_options options = {.clock = &wire->clock.clock};
    wire->loop = leat_loop_new(&options, &error);
    CHECK(wire->loop);
    wire->transport.ops = &wire_ops;
    leat_core_now->transports[LEAT_TRANSPORT_TLS] = &wire->transport;
    CHECK(slots_init(&wire->slots, LEAT_TRANSPORT_TLS, 16, 4096) == 0);
    return wire;
}

void wire_free(struct wire *wire)
{
    while (wire->conns)
        wire_drop(wire, wire->conns);
    slots_fini(&wire->slots);
    leat_core_now->transports[LEAT_TRANSPORT_TLS] = NULL;
    leat_loop_free(wire->loop);
    free(wire);
}

struct leat_loop *wire_loop(struct wire *wire)
{
    return wire->loop;
}

uint64_t wire_now(const struct wire *wire)
{
    return wire->clock.now_ns;
}

struct wire_conn *wire_connect(struct wire *wire)
{
    struct wire_conn *conn = calloc(1, sizeof(*conn));
    uint64_t *slot = slots_take(&wire->slots);

    CHECK(conn && slot);
    *(struct wire_conn **)(void *)(slot + 1) = conn;
    conn->id = *slot;
    conn->window_bytes = SIZE_MAX;
    conn->high_bytes = 262144;
    conn->next = wire->conns;
    wire->conns = conn;
    append(&conn->sent, &conn->sent_bytes, &conn->sent_capacity, "", 0);
    append(&conn->queued, &conn->queued_bytes, &conn->queued_capacity, "", 0);
    return conn;
}

leat_conn wire_handle(const struct wire_conn *conn)
{
    return (leat_conn){conn->id};
}

static void gone(struct wire *wire, struct wire_conn *conn, enum leat_close_reason reason)
{
    if (conn->gone)
        return;
    conn->gone = true;
    if (conn->ops && conn->ops->on_close)
        conn->ops->on_close(wire_handle(conn), conn->user, reason);
    leat_loop_gate(wire->loop);
    slots_give(&wire->slots, slots_find(&wire->slots, conn->id));
}

void wire_drop(struct wire *wire, struct wire_conn *conn)
{
    struct wire_conn **place = &wire->conns;

    gone(wire, conn, LEAT_CLOSE_SHUTDOWN);
    while (*place != conn)
        place = &(*place)->next;
    *place = conn->next;
    free(conn->sent);
    free(conn->queued);
    free(conn->waiting);
    free(conn);
}

/* ---- What happens ---- */

static bool is_deaf(const struct wire_conn *conn)
{
    return conn->closed || conn->aborted || conn->gone;
}

void wire_slices(struct wire *wire, struct wire_conn *conn, const void *bytes, const size_t *cuts,
                 unsigned count)
{
    struct leat_buf slices[16];
    size_t from = 0;

    CHECK(count <= 16);
    if (is_deaf(conn))
        return;
    if (conn->paused) {
        conn->waiting = realloc(conn->waiting, conn->waiting_bytes + cuts[count - 1]);
        CHECK(conn->waiting);
        memcpy(conn->waiting + conn->waiting_bytes, bytes, cuts[count - 1]);
        conn->waiting_bytes += cuts[count - 1];
        return;
    }
    for (unsigned i = 0; i < count; i++) {
        size_t length = cuts[i] - from;
        slices[i] = (struct leat_buf){.data = malloc(length), .length_bytes = length};
        CHECK(slices[i].data && length);
        memcpy(slices[i].data, (const uint8_t *)bytes + from, length);
        from = cuts[i];
    }
    if (conn->ops && conn->ops->on_data)
        conn->ops->on_data(wire_handle(conn), conn->user, slices, count);
    leat_loop_gate(wire->loop);
    for (unsigned i = 0; i < count; i++)
        free(slices[i].data);
}

void wire_feed(struct wire *wire, struct wire_conn *conn, const void *bytes, size_t length)
{
    if (length)
        wire_slices(wire, conn, bytes, &length, 1);
}

static bool settle_input(struct wire *wire, struct wire_conn *conn)
{
    if (conn->paused || is_deaf(conn))
        return false;
    if (conn->waiting_bytes) {
        uint8_t *bytes = conn->waiting;
        size_t length = conn->waiting_bytes;
        conn->waiting = NULL;
        conn->waiting_bytes = 0;
        wire_feed(wire, conn, bytes, length);
        free(bytes);
        return true;
    }
    if (!conn->peer_ended || conn->end_delivered)
        return false;
    conn->end_delivered = true;
    conn->ops->on_end(wire_handle(conn), conn->user);
    leat_loop_gate(wire->loop);
    return true;
}

static bool settle_conn(struct wire *wire, struct wire_conn *conn)
{
    move(conn);
    if (conn->gone)
        return false;
    if (conn->aborted) {
        gone(wire, conn, LEAT_CLOSE_ABORTED);
        return true;
    }
    if (conn->closed && conn->queued_bytes == 0) {
        gone(wire, conn, LEAT_CLOSE_DONE);
        return true;
    }
    if ((conn->refused || conn->wants_writable) && conn->queued_bytes < conn->high_bytes / 4 &&
        !conn->closed) {
        conn->refused = conn->wants_writable = false;
        conn->ops->on_writable(wire_handle(conn), conn->user);
        leat_loop_gate(wire->loop);
        return true;
    }
    return settle_input(wire, conn);
}

static uint64_t bytes_out(const struct wire *wire)
{
    uint64_t bytes = 0;

    for (const struct wire_conn *conn = wire->conns; conn; conn = conn->next)
        bytes += conn->sent_bytes + conn->queued_bytes;
    return bytes;
}

void wire_settle(struct wire *wire)
{
    unsigned quiet = 0;

    for (unsigned turns = 0; quiet < 3; turns++) {
        uint64_t bytes = bytes_out(wire);
        bool busy = false;
        CHECK(turns < 100000);
        for (struct wire_conn *conn = wire->conns; conn; conn = conn->next)
            busy |= settle_conn(wire, conn);
        leat_loop_turn(wire->loop, 0);
        quiet = busy || bytes != bytes_out(wire) ? 0 : quiet + 1;
    }
}

void wire_pass(struct wire *wire, uint64_t ns)
{
    uint64_t end_ns = wire->clock.now_ns + ns;

    while (wire->clock.now_ns < end_ns) {
        uint64_t left_ns = end_ns - wire->clock.now_ns;
        wire->clock.now_ns += left_ns < STEP_NS ? left_ns : STEP_NS;
        leat_loop_turn(wire->loop, 0);
    }
    wire_settle(wire);
}

void wire_end(struct wire *wire, struct wire_conn *conn)
{
    conn->peer_ended = true;
}

void wire_reset(struct wire *wire, struct wire_conn *conn)
{
    gone(wire, conn, LEAT_CLOSE_RESET);
}

void wire_take(struct wire *wire, struct wire_conn *conn, size_t bytes)
{
    conn->window_bytes += bytes;
    move(conn);
}
