/* Bodies as forms: fields are kept, files go by. */
#include <leat/form.h>
#include "net/http/http_internal.h"
#include "net/http/message/multipart.h"
#include "net/http/message/params.h"
#include "net/http/message/urlencoded.h"

#include <errno.h>

#define URLENCODED_STEP_BYTES 4096 /* room for pairs is made for so much at a time */

enum part_use { PART_NONE, PART_FIELD, PART_FILE, PART_SKIPPED };

struct http_form {
    struct leat_form_options options;
    leat_handler *then;
    struct http_pairs pairs;
    size_t pairs_bytes_max;
    bool is_multipart;
    struct http_urlencoded urlencoded;

    /* Multipart alone: */
    enum part_use use; /* of the part that is being read */
    bool has_nul;      /* the field has */
    uint64_t file_bytes;
    struct http_multipart multipart;
    char area[];
};

static const char form_key; /* what it hangs on its request by */

static struct http_form *form_of(const struct leat_request *req)
{
    return leat_request_attachment(req, &form_key);
}

static void form_free(void *value)
{
    struct http_form *form = value;

    leat_heap_free(form->pairs.bytes);
    leat_heap_free(form);
}

/* ---- Failing ---- */

static void form_fail(struct leat_request *req, int status, const char *sentence)
{
    http_count_error(req, status == 413   ? LEAT_HTTP_ERROR_BODY_TOO_LARGE
                          : status == 503 ? LEAT_HTTP_ERROR_NO_MEMORY
                                          : LEAT_HTTP_ERROR_BAD_REQUEST);
    (void)leat_request_fail(req, status, "%s", sentence);
}

static void form_fail_large(struct leat_request *req)
{
    form_fail(req, 413, leat_http_error_sentence(LEAT_HTTP_ERROR_BODY_TOO_LARGE));
}

/* Whether the form goes on: nobody has answered, and nothing has broken off. */
static bool form_goes_on(const struct leat_request *req)
{
    return req->phase == HTTP_PHASE_EXCHANGE && !req->x.ended;
}

/* Behind a callback of the program's: its code, and the microtasks. */
static void callback_settle(struct leat_request *req, int code)
{
    if (code < 0)
        leat_request_end_with(req, code);
    leat_loop_gate(req->http->loop);
}

/* ---- Fields ---- */

/* Room for bytes more behind what is written. False when it failed, and the request with it. */
static bool pairs_reserve(struct leat_request *req, struct http_form *form, size_t bytes)
{
    struct http_pairs *pairs = &form->pairs;
    size_t needed = pairs->used_bytes + pairs->open_bytes + bytes, size = pairs->capacity_bytes;

    if (needed <= size)
        return true;
    if (pairs->used_bytes + pairs->open_bytes > form->pairs_bytes_max) {
        form_fail_large(req);
        return false;
    }
    size = size * 2 > needed ? size * 2 : needed;
    char *grown = leat_heap_realloc(pairs->bytes, size);
    if (grown == NULL) {
        form_fail(req, 503, leat_http_error_sentence(LEAT_HTTP_ERROR_NO_MEMORY));
        return false;
    }
    pairs->bytes = grown;
    pairs->capacity_bytes = size;
    return true;
}

static void field_add(struct leat_request *req, struct http_form *form, struct leat_view bytes)
{
    struct http_pairs *pairs = &form->pairs;

    if (http_pair_length(pairs) + bytes.length_bytes > form->options.field_bytes_max)
        form_fail_large(req);
    else if (pairs_reserve(req, form, bytes.length_bytes)) {
        http_pair_add(pairs, bytes.data, bytes.length_bytes);
        form->has_nul |= memchr(bytes.data, '\0', bytes.length_bytes) != NULL;
    }
}

static void field_begin(struct leat_request *req, struct http_form *form)
{
    form->use = PART_FIELD;
    form->has_nul = false;
    if (!pairs_reserve(req, form, HTTP_PAIR_BYTES))
        return;
    http_pair_begin(&form->pairs);
    if (form->multipart.part.name.length_bytes > 0)
        field_add(req, form, form->multipart.part.name);
    http_pair_value(&form->pairs);
}

/* ---- Files ---- */

static void file_begin(struct leat_request *req, struct http_form *form)
{
    const struct http_part *part = &form->multipart.part;
    const struct leat_part told = {part->name, part->filename, part->type};
    int use = form->options.on_file != NULL ? form->options.on_file(req, &told) : LEAT_PART_SKIP;

    form->use = use == LEAT_PART_READ ? PART_FILE : PART_SKIPPED;
    form->file_bytes = 0;
    callback_settle(req, use);
}

