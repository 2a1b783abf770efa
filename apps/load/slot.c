/* A connection and the requests that are under way on it. */
#include "apps/load/load_internal.h"

#include <errno.h>

#include "apps/why.h"

static void on_open(leat_conn conn, void *user);
static void on_data(leat_conn conn, void *user, const struct leat_buf *slices, unsigned count);
static void on_writable(leat_conn conn, void *user);
static void on_end(leat_conn conn, void *user);
static void on_close(leat_conn conn, void *user, enum leat_close_reason reason);

static const struct leat_conn_ops slot_ops = {on_open, on_data, on_writable, on_end, on_close};

void load_slot_init(struct load_slot *slot, struct load_core *core)
{
    *slot = (struct load_slot){.core = core, .state = SLOT_IDLE};
    list_init(&slot->link);
}

static uint32_t ring_at(const struct load_slot *slot, uint32_t place)
{
    uint32_t count = (uint32_t)slot->core->load->pipeline_count;
    uint32_t at = slot->first + place;
    return at >= count ? at - count : at;
}

static void slot_wait(struct load_slot *slot)
{
    slot->since_ns = leat_loop_now(slot->core->loop);
    list_unlink(&slot->link);
    list_push(&slot->core->dead, &slot->link);
}

/* Requests that will have no answer. */
static void slot_lose(struct load_slot *slot, enum load_error kind)
{
    struct load_core *core = slot->core;
    core->results.errors[kind] += slot->in_flight;
    core->outstanding_count -= slot->in_flight;
    slot->in_flight = 0;
    slot->owed = 0;
}

/* Requests that the server left unanswered by right (RFC 9112 9.6): others are sent for them. */
static void slot_give_back(struct load_slot *slot)
{
    struct load_core *core = slot->core;
    core->outstanding_count -= slot->in_flight;
    if (likely(core->stage != LOAD_RAMPING))
        core->budget_count += slot->in_flight;
    core->results.resent_count += slot->in_flight - slot->owed;
    slot->in_flight = 0;
    slot->owed = 0;
}

/* No more requests on this connection: the peer is to close it, or has. */
static void slot_end(struct load_slot *slot)
{
    slot->state = SLOT_ENDING;
    slot->since_ns = leat_loop_now(slot->core->loop);
    list_unlink(&slot->link);
}

/* The last answer of this connection has come. A server that does not mean to close is not waited
 * for. */
static void slot_finish(struct load_slot *slot)
{
    slot_give_back(slot);
    slot_end(slot);
    if (slot->reader.is_keep_alive)
        (void)leat_conn_close(slot->conn);
}

static void slot_break(struct load_slot *slot, enum load_error kind)
{
    slot_lose(slot, kind);
    slot_end(slot);
    (void)leat_conn_abort(slot->conn); /* it cannot be stale: on_close has not come */
}

static void slot_send(struct load_slot *slot)
{
    struct load_core *core = slot->core;
    const struct load *load = core->load;
    while (slot->owed > 0) {
        uint32_t count = slot->owed < load->copies_count ? slot->owed : load->copies_count;
        struct leat_buf buf = leat_buf_from_static(load->request, count * load->request_bytes);
        int result = leat_conn_send(slot->conn, &buf, 1);
        if (unlikely(result == -EAGAIN))
            return; /* on_writable goes on */
        if (unlikely(result < 0)) {
            load_core_say(core, result, "a request could not be sent (%s)",
                          leat_errno_name(result));
            slot_break(slot, LOAD_ERROR_connect);
            return;
        }
        slot->owed = (uint16_t)(slot->owed - count);
        core->results.sent_bytes += buf.length_bytes;
    }
}

/* Counts requests as under way, without sending them. */
static void slot_take(struct load_slot *slot, uint32_t count, uint64_t due_ns)
{
    struct load_core *core = slot->core;
    for (uint32_t i = 0; i < count; i++)
        slot->due_ns[ring_at(slot, slot->in_flight + i)] = due_ns;
    slot->in_flight = (uint16_t)(slot->in_flight + count);
    slot->owed = (uint16_t)(slot->owed + count);
    if (likely(core->stage != LOAD_RAMPING))
        core->budget_count -= count;
    core->outstanding_count += count;
}

