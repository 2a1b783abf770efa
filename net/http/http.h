/* The HTTP/1.1 server (RFC 9110, RFC 9112): a server object per loop, handlers, and the life of a
 * request.
 *
 * The shortest program:
 *
 *     static int hello(struct leat_request *req)
 *     {
 *         return leat_respond_text(req, 200, "Hello, World!\n");
 *     }
 *     static int start(struct leat_loop *loop)
 *     {
 *         struct leat_http *http = leat_http_new(loop);
 *         leat_http_get(http, "/", hello);
 *         return leat_http_listen(http, ":8080");
 *     }
 *
 * Threads. A server belongs to one loop and is used on its core only, and so is every request. One
 * that has to wait for something, on this core or another, keeps a leat_deferred.
 *
 * Errors stick. leat_http_new never returns NULL, and set-up calls (routes, options) need no check:
 * the first failure is kept with its sentence and is what leat_http_listen returns, again and
 * again.
 *
 * The life of a request. Its handlers run in order: middleware of the whole server and of matching
 * prefixes in the order of leat_http_use, then the route's. Before the last of them has returned,
 * or later when one took charge of it, it is answered exactly once, by a leat_respond function or
 * leat_response_begin .. leat_response_end. To take charge is leat_request_defer, collect, on_body
 * or upgrade. A handler that neither answers nor takes charge gets its client a 500, and the log a
 * line.
 *
 * Failing. A handler returns 0, or a negative errno value: then it has failed, whether it took
 * charge or not. A failed request that was not answered goes to the error handler with the status
 * of leat_status_of_code; one that was answered gets the log a line, once, and a response that was
 * begun and not ended is broken off. So what failed on the way is passed on: `return code;`. A
 * callback that is no handler does the same by leat_request_end_with.
 *
 * Lifetimes. Views (struct leat_view) and the request itself are valid until the handler returns.
 * After leat_request_defer, collect or on_body they are kept, possibly at other addresses, until
 * the request was answered: ask for a view again in the later callback. After it was answered, or
 * its client has gone, every pointer to it is dead once the running callback returns; a
 * leat_deferred may be kept for ever.
 *
 * Pipelined requests are answered in order: the next one is looked at when the one before it was
 * answered.
 *
 * Bounds are in leat_http_options. No function here calls a handler before it returns, but for
 * leat_next, which runs the rest of the chain, and leat_request_fail, which runs the error handler.
 */
#ifndef LEAT_HTTP_H
#define LEAT_HTTP_H

#include <leat/addr.h>
#include <leat/buf.h>
#include <leat/conn.h>
#include <leat/cookie.h>
#include <leat/defs.h>
#include <leat/error.h>
#include <leat/method.h>
#include <leat/view.h>

LEAT_BEGIN

struct leat_http;
struct leat_loop;
struct leat_request;

/* 0: answered, or taken charge of; negative: failed, see above. Positive values are as 0. */
typedef int leat_handler(struct leat_request *req);

/* ---- The server ----------------------------------------------------------------------------- */

LEAT_API struct leat_http *leat_http_new(struct leat_loop *loop);

/* Closes the listeners and aborts the connections; handles of its requests go stale. The memory is
 * freed when the last connection's on_close came, so call it before the loop ends; leat_run does,
 * for every server of its loops, when it has drained them. NULL: no effect. */
LEAT_API void leat_http_free(struct leat_http *http);

/* Listens on an address as leat_addr_parse takes it (":8080", "127.0.0.1:0", "unix:/run/x"). May be
 * called several times. Returns 0, or the first error of the set-up, or leat_listen's; the sentence
 * is then in leat_loop_error. After the first call routes and options are fixed: a
 * change is an error of the set-up, which the next leat_http_listen returns as -EBUSY. */
LEAT_API int leat_http_listen(struct leat_http *http, const char *address);
LEAT_API int leat_http_listen_addr(struct leat_http *http, const struct leat_addr *addr);

/* The address of the index-th listener, with its real port; NULL past the last. */
LEAT_API const struct leat_addr *leat_http_addr(const struct leat_http *http, unsigned index);

