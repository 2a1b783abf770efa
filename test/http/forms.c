/* Forms, as handlers get them: fields, files that go by, limits, pauses, ends in the middle. */
#include "buffers/heap.h"
#include "test/http/bench.h"

#include <leat/form.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HELD_MAX 32
#define LIMITS                                                                                     \
    {                                                                                              \
        .parts_max = 4, .fields_max = 4, .field_bytes_max = 16, .file_bytes_max = 32               \
    }

static struct bench bench;

/* What a request was told; hangs on it. */
struct upload {
    char text[1024];
    struct leat_held held[HELD_MAX];
    unsigned held_count;
};
static const char upload_key;
static unsigned upload_count; /* that are there */

/* How files are read: set by each test. */
static enum { TELL, HOLD, PAUSE, SKIP, ANSWER, REFUSE, FAIL_DATA, FAIL_END } mode;

static struct upload *upload_of(const struct leat_request *req)
{
    return leat_request_attachment(req, &upload_key);
}

static void upload_free(void *value)
{
    struct upload *upload = value;

    for (unsigned i = 0; i < upload->held_count; i++)
        leat_held_release(upload->held[i]);
    free(upload);
    upload_count--;
}

static void tell(struct leat_request *req, const char *bytes, size_t length)
{
    strncat(upload_of(req)->text, bytes, length);
}

static void resume(struct leat_timer *timer, void *arg)
{
    struct leat_request *req = leat_deferred_request((leat_deferred){(uintptr_t)arg});

    if (req != NULL)
        leat_request_resume(req);
}

static void pause_a_while(struct leat_request *req)
{
    leat_deferred deferred = leat_request_defer(req);

    leat_request_pause(req);
    if (!leat_set_timeout(leat_request_loop(req), resume, (void *)(uintptr_t)deferred.id, 1))
        leat_request_resume(req);
}

static int on_file(struct leat_request *req, const struct leat_part *part)
{
    char head[128];

    snprintf(head, sizeof(head), "%.*s=%.*s(%.*s):", LEAT_VIEW_PRINT(part->name),
             LEAT_VIEW_PRINT(part->filename), LEAT_VIEW_PRINT(part->type));
    tell(req, head, strlen(head));
    if (mode == PAUSE)
        pause_a_while(req);
    return mode == REFUSE ? -EACCES : mode == SKIP ? LEAT_PART_SKIP : LEAT_PART_READ;
}

static int on_file_data(struct leat_request *req, struct leat_buf piece)
{
    struct upload *upload = upload_of(req);

    if (mode == ANSWER)
        return leat_respond_text(req, 200, "enough");
    if (mode == HOLD && upload->held_count < HELD_MAX) {
        upload->held[upload->held_count] = leat_request_hold(req, piece);
        upload->held_count += upload->held[upload->held_count].buf.data != NULL;
        return 0;
    }
    tell(req, (const char *)piece.data, piece.length_bytes);
    if (mode == PAUSE)
        pause_a_while(req);
    return mode == FAIL_DATA ? -ENOENT : 0;
}

static int on_file_end(struct leat_request *req)
{
    struct upload *upload = upload_of(req);

    for (unsigned i = 0; i < upload->held_count; i++) {
        tell(req, (const char *)upload->held[i].buf.data, upload->held[i].buf.length_bytes);
        leat_held_release(upload->held[i]);
    }
    upload->held_count = 0;
    tell(req, ";", 1);
    return mode == FAIL_END ? -ETIME : 0;
}

static int form_read(struct leat_request *req)
{
    struct leat_view name, value;
    char pair[128];

    for (size_t position = 0; leat_request_field_next(req, &position, &name, &value);) {
        snprintf(pair, sizeof(pair), "%.*s=%.*s;", LEAT_VIEW_PRINT(name), LEAT_VIEW_PRINT(value));
        tell(req, pair, strlen(pair));
    }
    name = leat_request_field(req, "a");
    if (name.data != NULL) {
        snprintf(pair, sizeof(pair), "a is %.*s", LEAT_VIEW_PRINT(name));
        tell(req, pair, strlen(pair));
    }
    assert_null(leat_request_field(req, "no").data);
    return leat_respond_text(req, 200, upload_of(req)->text);
}

