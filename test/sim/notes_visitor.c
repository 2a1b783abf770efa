/* Visitors of the notes: what they ask, what they know of their files, and which answers are wrong.
 */
#include "test/sim/notes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/base/rng.h"

#define CONTENT_BYTES_MAX 60000
#define ATTEMPTS_MAX      40 /* connections of one visitor */
#define PATIENCE_NS       (8 * LEAT_NS_PER_S)
#define NUMBER_MAX        60

enum body { BODY_NONE, BODY_CONTENT, BODY_NUMBER };

/* How each kind is asked, and what it answers when all is well. */
static const struct ask_row {
    enum leat_method method;
    const char *path; /* of the visitor's number, or the number asked for */
    bool is_put, has_number;
    int status;
    enum body body;
} rows[ASK_COUNT] = {
    [ASK_PUT_NOTE] = {LEAT_METHOD_PUT, "/notes/n%u", true, false, 201, BODY_NONE},
    [ASK_GET_NOTE] = {LEAT_METHOD_GET, "/notes/n%u", false, false, 200, BODY_CONTENT},
    [ASK_PUT_BLOB] = {LEAT_METHOD_PUT, "/blobs/b%u", true, false, 201, BODY_NONE},
    [ASK_GET_BLOB] = {LEAT_METHOD_GET, "/blobs/b%u", false, false, 200, BODY_CONTENT},
    [ASK_COPY_BLOB] = {LEAT_METHOD_POST, "/blobs/b%u", false, false, 201, BODY_NONE},
    [ASK_GET_COPY] = {LEAT_METHOD_GET, "/blobs/b%u.copy", false, false, 200, BODY_CONTENT},
    [ASK_SUM] = {LEAT_METHOD_GET, "/sum/%u", false, true, 200, BODY_NUMBER},
    [ASK_GROUP] = {LEAT_METHOD_GET, "/group/%u", false, true, 200, BODY_NUMBER},
    [ASK_LATER] = {LEAT_METHOD_GET, "/later/%u", false, true, 200, BODY_NUMBER},
    [ASK_LOST] = {LEAT_METHOD_GET, "/lost/%u", false, true, 404, BODY_NONE},
};

/* ---- contents: all of one follows from its number ---- */

static size_t content_write(uint32_t content, char to[CONTENT_BYTES_MAX])
{
    struct leat_rng rng;
    rng_init(&rng, content);
    size_t most = rng_below(&rng, 4) == 0 ? CONTENT_BYTES_MAX : 2000;
    size_t length = 1 + (size_t)rng_below(&rng, most);
    for (size_t i = 0; i < length; i++)
        to[i] = (char)('a' + rng_below(&rng, 4)); /* it may be packed */
    return length;
}

