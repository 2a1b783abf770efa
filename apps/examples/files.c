/* A file server whose access log is a stream: `files --dir public --log access.log`. The log never
 * makes a request wait. Lines that the disk has not taken yet wait in the stream; what is more than
 * 1 MiB of them is lost, and so are lines that a full disk refuses. They are counted, and the first
 * line that goes again is followed by one that says how many. A file that fails is opened anew each
 * second. To rotate it is to rename it and to send SIGHUP: what was written before goes to the old
 * one, what comes then to the new one, and nothing is lost. */
#include <leat/leat.h>
#include <stdio.h>

static const char *dir = ".", *log_path = "access.log";

static struct { /* it runs on one core */
    struct leat_loop *loop;
    struct leat_stream *stream; /* NULL: it has failed, and again is started */
    struct leat_timer again;
    unsigned long long lost_count;
} out;

static void line_write(const char *text);

static void line_written(void *arg, const struct leat_result *result)
{
    char text[64];
    if (result->code < 0) {
        out.lost_count++;
    } else if (out.lost_count > 0) {
        snprintf(text, sizeof(text), "%llu lines were lost", out.lost_count);
        out.lost_count = 0;
        line_write(text);
    }
}

static void line_write(const char *text)
{
    struct leat_chunk chunks[] = {leat_chunk_buf(leat_buf_from_bytes(text, strlen(text))),
                                  leat_chunk_buf(leat_buf_from_static("\n", 1))};
    if (chunks[0].buf.data != NULL && out.stream != NULL &&
        leat_write_call(out.stream, chunks, 2, line_written, NULL) >= 0)
        return;
    out.lost_count++;
    leat_chunk_drop(&chunks[0]);
}

static void log_closed(void *stream, const struct leat_result *result)
{
    if (stream == out.stream) { /* else another has taken its place */
        LEAT_LOG_WARN("%s: %s; it is tried again", log_path, leat_result_sentence(result));
        out.stream = NULL;
        leat_timer_start(&out.again, LEAT_NS_PER_S, 0);
    }
    leat_stream_unref(stream);
}

static void log_open(struct leat_timer *timer, void *arg)
{
    out.stream =
        leat_fs_writable(out.loop, log_path, LEAT_OPEN_CREATE | LEAT_OPEN_APPEND, LEAT_FS_NO_SYNC);
    if (out.stream == NULL)
        leat_timer_start(&out.again, LEAT_NS_PER_S, 0);
    else
        leat_call(leat_finished(out.stream), log_closed, out.stream);
}

static void on_reload(void *arg) /* SIGHUP */
{
    struct leat_stream *before = out.stream;
    if (before != NULL) {
        log_open(&out.again, NULL);
        leat_stream_end(before); /* what waits in it still goes to the file that it has open */
    }
}

static void on_end(void *files)
{
    leat_files_free(files);
    leat_timer_stop(&out.again);
    if (out.stream != NULL)
        leat_stream_end(out.stream);
    out.stream = NULL;
}

static int on_request(struct leat_request *req)
{
    char line[512]; /* a longer one is cut */
    snprintf(line, sizeof(line), "%.*s %.*s", LEAT_VIEW_PRINT(leat_request_method_name(req)),
             LEAT_VIEW_PRINT(leat_request_target(req)));
    line_write(line);
    return leat_next(req);
}

static int start(struct leat_loop *loop)
{
    struct leat_http *http = leat_http_new(loop);
    struct leat_files *files = leat_files_new(loop, dir, NULL);
    if (files == NULL || leat_run_on_reload(loop, on_reload, NULL) < 0 ||
        leat_run_on_end(loop, on_end, files) < 0)
        return leat_loop_error(loop)->code;
    out.loop = loop;
    leat_timer_init(&out.again, loop, log_open, NULL);
    log_open(&out.again, NULL);
    leat_http_use(http, NULL, on_request, NULL);
    leat_files_mount(files, http);
    return leat_http_listen(http, "127.0.0.1:8080");
}

int main(int argc, char **argv)
{
    const struct leat_option flags[] = {{"dir", LEAT_OPTION_TEXT, &dir, "DIR", "what is served", 0,
                                         0},
                                        {"log", LEAT_OPTION_TEXT, &log_path, "FILE",
                                         "where a line for each request goes", 0, 0}};
    const struct leat_program program = {.name = "files",
                                         .cores = "1",
                                         .options = flags,
                                         .option_count = 2,
                                         .start = start};
    return leat_program_main(&program, argc, argv);
}
