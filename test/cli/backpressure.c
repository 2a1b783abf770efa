/* A server whose disk stops and whose source never ends by itself, for backpressure.py.
 *   PUT /up/:stop      to a disk that stops writing after that many bytes, until GET /go: 200 when
 *                      every byte was the one of its place
 *   GET /down/:length  that many bytes
 *   GET /told          "WRITTEN STOPPED GIVEN": of the last upload bytes and 0 or 1, of the last
 *                      download bytes
 *   GET /range/:offset/:length  of the file "file" in the folder BACKPRESSURE_FOLDER, as a stream
 *   GET /files/...     that folder
 * The byte at a place of a body is that of the table here, over and over. */
#include <leat/files.h>
#include <leat/leat.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define TABLE_BYTES  65521u /* a prime: no boundary of a buffer or segment repeats in it */
#define PIECE_BYTES  16384u
#define CHUNKS_MAX   16
#define PATIENCE_NS  (120 * LEAT_NS_PER_S) /* a loaded machine stops a peer for long */
#define UP_BYTES_MAX (UINT64_C(4) << 30)

static uint8_t table[TABLE_BYTES + PIECE_BYTES]; /* its beginning is repeated behind it */

struct disk {
    struct leat_stream stream; /* first */
    uint64_t written_bytes, stop_bytes;
    struct leat_chunk kept[CHUNKS_MAX]; /* of the write that is out */
    unsigned kept_count;
};

struct source {
    struct leat_stream stream; /* first */
    uint64_t left_bytes;
};

static struct disk *stopped; /* NULL: none is */
static uint64_t written_bytes, given_bytes;

static bool is_right(struct leat_buf buf, uint64_t place)
{
    while (buf.length_bytes > 0) {
        size_t part = buf.length_bytes < PIECE_BYTES ? buf.length_bytes : PIECE_BYTES;
        if (memcmp(buf.data, table + place % TABLE_BYTES, part) != 0)
            return false;
        buf.data += part;
        buf.length_bytes -= (uint32_t)part;
        place += part;
    }
    return true;
}

static void disk_release(struct disk *disk)
{
    for (unsigned i = 0; i < disk->kept_count; i++)
        leat_chunk_drop(&disk->kept[i]);
    disk->kept_count = 0;
}

/* The bytes that were kept reach the disk: only now they are looked at. */
static void disk_go_on(struct disk *disk)
{
    int code = 0;
    for (unsigned i = 0; i < disk->kept_count; i++) {
        if (!is_right(disk->kept[i].buf, disk->written_bytes))
            code = -EBADMSG;
        disk->written_bytes += disk->kept[i].buf.length_bytes;
    }
    written_bytes = disk->written_bytes;
    disk_release(disk);
    leat_stream_wrote(&disk->stream, code == 0 ? leat_nothing() : leat_failure(code, NULL));
}

static void disk_write(struct leat_stream *stream, const struct leat_chunk *chunks, unsigned count)
{
    struct disk *disk = (struct disk *)stream;
    for (unsigned i = 0; i < count; i++) {
        struct leat_chunk seen = chunks[i];
        if (leat_chunk_keep(&seen, &disk->kept[i]) < 0)
            return leat_stream_wrote(stream, leat_failure(-ENOMEM, NULL));
        disk->kept_count = i + 1;
    }
    if (disk->written_bytes >= disk->stop_bytes && stopped == NULL)
        stopped = disk;
    else
        disk_go_on(disk);
}

static void disk_destroy(struct leat_stream *stream)
{
    if (stopped == (struct disk *)stream)
        stopped = NULL;
    disk_release((struct disk *)stream);
    leat_stream_destroyed(stream, leat_nothing());
}

static void source_read(struct leat_stream *stream, unsigned takes)
{
    struct source *source = (struct source *)stream;
    size_t part = source->left_bytes < PIECE_BYTES ? source->left_bytes : PIECE_BYTES;
    if (part == 0)
        return leat_push_end(stream);
    const uint8_t *bytes = table + given_bytes % TABLE_BYTES;
    source->left_bytes -= part;
    given_bytes += part;
    (void)leat_push_bytes(stream, bytes, part); /* a failure is the stream's */
}