/* Takes over a connection that was opened elsewhere (a TLS filter, a socket pair in a test), as if
 * a listener had accepted it. Returns 0, the first error of the set-up as leat_http_listen does,
 * -EBUSY at connections_max, or what leat_conn_set says;
 * the connection is then still the caller's. */
LEAT_API int leat_http_serve(struct leat_http *http, leat_conn conn);

/* Graceful end: stops listening, closes idle connections, lets requests in flight finish with
 * `Connection: close` for at most limit_ns (0: drain_ns of the options), then aborts. done(arg)
 * runs once when the last connection has gone; it may be NULL. leat_run does this to every server
 * of a loop that is asked to stop. */
LEAT_API void leat_http_drain(struct leat_http *http, uint64_t limit_ns, void (*done)(void *arg),
                              void *arg);

/* Zero means the default in brackets; LEAT_HTTP_NEVER turns a timeout off. */
#define LEAT_HTTP_NEVER UINT64_MAX
struct leat_http_options {
    /* Bytes. A request over a limit gets the status named, and its connection is closed. */
    uint32_t target_bytes_max;   /* [8 KiB] 414 */
    uint32_t head_bytes_max;     /* [32 KiB, at most 65535] request line and headers: 431 */
    uint32_t header_count_max;   /* [100, at most 250] 431 */
    uint64_t body_bytes_max;     /* [1 GiB] what on_body accepts in all: 413 */
    uint32_t collect_bytes_max;  /* [1 MiB] what leat_request_collect accepts with limit 0: 413 */
    uint32_t discard_bytes_max;  /* [64 KiB] of a body that nobody reads; more of it: the connection
                                    closes */
    uint32_t pipeline_bytes_max; /* [16 KiB] of requests behind one being answered; then the
                                    connection is paused */
    /* Counts. */
    uint32_t connections_max; /* [100000] at once; one more gets a ready-made 503 and is closed */
    uint32_t requests_max;    /* [100000] in progress on this core; a further one gets 503 */
    uint32_t pipeline_count_max;     /* [64] requests handled before others get their turn */
    uint64_t keepalive_requests_max; /* [no limit] on one connection; then it closes */

    /* Timeouts. */
    uint64_t header_ns;    /* [10 s] from the first byte of a head to its last: 408 */
    uint64_t body_ns;      /* [30 s] between two pieces of a body: 408 */
    uint64_t keepalive_ns; /* [75 s] idle between requests, or before the first: closed */
    uint64_t answer_ns;    /* [off] from leat_request_defer, or the end of the body where that comes
                              later, to the begin of the answer: 504, a line in the log names
                              the handler, and its handles go stale; on_abort is run */
    uint64_t write_ns;     /* [10 s] in which a slow reader must take write_bytes_min: aborted */
    uint64_t linger_ns;    /* [2 s] leat_conn_options.linger_ns */
    uint64_t drain_ns;     /* [10 s] for leat_http_drain */
    uint32_t write_bytes_min; /* [1024] */

    const char *server_name; /* the Server header ["leat"]; "" for none; copied, at most 64 bytes */
    bool access_log;         /* one line per response, when it has gone out: to the core's log; with
                                a mark, "left", where the client went before it had it all */
    bool json_log;           /* the access log as JSON, one object a line */
    struct leat_listen_options listen; /* of every listener; linger_ns is taken from above */
};
/* Before the first listen. */
LEAT_API void leat_http_set_options(struct leat_http *http,
                                    const struct leat_http_options *options);
/* With every default filled in. */
LEAT_API const struct leat_http_options *leat_http_get_options(const struct leat_http *http);

/* State of the application: one pointer per server (and core), which handlers read back. */
LEAT_API void leat_http_set_user(struct leat_http *http, void *user);
LEAT_API void *leat_http_user(const struct leat_http *http);
LEAT_API struct leat_loop *leat_http_loop(const struct leat_http *http);

/* ---- Routes --------------------------------------------------------------------------------- */

