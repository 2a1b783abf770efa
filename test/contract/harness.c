#include "contract.h"

#include "runtime/base/core.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

static void note(struct record *r, char what)
{
    size_t length = strlen(r->order);
    if (length + 1 < sizeof(r->order) &&
        !(what == 'D' && length > 0 && r->order[length - 1] == 'D'))
        r->order[length] = what;
}

uint64_t fnv(uint64_t hash, const void *bytes, size_t length)
{
    const uint8_t *at = bytes;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static void keep(struct record *r, const struct leat_buf *slice)
{
    r->hash = fnv(r->hash != 0 ? r->hash : FNV_START, slice->data, slice->length_bytes);
    if (!r->keeps_no_bytes) {
        if (r->length + slice->length_bytes > r->room) {
            r->room = 2 * (r->length + slice->length_bytes);
            r->bytes = realloc(r->bytes, r->room);
            assert_non_null(r->bytes);
        }
        memcpy(r->bytes + r->length, slice->data, slice->length_bytes);
    }
    r->length += slice->length_bytes;
}

static void record_open(leat_conn conn, void *user)
{
    struct record *r = user;
    r->conn = conn;
    r->opens++;
    note(r, 'O');
    if (r->on_open != NULL)
        r->on_open(r);
}

static void record_data(leat_conn conn, void *user, const struct leat_buf *slices, unsigned count)
{
    struct record *r = user;
    r->datas++;
    note(r, 'D');
    assert_true(count > 0);
    for (unsigned i = 0; i < count; i++) {
        assert_true(slices[i].length_bytes > 0);
        keep(r, &slices[i]);
    }
    unsigned held_before = r->held_count;
    if (r->on_data != NULL)
        r->on_data(r, slices, count);
    for (unsigned i = 0; i < count && r->held_count == held_before; i++)
        memset(slices[i].data, 0x5c, slices[i].length_bytes); /* C29: nobody reads them again */
}

static void record_writable(leat_conn conn, void *user)
{
    struct record *r = user;
    r->writables++;
    note(r, 'W');
    if (r->on_writable != NULL)
        r->on_writable(r);
}

static void record_end(leat_conn conn, void *user)
{
    struct record *r = user;
    r->ends++;
    note(r, 'E');
    if (r->on_end != NULL)
        r->on_end(r);
}

static void record_close(leat_conn conn, void *user, enum leat_close_reason reason)
{
    struct record *r = user;
    r->closes++;
    r->reason = reason;
    note(r, 'C');
    assert_int_equal(conn.id, r->conn.id != 0 ? r->conn.id : conn.id);
    if (r->on_close != NULL)
        r->on_close(r);
}

const struct leat_conn_ops record_ops = {
    .on_open = record_open,
    .on_data = record_data,
    .on_writable = record_writable,
    .on_end = record_end,
    .on_close = record_close,
};

static void records_open(leat_conn conn, void *user)
{
    struct records *s = user;
    assert_true(s->count < RECORDS_MAX);
    struct record *r = &s->record[s->count++];
    r->w = s->w;
    r->on_open = s->on_open;
    r->on_data = s->on_data;
    assert_int_equal(leat_conn_set(conn, &record_ops, r), 0);
    record_open(conn, r);
}

static void records_close(leat_conn conn, void *user, enum leat_close_reason reason)
{
    fail_msg("on_close without on_open: %s", leat_close_reason_name(reason));
}

const struct leat_conn_ops records_ops = {.on_open = records_open, .on_close = records_close};

struct records *serve(struct world *w, const struct leat_listen_options *options)
{
    struct records *s = calloc(1, sizeof(*s));
    assert_non_null(s);
    s->w = w;
    int result = leat_listen(w->loop, &w->any, options, &records_ops, s, &s->listener);
    if (result != 0)
        fail_msg("%s", leat_loop_error(w->loop)->sentence);
    s->addr = *leat_listener_addr(s->listener);
    return s;
}

void record_fini(struct record *r)
{
    free(r->bytes);
    r->bytes = NULL;
}

void records_free(struct records *s)
{
    if (s->listener != NULL)
        leat_listener_close(s->listener);
    for (unsigned i = 0; i < s->count; i++)
        record_fini(&s->record[i]);
    free(s);
}

void settle(struct world *w)
{
    for (unsigned i = 0; i < 20; i++)
        w->transport->step(w, LEAT_NS_PER_MS);
}

void pass(struct world *w, uint64_t ns)
{
    uint64_t end = leat_loop_clock(w->loop) + ns;
    while (leat_loop_clock(w->loop) < end)
        w->transport->step(w, LEAT_NS_PER_MS);
}

uint8_t pattern_byte(size_t at, unsigned seed)
{
    return (uint8_t)((at * 131 + (at >> 8) * 17 + (at >> 16) * 59 + seed) & 0xff);
}

struct leat_buf pattern(size_t length, unsigned seed)
{
    struct leat_buf buf = leat_buf_alloc_unsafe(length);
    assert_non_null(buf.data);
    for (size_t i = 0; i < length; i++)
        buf.data[i] = pattern_byte(i, seed);
    return buf;
}

struct peer *peer_connect(struct world *w, const struct leat_addr *to)
{
    struct peer *peer = w->transport->peer_connect(w, to);
    assert_non_null(peer);
    return peer;
}

void peer_send_all(struct world *w, struct peer *peer, const void *bytes, size_t length)
{
    size_t sent = 0;
    uint64_t end = leat_loop_clock(w->loop) + CONTRACT_PATIENCE_NS;
    while (sent < length) {
        long result = w->transport->peer_send(peer, (const char *)bytes + sent, length - sent);
        assert_true(result > 0 || result == -EAGAIN);
        assert_true(leat_loop_clock(w->loop) < end);
        if (result > 0)
            sent += (size_t)result;
        else
            w->transport->step(w, LEAT_NS_PER_MS);
    }
}

size_t peer_receive_all(struct world *w, struct peer *peer, void *bytes, size_t length)
{
    size_t received = 0;
    uint64_t end = leat_loop_clock(w->loop) + CONTRACT_PATIENCE_NS;
    while (received < length) {
        long result = w->transport->peer_receive(peer, (char *)bytes + received, length - received);
        assert_true(result >= 0 || result == -EAGAIN);
        assert_true(leat_loop_clock(w->loop) < end);
        if (result == 0)
            break;
        if (result > 0)
            received += (size_t)result;
        else
            w->transport->step(w, LEAT_NS_PER_MS);
    }
    return received;
}

long peer_end_of(struct world *w, struct peer *peer)
{
    static char room[65536];
    uint64_t end = leat_loop_clock(w->loop) + CONTRACT_PATIENCE_NS;
    for (;;) {
        long result = w->transport->peer_receive(peer, room, sizeof(room));
        if (result <= 0 && result != -EAGAIN)
            return result;
        assert_true(leat_loop_clock(w->loop) < end);
        w->transport->step(w, result > 0 ? 0 : LEAT_NS_PER_MS);
    }
}

struct pair pair_open(struct world *w, const struct leat_conn_options *options)
{
    struct leat_listen_options listen_options = {0};
    if (options != NULL)
        listen_options.conn = *options;
    struct pair p = {.s = serve(w, &listen_options)};
    p.peer = peer_connect(w, &p.s->addr);
    UNTIL(w, p.s->count == 1);
    p.r = &p.s->record[0];
    return p;
}

void pair_free(struct pair *p)
{
    struct world *w = p->s->w;
    if (p->peer != NULL)
        w->transport->peer_close(p->peer);
    if (p->r->closes == 0)
        (void)leat_conn_abort(p->r->conn);
    UNTIL(w, p->r->closes == 1);
    records_free(p->s);
}

unsigned open_descriptors(void)
{
    unsigned count = 0;
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

static unsigned descriptors_before;

static struct world *world_new(const struct contract_transport *transport, void *shared,
                               uint32_t core_index)
{
    struct world *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    w->transport = transport;
    w->core_index = core_index;
    w->shared = shared;
    if (transport->open(w) != 0) {
        free(w);
        return NULL;
    }
    w->core = leat_core_now;
    return w;
}

struct world *world_beside(struct world *w, uint32_t core_index)
{
    struct world *other = world_new(w->transport, w->shared, core_index);
    assert_non_null(other);
    return other;
}

void world_enter(struct world *w)
{
    leat_core_now = w->core;
}

/* Every test ends with nothing left: no handle, no buffer. */
void world_free(struct world *w)
{
    struct leat_buf_stats stats;
    world_enter(w);
    w->transport->close(w);
    leat_buf_stats(&stats);
    assert_int_equal(stats.live_count, 0);
    assert_int_equal(stats.granted_count, stats.freed_count);
    assert_false(leat_loop_is_alive(w->loop));
    leat_loop_free(w->loop);
    free(w);
}

int world_set_up(void **state)
{
    descriptors_before = open_descriptors();
    struct world *w = world_new(*state, NULL, 0);
    *state = w;
    return w != NULL ? 0 : -1;
}

int world_tear_down(void **state)
{
    struct world *w = *state;
    const struct contract_transport *transport = w->transport;
    void *shared = w->shared;
    world_free(w);
    transport->free_shared(shared);
    assert_int_equal(open_descriptors(), descriptors_before);
    return 0;
}
