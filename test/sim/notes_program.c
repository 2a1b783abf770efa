/* The program that the simulator plays: notes, kept and given by tasks. */
#include "test/sim/notes.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define SUM_LIMIT_NS   (2 * LEAT_NS_PER_S)
#define GROUP_LIMIT_NS (2 * LEAT_NS_PER_S)
#define PATH_BYTES     64

static int failure_of(struct leat_request *req)
{
    int code = leat_loop_error(leat_request_loop(req))->code;
    return code < 0 ? code : -ENOMEM;
}

static const char *path_of(struct leat_request *req, const char *end, char path[PATH_BYTES])
{
    struct leat_view name = leat_request_param(req, "name");
    snprintf(path, PATH_BYTES, "%.*s%s", LEAT_VIEW_PRINT(name), end);
    return path;
}

static unsigned number_of(struct leat_request *req)
{
    char text[16];
    (void)leat_view_copy(leat_request_param(req, "n"), text, sizeof(text));
    return (unsigned)strtoul(text, NULL, 10);
}

static int respond_number(struct leat_request *req, int64_t number)
{
    char text[32];
    snprintf(text, sizeof(text), "%" PRId64, number);
    return leat_respond_text(req, 200, text);
}

static int end_of(struct leat_future *future)
{
    struct leat_result result = leat_await(future);
    return leat_result_drop(&result);
}

/* ---- notes ---- */

/* 0 and *all, which is the caller's, or why not. */
static int body_gather(struct leat_stream *body, struct leat_buf *all)
{
    for (;;) {
        struct leat_result piece = leat_await(leat_readable_next(body));
        if (piece.code <= 0)
            return leat_result_drop(&piece);
        struct leat_buf joined =
            leat_buf_concat((struct leat_buf[]){*all, leat_result_buf(&piece)}, 2);
        leat_result_drop(&piece);
        leat_buf_unref(*all);
        *all = joined;
        if (joined.data == NULL)
            return -ENOMEM;
    }
}

static int note_put(struct leat_request *req)
{
    char path[PATH_BYTES];
    struct leat_stream *body = leat_request_readable(req);
    if (body == NULL)
        return failure_of(req);
    struct leat_buf all = {0};
    int code = body_gather(body, &all);
    leat_stream_destroy(body, leat_nothing());
    leat_stream_unref(body);
    if (code < 0) {
        leat_buf_unref(all);
        return code;
    }
    code = end_of(leat_fs_replace_file(leat_request_loop(req), path_of(req, "", path), all));
    return code < 0 ? code : leat_respond_empty(req, 201);
}

static int note_get(struct leat_request *req)
{
    char path[PATH_BYTES];
    struct leat_loop *loop = leat_request_loop(req);
    struct leat_result note = leat_await(leat_fs_read_file(loop, path_of(req, "", path), 0));
    if (note.code < 0)
        return leat_result_drop(&note);
    return leat_respond_buf(req, 200, "application/octet-stream", leat_result_buf(&note));
}

/* ---- blobs ---- */

static struct leat_stream *blob_writable(struct leat_loop *loop, const char *path)
{
    return leat_fs_writable(loop, path, LEAT_OPEN_CREATE | LEAT_OPEN_EMPTY, LEAT_FS_NO_SYNC);
}

static int blob_put(struct leat_request *req)
{
    char path[PATH_BYTES];
    struct leat_stream *stages[] = {leat_request_readable(req),
                                    blob_writable(leat_request_loop(req), path_of(req, "", path))};
    int code = end_of(leat_pipeline(stages, 2));
    return code < 0 ? code : leat_respond_empty(req, 201);
}

static int blob_get(struct leat_request *req)
{
    char path[PATH_BYTES];
    struct leat_loop *loop = leat_request_loop(req);
    int code = end_of(leat_fs_stat(loop, path_of(req, "", path)));
    if (code < 0)
        return code;
    struct leat_stream *stages[] = {leat_fs_readable(loop, path, 0, UINT64_MAX),
                                    leat_response_writable(req)};
    return end_of(leat_pipeline(stages, 2));
}