static uint64_t number_of(struct leat_request *req, const char *name)
{
    char text[24];
    leat_view_copy(leat_request_param(req, name), text, sizeof(text));
    return strtoull(text, NULL, 10);
}

static int pipeline_code(struct leat_stream *from, struct leat_stream *to)
{
    struct leat_result result = leat_await(leat_pipeline((struct leat_stream *[]){from, to}, 2));
    return leat_result_drop(&result);
}

static int put_up(struct leat_request *req) /* a task */
{
    static const struct leat_stream_class of = {.name = "disk",
                                                .length_bytes = sizeof(struct disk),
                                                .takes = LEAT_CHUNK_BYTES,
                                                .chunks_max = CHUNKS_MAX,
                                                .write = disk_write,
                                                .destroy = disk_destroy};
    struct leat_stream *disk = leat_stream_new(leat_request_loop(req), &of, NULL);
    written_bytes = 0;
    if (disk != NULL)
        ((struct disk *)disk)->stop_bytes = number_of(req, "stop");
    int code = pipeline_code(leat_request_readable(req), disk);
    return code < 0 ? code : leat_respond_text(req, 200, "right\n");
}

static int get_down(struct leat_request *req) /* a task */
{
    static const struct leat_stream_class of = {.name = "source",
                                                .length_bytes = sizeof(struct source),
                                                .gives = LEAT_CHUNK_BYTES,
                                                .read = source_read};
    uint64_t length_bytes = number_of(req, "length");
    struct leat_stream *source = leat_stream_new(leat_request_loop(req), &of, NULL);
    given_bytes = 0;
    if (source != NULL)
        ((struct source *)source)->left_bytes = length_bytes;
    int code = leat_response_begin(req, 200, "application/octet-stream", length_bytes);
    return code < 0 ? code : pipeline_code(source, leat_response_writable(req));
}

static int get_range(struct leat_request *req) /* a task */
{
    char path[256];
    snprintf(path, sizeof(path), "%s/file", getenv("BACKPRESSURE_FOLDER"));
    struct leat_stream *file = leat_fs_readable(leat_request_loop(req), path,
                                                number_of(req, "offset"), number_of(req, "length"));
    return pipeline_code(file, leat_response_writable(req));
}

static int get_go(struct leat_request *req)
{
    struct disk *disk = stopped;
    if (disk == NULL)
        return leat_request_fail(req, 409, "no disk has stopped");
    disk->stop_bytes = UINT64_MAX;
    stopped = NULL;
    disk_go_on(disk);
    return leat_respond_empty(req, 204);
}

static int get_told(struct leat_request *req)
{
    char text[64];
    snprintf(text, sizeof(text), "%llu %d %llu\n", (unsigned long long)written_bytes,
             stopped != NULL, (unsigned long long)given_bytes);
    return leat_respond_text(req, 200, text);
}

static void free_files(void *arg)
{
    leat_files_free(arg);
}

static int start(struct leat_loop *loop)
{
    static const struct leat_http_options patient = {.body_bytes_max = UP_BYTES_MAX,
                                                     .body_ns = PATIENCE_NS,
                                                     .write_ns = PATIENCE_NS};
    static const struct leat_files_options files_options = {.prefix = "/files/"};
    struct leat_files *files = leat_files_new(loop, getenv("BACKPRESSURE_FOLDER"), &files_options);
    if (files == NULL)
        return leat_loop_error(loop)->code;
    struct leat_http *http = leat_http_new(loop);
    leat_http_set_options(http, &patient);
    leat_http_task(http, "PUT", "/up/:stop", put_up);
    leat_http_task(http, "GET", "/down/:length", get_down);
    leat_http_task(http, "GET", "/range/:offset/:length", get_range);
    leat_http_get(http, "/go", get_go);
    leat_http_get(http, "/told", get_told);
    leat_files_mount(files, http);
    int code = leat_run_on_end(loop, free_files, files);
    return code < 0 ? code : leat_http_listen(http, "127.0.0.1:0");
}

int main(int argc, char **argv)
{
    const struct leat_program program = {.name = "backpressure", .cores = "1", .start = start};
    for (unsigned i = 0; i < sizeof(table); i++)
        table[i] = (uint8_t)((i % TABLE_BYTES) * 2654435761u >> 13);
    return leat_program_main(&program, argc, argv);
}