static int form_post(struct leat_request *req)
{
    static const struct leat_form_options options = {.parts_max = 4,
                                                     .fields_max = 4,
                                                     .head_bytes_max = 256,
                                                     .field_bytes_max = 16,
                                                     .file_bytes_max = 32,
                                                     .bytes_max = 2000,
                                                     .on_file = on_file,
                                                     .on_file_data = on_file_data,
                                                     .on_file_end = on_file_end};
    struct upload *upload = calloc(1, sizeof(*upload));

    upload_count++;
    int code = leat_request_attach(req, &upload_key, upload, upload_free);
    return code < 0 ? code : leat_request_read_form(req, &options, form_read);
}

/* Takes no file, and has the limits of the server alone. */
static int plain_read(struct leat_request *req)
{
    char text[64];
    size_t position = 0, bytes = 0, count = 0;
    struct leat_view name, value;

    while (leat_request_field_next(req, &position, &name, &value)) {
        bytes += value.length_bytes;
        count++;
    }
    snprintf(text, sizeof(text), "%zu of %zu", count, bytes);
    return leat_respond_text(req, 200, text);
}

static int plain_post(struct leat_request *req)
{
    assert_null(leat_request_field(req, "a").data); /* nothing was read yet */
    int code = leat_request_read_form(req, NULL, plain_read);
    assert_true(code < 0 || leat_request_is_answered(req) ||
                leat_request_read_form(req, NULL, plain_read) == -EALREADY);
    return code;
}

static void begin(void)
{
    bench_init(&bench, &(struct leat_http_options){.collect_bytes_max = 3000});
    leat_http_post(bench.http, "/form", form_post);
    leat_http_post(bench.http, "/plain", plain_post);
    mode = TELL;
    upload_count = 0;
}

static void end(void)
{
    bench_fini(&bench);
    assert_int_equal(upload_count, 0);
}

/* ---- Requests ---- */

#define URLENCODED "application/x-www-form-urlencoded"
#define MULTIPART  "multipart/form-data; boundary=b"
#define FIELD(name, value)                                                                         \
    "--b\r\nContent-Disposition: form-data; name=\"" name "\"\r\n\r\n" value "\r\n"
#define FILE_(name, file, data)                                                                    \
    "--b\r\nContent-Disposition: form-data; name=\"" name "\"; filename=\"" file                   \
    "\"\r\nContent-Type: a/b\r\n\r\n" data "\r\n"
#define END "--b--\r\n"

enum framing { BY_LENGTH, BY_CHUNKS };