void load_slot_issue(struct load_slot *slot, uint32_t count, uint64_t due_ns, uint64_t now_ns)
{
    if (slot->in_flight == 0)
        slot->since_ns = now_ns;
    slot_take(slot, count, due_ns);
    slot_send(slot);
}

/* Closed loop: as many as there is room for. */
static void slot_fill(struct load_slot *slot, uint64_t now_ns)
{
    struct load_core *core = slot->core;
    uint32_t room = (uint32_t)core->load->pipeline_count - slot->in_flight;
    uint32_t count = load_core_allows(core, room);
    if (count > 0)
        load_slot_issue(slot, count, now_ns, now_ns);
}

/* While the connections are being made: one request on each. */
static void slot_ramp(struct load_slot *slot, uint64_t now_ns)
{
    struct load_core *core = slot->core;
    if (!slot->has_answered) {
        load_slot_issue(slot, 1, now_ns, now_ns);
        return;
    }
    if (load_takes_turns(core->load))
        list_push(&core->idle, &slot->link);
    load_core_ramped(core);
}

void load_slot_go_on(struct load_slot *slot, uint64_t now_ns)
{
    if (slot->state == SLOT_OPEN)
        slot_fill(slot, now_ns);
}

/* There is room for a request, or more. */
static void slot_is_free(struct load_slot *slot, uint64_t now_ns)
{
    struct load_core *core = slot->core;
    if (unlikely(core->stage == LOAD_RAMPING)) {
        slot_ramp(slot, now_ns);
        return;
    }
    if (!load_takes_turns(core->load)) {
        slot_fill(slot, now_ns);
        return;
    }
    bool was_free = !list_is_empty(&core->idle);
    if (list_is_empty(&slot->link))
        list_push(&core->idle, &slot->link);
    load_core_dispatch(core, now_ns, was_free);
}

/* ---- Connecting ---- */

static void slot_missed(struct load_slot *slot, enum leat_close_reason reason)
{
    struct load_core *core = slot->core;
    slot->state = SLOT_IDLE;
    slot->conn = LEAT_CONN_NONE;
    core->connecting_count--;
    if (core->stage == LOAD_PROBING) {
        slot_give_back(slot);
        load_core_missed(core, reason);
        return;
    }
    enum load_error kind = reason == LEAT_CLOSE_REFUSED           ? LOAD_ERROR_refused
                           : reason == LEAT_CLOSE_CONNECT_TIMEOUT ? LOAD_ERROR_timeout
                           : reason == LEAT_CLOSE_RESET           ? LOAD_ERROR_reset
                                                                  : LOAD_ERROR_connect;
    load_core_say(core, -ECONNABORTED, "a connection could not be made: %s%s",
                  why_not_connected(&core->load->target.addresses[core->address_index], reason),
                  load_remedy_of(reason));
    if (slot->in_flight > 0) {
        slot_lose(slot, kind);
    } else if (core->stage <= LOAD_RUNNING) {
        core->results.errors[kind]++; /* in place of the request that it was for */
        core->budget_count -= core->budget_count > 0 ? 1 : 0;
    }
    slot_wait(slot);
    load_core_settled(core);
    load_core_lost(core);
}

/* Among those of all cores. */
static uint64_t slot_number(const struct load_slot *slot)
{
    const struct load_core *core = slot->core;
    size_t offset_bytes = (size_t)((const uint8_t *)slot - core->slots);
    return (uint64_t)core->slots_count * core->index + offset_bytes / core->slot_bytes;
}

void load_slot_start(struct load_slot *slot, uint64_t due_ns)
{
    struct load_core *core = slot->core;
    const struct load_target *target = &core->load->target;
    core->connecting_count++;
    slot->state = SLOT_CONNECTING;
    slot->has_answered = false;
    http_reader_init(&slot->reader);
    if (core->load->is_per_request)
        slot_take(slot, 1, due_ns);
    struct leat_addr from;
    int result = leat_connect(core->loop, &target->addresses[core->address_index],
                              load_source_at(core->load, slot_number(slot), &from),
                              &core->load->conn_options, &slot_ops, slot, &slot->conn);
    if (result < 0) {
        load_core_say(core, result, "%s", leat_loop_error(core->loop)->sentence);
        slot_missed(slot, LEAT_CLOSE_NO_MEMORY);
    }
}