/* bytes lie in piece, or are the begin of a delimiter that was none: then they get a buffer. */
static void file_data(struct leat_request *req, struct http_form *form, struct leat_buf piece,
                      struct leat_view bytes)
{
    bool is_within = (const uint8_t *)bytes.data >= piece.data &&
                     (const uint8_t *)bytes.data < piece.data + piece.length_bytes;
    struct leat_buf told = piece;

    form->file_bytes += bytes.length_bytes;
    if (form->file_bytes > form->options.file_bytes_max) {
        form_fail_large(req);
        return;
    }
    if (form->use == PART_SKIPPED || form->options.on_file_data == NULL)
        return;
    if (!is_within)
        told = leat_buf_from_bytes(bytes.data, bytes.length_bytes);
    else {
        told.data = (uint8_t *)(uintptr_t)bytes.data;
        told.length_bytes = bytes.length_bytes;
    }
    if (told.data == NULL) {
        form_fail(req, 503, leat_http_error_sentence(LEAT_HTTP_ERROR_NO_MEMORY));
        return;
    }
    callback_settle(req, form->options.on_file_data(req, told));
    if (!is_within)
        leat_buf_unref(told);
}

/* ---- Multipart ---- */

static void part_begin(struct leat_request *req, struct http_form *form)
{
    if (form->multipart.part.filename.data != NULL)
        file_begin(req, form);
    else
        field_begin(req, form);
}

static void part_end(struct leat_request *req, struct http_form *form)
{
    enum part_use use = form->use;

    form->use = PART_NONE;
    if (use == PART_FIELD && !form->has_nul)
        http_pair_end(&form->pairs);
    else if (use == PART_FILE && form->options.on_file_end != NULL)
        callback_settle(req, form->options.on_file_end(req));
}

static void multipart_fail(struct leat_request *req, const struct http_form *form, int status)
{
    form_fail(req, status,
              http_multipart_sentence((enum http_multipart_reason)form->multipart.reason));
}

/* Returns what was not read, because the program has paused. */
static struct leat_view multipart_read(struct leat_request *req, struct http_form *form,
                                       struct leat_buf piece)
{
    struct leat_view input = {(const char *)piece.data, piece.length_bytes}, bytes;

    while (input.length_bytes > 0 && form_goes_on(req) && !req->x.paused) {
        int event = http_multipart_read(&form->multipart, &input, &bytes);
        if (event < 0)
            multipart_fail(req, form, -event);
        else if (event == HTTP_MULTIPART_PART)
            part_begin(req, form);
        else if (event == HTTP_MULTIPART_DATA && form->use == PART_FIELD)
            field_add(req, form, bytes);
        else if (event == HTTP_MULTIPART_DATA)
            file_data(req, form, piece, bytes);
        else if (event == HTTP_MULTIPART_PART_END)
            part_end(req, form);
    }
    return input;
}

/* ---- Urlencoded ---- */

static void urlencoded_read(struct leat_request *req, struct http_form *form,
                            struct leat_view input)
{
    while (input.length_bytes > 0 && form_goes_on(req)) {
        size_t bytes =
            input.length_bytes < URLENCODED_STEP_BYTES ? input.length_bytes : URLENCODED_STEP_BYTES;
        struct leat_view step = {input.data, bytes};
        if (!pairs_reserve(req, form, http_urlencoded_room(&form->urlencoded, bytes)))
            return;
        if (http_urlencoded_push(&form->urlencoded, step, &form->pairs) < 0)
            form_fail_large(req);
        input.data += bytes;
        input.length_bytes -= bytes;
    }
}

static void urlencoded_end(struct leat_request *req, struct http_form *form)
{
    if (!pairs_reserve(req, form, http_urlencoded_room(&form->urlencoded, 0)))
        return;
    if (http_urlencoded_end(&form->urlencoded, &form->pairs) < 0)
        form_fail_large(req);
}

/* ---- The body ---- */

static void form_on_body(struct leat_request *req, struct leat_buf piece)
{
    struct http_form *form = form_of(req);
    struct leat_view all = {(const char *)piece.data, piece.length_bytes};

    if (!form->is_multipart) {
        urlencoded_read(req, form, all);
        return;
    }
    struct leat_view rest = multipart_read(req, form, piece);
    if (rest.length_bytes > 0 && form_goes_on(req))
        http_body_unread(req, rest.length_bytes);
}

