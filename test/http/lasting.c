/* Server and clients of what lasts longer than the server's limits. */
#include "test/http/lasting.h"

#include <leat/timer.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PIECE_BYTES 65536
#define FILE_BYTES  (INT64_C(1) << 40) /* a hole: it is never all sent */
#define HOLD_NS     (5 * LEAT_NS_PER_S / 2)

/* ---- the server ---- */

/* Of what is written in memory: how often the sign to stop came, and whether one who stops at it is
 * ever refused, or one who does not is not. */
static unsigned full_count, wrong_count;

static int memory_write(struct leat_request *req)
{
    struct leat_buf piece = leat_buf_alloc(PIECE_BYTES);
    int result = piece.data != NULL ? 0 : -ENOMEM;
    while (result == 0)
        result = leat_response_write(req, leat_buf_ref(piece));
    if (result == 1) {
        full_count++;
        result = leat_response_write_bytes(req, "more", 4);
        wrong_count += result != -EAGAIN;
    } else if (result == -EAGAIN) { /* then the reference is still ours */
        leat_buf_unref(piece);
        wrong_count++;
    }
    leat_buf_unref(piece);
    return 0;
}

static int on_memory(struct leat_request *req)
{
    leat_response_on_writable(req, memory_write);
    if (leat_response_begin(req, 200, "application/octet-stream", LEAT_LENGTH_UNKNOWN) == 0)
        memory_write(req);
    return 0;
}

static int on_file(struct leat_request *req)
{
    int fd = memfd_create("lasting", MFD_CLOEXEC);
    struct leat_file *file = fd >= 0 && ftruncate(fd, FILE_BYTES) == 0 ? leat_file_new(fd) : NULL;
    if (file == NULL)
        return leat_request_fail(req, 500, "no file to send");
    leat_respond_file(req, 200, file, 0, FILE_BYTES);
    leat_file_unref(file);
    return 0;
}

static void on_piece(struct leat_request *req, struct leat_buf piece)
{
    (void)req, (void)piece;
}

static int on_all(struct leat_request *req)
{
    return leat_respond_text(req, 200, "all of it\n");
}

static int on_up(struct leat_request *req)
{
    return leat_request_on_body(req, on_piece, on_all);
}

static int on_root(struct leat_request *req)
{
    return leat_respond_text(req, 200, "here\n");
}

/* A callback that does not return: what every server has once. */
static int on_slow(struct leat_request *req)
{
    usleep(HOLD_NS / LEAT_NS_PER_US);
    return leat_respond_text(req, 200, "at last\n");
}

static int on_errors(struct leat_request *req)
{
    char text[96];
    struct leat_http_stats stats;
    leat_http_stats(leat_request_http(req), &stats);
    snprintf(text, sizeof(text), "head %u body %u write %u; full %s wrong %u",
             (unsigned)stats.errors_count[LEAT_HTTP_ERROR_HEADER_TIMEOUT],
             (unsigned)stats.errors_count[LEAT_HTTP_ERROR_BODY_TIMEOUT],
             (unsigned)stats.errors_count[LEAT_HTTP_ERROR_WRITE_TIMEOUT],
             full_count > 0 ? "yes" : "no", wrong_count);
    return leat_respond_text(req, 200, text);
}

void lasting_serve(struct leat_http *http, uint64_t limit_ns)
{
    leat_http_set_options(http, &(struct leat_http_options){.header_ns = limit_ns,
                                                            .body_ns = limit_ns,
                                                            .keepalive_ns = limit_ns,
                                                            .write_ns = limit_ns,
                                                            .body_bytes_max = INT64_MAX});
    leat_http_get(http, "/", on_root);
    leat_http_get(http, "/memory", on_memory);
    leat_http_get(http, "/file", on_file);
    leat_http_get(http, "/slow", on_slow);
    leat_http_get(http, "/errors", on_errors);
    leat_http_post(http, "/up", on_up);
}

/* ---- the clients ---- */

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"
#define POST      "POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 1099511627776\r\n\r\n"

enum pace { AT_ONCE, SLOWLY, NEVER };
enum outcome { LASTS, ENDS };

struct kind {
    const char *name, *request;
    size_t limit; /* of leat_http_options: where the limit stands that this is about */
    enum pace reads, sends;
    enum outcome outcome;
    const char *again; /* what is sent now and then, instead of a body */
};

