/* The head of a part of a form (RFC 7578 4.2): which field it is, and whether it is a file. Pure.
 *
 * Internal to the library: not installed. */
#ifndef LEAT_HTTP_PART_H
#define LEAT_HTTP_PART_H

#include "net/http/message/parser.h"

#define HTTP_FILENAME_BYTES_MAX 255

#define HTTP_MULTIPART_REASONS(X)                                                                  \
    X(NO_BOUNDARY, 400, "the type has no boundary, or one that cannot be (RFC 2046 5.1.1)")        \
    X(DELIMITER, 400, "a line begins with the delimiter and goes on (RFC 2046 5.1.1)")             \
    X(PARTS, 413, "the form has more parts than the limit")                                        \
    X(HEAD_LARGE, 413, "the head of a part is larger than the limit")                              \
    X(HEAD, 400, "the head of a part breaks the grammar of fields (RFC 9112 5)")                   \
    X(DISPOSITION, 400, "a part has no Content-Disposition of form-data (RFC 7578 4.2)")           \
    X(NAME, 400, "a part has no name, or two, or two names of files (RFC 7578 4.2)")               \
    X(ENCODING, 415, "a part has a Content-Transfer-Encoding (RFC 7578 4.7)")                      \
    X(TRUNCATED, 400, "the body ends before the form does (RFC 2046 5.1.1)")

enum http_multipart_reason {
    HTTP_MULTIPART_NONE,
#define LEAT_X(name, status, sentence) HTTP_MULTIPART_##name,
    HTTP_MULTIPART_REASONS(LEAT_X)
#undef LEAT_X
        HTTP_MULTIPART_REASON_COUNT
};
const char *http_multipart_sentence(enum http_multipart_reason reason);

/* Valid until the next part begins. */
struct http_part {
    struct leat_view name;     /* of the field */
    struct leat_view filename; /* data == NULL: the part is no file. Else one segment of a path:
                                  what is behind the last slash or backslash, without control
                                  bytes, at most HTTP_FILENAME_BYTES_MAX of it; empty where that
                                  leaves nothing, "." or ".." */
    struct leat_view type;     /* Content-Type as it stands; data == NULL: none */
};

/* Reads a head that was parsed from area, in whose bytes the views come to lie. */
enum http_multipart_reason http_part_read(const struct http_head *head, char *area,
                                          struct http_part *part) LEAT_MUST_CHECK;

/* Reduces a name that a client gave as part.filename says, in place; returns its length. */
size_t http_filename_reduce(char *name, size_t length);

#endif
