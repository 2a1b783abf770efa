/* The access log: one line per response, in the core's log ring, as text or as JSON. A line is
 * written when its answer has ended: at once where all of it went out in one flush; of a long one
 * what is known by then waits here, without its request, until sent_bytes has reached the end or
 * the connection closed. */
#include "net/http/http_internal.h"

#include <leat/log.h>
#include <stdio.h>

struct line {
    char text[LEAT_LOG_LINE_BYTES_MAX];
    size_t length;
};

#define ACCESS_LOOK_NS_MIN LEAT_NS_PER_MS
#define ACCESS_LOOK_NS_MAX LEAT_NS_PER_S
#define ACCESS_LOOKS_MAX   64 /* in a turn */

#define TAIL_BYTES 160 /* kept free behind what the peer sent, for the numbers */

static void line_add_text(struct line *line, const char *text)
{
    size_t length = strlen(text);

    if (line->length + length <= sizeof(line->text)) {
        memcpy(line->text + line->length, text, length);
        line->length += length;
    }
}

static void line_add_number(struct line *line, uint64_t number)
{
    if (line->length + 20 <= sizeof(line->text))
        line->length += http_put_number((uint8_t *)line->text + line->length, number);
}

/* What the peer sent: cut, and escaped as JSON asks, which serves the text form too. */
static void line_add_view(struct line *line, struct leat_view view)
{
    static const char hex[] = "0123456789abcdef";

    for (size_t i = 0; i < view.length_bytes; i++) {
        unsigned char c = (unsigned char)view.data[i];
        if (line->length + 6 > sizeof(line->text) - TAIL_BYTES)
            return;
        char *to = line->text + line->length;
        if (c == '"' || c == '\\') {
            to[0] = '\\';
            to[1] = (char)c;
            line->length += 2;
        } else if (c < 0x20 || c >= 0x7f) {
            memcpy(to, "\\u00", 4);
            to[4] = hex[c >> 4];
            to[5] = hex[c & 15];
            line->length += 6;
        } else {
            to[0] = (char)c;
            line->length++;
        }
    }
}

static void line_add_time(struct line *line, struct leat_http *http)
{
    char date[HTTP_DATE_BYTES + 1];

    http_date_refresh(http->core, leat_loop_now(http->loop));
    memcpy(date, http->core->date, HTTP_DATE_BYTES);
    date[HTTP_DATE_BYTES] = '\0';
    line_add_text(line, date);
}

/* Of a request that could not be read there is nothing to tell: columns stay columns all the same.
 */
static struct leat_view view_or_dash(struct leat_view view, bool is_json)
{
    return view.length_bytes > 0 || is_json ? view : leat_view_of("-");
}

/* What is known when the answer ends: all but how much of it goes out, and when. */
static void line_add_front(struct line *line, const struct leat_request *req)
{
    bool is_json = req->http->options.json_log;
    char peer[LEAT_ADDR_TEXT_BYTES_MAX] = "-";
    struct leat_addr addr;

    if (req->conn != NULL && leat_request_peer(req, &addr) == 0)
        leat_addr_format(&addr, peer);
    line->length = 0;
    line_add_text(line, is_json ? "{\"time\":\"" : "");
    line_add_time(line, req->http);
    line_add_text(line, is_json ? "\",\"peer\":\"" : " ");
    line_add_view(line, leat_view_of(peer));
    line_add_text(line, is_json ? "\",\"method\":\"" : " \"");
    line_add_view(line, view_or_dash(leat_request_method_name(req), is_json));
    line_add_text(line, is_json ? "\",\"target\":\"" : " ");
    line_add_view(line, view_or_dash(leat_request_target(req), is_json));
    line_add_text(line, is_json ? "\",\"status\":" : "\" ");
    line_add_number(line, req->x.status);
}

/* What became of an answer. */
struct outcome {
    uint64_t body_bytes, duration_ns;
    bool is_json, has_left;
};