#define LIMIT(field) offsetof(struct leat_http_options, field)
static const struct kind kinds[] = {
    {"memory, at full speed", GET("/memory"), LIMIT(write_ns), AT_ONCE, NEVER, LASTS, NULL},
    {"memory, slowly", GET("/memory"), LIMIT(write_ns), SLOWLY, NEVER, LASTS, NULL},
    {"file, at full speed", GET("/file"), LIMIT(write_ns), AT_ONCE, NEVER, LASTS, NULL},
    {"file, slowly", GET("/file"), LIMIT(write_ns), SLOWLY, NEVER, LASTS, NULL},
    {"upload, at full speed", POST, LIMIT(body_ns), AT_ONCE, AT_ONCE, LASTS, NULL},
    {"upload, slowly", POST, LIMIT(body_ns), AT_ONCE, SLOWLY, LASTS, NULL},
    {"requests now and then", GET("/"), LIMIT(keepalive_ns), AT_ONCE, SLOWLY, LASTS, GET("/")},
    {"a head that never ends", "GET / HTTP/1.1\r\nHo", LIMIT(header_ns), AT_ONCE, NEVER, ENDS,
     NULL},
    {"a body that stops", POST, LIMIT(body_ns), AT_ONCE, NEVER, ENDS, NULL},
    {"a reader that stops", GET("/memory"), LIMIT(write_ns), NEVER, NEVER, ENDS, NULL},
    {"nothing more to ask", GET("/"), LIMIT(keepalive_ns), AT_ONCE, NEVER, ENDS, NULL},
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))
/* Those that end; no other. */
#define ERRORS_WANTED "head 1 body 1 write 1; full yes wrong 0"

struct flow {
    struct lasting *lasting;
    const struct kind *kind;
    leat_conn conn;
    struct leat_timer pace, end; /* the next piece; when it has lasted long enough */
    uint64_t opened_ns, moved_bytes, half_bytes;
    bool is_open, has_half, is_over;
};

struct lasting {
    struct leat_loop *loop;
    struct leat_addr to;
    struct leat_http_options limits;
    uint64_t slow_bytes;
    struct flow flows[KINDS];
    unsigned open_count;
    leat_conn errors;
    char answer[512];
    size_t answer_bytes;
    bool has_failed, is_over;
    char sentence[LASTING_SENTENCE_BYTES];
    leat_callback *fn;
    void *arg;
};

static uint64_t flow_limit(const struct flow *f)
{
    uint64_t limit_ns;
    memcpy(&limit_ns, (const uint8_t *)&f->lasting->limits + f->kind->limit, sizeof(limit_ns));
    return limit_ns;
}

static void fail_flow(struct flow *f, const char *what)
{
    if (!f->lasting->has_failed)
        snprintf(f->lasting->sentence, LASTING_SENTENCE_BYTES, "%s: %.200s", f->kind->name, what);
    f->lasting->has_failed = true;
}

/* A piece of a body, or a request; what is refused comes when the connection is writable. */
static void flow_send(struct flow *f)
{
    const char *again = f->kind->again;
    size_t piece = f->kind->sends == SLOWLY ? 1024 : PIECE_BYTES;
    int result;
    do {
        struct leat_buf buf = leat_buf_alloc(piece);
        if (buf.data == NULL)
            return fail_flow(f, "no memory for a piece");
        result = again != NULL ? leat_conn_send_bytes(f->conn, again, strlen(again))
                               : leat_conn_send(f->conn, &buf, 1);
        if (again != NULL || result < 0)
            leat_buf_unref(buf);
        f->moved_bytes += result >= 0 ? piece : 0;
    } while (result >= 0 && f->kind->sends == AT_ONCE);
}

/* Several times in each limit, so that it is never reached. */
static void flow_on_pace(struct leat_timer *timer, void *arg)
{
    struct flow *f = arg;
    if (f->kind->sends == SLOWLY) {
        flow_send(f);
        leat_timer_start(timer, flow_limit(f) * 2 / 5, 0);
    } else {
        (void)leat_conn_resume(f->conn);
    }
}

static void flow_on_half(struct flow *f)
{
    f->has_half = true;
    f->half_bytes = f->moved_bytes;
    leat_timer_start(&f->end, flow_limit(f) * LASTING_TIMES / 2, 0);
}

static void flow_on_time(struct leat_timer *timer, void *arg)
{
    struct flow *f = arg;
    (void)timer;
    if (f->kind->outcome == LASTS && !f->has_half)
        return flow_on_half(f);
    if (f->kind->outcome == ENDS)
        fail_flow(f, "the server did not end it");
    else if (f->moved_bytes == f->half_bytes)
        fail_flow(f, "it came to a halt");
    f->is_over = true;
    (void)leat_conn_abort(f->conn);
}

static void flow_on_open(leat_conn conn, void *user)
{
    struct flow *f = user;
    f->is_open = true;
    f->opened_ns = leat_loop_now(f->lasting->loop);
    if (leat_conn_send_bytes(conn, f->kind->request, strlen(f->kind->request)) < 0)
        return fail_flow(f, "the request was refused");
    if (f->kind->reads == NEVER)
        (void)leat_conn_pause(conn);
    if (f->kind->sends == AT_ONCE)
        flow_send(f);
    else if (f->kind->sends == SLOWLY)
        leat_timer_start(&f->pace, flow_limit(f) * 2 / 5, 0);
}