/* Behind the form comes another request, which shows that the connection is in step. */
static size_t request_make(char *to, size_t size, const char *path, const char *type,
                           const char *body, enum framing framing)
{
    size_t length = strlen(body), half = length / 2;
    int used =
        snprintf(to, size, "POST %s HTTP/1.1\r\nHost: a\r\nContent-Type: %s\r\n", path, type);

    if (framing == BY_LENGTH)
        used +=
            snprintf(to + used, size - (size_t)used, "Content-Length: %zu\r\n\r\n%s", length, body);
    else
        used += snprintf(to + used, size - (size_t)used, "Transfer-Encoding: chunked\r\n\r\n");
    if (framing == BY_CHUNKS && half > 0)
        used += snprintf(to + used, size - (size_t)used, "%zx\r\n%.*s\r\n", half, (int)half, body);
    if (framing == BY_CHUNKS && length > 0)
        used +=
            snprintf(to + used, size - (size_t)used, "%zx\r\n%s\r\n", length - half, body + half);
    if (framing == BY_CHUNKS)
        used += snprintf(to + used, size - (size_t)used, "0\r\n\r\n");
    used += snprintf(to + used, size - (size_t)used, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_true((size_t)used < size);
    return (size_t)used;
}

static void check_cut(const char *type, const char *body, enum framing framing, size_t piece,
                      const char *outcome)
{
    char request[8192];
    size_t length = request_make(request, sizeof(request), "/form", type, body, framing);
    struct wire_conn *conn = bench_connect(&bench);

    for (size_t at = 0; at < length; at += piece) {
        wire_feed(bench.wire, conn, request + at, length - at < piece ? length - at : piece);
        wire_settle(bench.wire);
    }
    for (unsigned i = 0; i < 400; i++) /* as long as pauses may take together */
        wire_pass(bench.wire, LEAT_NS_PER_MS);
    const char *broken = http_server_validate(bench.http);
    if (broken != NULL)
        fail_msg("%s", broken);
    assert_outcome(conn, outcome);
    bench_check_rest(&bench);
}

/* In one piece and in small ones, by a length and in chunks: always the same. */
static void check(const char *type, const char *body, const char *outcome)
{
    static const size_t pieces[] = {8192, 1, 3, 50};

    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        check_cut(type, body, BY_LENGTH, pieces[i], outcome);
        check_cut(type, body, BY_CHUNKS, pieces[i], outcome);
    }
}

/* ---- Forms that are right ---- */

static void both_kinds_come_by_one_door(void **state)
{
    begin();
    check(URLENCODED, "a=1&b=two+%26&c", "200 a=1;b=two &;c=;a is 1 | 200 hello");
    check(URLENCODED "; charset=utf-8", "a=1", "200 a=1;a is 1 | 200 hello");
    check(MULTIPART, FIELD("a", "1") FIELD("b", "two &") FIELD("c", "") END,
          "200 a=1;b=two &;c=;a is 1 | 200 hello");
    check(MULTIPART, FIELD("n", "x") FILE_("f", "../x.y", "1\r\n--\r\n2") FIELD("a", "1") END,
          "200 f=x.y(a/b):1\r\n--\r\n2;n=x;a=1;a is 1 | 200 hello");
    check(MULTIPART, END, "200 | 200 hello");
    check(URLENCODED, "", "200 | 200 hello");
    end();
}

static void a_file_that_nobody_takes_is_drained(void **state)
{
    begin();
    mode = SKIP;
    check(MULTIPART, FILE_("f", "x", "1234567890") FIELD("a", "1") FILE_("g", "y", "1") END,
          "200 f=x(a/b):g=y(a/b):a=1;a is 1 | 200 hello");
    struct wire_conn *conn = bench_connect(&bench);
    char request[4096];
    size_t length = request_make(request, sizeof(request), "/plain", MULTIPART,
                                 FILE_("f", "x", "1234567890") FIELD("a", "1") END, BY_LENGTH);
    wire_feed(bench.wire, conn, request, length);
    wire_settle(bench.wire);
    assert_outcome(conn, "200 1 of 1 | 200 hello");
    end();
}

static void a_pause_stops_the_form_where_it_is(void **state)
{
    begin();
    mode = PAUSE;
    check(MULTIPART, FILE_("f", "x", "1\r\n-2\r3") FILE_("g", "y", "") FILE_("h", "z", "456") END,
          "200 f=x(a/b):1\r\n-2\r3;g=y(a/b):;h=z(a/b):456; | 200 hello");
    end();
}

static void pieces_are_kept_by_holding_them(void **state)
{
    begin();
    mode = HOLD;
    check(MULTIPART, FILE_("f", "x", "1\r\n-2\r3") FILE_("g", "y", "\r\n--a\r\n-") END,
          "200 f=x(a/b):1\r\n-2\r3;g=y(a/b):\r\n--a\r\n-; | 200 hello");
    end();
}