static int form_on_end(struct leat_request *req)
{
    struct http_form *form = form_of(req);

    if (!form->is_multipart) {
        urlencoded_end(req, form);
    } else {
        int status = http_multipart_end(&form->multipart);
        if (status < 0)
            multipart_fail(req, form, -status);
    }
    if (form_goes_on(req) && form->pairs.used_bytes > form->pairs_bytes_max)
        form_fail_large(req);
    return form_goes_on(req) ? form->then(req) : 0;
}

static void options_fill(struct leat_form_options *options, const struct leat_http_options *http)
{
    options->parts_max = options->parts_max != 0 ? options->parts_max : 64;
    options->fields_max = options->fields_max != 0 ? options->fields_max : 1000;
    options->head_bytes_max = options->head_bytes_max != 0 ? options->head_bytes_max : 8192;
    if (options->head_bytes_max > HTTP_HEAD_BYTES_WALL)
        options->head_bytes_max = HTTP_HEAD_BYTES_WALL;
    options->field_bytes_max = options->field_bytes_max != 0 ? options->field_bytes_max : 65536;
    options->file_bytes_max = options->file_bytes_max != 0 ? options->file_bytes_max : UINT64_MAX;
    options->bytes_max = options->bytes_max != 0 ? options->bytes_max : http->body_bytes_max;
}

static struct http_form *form_new(const struct leat_request *req,
                                  const struct leat_form_options *given, bool is_multipart)
{
    struct leat_form_options options = given != NULL ? *given : (struct leat_form_options){0};

    options_fill(&options, &req->http->options);
    size_t area_bytes = is_multipart ? options.head_bytes_max : 0;
    struct http_form *form = leat_heap_alloc(sizeof(*form) + area_bytes);
    if (form == NULL)
        return NULL;
    *form = (struct http_form){.options = options,
                               .pairs_bytes_max = req->http->options.collect_bytes_max,
                               .is_multipart = is_multipart,
                               .urlencoded = {.field_bytes_max = options.field_bytes_max,
                                              .fields_max = options.fields_max}};
    return form;
}

static int form_start(struct leat_request *req, struct http_form *form, struct leat_view type)
{
    uint64_t bytes_max = form->options.bytes_max;
    int status = 0;

    if (form->is_multipart)
        status = http_multipart_init(&form->multipart, type, form->options.parts_max, form->area,
                                     form->options.head_bytes_max);
    if (status < 0) {
        multipart_fail(req, form, -status);
        return 0;
    }
    if (req->x.body_limit_bytes > bytes_max)
        req->x.body_limit_bytes = bytes_max;
    if (req->head.has_length && req->head.content_length > req->x.body_limit_bytes) {
        form_fail_large(req);
        return 0;
    }
    return leat_request_on_body(req, form_on_body, form_on_end);
}

static int form_read(struct leat_request *req, const struct leat_form_options *options,
                     leat_handler *then)
{
    struct leat_view type = leat_request_header(req, "content-type"), rest = type;
    struct leat_view kind = type.data != NULL ? http_params_begin(&rest) : type;
    bool is_multipart = leat_view_equal_nocase(kind, "multipart/form-data");

    if (req->x.had_reader || req->x.ended)
        return -EALREADY;
    if (http_body_is_coded(req))
        return http_body_refuse_coding(req);
    if (!is_multipart && !leat_view_equal_nocase(kind, "application/x-www-form-urlencoded"))
        return leat_request_fail(req, 415, "the body is no form");
    struct http_form *form = form_new(req, options, is_multipart);
    if (form == NULL)
        return -ENOMEM;
    form->then = then;
    int code = leat_request_attach(req, &form_key, form, form_free);
    return code < 0 ? code : form_start(req, form, type);
}

int leat_request_read_form(struct leat_request *req, const struct leat_form_options *options,
                           leat_handler *then)
{
    if (then != NULL)
        return form_read(req, options, then);
    return http_task_wait_body(req, form_read(req, options, http_task_body_there));
}

/* ---- What came ---- */

struct leat_view leat_request_field(const struct leat_request *req, const char *name)
{
    const struct http_form *form = form_of(req);

    return form != NULL ? http_pairs_find(&form->pairs, name) : (struct leat_view){NULL, 0};
}

bool leat_request_field_next(const struct leat_request *req, size_t *position,
                             struct leat_view *name, struct leat_view *value)
{
    const struct http_form *form = form_of(req);

    return form != NULL && http_pairs_next(&form->pairs, position, name, value);
}