static void flow_on_data(leat_conn conn, void *user, const struct leat_buf *slices, unsigned count)
{
    struct flow *f = user;
    size_t bytes = 0;
    for (unsigned i = 0; i < count; i++)
        bytes += slices[i].length_bytes;
    if (f->kind->sends == NEVER)
        f->moved_bytes += bytes;
    if (f->kind->reads != SLOWLY)
        return;
    uint64_t due_ns = f->opened_ns + f->moved_bytes * LEAT_NS_PER_S / f->lasting->slow_bytes;
    if (due_ns <= leat_loop_now(f->lasting->loop))
        return; /* a machine that is late makes no reader slower */
    (void)leat_conn_pause(conn);
    leat_timer_start_at(&f->pace, due_ns);
}

static void flow_on_writable(leat_conn conn, void *user)
{
    (void)conn;
    if (((struct flow *)user)->kind->sends == AT_ONCE)
        flow_send(user);
}

static void flow_on_end(leat_conn conn, void *user)
{
    (void)user;
    (void)leat_conn_end(conn);
}

static void ask_for_errors(struct lasting *l);

static void flow_on_close(leat_conn conn, void *user, enum leat_close_reason reason)
{
    struct flow *f = user;
    char what[160];
    (void)conn;
    leat_timer_stop(&f->pace);
    leat_timer_stop(&f->end);
    snprintf(what, sizeof(what), "closed after %llu bytes: %s", (unsigned long long)f->moved_bytes,
             leat_close_reason_sentence(reason));
    if (f->kind->outcome == LASTS && !f->is_over)
        fail_flow(f, what);
    if (--f->lasting->open_count == 0)
        ask_for_errors(f->lasting);
}

static const struct leat_conn_ops flow_ops = {flow_on_open, flow_on_data, flow_on_writable,
                                              flow_on_end, flow_on_close};

/* ---- at the end: what the server counted ---- */

static void errors_on_open(leat_conn conn, void *user)
{
    static const char request[] = "GET /errors HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    (void)user;
    (void)!leat_conn_send_bytes(conn, request, sizeof(request) - 1);
}

static void errors_on_data(leat_conn conn, void *user, const struct leat_buf *slices,
                           unsigned count)
{
    struct lasting *l = user;
    (void)conn;
    for (unsigned i = 0; i < count; i++) {
        size_t room = sizeof(l->answer) - 1 - l->answer_bytes;
        size_t part = slices[i].length_bytes < room ? slices[i].length_bytes : room;
        memcpy(l->answer + l->answer_bytes, slices[i].data, part);
        l->answer_bytes += part;
    }
}

static void errors_on_close(leat_conn conn, void *user, enum leat_close_reason reason)
{
    struct lasting *l = user;
    const char *body = strstr(l->answer, "\r\n\r\n");
    (void)conn, (void)reason;
    if (!l->has_failed && (body == NULL || strcmp(body + 4, ERRORS_WANTED) != 0)) {
        l->has_failed = true;
        snprintf(l->sentence, sizeof(l->sentence), "the server's errors are \"%.60s\", not \"%s\"",
                 body != NULL ? body + 4 : l->answer, ERRORS_WANTED);
    }
    l->is_over = true;
    if (l->fn != NULL)
        l->fn(l->arg);
}

static const struct leat_conn_ops errors_ops = {errors_on_open, errors_on_data, NULL, flow_on_end,
                                                errors_on_close};

static void ask_for_errors(struct lasting *l)
{
    if (leat_connect(l->loop, &l->to, NULL, NULL, &errors_ops, l, &l->errors) < 0)
        errors_on_close(LEAT_CONN_NONE, l, LEAT_CLOSE_ABORTED);
}

static void flow_start(struct lasting *l, struct flow *f, const struct kind *kind)
{
    *f = (struct flow){.lasting = l, .kind = kind};
    leat_timer_init(&f->pace, l->loop, flow_on_pace, f);
    leat_timer_init(&f->end, l->loop, flow_on_time, f);
    uint64_t times = kind->outcome == LASTS ? LASTING_TIMES / 2 : LASTING_TIMES;
    leat_timer_start(&f->end, flow_limit(f) * times, 0);
    l->open_count++;
    int result = leat_connect(l->loop, &l->to, NULL, NULL, &flow_ops, f, &f->conn);
    if (result == 0)
        return;
    fail_flow(f, leat_loop_error(l->loop)->sentence);
    flow_on_close(f->conn, f, LEAT_CLOSE_UNREACHABLE);
}

struct lasting *lasting_new(struct leat_loop *loop, const struct leat_addr *to,
                            const struct leat_http_options *options, uint64_t slow_bytes)
{
    struct lasting *l = calloc(1, sizeof(*l));
    if (l == NULL)
        return NULL;
    *l = (struct lasting){.loop = loop, .to = *to, .limits = *options, .slow_bytes = slow_bytes};
    for (unsigned i = 0; i < KINDS; i++)
        flow_start(l, &l->flows[i], &kinds[i]);
    return l;
}

bool lasting_is_over(const struct lasting *l)
{
    return l->is_over;
}

const char *lasting_sentence(const struct lasting *l)
{
    return l->has_failed ? l->sentence : NULL;
}

void lasting_on_over(struct lasting *l, leat_callback *fn, void *arg)
{
    l->fn = fn;
    l->arg = arg;
}

void lasting_free(struct lasting *l)
{
    free(l);
}