void load_slot_revive(struct load_slot *slot, uint64_t now_ns)
{
    struct load_core *core = slot->core;
    if (!core->load->is_per_request)
        load_slot_start(slot, now_ns);
    else if (load_takes_turns(core->load))
        slot_is_free(slot, now_ns);
    else if (load_core_allows(core, 1) > 0)
        load_slot_start(slot, now_ns);
}

static void on_open(leat_conn conn, void *user)
{
    struct load_slot *slot = user;
    struct load_core *core = slot->core;
    uint64_t now_ns = leat_loop_clock(core->loop);
    slot->conn = conn;
    slot->state = SLOT_OPEN;
    slot->since_ns = now_ns;
    core->connecting_count--;
    core->results.connects_count++;
    load_core_reached(core, now_ns);
    if (core->load->is_per_request)
        slot_send(slot);
    else
        slot_is_free(slot, now_ns);
    load_core_connect_more(core);
}

/* ---- Answers ---- */

/* Returns whether the connection takes more requests. */
static bool slot_answered(struct load_slot *slot, uint64_t now_ns)
{
    struct load_core *core = slot->core;
    uint64_t due_ns = slot->due_ns[slot->first];
    slot->first = (uint16_t)ring_at(slot, 1);
    slot->in_flight--;
    slot->since_ns = now_ns;
    slot->has_answered = true;
    core->outstanding_count--;
    if (likely(core->stage >= LOAD_RUNNING)) {
        core->results.requests_count++;
        core->results.end_ns = now_ns;
        histogram_record(&core->results.latency, now_ns > due_ns ? now_ns - due_ns : 0);
    }
    load_check(core, &slot->reader);
    return slot->reader.is_keep_alive && !core->load->is_per_request;
}

static void slot_failed(struct load_slot *slot, enum http_read event)
{
    if (event == HTTP_READ_MEMORY) {
        load_core_say(slot->core, -ENOMEM, "memory was out for reading an answer");
        slot_break(slot, LOAD_ERROR_connect);
        return;
    }
    enum http_reason reason = slot->reader.reason;
    load_core_say(slot->core, -EPROTO, "an answer was malformed: %s%s",
                  slot->in_flight == 0 ? "it answers no request" : http_reason_sentence(reason),
                  reason == HTTP_REASON_HEAD_LARGE ? ": raise it with --max-head" : "");
    if (slot->in_flight == 0)
        slot->core->results.errors[LOAD_ERROR_parse]++;
    slot_break(slot, LOAD_ERROR_parse);
}

/* Returns whether the connection takes more requests. */
static bool slot_read(struct load_slot *slot, struct leat_view input, uint64_t now_ns)
{
    struct load_core *core = slot->core;
    core->results.received_bytes += input.length_bytes;
    while (input.length_bytes > 0) {
        enum http_read event = HTTP_READ_BAD;
        if (likely(slot->in_flight > slot->owed)) {
            event =
                http_reader_next(&slot->reader, &core->reader, core->load->method_number, &input);
        }
        if (event == HTTP_READ_END) {
            if (!slot_answered(slot, now_ns)) {
                slot_finish(slot);
                return false;
            }
        } else if (event != HTTP_READ_MORE) {
            slot_failed(slot, event);
            return false;
        }
    }
    return true;
}

static void on_data(leat_conn conn, void *user, const struct leat_buf *slices, unsigned count)
{
    struct load_slot *slot = user;
    struct load_core *core = slot->core;
    if (unlikely(slot->state != SLOT_OPEN || core->stage == LOAD_DONE))
        return;
    uint64_t now_ns = leat_loop_clock(core->loop);
    uint32_t in_flight = slot->in_flight;
    for (unsigned i = 0; i < count; i++) {
        struct leat_view input = {(const char *)slices[i].data, slices[i].length_bytes};
        if (!slot_read(slot, input, now_ns)) {
            load_core_settled(core);
            return;
        }
    }
    if (slot->in_flight < in_flight) {
        slot_is_free(slot, now_ns);
        load_core_settled(core);
    }
}