/* What the reader says of a response with this body: it reads one. */
static uint64_t digest_of(struct visits *visits, const char *body, size_t length)
{
    char *text = malloc(CONTENT_BYTES_MAX + 100);
    CHECK(text != NULL);
    int head = snprintf(text, 100, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", length);
    memcpy(text + head, body, length);
    struct leat_view view = {text, (size_t)head + length};
    struct http_reader reader;
    http_reader_init(&reader);
    CHECK(http_reader_next(&reader, &visits->reader, LEAT_METHOD_GET, &view) == HTTP_READ_END);
    uint64_t digest = http_reader_digest(&reader);
    http_reader_fini(&reader);
    free(text);
    return digest;
}

static bool is_content(struct visitor *v, uint32_t content)
{
    char body[CONTENT_BYTES_MAX];
    size_t length = content_write(content, body);
    return digest_of(v->visits, body, length) == http_reader_digest(&v->reader);
}

static bool is_number(struct visitor *v, uint64_t number)
{
    char body[32];
    int length = snprintf(body, sizeof(body), "%llu", (unsigned long long)number);
    return digest_of(v->visits, body, (size_t)length) == http_reader_digest(&v->reader);
}

/* ---- what must be ---- */

static void visitor_fail(struct visitor *v, const char *what)
{
    sim_violation(v->visits->sim, "visitor %u, question %u (%s %s): status %u: %s", v->number,
                  v->asked, leat_method_name(rows[v->ask].method), rows[v->ask].path,
                  v->reader.status, what);
}

static bool note_is_right(struct visitor *v)
{
    const struct files_known *f = &v->files;
    bool is_right = f->acked != 0 && is_content(v, f->acked);
    for (unsigned i = 0; i < f->pending_count && !is_right; i++)
        is_right = is_content(v, f->pending[i]);
    return is_right;
}

static bool body_is_right(struct visitor *v)
{
    const struct files_known *f = &v->files;
    uint64_t n = v->content;
    switch (v->ask) {
    case ASK_GET_NOTE:
        return note_is_right(v);
    case ASK_GET_BLOB:
        return f->blob == 0 || is_content(v, f->blob);
    case ASK_GET_COPY:
        return f->copy == 0 || is_content(v, f->copy);
    case ASK_SUM:
        return is_number(v, n * (n + 1) / 2);
    default:
        return is_number(v, n);
    }
}

/* A file of which nothing is known need not be there. */
static bool may_be_lost(const struct visitor *v)
{
    const struct files_known *f = &v->files;
    switch (v->ask) {
    case ASK_GET_NOTE:
        return f->acked == 0;
    case ASK_GET_BLOB:
    case ASK_COPY_BLOB:
        return f->blob == 0;
    case ASK_GET_COPY:
        return f->copy == 0;
    default:
        return false;
    }
}

static void answer_check(struct visitor *v)
{
    const struct ask_row *row = &rows[v->ask];
    int status = v->reader.status;
    if (status == row->status) {
        if (row->body != BODY_NONE && !body_is_right(v))
            visitor_fail(v, "another body than it has to be");
    } else if (status == 404 ? !may_be_lost(v) : !(v->visits->has_faults && status >= 500)) {
        visitor_fail(v, "nothing has failed that could be the cause");
    }
}

/* What is known of the files now; status 0: no answer came. */
static void files_learn(struct visitor *v, int status)
{
    struct files_known *f = &v->files;
    bool is_done = status == rows[v->ask].status;
    if (v->ask == ASK_PUT_NOTE && is_done) {
        f->acked = v->content;
        f->pending_count = 0;
    } else if (v->ask == ASK_PUT_BLOB) {
        f->blob = is_done ? v->content : 0;
    } else if (v->ask == ASK_COPY_BLOB) {
        f->copy = is_done ? f->blob : 0;
    }
    if (status == 0 && (rows[v->ask].is_put || v->ask == ASK_COPY_BLOB))
        f->is_frozen = true;
    if (f->is_frozen)
        f->blob = f->copy = 0;
}

/* ---- asking ---- */

static void visitor_draw(struct visitor *v)
{
    struct sim *sim = v->visits->sim;
    v->ask =
        v->in_order ? (enum ask)(v->asked % ASK_COUNT) : (enum ask)sim_random_below(sim, ASK_COUNT);
    if (v->looks)
        v->ask = ASK_GET_NOTE;
    bool writes = rows[v->ask].is_put || v->ask == ASK_COPY_BLOB;
    if (writes && (v->files.is_frozen || v->files.pending_count == VISITOR_PENDING_MAX))
        v->ask = ASK_GET_NOTE;
    if (rows[v->ask].has_number)
        v->content = (uint32_t)sim_random_below(sim, NUMBER_MAX);
    else if (rows[v->ask].is_put)
        v->content = (uint32_t)sim_random(sim) | 1;
    if (v->ask == ASK_PUT_NOTE)
        v->files.pending[v->files.pending_count++] = v->content;
}

static void visitor_ask(struct visitor *v)
{
    if (v->asked == v->to_ask) {
        (void)leat_conn_end(v->conn);
        return;
    }
    visitor_draw(v);
    const struct ask_row *row = &rows[v->ask];
    char path[32], text[CONTENT_BYTES_MAX + 200], body[CONTENT_BYTES_MAX];
    snprintf(path, sizeof(path), row->path, row->has_number ? v->content : v->number);
    size_t length = row->is_put ? content_write(v->content, body) : 0;
    int head = snprintf(text, 200, "%s %s HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n",
                        leat_method_name(row->method), path, length);
    memcpy(text + head, body, length);
    v->asked++;
    v->is_waiting = true;
    if (leat_conn_send_bytes(v->conn, text, (size_t)head + length) < 0)
        (void)leat_conn_abort(v->conn);
}

static void trace_add(struct visits *visits, uint64_t what)
{
    visits->trace = (visits->trace ^ what ^ sim_now(visits->sim)) * UINT64_C(0x100000001b3);
}

static void visitor_on_answer(struct visitor *v)
{
    struct visits *visits = v->visits;
    visits->answered_count++;
    visits->failed_count += v->reader.status >= 500;
    trace_add(visits,
              ((uint64_t)v->number << 32 | v->reader.status) + http_reader_digest(&v->reader));
    v->is_waiting = false;
    answer_check(v);
    files_learn(v, v->reader.status);
    if (v->reader.is_keep_alive)
        visitor_ask(v);
    else
        (void)leat_conn_end(v->conn);
}

static void on_data(leat_conn conn, void *user, const struct leat_buf *slices, unsigned count)
{
    struct visitor *v = user;
    for (unsigned i = 0; i < count; i++) {
        struct leat_view input = {(const char *)slices[i].data, slices[i].length_bytes};
        enum http_read read;
        while ((read = http_reader_next(&v->reader, &v->visits->reader, rows[v->ask].method,
                                        &input)) == HTTP_READ_END) {
            if (!v->is_waiting)
                return visitor_fail(v, "nobody asked for it");
            visitor_on_answer(v);
        }
        if (read < 0)
            return visitor_fail(v, "no HTTP response");
    }
}

static void on_open(leat_conn conn, void *user)
{
    struct visitor *v = user;
    v->conn = conn;
    v->is_open = true;
    visitor_ask(v);
}

static void on_end(leat_conn conn, void *user)
{
    (void)leat_conn_close(conn);
}

static void visitor_again(struct sim *sim, void *visitor)
{
    visitor_begin(visitor);
}

static void on_close(leat_conn conn, void *user, enum leat_close_reason reason)
{
    struct visitor *v = user;
    struct visits *visits = v->visits;
    enum http_read rest = http_reader_finish(&v->reader);
    http_reader_fini(&v->reader);
    trace_add(visits, (uint64_t)v->number << 32 | reason);
    if (v->is_waiting && rest == HTTP_READ_END) { /* an end of the connection ends a body */
        visitor_fail(v, "a body of no length");
    } else if (v->is_waiting) {
        visits->cut_count++;
        v->reader.status = 0;
        files_learn(v, 0);
        if (!visits->has_faults && !v->leaves)
            visitor_fail(v, leat_close_reason_sentence(reason));
    }
    v->is_open = v->is_waiting = v->leaves = false;
    if (v->asked == v->to_ask) {
        v->is_over = true;
        visits->over_count++;
    } else if (++v->attempts == ATTEMPTS_MAX) {
        visitor_fail(v, "so many connections have ended");
    } else {
        sim_at(visits->sim, sim_now(visits->sim) + LEAT_NS_PER_MS, visitor_again, v);
    }
}

static const struct leat_conn_ops visitor_ops = {.on_open = on_open,
                                                 .on_data = on_data,
                                                 .on_end = on_end,
                                                 .on_close = on_close};

void visitor_begin(struct visitor *v)
{
    struct visits *visits = v->visits;
    const struct leat_conn_options options = {.timeout_ns = PATIENCE_NS,
                                              .connect_timeout_ns = PATIENCE_NS};
    http_reader_init(&v->reader);
    sim_enter(visits->client);
    int code = leat_connect(sim_loop(visits->client), &visits->to, NULL, &options, &visitor_ops, v,
                            &v->conn);
    sim_leave(visits->client);
    if (code < 0)
        sim_violation(visits->sim, "visitor %u cannot connect: %s", v->number,
                      leat_errno_name(code));
}

void visitor_leave(struct visitor *v)
{
    if (!v->is_open)
        return;
    v->leaves = true;
    sim_enter(v->visits->client);
    (void)leat_conn_abort(v->conn);
    sim_leave(v->visits->client);
}

void visitor_forget_blobs(struct visitor *v)
{
    v->files.blob = v->files.copy = 0;
    v->files.is_frozen |= v->is_waiting; /* what was said may still come */
}
