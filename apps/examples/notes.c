/* A JSON API with an upload.
 *
 *   GET  /notes            {"notes":["first","second"]}
 *   POST /notes            one note as text, 201; more than 200 bytes get 413; 100 are kept
 *   PUT  /uploads/:name    a body of any length, which is counted and not kept: 201
 *
 * The notes belong to one core: it runs on one. */
#include <leat/leat.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define NOTES_MAX      100
#define NOTE_BYTES_MAX 200

struct notes {
    char texts[NOTES_MAX][NOTE_BYTES_MAX + 1];
    unsigned count;
    char json[NOTES_MAX * (6 * NOTE_BYTES_MAX + 3) + 16]; /* room for the answer */
};

/* Writes text as a JSON string (RFC 8259 7); returns where it ends. */
static char *json_string(char *to, struct leat_view text)
{
    *to++ = '"';
    for (size_t i = 0; i < text.length_bytes; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c < 0x20 || c == '"' || c == '\\')
            to += sprintf(to, "\\u%04x", c);
        else
            *to++ = (char)c;
    }
    *to++ = '"';
    return to;
}

static int list(struct leat_request *req)
{
    struct notes *notes = leat_http_user(leat_request_http(req));
    char *to = notes->json + sprintf(notes->json, "{\"notes\":[");
    for (unsigned i = 0; i < notes->count && i < NOTES_MAX; i++) {
        if (i > 0)
            *to++ = ',';
        to = json_string(to, leat_view_of(notes->texts[i]));
    }
    memcpy(to, "]}", sizeof("]}"));
    return leat_respond_json(req, 200, notes->json);
}

static int add(struct leat_request *req) /* the body has come, whole */
{
    struct notes *notes = leat_http_user(leat_request_http(req));
    char *text = notes->texts[notes->count++ % NOTES_MAX]; /* the oldest goes */
    leat_view_copy(leat_request_body(req), text, NOTE_BYTES_MAX + 1);
    return leat_respond_json(req, 201, "{}");
}

static int post(struct leat_request *req)
{
    return leat_request_collect(req, NOTE_BYTES_MAX, add);
}

static const char bytes_key; /* what the count hangs on its request by */

/* A piece of an upload: what would write it to a disk pauses the request (leat_request_pause) until
 * the disk has it; then the client waits, and memory does not grow. */
static void on_piece(struct leat_request *req, struct leat_buf piece)
{
    uint64_t *bytes = leat_request_attachment(req, &bytes_key);
    *bytes += piece.length_bytes;
}

static int uploaded(struct leat_request *req)
{
    char json[6 * NOTE_BYTES_MAX + 64] = "{\"name\":";
    struct leat_view name = leat_request_param(req, "name");
    char *to = json_string(json + strlen(json), name);
    sprintf(to, ",\"bytes\":%" PRIu64 "}", *(uint64_t *)leat_request_attachment(req, &bytes_key));
    return leat_respond_json(req, 201, json);
}

static int upload(struct leat_request *req)
{
    uint64_t *bytes = calloc(1, sizeof(*bytes));
    if (bytes == NULL || leat_request_param(req, "name").length_bytes > NOTE_BYTES_MAX) {
        free(bytes);
        return leat_request_fail(req, 400, "the name is too long, or memory is out");
    }
    int code = leat_request_attach(req, &bytes_key, bytes, free); /* freed when the request ends */
    return code < 0 ? code : leat_request_on_body(req, on_piece, uploaded);
}

/* Every failure is JSON, too: unknown paths, bodies that are too large, broken requests. */
static void failed(struct leat_request *req, int status, const char *sentence)
{
    char json[64];
    snprintf(json, sizeof(json), "{\"error\":\"%s\"}", leat_status_phrase(status));
    leat_respond_json(req, status, json);
}

static int start(struct leat_loop *loop)
{
    struct leat_http *http = leat_http_new(loop);
    leat_http_set_user(http, leat_run_user(loop));
    leat_http_get(http, "/notes", list);
    leat_http_post(http, "/notes", post);
    leat_http_put(http, "/uploads/:name", upload);
    leat_http_on_error(http, failed);
    return leat_http_listen(http, "127.0.0.1:8080");
}

int main(int argc, char **argv)
{
    static struct notes notes;
    const struct leat_program program = {.name = "notes",
                                         .cores = "1",
                                         .start = start,
                                         .user = &notes};
    return leat_program_main(&program, argc, argv);
}
