/* Uploads that are compressed on their way to the disk, and that tell how far they are.
 *   PUT /files/:name      to archive/NAME.gz: 201; 409 while another one writes it
 *   GET /progress/:name   server-sent events: bytes so far, then "done" or "failed"; 404
 * Until a file is whole it is NAME.gz.part, which goes when its client does. */
#include <errno.h>
#include <leat/leat.h>
#include <stdio.h>

#define UPLOADS_MAX 64 /* at once; the progress of the latest is kept */

static struct upload {
    char path[sizeof("archive/") + 255];
    unsigned long long bytes;
    enum { DONE, FAILED, RUNS } state;
} uploads[UPLOADS_MAX];
static unsigned next;

static int path_of(struct leat_request *req, char path[sizeof(uploads[0].path)])
{
    struct leat_view name = leat_request_param(req, "name");
    if (name.length_bytes > 240 || name.data[0] == '.' ||
        memchr(name.data, '/', name.length_bytes) != NULL)
        return leat_request_fail(req, 400, "no name of a file");
    return snprintf(path, sizeof(uploads[0].path), "archive/%.*s.gz", LEAT_VIEW_PRINT(name));
}

static struct upload *upload_of(const char *path) /* the latest; NULL: none */
{
    unsigned i = 1;
    while (i <= UPLOADS_MAX && strcmp(uploads[(next - i) % UPLOADS_MAX].path, path) != 0)
        i++;
    return i <= UPLOADS_MAX ? &uploads[(next - i) % UPLOADS_MAX] : NULL;
}

static void on_data(void *upload, const struct leat_result *result)
{
    const struct leat_chunk *chunk = leat_result_pointer(result, LEAT_KIND_CHUNK);
    ((struct upload *)upload)->bytes += chunk->buf.length_bytes;
}

static int code_of(struct leat_future *future)
{
    struct leat_result result = leat_await(future);
    return leat_result_drop(&result);
}

static int write_file(struct leat_request *req, struct upload *upload)
{
    struct leat_loop *loop = leat_request_loop(req);
    char part[sizeof(upload->path) + sizeof(".part")];
    snprintf(part, sizeof(part), "%s.part", upload->path);
    struct leat_stream *body = leat_request_readable(req);
    if (body != NULL) /* without memory for it the upload goes on, uncounted */
        (void)!leat_stream_on(body, LEAT_STREAM_DATA, on_data, upload);
    struct leat_stream *stages[] =
        {body, leat_compress_new(loop, &(struct leat_coder_options){.coding = LEAT_GZIP}),
         leat_fs_writable(loop, part, LEAT_OPEN_CREATE | LEAT_OPEN_EMPTY, LEAT_FS_SYNC)};
    int code = code_of(leat_pipeline(stages, 3));
    leat_task_shield(); /* its client may have gone, and with it the right to wait */
    int then =
        code_of(code != 0 ? leat_fs_unlink(loop, part) : leat_fs_rename(loop, part, upload->path));
    leat_task_unshield();
    return code == 0 ? then : code;
}

static int put(struct leat_request *req) /* a task */
{
    struct upload *upload = &uploads[next % UPLOADS_MAX];
    char path[sizeof(upload->path)];
    int code = path_of(req, path);
    if (code <= 0)
        return code;
    const struct upload *other = upload_of(path);
    if ((other != NULL && other->state == RUNS) || upload->state == RUNS)
        return leat_request_fail(req, 409, "%s is being written, or too many are", path);
    next++;
    *upload = (struct upload){.state = RUNS};
    memcpy(upload->path, path, sizeof(path));
    code = write_file(req, upload);
    upload->state = code == 0 ? DONE : FAILED;
    return code < 0 ? code : leat_respond_text(req, 201, "stored\n");
}

static int progress(struct leat_request *req) /* a task */
{
    static const char *const names[] = {[DONE] = "done", [FAILED] = "failed", [RUNS] = "bytes"};
    char path[sizeof(uploads[0].path)], text[64];
    int code = path_of(req, path);
    const struct upload *upload = code > 0 ? upload_of(path) : NULL;
    if (upload == NULL)
        return code > 0 ? leat_request_fail(req, 404, "no such upload") : code;
    code = leat_response_begin(req, 200, "text/event-stream", LEAT_LENGTH_UNKNOWN);
    while (code >= 0) {
        bool is_over = upload->state != RUNS || strcmp(upload->path, path) != 0;
        int length = snprintf(text, sizeof(text), "event: %s\ndata: %llu\n\n", names[upload->state],
                              upload->bytes);
        code = leat_response_write_bytes(req, text, (size_t)length);
        if (is_over && code >= 0)
            return leat_response_end(req);
        if (code >= 0 || code == -EAGAIN) /* a slow reader hears less often, and of the latest */
            code = code_of(leat_delay(leat_request_loop(req), 100 * LEAT_NS_PER_MS));
    }
    return code;
}

static int start(struct leat_loop *loop)
{
    struct leat_http *http = leat_http_new(loop);
    (void)leat_run_ready_after(loop, leat_fs_mkdir_all(loop, "archive", 0700));
    leat_http_task(http, "PUT", "/files/:name", put);
    leat_http_task(http, "GET", "/progress/:name", progress);
    return leat_http_listen(http, "127.0.0.1:8080");
}

int main(int argc, char **argv)
{
    const struct leat_program program = {.name = "archive", .cores = "1", .start = start};
    return leat_program_main(&program, argc, argv);
}