/* Patterns begin with '/'. A segment is a literal; ":name", which matches one segment that is not
 * empty; or, last, "*name", which matches the rest of the path, the empty rest included. Literals
 * win over parameters and these over wildcards, segment by segment, with backtracking; the order of
 * registration does not matter. Matching is on the percent-decoded path, but a decoded slash never
 * separates segments. A slash at the end counts: "/a" and "/a/" are two paths; where only the other
 * one is registered for the method, GET and HEAD are redirected to it (308), others get 404.
 * A path with an empty segment, "." or ".." in it ("//a", "/./a", "/a/../b", "%2e" spells it too)
 * is never served: before middleware and routes see it, the client is redirected to its normal form
 * (308), or gets a 404 where that leaves the root.
 * At most LEAT_ROUTE_PARAMS_MAX parameters. GET routes answer HEAD too, unless HEAD has its own.
 * A path that exists for other methods only gives 405 with Allow, OPTIONS there 204 with Allow,
 * unless the application has its own. */
#define LEAT_ROUTE_PARAMS_MAX 16
LEAT_API void leat_http_get(struct leat_http *http, const char *pattern, leat_handler *handler);
LEAT_API void leat_http_head(struct leat_http *http, const char *pattern, leat_handler *handler);
LEAT_API void leat_http_post(struct leat_http *http, const char *pattern, leat_handler *handler);
LEAT_API void leat_http_put(struct leat_http *http, const char *pattern, leat_handler *handler);
LEAT_API void leat_http_patch(struct leat_http *http, const char *pattern, leat_handler *handler);
LEAT_API void leat_http_delete(struct leat_http *http, const char *pattern, leat_handler *handler);
/* Every method without a route of its own for the path. */
LEAT_API void leat_http_any(struct leat_http *http, const char *pattern, leat_handler *handler);
/* method as on the wire ("GET", "PROPFIND"), NULL for every one; user is what leat_request_user
 * gives in handler. */
LEAT_API void leat_http_route(struct leat_http *http, const char *method, const char *pattern,
                              leat_handler *handler, void *user);
/* A route whose handler is a task (leat/task.h): it may await, on a stack of its own. It begins
 * before anything else happens, and req and its views stay valid until it returns, also when it has
 * answered or its client has gone: then responding gives -EALREADY or -EPIPE, and awaits
 * -ECANCELED. What it returns counts as any handler's. The next request of its connection waits
 * until it has returned. When LEAT_TASKS_MAX are there, the client gets the ready-made 503. */
LEAT_API void leat_http_task(struct leat_http *http, const char *method, const char *pattern,
                             leat_handler *handler);

/* Middleware: runs before the routes, for paths that equal prefix or go on behind it with a slash;
 * prefix NULL or "/": for every request, those that no route matches included. It answers, or calls
 * leat_next, at once (`return leat_next(req);`) or after it deferred. At most LEAT_MIDDLEWARE_MAX.
 */
#define LEAT_MIDDLEWARE_MAX 32
LEAT_API void leat_http_use(struct leat_http *http, const char *prefix, leat_handler *handler,
                            void *user);

/* Runs the rest of the chain, and returns what it returned: middleware passes a failure on, or
 * deals with it and returns 0. Back from it the request may have been answered, or not yet.
 * Middleware that deferred gives charge on with it: a handler behind it that neither answers nor
 * takes charge gets its client the 500, one that fails the error handler, and 0 is returned;
 * -EALREADY or -EPIPE when there is nothing to answer any more. */
LEAT_API int leat_next(struct leat_request *req);

/* What answers when no route matches; the default fails with 404. */
LEAT_API void leat_http_not_found(struct leat_http *http, leat_handler *handler, void *user);

/* The one error handler: sees every leat_request_fail and every failed handler that had not
 * answered, from handlers and from later callbacks, the server's own 404, 405, 413, 500 ..., and
 * broken requests (400, 408, 431 ...; these have no method and no path). It may respond itself,
 * with any status; when it does not, the client gets the status and its standard phrase as text.
 * The sentence is for the log: it goes to the client only if the handler sends it. */
typedef void leat_error_handler(struct leat_request *req, int status, const char *sentence);
LEAT_API void leat_http_on_error(struct leat_http *http, leat_error_handler *handler);