static void fields_with_nul_are_left_out(void **state)
{
    static const char body[] = FIELD("a", "1\0002") FIELD("b", "3") END;
    char request[1024];

    begin();
    struct wire_conn *conn = bench_connect(&bench);
    int head = snprintf(request, sizeof(request),
                        "POST /form HTTP/1.1\r\nHost: a\r\nContent-Type: " MULTIPART
                        "\r\nContent-Length: %zu\r\n\r\n",
                        sizeof(body) - 1);
    memcpy(request + head, body, sizeof(body) - 1);
    wire_feed(bench.wire, conn, request, (size_t)head + sizeof(body) - 1);
    wire_settle(bench.wire);
    assert_outcome(conn, "200 b=3;");
    end();
}

/* ---- Ends before the end ---- */

static void callbacks_may_answer(void **state)
{
    begin();
    mode = ANSWER;
    check(MULTIPART, FILE_("f", "x", "1234567890") FIELD("a", "1") END, "200 enough | 200 hello");
    end();
}

static void what_callbacks_return_is_as_of_handlers(void **state)
{
    static const char body[] = FILE_("f", "x", "1") FIELD("a", "1") END;

    begin();
    mode = REFUSE;
    check(MULTIPART, body, "403 Forbidden | 200 hello");
    mode = FAIL_DATA;
    check(MULTIPART, body, "404 Not Found | 200 hello");
    mode = FAIL_END;
    check(MULTIPART, body, "504 Gateway Timeout | 200 hello");
    end();
}

static void limits_hold_at_their_edge(void **state)
{
    begin();
    check(URLENCODED, "a=1234567890abcdef&b", "413 Content Too Large | 200 hello");
    check(URLENCODED, "b=1234567890abcde", "200 b=1234567890abcde; | 200 hello");
    check(URLENCODED, "b&b&b&b", "200 b=;b=;b=;b=; | 200 hello");
    check(URLENCODED, "b&b&b&b&b", "413 Content Too Large | 200 hello");
    check(MULTIPART, FIELD("b", "1234567890abcde") END, "200 b=1234567890abcde; | 200 hello");
    check(MULTIPART, FIELD("b", "1234567890abcdef") END, "413 Content Too Large | 200 hello");
    check(MULTIPART, FIELD("12345678901234567", "") END, "413 Content Too Large | 200 hello");
    check(MULTIPART, FIELD("b", "") FIELD("b", "") FIELD("b", "") FIELD("b", "") END,
          "200 b=;b=;b=;b=; | 200 hello");
    check(MULTIPART, FIELD("b", "") FIELD("b", "") FIELD("b", "") FIELD("b", "") FIELD("b", "") END,
          "413 Content Too Large | 200 hello");
    check(MULTIPART, FILE_("f", "x", "12345678901234567890123456789012") END,
          "200 (42) | 200 hello");
    check(MULTIPART, FILE_("f", "x", "123456789012345678901234567890123") END,
          "413 Content Too Large | 200 hello");
    end();
}

/* All fields together are bounded by what the server collects; the body as a whole, too. */
static void what_is_kept_is_bounded(void **state)
{
    static char body[4000], request[8192];

    begin();
    for (unsigned fields = 100; fields <= 500; fields += 200) {
        struct wire_conn *conn = bench_connect(&bench);
        memset(body, '&', sizeof(body));
        for (unsigned i = 0; i < fields; i++)
            memcpy(body + (size_t)i * 4, "k=v&", 4);
        body[(size_t)fields * 4] = '\0';
        size_t length =
            request_make(request, sizeof(request), "/plain", URLENCODED, body, BY_CHUNKS);
        wire_feed(bench.wire, conn, request, length);
        wire_settle(bench.wire);
        assert_outcome(conn, fields == 100   ? "200 100 of 100 | 200 hello"
                             : fields == 300 ? "200 300 of 300 | 200 hello"
                                             : "413 Content Too Large | 200 hello");
    }
    memset(body, 'x', 2001);
    body[2001] = '\0';
    check_cut(URLENCODED, body, BY_LENGTH, 8192, "413 Content Too Large | 200 hello");
    end();
}

