/* Forms: bodies of application/x-www-form-urlencoded (URL Standard 5) and multipart/form-data (RFC
 * 7578), by one door, as it is the page that chooses between them.
 *
 *     static int posted(struct leat_request *req)
 *     {
 *         struct leat_view name = leat_request_field(req, "name");
 *         ...
 *     }
 *     static int post(struct leat_request *req)
 *     {
 *         return leat_request_read_form(req, NULL, posted);
 *     }
 *
 * Fields are kept in memory. Files (parts with a file's name) go by, piece by piece, to who wants
 * them, with backpressure to the client; one that nobody takes is read and dropped. Bounds are in
 * leat_form_options; what goes over one gets a 413, what breaks the grammar a 400. */
#ifndef LEAT_FORM_H
#define LEAT_FORM_H

#include <leat/buf.h>
#include <leat/http.h>

LEAT_BEGIN

/* A file within a form. Valid while its callback runs. */
struct leat_part {
    struct leat_view name;     /* of the field */
    struct leat_view filename; /* one safe segment of a path: what the client gave, from behind the
                                  last slash or backslash, without control bytes, at most 255
                                  bytes; empty where that leaves nothing, "." or "..". Still the
                                  client's choice: it may be the name of a file that is there */
    struct leat_view type; /* Content-Type, as it stands; data == NULL: none. The client's word */
};

enum leat_part_use {
    LEAT_PART_SKIP, /* its bytes are read and dropped */
    LEAT_PART_READ, /* they come to on_file_data */
};

/* Zero means the default in brackets. */
struct leat_form_options {
    uint32_t parts_max;       /* [64] of a multipart form */
    uint32_t fields_max;      /* [1000] of an urlencoded one */
    uint32_t head_bytes_max;  /* [8 KiB, at most 65535] of a part */
    uint32_t field_bytes_max; /* [64 KiB] name and value; all fields together collect_bytes_max */
    uint64_t file_bytes_max;  /* [no limit but the next] */
    uint64_t bytes_max;       /* [body_bytes_max] the whole body */

    /* A file begins: enum leat_part_use, or a negative code, as a handler's. NULL: all are skipped.
     */
    int (*on_file)(struct leat_request *req, const struct leat_part *part);
    /* A piece of it, valid until it returns; leat_request_hold keeps it, leat_request_pause stops
     * the next, the end of the file and the client. 0, or a negative code. */
    int (*on_file_data)(struct leat_request *req, struct leat_buf piece);
    /* It is complete. 0, or a negative code. */
    int (*on_file_end)(struct leat_request *req);
};

/* Reads the body as a form, then runs then(req). options (copied) may be NULL. Each callback may
 * answer; what comes after is discarded. Where the form ends early (the client goes, a limit, a
 * broken body), no callback says so: what is half done hangs on the request
 * (leat_request_attach). Returns 0, -EALREADY when the body has a reader, -ENOMEM (a handler may
 * return it); another content type gets a 415, as a content coding does. With then NULL it waits,
 * in a task, as leat_request_collect does. */
LEAT_API int leat_request_read_form(struct leat_request *req,
                                    const struct leat_form_options *options, leat_handler *then);

/* The first field of that name, decoded; data == NULL when there is none. In then and after it
 * valid as long as the request; in the callbacks of files, the fields that came before, until they
 * return. Fields with NUL in them are left out. */
LEAT_API struct leat_view leat_request_field(const struct leat_request *req, const char *name);
/* *position, 0 at first, walks them all in order: false when there are no more. */
LEAT_API bool leat_request_field_next(const struct leat_request *req, size_t *position,
                                      struct leat_view *name, struct leat_view *value);

LEAT_END
#endif