/* ---- The request ---------------------------------------------------------------------------- */

LEAT_API enum leat_method leat_request_method(const struct leat_request *req);
LEAT_API struct leat_view leat_request_method_name(const struct leat_request *req);
/* The path percent-decoded, without query; "*" for OPTIONS *. Always begins with '/' otherwise. */
LEAT_API struct leat_view leat_request_path(struct leat_request *req);
/* As it came: the whole target, and what is behind its '?' (empty when there is none). */
LEAT_API struct leat_view leat_request_target(const struct leat_request *req);
LEAT_API struct leat_view leat_request_query(const struct leat_request *req);
/* The host that is asked for, with its port when one was given: of an absolute target, whose Host
 * field counts for nothing (RFC 9112 3.2.2), else of Host; empty when HTTP/1.0 names none. */
LEAT_API struct leat_view leat_request_host(const struct leat_request *req);
LEAT_API int leat_request_minor_version(const struct leat_request *req); /* 0 or 1 */

/* A parameter of the route's pattern, percent-decoded; data == NULL when there is none so named. */
LEAT_API struct leat_view leat_request_param(const struct leat_request *req, const char *name);

/* The first value of name in the query, decoded ('+' is a space); data == NULL when absent. The
 * decoded bytes live as long as the request. */
LEAT_API struct leat_view leat_request_query_param(struct leat_request *req, const char *name);

/* A header's value without surrounding blanks, the name in any case; data == NULL when absent.
 * Where a header came more than once this is the first; leat_request_header_at gives all, in order.
 */
LEAT_API struct leat_view leat_request_header(const struct leat_request *req, const char *name);
LEAT_API unsigned leat_request_header_count(const struct leat_request *req);
LEAT_API struct leat_view leat_request_header_at(const struct leat_request *req, unsigned index,
                                                 struct leat_view *name);
/* The first value of a cookie that is valid (RFC 6265 4.1.1: no control bytes, blanks, or any of
 * "\,;), without its quotes; data == NULL when there is none. The second gives all, as they stand:
 * *position, 0 at first, walks them; false when there are no more. */
LEAT_API struct leat_view leat_request_cookie(const struct leat_request *req, const char *name);
LEAT_API bool leat_request_cookie_next(const struct leat_request *req, size_t *position,
                                       struct leat_view *name, struct leat_view *value);

LEAT_API struct leat_http *leat_request_http(const struct leat_request *req);
LEAT_API struct leat_loop *leat_request_loop(const struct leat_request *req);
LEAT_API leat_conn leat_request_conn(const struct leat_request *req);
LEAT_API int leat_request_peer(const struct leat_request *req, struct leat_addr *addr);
/* Of the route or middleware whose handler runs. */
LEAT_API void *leat_request_user(const struct leat_request *req);

/* What middleware leaves to handlers, and callbacks to each other: pointers under keys. A key is
 * the address of something of the caller's own (`static const char user_key;`), so that pieces of a
 * program that do not know each other never meet. drop (may be NULL) runs once: when the request
 * ends in whatever way, last attached first, or when another value, or NULL, takes its place. Takes
 * value whatever it returns: 0, -ENOSPC, -ENOMEM, or -EPIPE when the request has ended; unless 0 it
 * was dropped. */
#define LEAT_REQUEST_ATTACHMENTS_MAX 16
LEAT_API int leat_request_attach(struct leat_request *req, const void *key, void *value,
                                 void (*drop)(void *value));
LEAT_API void *leat_request_attachment(const struct leat_request *req,
                                       const void *key); /* or NULL */

/* ---- Bodies of requests --------------------------------------------------------------------- */

/* Bytes of the body as Content-Length says; UINT64_MAX: chunked, not known yet; 0: none. */
#define LEAT_LENGTH_UNKNOWN UINT64_MAX
LEAT_API uint64_t leat_request_content_length(const struct leat_request *req);