static void line_write(struct line *line, struct outcome outcome)
{
    bool is_json = outcome.is_json;

    line_add_text(line, is_json ? ",\"body_bytes\":" : " ");
    line_add_number(line, outcome.body_bytes);
    line_add_text(line, is_json ? ",\"duration_us\":" : " ");
    line_add_number(line, outcome.duration_ns / LEAT_NS_PER_US);
    line_add_text(line, is_json ? "" : "us");
    if (outcome.has_left)
        line_add_text(line, is_json ? ",\"left\":true" : " left");
    line_add_text(line, is_json ? "}" : "");
    (void)leat_log_output(line->text, line->length);
}

/* ---- Answers that are on their way ---- */

struct http_access {
    struct http_access *next;
    leat_conn conn;
    uint64_t begin_bytes, end_bytes; /* of the answer, in what the connection has accepted */
    uint64_t sent_bytes;             /* of the connection, when it was looked at last */
    uint64_t body_bytes, began_ns;
    bool is_json;
    uint16_t front_bytes;
    char front[];
};

static bool answer_has_left(struct http_access *access)
{
    struct leat_conn_info info = {0};

    if (leat_conn_info(access->conn, &info) == 0)
        access->sent_bytes = info.sent_bytes;
    return access->sent_bytes >= access->end_bytes;
}

/* Of an answer that was cut off, what of it went out: its head is not told from its body. */
static uint64_t bytes_gone_out(uint64_t body_bytes, uint64_t begin_bytes, uint64_t sent_bytes)
{
    uint64_t bytes = sent_bytes > begin_bytes ? sent_bytes - begin_bytes : 0;
    return bytes < body_bytes ? bytes : body_bytes;
}

static void access_end(struct http_core *core, struct http_access *access, bool is_whole)
{
    struct line line = {.length = access->front_bytes};
    struct outcome outcome = {
        .body_bytes =
            is_whole ? access->body_bytes
                     : bytes_gone_out(access->body_bytes, access->begin_bytes, access->sent_bytes),
        .duration_ns = leat_loop_clock(core->loop) - access->began_ns,
        .is_json = access->is_json,
        .has_left = !is_whole,
    };

    memcpy(line.text, access->front, access->front_bytes);
    line_write(&line, outcome);
    leat_heap_free(access);
}

static struct http_access *access_pull(struct http_core *core, struct http_access **place)
{
    struct http_access *access = *place;

    *place = access->next;
    if (core->access.last == &access->next)
        core->access.last = place;
    core->access.count--;
    return access;
}

static void access_push(struct http_core *core, struct http_access *access)
{
    access->next = NULL;
    *core->access.last = access;
    core->access.last = &access->next;
    core->access.count++;
}

/* As late as a sixteenth of what has passed since the youngest of them began: a duration that is
 * written is at most so much too long. */
static void access_arm(struct http_core *core)
{
    uint64_t wait_ns = (leat_loop_clock(core->loop) - core->access.youngest_ns) >> 4;

    if (wait_ns < ACCESS_LOOK_NS_MIN)
        wait_ns = ACCESS_LOOK_NS_MIN;
    leat_timer_start(&core->access.timer,
                     wait_ns < ACCESS_LOOK_NS_MAX ? wait_ns : ACCESS_LOOK_NS_MAX, 0);
}

static void access_look(struct leat_timer *timer, void *arg)
{
    struct http_core *core = arg;
    unsigned count = core->access.count;

    for (unsigned i = 0; i < count && i < ACCESS_LOOKS_MAX && core->access.first != NULL; i++) {
        struct http_access *access = access_pull(core, &core->access.first);
        bool is_gone = leat_conn_info(access->conn, &(struct leat_conn_info){0}) != 0;
        if (answer_has_left(access) || is_gone) /* gone: handed over, and then closed */
            access_end(core, access, answer_has_left(access));
        else
            access_push(core, access);
    }
    if (core->access.count > 0)
        access_arm(core);
}