static void on_writable(leat_conn conn, void *user)
{
    struct load_slot *slot = user;
    if (slot->state == SLOT_OPEN)
        slot_send(slot);
}

/* ---- Ends ---- */

/* The server has closed an open connection. */
static void slot_closed(struct load_slot *slot)
{
    struct load_core *core = slot->core;
    enum http_read event = http_reader_finish(&slot->reader);
    if (event == HTTP_READ_END) {
        (void)slot_answered(slot, leat_loop_clock(core->loop));
        slot_give_back(slot);
    } else if (slot->in_flight > 0 && slot->reader.state != HTTP_READER_HEAD) {
        load_core_say(core, -EPROTO, "an answer was cut off after %llu bytes of its body",
                      (unsigned long long)slot->reader.body_bytes);
        slot_lose(slot, LOAD_ERROR_length);
    } else if (slot->in_flight > 0) {
        load_core_say(core, -ECONNRESET, "the server closed a connection before the answer");
        slot_lose(slot, LOAD_ERROR_reset);
    }
    slot_end(slot);
    load_core_settled(core);
}

static void on_end(leat_conn conn, void *user)
{
    struct load_slot *slot = user;
    if (slot->state == SLOT_OPEN && slot->core->stage != LOAD_DONE)
        slot_closed(slot);
    (void)leat_conn_close(conn);
}

/* The place of the connection is free for another one. */
static void slot_again(struct load_slot *slot)
{
    struct load_core *core = slot->core;
    uint64_t now_ns = leat_loop_clock(core->loop);
    load_core_lost(core);
    if (core->stage > LOAD_RUNNING)
        return;
    if (!slot->has_answered)
        slot_wait(slot); /* a server that accepts and closes is not asked in a circle */
    else
        load_slot_revive(slot, now_ns);
}

static void on_close(leat_conn conn, void *user, enum leat_close_reason reason)
{
    struct load_slot *slot = user;
    if (slot->state == SLOT_CONNECTING) {
        slot_missed(slot, reason);
        return;
    }
    if (slot->state == SLOT_OPEN) {
        if (slot->in_flight > 0) {
            load_core_say(slot->core, -ECONNRESET, "a connection ended before the answer: %s",
                          leat_close_reason_sentence(reason));
        }
        slot_lose(slot, LOAD_ERROR_reset);
        slot_end(slot);
    }
    http_reader_fini(&slot->reader);
    slot->state = SLOT_IDLE;
    slot->conn = LEAT_CONN_NONE;
    slot_again(slot);
    load_core_settled(slot->core);
}

void load_slot_sweep(struct load_slot *slot, uint64_t now_ns)
{
    struct load_core *core = slot->core;
    if (now_ns < slot->since_ns || now_ns - slot->since_ns < core->load->timeout_ns)
        return;
    if (slot->state == SLOT_OPEN && slot->in_flight > 0) {
        load_core_say(core, -ETIMEDOUT, "a request had no answer within --timeout");
        slot_break(slot, LOAD_ERROR_timeout);
        load_core_settled(core);
    } else if (slot->state == SLOT_ENDING) {
        (void)leat_conn_abort(slot->conn);
    }
}

void load_slot_fini(struct load_slot *slot)
{
    list_unlink(&slot->link);
    if (slot->state == SLOT_IDLE)
        return;
    bool is_quiet = slot->state != SLOT_CONNECTING && slot->in_flight == 0;
    slot->core->outstanding_count -= slot->in_flight;
    slot->in_flight = 0;
    slot->owed = 0;
    if (slot->state == SLOT_OPEN)
        slot->state = SLOT_ENDING;
    (void)(is_quiet ? leat_conn_close(slot->conn) : leat_conn_abort(slot->conn));
}