/* Collects the body, at most limit_bytes (0: collect_bytes_max), in memory, then runs then(req),
 * where leat_request_body gives it. More than that: 413; a content coding: 415. `100 Continue` is
 * sent when the client waits for it. Returns 0, -EALREADY when the body has a reader. With then
 * NULL it waits, in a task (leat_http_task), until the body is there; below 0 it never will be, and
 * the handler returns the code: -EPIPE when the client got a 413 or 415, -ECANCELED when it has
 * gone. */
LEAT_API int leat_request_collect(struct leat_request *req, uint64_t limit_bytes,
                                  leat_handler *then);
/* The collected body, in one piece; empty before. */
LEAT_API struct leat_view leat_request_body(const struct leat_request *req);
/* The same with a reference of its own, which outlives the request. */
LEAT_API struct leat_buf leat_request_take_body(struct leat_request *req) LEAT_MUST_CHECK;

/* Streams the body: on_body gets each piece, valid until it returns; on_end runs when all has come,
 * trailers included. Either may answer; what comes after the answer is discarded. -EALREADY when
 * the body has a reader. */
typedef void leat_body_fn(struct leat_request *req, struct leat_buf piece);
LEAT_API int leat_request_on_body(struct leat_request *req, leat_body_fn *on_body,
                                  leat_handler *on_end);
/* Keeps a piece, or a part of it, beyond on_body. What is held counts against the connection's
 * receive window (C12): with receive_bytes_max held the client is stopped by flow control.
 * buf.data == NULL when memory is out. Release works after the request and its connection have
 * ended too, on the same core. */
struct leat_held {
    struct leat_buf buf;
    leat_conn conn; /* Leat's own */
};
LEAT_API struct leat_held leat_request_hold(struct leat_request *req,
                                            struct leat_buf piece) LEAT_MUST_CHECK;
LEAT_API void leat_held_release(struct leat_held held);
/* Stops on_body, and the client by flow control, until resume. Both are idempotent. */
LEAT_API void leat_request_pause(struct leat_request *req);
LEAT_API void leat_request_resume(struct leat_request *req);
/* In on_end: a trailer (RFC 9112 7.1.2); data == NULL when absent. */
LEAT_API struct leat_view leat_request_trailer(const struct leat_request *req, const char *name);

/* ---- Answering later ------------------------------------------------------------------------ */

/* Names a request that will be answered later; {0} names none. A value: may be copied, kept for
 * ever, and sent to other cores; only its own core can turn it back into a request. */
typedef struct leat_deferred {
    uint64_t id;
} leat_deferred;

/* Takes charge. May be called again, and gives the same handle. */
LEAT_API leat_deferred leat_request_defer(struct leat_request *req);
/* NULL when it was answered, or its client has gone, or on another core. */
LEAT_API struct leat_request *leat_deferred_request(leat_deferred deferred);
/* The core's index that owns it: where to post the answer to. */
LEAT_API uint32_t leat_deferred_core(leat_deferred deferred);

/* Runs once when the client went before the answer was complete; req's attachments and views are
 * still there, responding is not possible. */
LEAT_API void leat_request_on_abort(struct leat_request *req,
                                    void (*on_abort)(struct leat_request *req));

/* ---- Responses ------------------------------------------------------------------------------ */

/* All return 0; -EALREADY when it was answered (or begun) before; -EINVAL when the status is not in
 * 200..599, an extra header was refused, or the type has control bytes; -ENOMEM when buffers are
 * out: the client gets the ready-made 503, or is aborted when bytes of the response have gone out;
 * or -EPIPE when the client has gone. No result need be checked: whatever it is, the request is
 * done with. A body is not sent for HEAD, 204 and 304. text, type
 * and the like are copied. Date, Server, Content-Length or Transfer-Encoding, and Connection are
 * the server's own. */
LEAT_API int leat_respond_text(struct leat_request *req, int status, const char *text);
LEAT_API int leat_respond_html(struct leat_request *req, int status, const char *html);
LEAT_API int leat_respond_json(struct leat_request *req, int status, const char *json);
LEAT_API int leat_respond_bytes(struct leat_request *req, int status, const char *type,
                                const void *bytes, size_t length_bytes);
/* Takes the reference, whatever it returns. type NULL: no Content-Type. */
LEAT_API int leat_respond_buf(struct leat_request *req, int status, const char *type,
                              struct leat_buf body);
