/* A diagnostic server: it shows what arrived.
 *
 *   GET  any path    200
 *   POST any path    200 with the request's body
 *   /echo            the request's headers, one a line: "Name: value"
 *   /cookie          the request's cookies, one a line: "name=value"
 *
 * HEAD is as GET, OPTIONS says which methods there are, other methods get 405. */
#include <leat/leat.h>

#define ECHO_BODY_BYTES_MAX (16u << 20) /* a larger body gets 413 */

static int ok(struct leat_request *req)
{
    return leat_respond_text(req, 200, "OK\n");
}

static int echo_body(struct leat_request *req)
{
    return leat_respond_buf(req, 200, "application/octet-stream", leat_request_take_body(req));
}

static int collect(struct leat_request *req)
{
    return leat_request_collect(req, ECHO_BODY_BYTES_MAX, echo_body);
}

/* Adds name, between and value as a line; false when memory is out. */
static bool line_add(struct leat_chain *chain, struct leat_view name, const char *between,
                     struct leat_view value)
{
    size_t between_length = strlen(between);
    struct leat_buf line =
        leat_buf_alloc_unsafe(name.length_bytes + between_length + value.length_bytes + 1);
    if (line.data == NULL)
        return false;
    memcpy(line.data, name.data, name.length_bytes);
    memcpy(line.data + name.length_bytes, between, between_length);
    memcpy(line.data + name.length_bytes + between_length, value.data, value.length_bytes);
    line.data[line.length_bytes - 1] = '\n';
    if (leat_chain_push(chain, line) < 0) {
        leat_buf_unref(line);
        return false;
    }
    return true;
}

/* Answers with the lines in one buffer, so that they go under a Content-Length. */
static int lines_respond(struct leat_request *req, struct leat_chain *chain, bool is_whole)
{
    struct leat_buf text = leat_buf_alloc_unsafe((size_t)chain->length_bytes);
    int code;
    if (!is_whole || (text.data == NULL && chain->length_bytes > 0)) {
        code = leat_request_fail(req, 503, "no memory to list what arrived");
    } else {
        leat_chain_copy(chain, 0, text.data, text.length_bytes);
        code = leat_respond_buf(req, 200, "text/plain; charset=utf-8", text);
    }
    leat_chain_fini(chain);
    return code;
}

static int echo_headers(struct leat_request *req)
{
    struct leat_chain chain;
    bool is_whole = true;
    leat_chain_init(&chain);
    for (unsigned i = 0; i < leat_request_header_count(req) && is_whole; i++) {
        struct leat_view name;
        struct leat_view value = leat_request_header_at(req, i, &name);
        is_whole = line_add(&chain, name, ": ", value);
    }
    return lines_respond(req, &chain, is_whole);
}

static int echo_cookies(struct leat_request *req)
{
    struct leat_chain chain;
    struct leat_view name, value;
    size_t position = 0;
    bool is_whole = true;
    leat_chain_init(&chain);
    while (is_whole && leat_request_cookie_next(req, &position, &name, &value))
        is_whole = line_add(&chain, name, "=", value);
    return lines_respond(req, &chain, is_whole);
}

static int start(struct leat_loop *loop)
{
    struct leat_http *http = leat_http_new(loop);
    leat_http_get(http, "/*path", ok);
    leat_http_post(http, "/*path", collect);
    leat_http_get(http, "/echo", echo_headers);
    leat_http_post(http, "/echo", echo_headers);
    leat_http_get(http, "/cookie", echo_cookies);
    leat_http_post(http, "/cookie", echo_cookies);
    return leat_http_listen(http, "127.0.0.1:8080");
}

int main(int argc, char **argv)
{
    return leat_main(argc, argv, start);
}