static void what_is_no_form_is_refused(void **state)
{
    begin();
    check("text/plain", "a=1", "415 Unsupported Media Type | 200 hello");
    check("multipart/mixed; boundary=b", END, "415 Unsupported Media Type | 200 hello");
    check("multipart/form-data", END, "400 Bad Request | 200 hello");
    check(MULTIPART, FIELD("a", "1"), "400 Bad Request | 200 hello");
    check(MULTIPART, "--b\r\n\r\n1\r\n--b--", "400 Bad Request | 200 hello");
    check(MULTIPART, "", "400 Bad Request | 200 hello");
    struct wire_conn *conn = bench_connect(&bench);
    bench_send(&bench, conn,
               "POST /form HTTP/1.1\r\nHost: a\r\nContent-Type: " URLENCODED
               "\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\na=1");
    assert_outcome(conn, "415 Unsupported Media Type");
    end();
}

static void a_client_that_goes_leaves_nothing(void **state)
{
    static const char body[] = FIELD("a", "1") FILE_("f", "x", "1\r\n-2") END;
    char request[1024];

    begin();
    mode = HOLD;
    size_t length = request_make(request, sizeof(request), "/form", MULTIPART, body, BY_LENGTH);
    for (size_t cut = 1; cut < length; cut++) {
        struct wire_conn *conn = bench_connect(&bench);
        wire_feed(bench.wire, conn, request, cut);
        wire_settle(bench.wire);
        wire_reset(bench.wire, conn);
        wire_settle(bench.wire);
        assert_int_equal(upload_count, 0);
        bench_check_rest(&bench);
    }
    end();
}

/* Each allocation of the heap fails once: one client is told so, and the next is served. */
static void memory_that_fails_harms_one_form(void **state)
{
    static const char body[] = FIELD("a", "1") FILE_("f", "x", "1\r\n-2") END;
    char request[1024], outcome[OUTCOME_BYTES];
    unsigned failed = 0;

    begin();
    size_t length = request_make(request, sizeof(request), "/form", MULTIPART, body, BY_LENGTH);
    check(MULTIPART, body, "200 f=x(a/b):1\r\n-2;a=1;a is 1 | 200 hello");
    for (unsigned nth = 1; nth < 8; nth++) {
        struct wire_conn *conn = bench_connect(&bench);
        leat_heap_fail_at(leat_core_now, nth);
        wire_feed(bench.wire, conn, request, length);
        wire_settle(bench.wire);
        leat_heap_fail_at(leat_core_now, 0);
        bench_outcome(conn, 0, outcome);
        failed += strncmp(outcome, "200", 3) != 0;
        bench_check_rest(&bench);
        assert_int_equal(upload_count, 0);
    }
    assert_true(failed >= 3); /* the attachments, the form, its fields */
    check(MULTIPART, body, "200 f=x(a/b):1\r\n-2;a=1;a is 1 | 200 hello");
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_kinds_come_by_one_door),
        cmocka_unit_test(a_file_that_nobody_takes_is_drained),
        cmocka_unit_test(a_pause_stops_the_form_where_it_is),
        cmocka_unit_test(pieces_are_kept_by_holding_them),
        cmocka_unit_test(fields_with_nul_are_left_out),
        cmocka_unit_test(callbacks_may_answer),
        cmocka_unit_test(what_callbacks_return_is_as_of_handlers),
        cmocka_unit_test(limits_hold_at_their_edge),
        cmocka_unit_test(what_is_kept_is_bounded),
        cmocka_unit_test(what_is_no_form_is_refused),
        cmocka_unit_test(a_client_that_goes_leaves_nothing),
        cmocka_unit_test(memory_that_fails_harms_one_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