static int blob_copy(struct leat_request *req)
{
    static const struct leat_coder_options gzip = {.coding = LEAT_GZIP, .level = 1};
    char path[PATH_BYTES], copy[PATH_BYTES];
    struct leat_loop *loop = leat_request_loop(req);
    struct leat_stream *stages[] = {leat_fs_readable(loop, path_of(req, "", path), 0, UINT64_MAX),
                                    leat_compress_new(loop, &gzip),
                                    leat_decompress_new(loop, &gzip),
                                    blob_writable(loop, path_of(req, ".copy", copy))};
    int code = end_of(leat_pipeline(stages, 4));
    return code < 0 ? code : leat_respond_empty(req, 201);
}

/* ---- the pool, groups, timers ---- */

static struct leat_result sum_run(void *n)
{
    int64_t sum = 0;
    for (int64_t i = 1; i <= (int64_t)(uintptr_t)n; i++)
        sum += i;
    return leat_number(sum);
}

static int sum_get(struct leat_request *req)
{
    unsigned n = number_of(req);
    struct leat_loop *loop = leat_request_loop(req);
    struct leat_future *both[] = {leat_pool_run(loop, LEAT_LANE_USER, sum_run,
                                                (void *)(uintptr_t)n),
                                  leat_delay(loop, n * LEAT_NS_PER_MS)};
    struct leat_result all = leat_await(leat_with_deadline(leat_all(loop, both, 2), SUM_LIMIT_NS));
    if (all.code < 0)
        return leat_result_drop(&all);
    const struct leat_results *results = leat_result_pointer(&all, LEAT_KIND_RESULTS);
    int64_t sum = leat_result_number(&results->items[0]);
    leat_result_drop(&all);
    return respond_number(req, sum);
}

struct part {
    struct leat_loop *loop;
    unsigned *ended_count;
    unsigned ms;
};

static struct leat_result part_run(void *arg)
{
    struct part *part = arg;
    struct leat_result waited = leat_await(leat_delay(part->loop, part->ms * LEAT_NS_PER_MS));
    int code = leat_result_drop(&waited);
    for (unsigned i = 0; i < part->ms % 3 && code == 0; i++)
        code = leat_task_yield();
    if (code < 0)
        return leat_failure(code, NULL);
    ++*part->ended_count;
    return leat_nothing();
}

static int group_get(struct leat_request *req)
{
    unsigned n = number_of(req), ended_count = 0;
    struct leat_loop *loop = leat_request_loop(req);
    struct leat_group *group = leat_group_new(loop);
    for (unsigned i = 0; i < n; i++) {
        struct part part = {loop, &ended_count, i * 7 % 50};
        leat_future_unref(leat_group_start(group, part_run, &part, sizeof(part)));
    }
    int code = leat_group_wait(group, GROUP_LIMIT_NS);
    return code < 0 ? code : respond_number(req, ended_count);
}

static void later_over(struct leat_timer *timer, void *id)
{
    struct leat_request *req = leat_deferred_request((leat_deferred){(uintptr_t)id});
    if (req != NULL)
        (void)respond_number(req, number_of(req));
}

static int later_get(struct leat_request *req)
{
    leat_deferred deferred = leat_request_defer(req);
    leat_timeout timeout = leat_set_timeout(leat_request_loop(req), later_over,
                                            (void *)(uintptr_t)deferred.id, number_of(req));
    return timeout != 0 ? 0 : -ENOMEM;
}

struct leat_http *notes_program(struct leat_loop *loop, const struct leat_addr *at)
{
    struct leat_http *http = leat_http_new(loop);
    leat_http_task(http, "PUT", "/notes/:name", note_put);
    leat_http_task(http, "GET", "/notes/:name", note_get);
    leat_http_task(http, "PUT", "/blobs/:name", blob_put);
    leat_http_task(http, "GET", "/blobs/:name", blob_get);
    leat_http_task(http, "POST", "/blobs/:name", blob_copy);
    leat_http_task(http, "GET", "/sum/:n", sum_get);
    leat_http_task(http, "GET", "/group/:n", group_get);
    leat_http_get(http, "/later/:n", later_get);
    CHECK(leat_http_listen_addr(http, at) == 0);
    return http;
}