void http_access_init(struct http_core *core)
{
    core->access.last = &core->access.first;
    leat_timer_init(&core->access.timer, core->loop, access_look, core);
    leat_timer_unref(&core->access.timer);
}

void http_access_fini(struct http_core *core)
{
    leat_timer_stop(&core->access.timer);
    while (core->access.first != NULL)
        access_end(core, access_pull(core, &core->access.first), false);
}

/* Returns false when there is no room: the line is written as things stand. */
static bool access_wait(const struct leat_request *req, const struct line *front,
                        uint64_t end_bytes)
{
    struct http_core *core = req->core;
    struct http_access *access = NULL;

    if (core->access.count < HTTP_ACCESS_WAITING_MAX)
        access = leat_heap_alloc(sizeof(*access) + front->length);
    if (access == NULL)
        return false;
    *access = (struct http_access){.conn = req->conn->conn,
                                   .begin_bytes = req->x.accepted_bytes,
                                   .end_bytes = end_bytes,
                                   .body_bytes = req->x.sent_bytes,
                                   .began_ns = req->x.began_ns,
                                   .is_json = req->http->options.json_log,
                                   .front_bytes = (uint16_t)front->length};
    memcpy(access->front, front->text, front->length);
    access_push(core, access);
    req->conn->flags |= HTTP_CONN_LOGS;
    core->access.youngest_ns = access->began_ns;
    access_arm(core);
    return true;
}

void http_access_close(struct http_conn *conn)
{
    struct http_core *core = conn->http->core;
    struct http_access **place = &core->access.first;

    while (*place != NULL)
        if ((*place)->conn.id == conn->conn.id) {
            struct http_access *access = access_pull(core, place);
            access_end(core, access, answer_has_left(access));
        } else {
            place = &(*place)->next;
        }
}

/* ---- When the answer ends ---- */

void http_access_begin(struct leat_request *req)
{
    uint64_t queued_bytes = 0, sent_bytes = http_conn_sent_bytes(req->conn, &queued_bytes);

    req->x.began_ns = leat_loop_clock(req->http->loop);
    req->x.accepted_bytes = sent_bytes + queued_bytes + http_out_bytes(req);
}

static bool answer_is_little(const struct leat_request *req)
{
    return req->conn == NULL || (req->x.sent_bytes < HTTP_BULK_BYTES && !req->is_blocked &&
                                 !(req->conn->flags & (HTTP_CONN_BULK | HTTP_CONN_LOGS)));
}

void http_access_log(const struct leat_request *req)
{
    const struct http_exchange *x = &req->x;
    struct outcome outcome = {.body_bytes = x->sent_bytes,
                              .duration_ns = leat_loop_clock(req->http->loop) - x->began_ns,
                              .is_json = req->http->options.json_log};
    struct line line;

    line_add_front(&line, req);
    if (!answer_is_little(req)) {
        uint64_t queued_bytes = 0, sent_bytes = http_conn_sent_bytes(req->conn, &queued_bytes);
        uint64_t ahead_bytes = queued_bytes + http_out_bytes(req);
        if (sent_bytes != UINT64_MAX && ahead_bytes > 0 &&
            access_wait(req, &line, sent_bytes + ahead_bytes))
            return;
    }
    line_write(&line, outcome);
}

void http_access_cut(const struct leat_request *req)
{
    const struct http_exchange *x = &req->x;
    uint64_t queued_bytes = 0, sent_bytes = http_conn_sent_bytes(req->conn, &queued_bytes);
    bool is_whole = x->ended && x->left_bytes == 0 && queued_bytes == 0;
    struct outcome outcome = {
        .body_bytes =
            is_whole ? x->sent_bytes : bytes_gone_out(x->sent_bytes, x->accepted_bytes, sent_bytes),
        .duration_ns = leat_loop_clock(req->http->loop) - x->began_ns,
        .is_json = req->http->options.json_log,
        .has_left = !is_whole,
    };
    struct line line;

    line_add_front(&line, req);
    line_write(&line, outcome);
}