/* [offset, offset + length) of file, to which it takes a reference of its own. */
LEAT_API int leat_respond_file(struct leat_request *req, int status, struct leat_file *file,
                               uint64_t offset_bytes, uint64_t length_bytes);
LEAT_API int leat_respond_empty(struct leat_request *req, int status);
/* 301, 302, 303, 307 or 308; location must be a valid URI reference (-EINVAL). */
LEAT_API int leat_respond_redirect(struct leat_request *req, int status, const char *location);

/* Gives the request to the error handler: at once in a handler, later callback or middleware. The
 * sentence is logged for status >= 500, and never sent by Leat. Closes the connection when a
 * response had begun. */
LEAT_API int leat_request_fail(struct leat_request *req, int status, const char *format, ...)
    LEAT_PRINTF(3, 4);

/* What the return of a handler does, for callbacks: a negative code is a failure (see Failing,
 * above), 0 and more is none. req may be what leat_deferred_request gave, NULL included. */
LEAT_API void leat_request_end_with(struct leat_request *req, int code);
/* The status of a negative errno value: -ENOENT 404, -EACCES 403, -ETIME 504, -EAGAIN 503; of any
 * other 500. */
LEAT_API int leat_status_of_code(int code);

/* Adds a header to the response, before it begins. Refused with -EINVAL, and logged once, because
 * the program is wrong: a name that is no token, a value with control bytes (CR and LF above all),
 * and the names that are the server's own (Content-Length, Transfer-Encoding, Connection, Date,
 * Keep-Alive, Upgrade; Upgrade is allowed with 426). -ENOSPC: more than
 * LEAT_RESPONSE_HEADER_BYTES_MAX in all. Once refused, the response becomes a 500. */
#define LEAT_RESPONSE_HEADER_BYTES_MAX 8192
LEAT_API int leat_response_header(struct leat_request *req, const char *name, const char *value);
LEAT_API int leat_response_header_view(struct leat_request *req, struct leat_view name,
                                       struct leat_view value);
/* Set-Cookie, once for each cookie; refused as a header is when cookie breaks a rule of cookie.h.
 */
LEAT_API int leat_response_set_cookie(struct leat_request *req, const struct leat_cookie *cookie);
/* The connection closes behind this response. */
LEAT_API void leat_response_close(struct leat_request *req);

/* Streaming. begin sends the head; with LEAT_LENGTH_UNKNOWN the body is chunked (or, for HTTP/1.0,
 * ends with the connection).
 *
 * A write returns 0: go on; 1: accepted, and the connection has its send_high_bytes now
 * (leat/conn.h C15), so stop: the next one is refused; or below 0: refused. After 1 and after
 * -EAGAIN on_writable runs once, when the client has caught up to send_low_bytes; the same holds of
 * all three. What a handler writes while its request is being read is counted from 16 KiB on. write
 * takes the reference unless it returns -EAGAIN: then nothing was taken. end is never refused for
 * want of room, and completes the response; fewer bytes than promised abort the connection, more
 * are refused with -EMSGSIZE. begin takes charge: the handler may return, and go on later. */
LEAT_API int leat_response_begin(struct leat_request *req, int status, const char *type,
                                 uint64_t length_bytes);
LEAT_API int leat_response_write(struct leat_request *req, struct leat_buf piece) LEAT_MUST_CHECK;
LEAT_API int leat_response_write_bytes(struct leat_request *req, const void *bytes,
                                       size_t length_bytes) LEAT_MUST_CHECK;
LEAT_API int leat_response_write_file(struct leat_request *req, struct leat_file *file,
                                      uint64_t offset_bytes, uint64_t length_bytes) LEAT_MUST_CHECK;
LEAT_API void leat_response_on_writable(struct leat_request *req, leat_handler *on_writable);
/* Before end, for a chunked response; ignored for others. Same refusals as leat_response_header. */
LEAT_API int leat_response_trailer(struct leat_request *req, const char *name, const char *value);
LEAT_API int leat_response_end(struct leat_request *req);

