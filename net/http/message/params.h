/* Parameters of a field's value (RFC 9110 5.6.6): `form-data; name="a"; filename=b`. Pure.
 *
 * Internal to the library: not installed. */
#ifndef LEAT_HTTP_PARAMS_H
#define LEAT_HTTP_PARAMS_H

#include <leat/defs.h>
#include <leat/view.h>

struct http_param {
    struct leat_view name, value; /* value without quotes, its escapes as they stand */
    bool is_quoted;
};
enum http_param_step { HTTP_PARAM, HTTP_PARAM_END, HTTP_PARAM_BROKEN };

/* What stands before the first semicolon, without blanks around it; *rest, at first the whole
 * value, then stands at that semicolon. */
struct leat_view http_params_begin(struct leat_view *rest);
/* The next parameter; empty ones are skipped. */
enum http_param_step http_param_next(struct leat_view *rest,
                                     struct http_param *param) LEAT_MUST_CHECK;

/* Copies the value without its escapes; to has room for it, and may be its own bytes. Of a quoted
 * value \" and \\ are escapes; any other backslash stands for itself, as browsers and their names
 * of files mean it. Returns the length. */
size_t http_param_copy(const struct http_param *param, char *to);

#endif
