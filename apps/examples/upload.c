/* An upload server: files of a form go to the folder "uploads", piece by piece.
 *
 *   POST /    201 when every file has its name; 409 when a name is taken, 413 over 1 GiB
 *
 * A file has no name until it is whole: a client that goes leaves nothing. While the disk is busy
 * the request is paused: the client waits, and memory does not grow. */
#include <errno.h>
#include <leat/leat.h>
#include <stdio.h>
#include <stdlib.h>

struct upload {
    struct leat_file *file; /* the one that is being read */
    uint64_t bytes;
    struct leat_held held; /* the piece that is being written */
    char path[sizeof("uploads/") + 255];
};
static const char upload_key;

static void upload_free(void *value)
{
    struct upload *upload = value;
    leat_held_release(upload->held);
    if (upload->file != NULL)
        leat_file_unref(upload->file);
    free(upload);
}

/* What the request waited for has settled: a write, an open or a link, by what is there. */
static void settled(void *arg, const struct leat_result *result)
{
    struct leat_request *req = leat_deferred_request((leat_deferred){(uintptr_t)arg});
    struct upload *upload = req != NULL ? leat_request_attachment(req, &upload_key) : NULL;
    if (upload == NULL) /* the client has gone, and what hung on its request with it */
        return;
    if (result->code == -EEXIST)
        return (void)leat_request_fail(req, 409, "%s", leat_result_sentence(result));
    if (result->code < 0)
        return leat_request_end_with(req, result->code);
    if (upload->held.buf.data != NULL) {
        upload->bytes += upload->held.buf.length_bytes;
        leat_held_release(upload->held);
        upload->held.buf.data = NULL;
    } else if (upload->file != NULL) {
        leat_file_unref(upload->file);
        upload->file = NULL;
    } else {
        upload->file = leat_file_ref(leat_result_file(result));
    }
    leat_request_resume(req);
}

/* Pauses until the future has settled, which gets the handle: by then the client may be gone. */
static int wait_for(struct leat_request *req, struct leat_future *future)
{
    leat_request_pause(req);
    leat_call(future, settled, (void *)(uintptr_t)leat_request_defer(req).id);
    return 0;
}

static int on_file(struct leat_request *req, const struct leat_part *part)
{
    struct upload *upload = leat_request_attachment(req, &upload_key);
    if (part->filename.length_bytes == 0)
        return LEAT_PART_SKIP; /* no file was chosen */
    snprintf(upload->path, sizeof(upload->path), "uploads/%.*s", LEAT_VIEW_PRINT(part->filename));
    upload->bytes = 0;
    wait_for(req, leat_fs_open(leat_request_loop(req), "uploads", LEAT_OPEN_UNNAMED));
    return LEAT_PART_READ;
}

static int on_file_data(struct leat_request *req, struct leat_buf piece)
{
    struct upload *upload = leat_request_attachment(req, &upload_key);
    upload->held = leat_request_hold(req, piece);
    if (upload->held.buf.data == NULL)
        return -EAGAIN; /* no memory to hold it: 503 */
    piece = leat_buf_ref(upload->held.buf);
    return wait_for(req, leat_fs_write(upload->file, upload->bytes, piece));
}

static int on_file_end(struct leat_request *req)
{
    struct upload *upload = leat_request_attachment(req, &upload_key);
    return wait_for(req, leat_fs_link(upload->file, upload->path));
}

static int stored(struct leat_request *req)
{
    return leat_respond_text(req, 201, "stored\n");
}

static int post(struct leat_request *req)
{
    static const struct leat_form_options form = {.on_file = on_file,
                                                  .on_file_data = on_file_data,
                                                  .on_file_end = on_file_end};
    struct upload *upload = calloc(1, sizeof(*upload));
    if (upload == NULL)
        return -EAGAIN;
    int code = leat_request_attach(req, &upload_key, upload, upload_free);
    return code < 0 ? code : leat_request_read_form(req, &form, stored);
}

static int start(struct leat_loop *loop)
{
    struct leat_http *http = leat_http_new(loop);
    leat_http_post(http, "/", post);
    return leat_http_listen(http, "127.0.0.1:8080");
}

int main(int argc, char **argv)
{
    struct leat_error error;
    if (leat_fs_mkdir_all_sync("uploads", 0700, &error) < 0) {
        fprintf(stderr, "upload: %s\n", error.sentence);
        return 1;
    }
    return leat_main(argc, argv, start);
}
