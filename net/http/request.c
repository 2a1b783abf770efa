/* What handlers ask of a request. */
#include "net/http/http_internal.h"
#include "net/http/message/cookies.h"
#include "net/http/message/urlencoded.h"

static const struct leat_view no_view = {NULL, 0};

enum leat_method leat_request_method(const struct leat_request *req)
{
    return req->head.method;
}

struct leat_view leat_request_method_name(const struct leat_request *req)
{
    return http_request_view(req, req->head.method_name);
}

struct leat_view leat_request_path(struct leat_request *req)
{
    return req->x.path.data ? req->x.path : (struct leat_view){"", 0};
}

struct leat_view leat_request_target(const struct leat_request *req)
{
    return http_request_view(req, req->head.target);
}

struct leat_view leat_request_query(const struct leat_request *req)
{
    return http_request_view(req, req->head.query);
}

struct leat_view leat_request_host(const struct leat_request *req)
{
    return http_request_view(req, req->head.host);
}

int leat_request_minor_version(const struct leat_request *req)
{
    return req->head.minor ? 1 : 0;
}

struct leat_view leat_request_param(const struct leat_request *req, const char *name)
{
    const struct http_match *match = &req->match;

    for (unsigned i = 0; match->route && i < match->param_count; i++)
        if (leat_view_equal(match->route->param_names[i], name))
            return match->params[i];
    return no_view;
}

/* ---- Headers ---- */

struct leat_view leat_request_header(const struct leat_request *req, const char *name)
{
    if (req->x.is_broken)
        return no_view;
    int index = http_field_find(&req->head, req->x.head_bytes, name, 0);
    return index < 0 ? no_view : http_request_view(req, req->head.fields[index].value);
}

unsigned leat_request_header_count(const struct leat_request *req)
{
    return req->x.is_broken ? 0 : req->head.field_count;
}

struct leat_view leat_request_header_at(const struct leat_request *req, unsigned index,
                                        struct leat_view *name)
{
    if (index >= leat_request_header_count(req)) {
        if (name)
            *name = no_view;
        return no_view;
    }
    if (name)
        *name = http_request_view(req, req->head.fields[index].name);
    return http_request_view(req, req->head.fields[index].value);
}

/* ---- Query: decoded once ---- */

static struct http_pairs query_pairs(const struct leat_request *req)
{
    const struct leat_buf *kept = &req->kept.query;

    return (struct http_pairs){.bytes = (char *)kept->data, .used_bytes = kept->length_bytes};
}

static bool query_decode(struct leat_request *req)
{
    struct leat_view query = leat_request_query(req);
    struct http_urlencoded form = {.field_bytes_max = SIZE_MAX, .fields_max = UINT32_MAX};
    struct leat_buf kept = leat_buf_alloc_unsafe(http_urlencoded_room(&form, query.length_bytes));

    if (kept.data == NULL)
        return false;
    struct http_pairs pairs = {.bytes = (char *)kept.data, .capacity_bytes = kept.length_bytes};
    (void)http_urlencoded_push(&form, query, &pairs); /* what bounds the target bounds it */
    (void)http_urlencoded_end(&form, &pairs);
    kept.length_bytes = pairs.used_bytes;
    req->kept.query = kept;
    req->x.has_bufs = true;
    return true;
}

struct leat_view leat_request_query_param(struct leat_request *req, const char *name)
{
    if (leat_request_query(req).length_bytes == 0 ||
        (req->kept.query.data == NULL && !query_decode(req)))
        return no_view;
    struct http_pairs pairs = query_pairs(req);
    return http_pairs_find(&pairs, name);
}

/* ---- Cookies: pairs in all Cookie lines, one after another ---- */

/* position: index of the line in the upper half, offset in its value in the lower. */
bool leat_request_cookie_next(const struct leat_request *req, size_t *position,
                              struct leat_view *name, struct leat_view *value)
{
    unsigned from = (unsigned)(*position >> 32);
    size_t offset = *position & UINT32_MAX;
    int line;

    if (req->x.is_broken)
        return false;
    while ((line = http_field_next(&req->head, HTTP_COOKIE, from)) >= 0) {
        struct leat_view text = http_request_view(req, req->head.fields[line].value), rest = text;
        if ((unsigned)line != from)
            offset = 0;
        rest.data += offset;
        rest.length_bytes -= offset;
        if (http_cookie_next(&rest, name, value)) {
            *position = (size_t)line << 32 | (text.length_bytes - rest.length_bytes);
            return true;
        }
        from = (unsigned)line + 1;
        offset = 0;
    }
    return false;
}

struct leat_view leat_request_cookie(const struct leat_request *req, const char *name)
{
    struct leat_view found, value;
    size_t position = 0;

    while (leat_request_cookie_next(req, &position, &found, &value))
        if (leat_view_equal(found, name) && http_cookie_value_is_valid(value))
            return value;
    return no_view;
}

/* ---- Whose it is ---- */

struct leat_http *leat_request_http(const struct leat_request *req)
{
    return req->http;
}

struct leat_loop *leat_request_loop(const struct leat_request *req)
{
    return req->http->loop;
}

leat_conn leat_request_conn(const struct leat_request *req)
{
    return req->conn ? req->conn->conn : LEAT_CONN_NONE;
}

int leat_request_peer(const struct leat_request *req, struct leat_addr *addr)
{
    return leat_conn_peer(leat_request_conn(req), addr);
}

void *leat_request_user(const struct leat_request *req)
{
    return req->x.user;
}

void leat_request_on_abort(struct leat_request *req, void (*on_abort)(struct leat_request *req))
{
    req->x.on_abort = on_abort;
}

bool leat_request_is_answered(const struct leat_request *req)
{
    return req->x.begun;
}
