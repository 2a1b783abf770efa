/* Parameters of a field's value, taken apart. */
#include "net/http/message/params.h"
#include "net/http/message/parser_internal.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static void view_forward(struct leat_view *view, size_t bytes)
{
    view->data += bytes;
    view->length_bytes -= bytes;
}

static void blanks_skip(struct leat_view *rest)
{
    while (rest->length_bytes > 0 && is_blank(*rest->data))
        view_forward(rest, 1);
}

struct leat_view http_params_begin(struct leat_view *rest)
{
    struct leat_view first = {rest->data, 0};

    blanks_skip(rest);
    first.data = rest->data;
    while (rest->length_bytes > 0 && *rest->data != ';')
        view_forward(rest, 1);
    first.length_bytes = (size_t)(rest->data - first.data);
    while (first.length_bytes > 0 && is_blank(first.data[first.length_bytes - 1]))
        first.length_bytes--;
    return first;
}

static struct leat_view token_read(struct leat_view *rest)
{
    struct leat_view token = {rest->data, 0};

    while (rest->length_bytes > 0 && http_class[(uint8_t)*rest->data] & HTTP_IS_TOKEN)
        view_forward(rest, 1);
    token.length_bytes = (size_t)(rest->data - token.data);
    return token;
}

/* Behind the opening quote; false when it is never closed. */
static bool quoted_read(struct leat_view *rest, struct leat_view *value)
{
    value->data = rest->data;
    while (rest->length_bytes > 0 && *rest->data != '"') {
        size_t pair = *rest->data == '\\' && rest->length_bytes > 1 &&
                      (rest->data[1] == '"' || rest->data[1] == '\\');
        view_forward(rest, 1 + pair);
    }
    if (rest->length_bytes == 0)
        return false;
    value->length_bytes = (size_t)(rest->data - value->data);
    view_forward(rest, 1);
    return true;
}

/* Whether what follows may follow a parameter. */
static bool is_param_end(struct leat_view *rest)
{
    blanks_skip(rest);
    return rest->length_bytes == 0 || *rest->data == ';';
}

enum http_param_step http_param_next(struct leat_view *rest, struct http_param *param)
{
    for (;;) {
        if (!is_param_end(rest))
            return HTTP_PARAM_BROKEN;
        if (rest->length_bytes == 0)
            return HTTP_PARAM_END;
        view_forward(rest, 1);
        blanks_skip(rest);
        if (rest->length_bytes > 0 && *rest->data != ';')
            break;
    }
    param->name = token_read(rest);
    if (param->name.length_bytes == 0 || rest->length_bytes == 0 || *rest->data != '=')
        return HTTP_PARAM_BROKEN;
    view_forward(rest, 1);
    param->is_quoted = rest->length_bytes > 0 && *rest->data == '"';
    if (!param->is_quoted) {
        param->value = token_read(rest);
        return param->value.length_bytes > 0 && is_param_end(rest) ? HTTP_PARAM : HTTP_PARAM_BROKEN;
    }
    view_forward(rest, 1);
    return quoted_read(rest, &param->value) && is_param_end(rest) ? HTTP_PARAM : HTTP_PARAM_BROKEN;
}

size_t http_param_copy(const struct http_param *param, char *to)
{
    struct leat_view value = param->value;
    char *out = to;

    for (size_t i = 0; i < value.length_bytes; i++) {
        bool is_pair = param->is_quoted && value.data[i] == '\\' && i + 1 < value.length_bytes &&
                       (value.data[i + 1] == '"' || value.data[i + 1] == '\\');
        i += is_pair;
        *out++ = value.data[i];
    }
    return (size_t)(out - to);
}