LEAT_API bool leat_request_is_answered(const struct leat_request *req); /* begun counts */
LEAT_API const char *leat_status_phrase(int status); /* "Not Found"; "" when not known */

/* ---- Upgrade -------------------------------------------------------------------------------- */

/* Whether the client asks to speak protocol (any case) on this connection (RFC 9110 7.8). */
LEAT_API bool leat_request_wants_upgrade(const struct leat_request *req, const char *protocol);

/* Answers 101 with the extra headers, and hands the connection over to ops and user. *rest gets the
 * bytes that the client sent behind its request and that were read already, with a reference
 * (data == NULL: none). Returns 0, -EPROTO when the client did not ask for protocol or the request
 * has a body, -EALREADY, -ENOMEM, or -EPIPE; unless 0 the request must still be answered (with 426
 * and an Upgrade header, usually). */
LEAT_API int leat_request_upgrade(struct leat_request *req, const char *protocol,
                                  const struct leat_conn_ops *ops, void *user,
                                  struct leat_buf *rest) LEAT_MUST_CHECK;

/* ---- Counters ------------------------------------------------------------------------------- */

/* What the server counts, for one core; only ever grows, but for the two that say `now`. Names in
 * the order of the fields: leat_http_error_name. */
#define LEAT_HTTP_ERRORS(X)                                                                        \
    X(BAD_REQUEST, "the request breaks the grammar or a rule of RFC 9112")                         \
    X(TARGET_TOO_LONG, "the request target is longer than target_bytes_max")                       \
    X(HEAD_TOO_LARGE, "the head is larger than head_bytes_max, or has too many headers")           \
    X(BODY_TOO_LARGE, "the body is larger than allowed")                                           \
    X(VERSION, "the version is not HTTP/1.0 or HTTP/1.1")                                          \
    X(NOT_IMPLEMENTED, "the transfer coding or method is not known")                               \
    X(EXPECTATION, "the expectation is not 100-continue")                                          \
    X(LENGTH_REQUIRED, "an HTTP/1.0 body without Content-Length")                                  \
    X(HEADER_TIMEOUT, "the head did not come in time")                                             \
    X(BODY_TIMEOUT, "the body did not come in time")                                               \
    X(WRITE_TIMEOUT, "the client did not take the response in time")                               \
    X(CLIENT_GONE, "the client went before it was answered")                                       \
    X(OVERLOAD, "connections_max or requests_max was reached, or buffers are nearly used up")      \
    X(NO_MEMORY, "buffers were out")                                                               \
    X(UNANSWERED, "a handler neither answered nor took charge")                                    \
    X(BAD_HEADER, "a handler gave a response header that cannot be sent")                          \
    X(ANSWER_TIMEOUT, "a deferred request was not answered in time")

enum leat_http_error {
#define LEAT_X(name, sentence) LEAT_HTTP_ERROR_##name,
    LEAT_HTTP_ERRORS(LEAT_X)
#undef LEAT_X
        LEAT_HTTP_ERROR_COUNT
};
LEAT_API const char *leat_http_error_name(enum leat_http_error error);     /* "BAD_REQUEST" */
LEAT_API const char *leat_http_error_sentence(enum leat_http_error error); /* static */

struct leat_http_stats {
    uint64_t requests_count;        /* heads parsed */
    uint64_t status_counts[6];      /* responses by class; [1]: interim and 101; [0]: unused */
    uint64_t received_bytes;        /* of requests, heads and bodies */
    uint64_t sent_bytes;            /* of responses, as accepted by the transport */
    uint64_t connections_count;     /* accepted */
    uint64_t connections_now_count; /* open */
    uint64_t requests_now_count;    /* in progress: these hold a request object */
    uint64_t requests_memory_bytes; /* of request objects, those kept for reuse included */
    uint64_t connection_bytes;      /* above the transport, for one idle connection */
    uint64_t upgrades_count;
    uint64_t errors_count[LEAT_HTTP_ERROR_COUNT];
};
/* Of all servers on http's core. */
LEAT_API void leat_http_stats(const struct leat_http *http, struct leat_http_stats *stats);

LEAT_END
#endif
