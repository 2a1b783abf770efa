/* What the files of net/http/ share: the objects of the server and who may touch them.
 *
 *  struct http_core     one per core, shared by its servers: request objects, Date, counters
 *  struct leat_http     one server: options, routes, listeners, queues of connections by deadline
 *  struct http_conn     one connection: all that an idle one costs above its transport
 *  struct leat_request  taken from the core's pool when the first byte of a head comes, given back
 *                       when nothing is in progress; serves pipelined requests one after another
 *
 * Everything belongs to one core. Invariants:
 *  I1  A connection is in exactly one queue of its server; queue lengths sum to connections_now.
 *  I2  conn->request == NULL exactly in the queues KEEPALIVE and, after a bulk response or while it
 *      closes, WRITE.
 *  I3  Outside of http_pump a request has no input: what was not consumed lies in its backlog. */
#ifndef LEAT_HTTP_INTERNAL_H
#define LEAT_HTTP_INTERNAL_H

#include <leat/http.h>
#include <leat/io.h>
#include <leat/loop.h>
#include <leat/timer.h>
#include "buffers/heap.h"
#include "net/http/exchange_internal.h"
#include "net/http/handler.h"
#include "net/http/message/parser.h"
#include "runtime/base/core.h"

#include <errno.h>

#define HTTP_LISTENERS_MAX      16
#define HTTP_OUT_MAX            16   /* slices that wait for one leat_conn_send */
#define HTTP_OUT_BYTES_MAX      4096 /* an output buffer, unless one head needs more */
#define HTTP_LITTLE_BYTES       1024 /* what is asked for out of the one that is shared ... */
#define HTTP_LITTLE_INPUT_BYTES 128  /* ... when no more input than that is still to be answered */
#define HTTP_SHARED_ALIGN       16
#define HTTP_COPY_BYTES_MAX     2048  /* a body up to this is copied behind its head, */
#define HTTP_FILE_BYTES_MAX     8192  /* and so is a file up to this that is in memory */
#define HTTP_GATHER_BYTES       16384 /* pieces of one handler that go in one call */
#define HTTP_BULK_BYTES         65536 /* a response this large is watched for progress */
#define HTTP_ACCESS_WAITING_MAX 1024
#define HTTP_REQUESTS_KEPT_MAX  256 /* unused request objects that a core keeps */
#define HTTP_CONNS_PER_SLAB     63  /* and what links slabs: 4 KiB, a size class of the heap */
#define HTTP_EXPIRED_PER_TURN   256
#define HTTP_DRAIN_GRACE_NS     (500 * LEAT_NS_PER_MS)
/* Connections that the kernel had accepted when the listeners closed arrive within this time. */
#define HTTP_DRAIN_SETTLE_NS       (20 * LEAT_NS_PER_MS)
#define HTTP_REFUSED_NOW_MAX       1024 /* 503s that linger; more are reset */
#define HTTP_SERVER_NAME_BYTES_MAX 64
#define HTTP_PREFIX_BYTES_MAX      256 /* Server and Date lines */

/* ---- Queues of connections: equal durations, so that appending keeps them in order of time. ----
 */

enum http_queue_number {
    HTTP_QUEUE_KEEPALIVE, /* idle */
    HTTP_QUEUE_HEADER,    /* a head has begun */
    HTTP_QUEUE_BODY,      /* the body is being read */
    HTTP_QUEUE_WRITE,     /* the client has to take bytes */
    HTTP_QUEUE_BUSY,      /* the application has it: a deadline for what it deferred */
    HTTP_QUEUE_COUNT
};

/* Bits of a connection. None is cleared again but BULK.
 *
 *  bit      set by                      cleared by    never together with
 *  BULK     http_out_flush              expire_write
 *  CLOSING  http_conn_close, _abort,
 *           conn_on_close
 *  ENDED    conn_on_end
 *  ABORTED  http_conn_abort                           not CLOSING; a phase up to EXCHANGE
 *  LAST     exchange_step                             neither CLOSING nor a phase behind EXCHANGE
 *  LOGS     access_wait */
#define HTTP_CONN_BULK    (1u << 0) /* sent a large response: may still have bytes queued */
#define HTTP_CONN_CLOSING (1u << 1) /* leat_conn_close or abort was called */
#define HTTP_CONN_ENDED   (1u << 2) /* the peer has half-closed */
#define HTTP_CONN_ABORTED (1u << 3) /* leat_conn_abort was called: on_close comes in this turn */
#define HTTP_CONN_LAST    (1u << 4) /* the client has sent its last request, whole, and said so */
#define HTTP_CONN_LOGS    (1u << 5) /* lines of the access log wait for what it sends */

struct http_conn {
    leat_conn conn;
    struct leat_http *http;
    struct http_conn *next, *prev;
    struct leat_request *request;
    uint64_t since_ns;   /* when it entered its queue */
    uint64_t mark_bytes; /* WRITE: sent_bytes at that time */
    uint32_t requests_count;
    uint8_t queue; /* enum http_queue_number */
    uint8_t flags;
};
_Static_assert(sizeof(struct http_conn) <= 64, "an idle connection costs at most 64 bytes");

struct http_queue {
    struct http_conn *first, *last;
    uint64_t count;
    uint64_t duration_ns; /* UINT64_MAX: never */
    struct leat_timer timer;
    struct leat_http *http;
    bool is_armed;
};

/* ---- Router (router.c) ---- */

struct http_route {
    struct http_route *next; /* of the same leaf */
    leat_handler *handler;
    void *user;
    uint8_t method; /* enum leat_method; LEAT_METHOD_COUNT: any */
    char method_name[HTTP_METHOD_BYTES_MAX + 1];
    unsigned param_count;
    struct leat_view param_names[LEAT_ROUTE_PARAMS_MAX]; /* into pattern */
    char *pattern;
};

struct http_node { /* one segment */
    char *text;
    size_t text_bytes;
    struct http_node **literals; /* sorted by http_segment_compare */
    unsigned literal_count;
    struct http_node *param, *wild;
    struct http_route *routes; /* of the pattern that ends here */
};

/* Patterns without parameters, by their text: open addressing, at most half full. */
struct http_exact {
    uint64_t hash;
    struct http_node *node; /* NULL: free */
    const char *text;
    size_t text_bytes;
};

struct http_router {
    struct http_node root;
    struct http_exact *exact;
    uint32_t exact_count, exact_mask;
    uint32_t methods; /* bit per enum leat_method of all routes */
};

struct http_wanted {
    enum leat_method method;
    struct leat_view method_name; /* of LEAT_METHOD_OTHER */
    struct leat_view raw;         /* the path as received */
    struct leat_view text;        /* the same decoded, which params point into */
};

struct http_match {
    const struct http_route *route; /* NULL: none */
    uint32_t allowed;               /* bit per method that the path exists for; 0: it does not */
    bool is_odd;                    /* not in its normal form (path.h): it was not looked for */
    bool other_slash;               /* the path with its last slash toggled has a route */
    unsigned param_count;
    struct leat_view params[LEAT_ROUTE_PARAMS_MAX];
};

int http_router_add(struct http_router *router, const char *method, const char *pattern,
                    leat_handler *handler, void *user, struct leat_error *error);
void http_router_fini(struct http_router *router);
void http_router_find(const struct http_router *router, const struct http_wanted *wanted,
                      struct http_match *match);

/* ---- Server (server.c) and core (core.c) ---- */

struct http_middleware {
    leat_handler *handler;
    void *user;
    char *prefix; /* without a slash at its end; "" for all */
    size_t prefix_bytes;
};

/* A head, ready-made for the types that Leat names itself and one length of bodies: that of the
 * first since the status, the type or the Date changed. */
struct http_ready_head {
    uint32_t length_bytes; /* with a Content-Length of body_bytes, and the empty line */
    uint32_t front_bytes;  /* up to Content-Length's value */
    uint64_t body_bytes;
    uint16_t status;
    uint8_t type; /* enum http_type */
    char bytes[HTTP_PREFIX_BYTES_MAX + 144];
};

enum http_type { HTTP_TYPE_NONE, HTTP_TYPE_TEXT, HTTP_TYPE_HTML, HTTP_TYPE_JSON, HTTP_TYPE_OWN };

struct leat_http {
    struct leat_loop *loop;
    struct http_core *core;
    struct leat_http *next, **prev; /* of the core's servers */
    void *user;
    leat_error_handler *error_handler;
    struct http_middleware not_found;
    struct http_limits limits;
    struct http_ready_head ready;
    char prefix[HTTP_PREFIX_BYTES_MAX]; /* "Server: ...\r\nDate: ...\r\n" */
    uint32_t prefix_bytes, prefix_date_offset;
    uint64_t prefix_date_number; /* of the core's date that it carries */
    unsigned middleware_count, listener_count;
    uint64_t connections_now, rejected_now;
    uint32_t calls; /* of ours that run on it: freed when they have returned */
    bool listening, draining, freeing, has_ref;
    struct http_queue queues[HTTP_QUEUE_COUNT];
    struct http_router router;
    struct http_middleware middleware[LEAT_MIDDLEWARE_MAX];
    struct leat_listener *listeners[HTTP_LISTENERS_MAX];
    struct leat_timer drain_timer;
    uint64_t drain_start_ns, drain_limit_ns;
    void (*drain_done)(void *arg);
    void *drain_arg;
    struct leat_http_options options;
    char server_name[HTTP_SERVER_NAME_BYTES_MAX + 1];
    struct leat_error error;
};

struct http_slot { /* where a deferred handle points */
    struct leat_request *request;
    uint32_t generation;
    uint32_t next_free;
};

struct http_core {
    struct leat_core *core;
    struct leat_loop *loop;
    struct leat_http *servers;
    struct leat_request *free_requests;
    uint32_t free_request_count;
    struct http_slot *slots;
    uint32_t slot_count, free_slot; /* UINT32_MAX: none free */
    struct leat_request *ready_first, **ready_last;
    struct leat_hook ready_hook; /* idle phase; started while someone is ready */
    struct http_conn *free_conns;
    struct http_slab *slabs;
    struct leat_buf shared; /* what is left of the buffer of small responses: output.c */
    uint64_t date_number, date_until_ns; /* loop time at which the text goes out of date */
    char date[HTTP_DATE_BYTES];
    uint64_t (*wall_ns)(void); /* seam: nanoseconds since 1970 */
    struct leat_http_stats stats;
    struct { /* access.c: answers on their way, each a line to be */
        struct http_access *first, **last;
        unsigned count; /* at most HTTP_ACCESS_WAITING_MAX */
        uint64_t youngest_ns;
        struct leat_timer timer;
    } access;
    uint64_t short_look_ns;
    bool is_short;
};

struct http_core *http_core_get(struct leat_loop *loop);  /* created when there is none; or NULL */
void http_core_put(struct http_core *core);               /* frees it with its last server */
struct http_conn *http_conn_take(struct leat_http *http); /* NULL: memory is out */
void http_conn_give(struct http_core *core, struct http_conn *conn);
/* Buffers are nearly used up: what is left is for the requests in progress. */
bool http_core_is_short(struct http_core *core);
struct leat_request *http_request_take(struct http_core *core);
void http_request_give(struct leat_request *req);
void http_request_ready(struct leat_request *req); /* pumped in the next turn's idle phase */
void http_date_refresh(struct http_core *core, uint64_t now_ns);
/* Ends the drain, or frees the server, when its last connection has gone. */
void http_server_settle(struct leat_http *http);
void http_drain_tick(struct leat_timer *timer, void *arg);
/* Leaves the first error of the set-up in leat_loop_error; returns its code. */
int http_set_up_failed(struct leat_http *http);

void http_queue_init(struct http_queue *queue, struct leat_http *http, uint64_t duration_ns);
void http_queue_push(struct http_conn *conn, enum http_queue_number number, uint64_t now_ns);
void http_queue_remove(struct http_conn *conn);

/* ---- Request ---- */

struct http_backlog { /* read, not consumed: [begin, end) of buf */
    struct leat_buf buf;
    size_t begin, end, capacity;
};

struct http_out_file {
    struct leat_file *file;
    uint64_t offset_bytes, length_bytes;
};

/* Memory of a request that most do not need; zeroed behind those that did. */
struct http_kept {
    struct leat_buf head, path, query, body;
    struct leat_buf headers, trailers; /* extra lines of the response */
};

struct leat_request {
    struct http_conn *conn;   /* NULL: free, or gone */
    struct leat_future *task; /* while HTTP_PINNED */
    struct leat_future *body; /* while the task waits for it */
    struct leat_http *http;
    struct http_core *core;
    struct leat_request *next; /* free list or ready list */
    uint32_t index;            /* of its slot */
    uint8_t phase;             /* enum http_phase */
    bool in_pump, is_ready, is_blocked, conn_paused;

    const uint8_t *input, *input_end; /* within http_pump */
    const struct leat_buf *more;      /* slices behind input */
    unsigned more_count;
    struct leat_buf input_slice; /* that input lies in; block NULL: the backlog */
    struct leat_buf partial;     /* a head that straddles slices */
    size_t partial_capacity;
    struct http_backlog backlog;
    struct http_chunk_state *chunk;

    unsigned out_count;
    struct leat_buf tail; /* being filled; data == NULL: none */
    size_t tail_capacity;
    struct leat_buf out[HTTP_OUT_MAX];
    struct http_out_file out_files[HTTP_OUT_MAX];

    struct http_exchange x;
    struct http_kept kept;
    struct http_match match;
    struct http_head head;
};

/* Of the head; "" when it could not be read. */
static inline struct leat_view http_request_view(const struct leat_request *req,
                                                 struct http_span span)
{
    if (req->x.is_broken)
        return (struct leat_view){"", 0};
    return http_view_of(req->x.head_bytes, span);
}

/* What a step of the pump says about the next. */
enum http_step {
    HTTP_STEP_GO,   /* take the next */
    HTTP_STEP_WAIT, /* for input, for the application, or for the client to take what it gets */
    HTTP_STEP_GONE, /* the connection is closed, and the request given back */
};

/* connection.c */
extern const struct leat_conn_ops http_listener_ops;
void http_conn_close(struct http_conn *conn);
void http_conn_abort(struct http_conn *conn);
void http_conn_settle(struct http_conn *conn);
void http_conn_requeue(struct http_conn *conn, uint64_t now_ns);
enum http_queue_number http_conn_queue_for(const struct http_conn *conn);
/* Bytes that have left for the client: grows while it reads. UINT64_MAX: the connection is gone. */
uint64_t http_conn_sent_bytes(const struct http_conn *conn, uint64_t *queued_bytes);
int http_conn_detach(struct http_conn *conn, const struct leat_conn_ops *ops, void *user);
void http_send_overload(leat_conn handle); /* the ready-made 503 */

/* validate.c: the first rule that does not hold, as text; NULL: all do. Between two events. */
const char *http_conn_validate(const struct http_conn *conn);
const char *http_server_validate(const struct leat_http *http);

/* deadline.c */
void http_conn_expire(struct http_conn *conn, uint64_t now_ns);

/* pump.c */
void http_pump(struct leat_request *req, const struct leat_buf *slices, unsigned count);

/* head.c: at the first byte of a head, or within one. */
enum http_step http_head_read(struct leat_request *req) LEAT_MUST_CHECK;

/* backlog.c: 0 or -ENOMEM */
int http_backlog_append(struct leat_request *req, const uint8_t *bytes,
                        size_t length) LEAT_MUST_CHECK;
int http_backlog_append_slices(struct leat_request *req, const struct leat_buf *slices,
                               unsigned count) LEAT_MUST_CHECK;
void http_backlog_drop(struct leat_request *req);

/* exchange.c */
void http_exchange_begin(struct leat_request *req, const uint8_t *bytes, size_t length);
void http_exchange_reject(struct leat_request *req, int status, enum leat_http_error error,
                          const char *sentence);
void http_exchange_drop_extras(struct leat_request *req);
/* Ends a request that the application had, for a reason of ours. */
void http_exchange_abort(struct leat_request *req);
void http_count_error(struct leat_request *req, enum leat_http_error error);

/* handlers.c */
void http_run_handlers(struct leat_request *req);
void http_call(struct leat_request *req, leat_handler *handler); /* and the microtasks behind it */
/* After a callback that should have answered or taken charge: 500 if it did neither. */
void http_check_unanswered(struct leat_request *req);
static inline void http_check_charge(struct leat_request *req)
{
    if (unlikely(!req->x.begun))
        http_check_unanswered(req);
}
void http_fail(struct leat_request *req, int status, const char *sentence);
/* The handler whose turn came last: NULL when there is none. */
leat_handler *http_handler_last(const struct leat_request *req);

/* body.c */
enum http_feed { HTTP_FEED_DONE, HTTP_FEED_MORE, HTTP_FEED_STOP };
enum http_feed http_body_feed(struct leat_request *req);
void http_body_expect(struct leat_request *req);
static inline void http_body_begin(struct leat_request *req)
{
    req->x.body_limit_bytes = req->http->options.body_bytes_max;
    req->x.body_done = true; /* HTTP_BODY_NONE */
    if (unlikely(req->head.has_length || req->head.chunked))
        http_body_expect(req);
}
/* Within on_body: gives back the last bytes of its piece, because the program has paused. */
void http_body_unread(struct leat_request *req, size_t bytes);
bool http_body_is_coded(const struct leat_request *req); /* it has a content coding */
int http_body_refuse_coding(struct leat_request *req);   /* 415 */
int http_keep_views(struct leat_request *req); /* before the input goes away; 0 or -ENOMEM */

/* attach.c */
void http_attachments_drop(struct leat_request *req);

/* core.c */
void http_request_stale(struct leat_request *req);
/* Its deferred handles go stale; one that is pinned and was answered is held. */
static inline void http_request_forget(struct leat_request *req)
{
    if (unlikely(req->x.handles != 0))
        http_request_stale(req);
}

/* task.c */
static inline bool http_request_is_pinned(const struct leat_request *req)
{
    return unlikely((req->x.handles & HTTP_PINNED) != 0);
}
void http_task_cancel(struct leat_request *req); /* of one that is pinned */
/* In a task whose reader has started with code, and with http_task_body_there behind it: 0 when
 * the body is there; below: code, -EPIPE when the request was answered, -ECANCELED when it is over.
 */
int http_task_wait_body(struct leat_request *req, int code);
int http_task_body_there(struct leat_request *req);
void http_task_body_over(struct leat_request *req); /* it was answered: nobody reads the rest */
/* One that has gone, if no task has it. */
static inline void http_request_give_gone(struct leat_request *req)
{
    if (!http_request_is_pinned(req))
        http_request_give(req);
}

/* exchange.c: gives back what the exchange holds. */
static inline void http_exchange_fini(struct leat_request *req)
{
    const struct http_exchange *x = &req->x;

    if (!x->is_open)
        return;
    req->x.is_open = false;
    http_request_forget(req);
    if (unlikely(x->attachments || req->chunk || x->has_bufs))
        http_exchange_drop_extras(req);
}

/* access.c: with options.access_log only. */
void http_access_begin(struct leat_request *req);
void http_access_log(const struct leat_request *req);
void http_access_cut(const struct leat_request *req); /* its connection closed before that */
void http_access_close(struct http_conn *conn);       /* it has HTTP_CONN_LOGS, and closes */
void http_access_init(struct http_core *core);
void http_access_fini(struct http_core *core);

/* exchange.c: it was answered, and its body read. */
static inline void http_exchange_finish(struct leat_request *req)
{
    if (unlikely(req->http->options.access_log))
        http_access_log(req);
    http_exchange_fini(req);
    req->phase = HTTP_PHASE_HEAD;
}

/* output.c */
uint8_t *http_out_grow(struct leat_request *req, size_t bytes);
/* Where bytes may be written; NULL: memory is out. */
static inline uint8_t *http_out_reserve(struct leat_request *req, size_t bytes)
{
    if (likely(req->tail.data && req->tail_capacity - req->tail.length_bytes >= bytes))
        return req->tail.data + req->tail.length_bytes;
    return http_out_grow(req, bytes);
}
static inline void http_out_advance(struct leat_request *req, size_t bytes)
{
    req->tail.length_bytes += bytes;
    DCHECK(req->tail.length_bytes <= req->tail_capacity);
}
void http_out_push(struct leat_request *req, struct leat_buf buf); /* takes the reference */
void http_out_push_file(struct leat_request *req, struct leat_file *file, uint64_t offset_bytes,
                        uint64_t length_bytes);
/* Gives the transport what it takes. 1: it has its send_high_bytes now (C15), or takes no more. */
int http_out_flush(struct leat_request *req);
uint64_t http_out_bytes(const struct leat_request *req); /* that the transport has not accepted */
void http_out_drop(struct leat_request *req);
static inline bool http_out_is_empty(const struct leat_request *req)
{
    return req->out_count == 0 && !req->tail.data;
}

/* reply.c */
void http_prefix_refresh(struct leat_http *http);    /* Server and Date; cheap */
void http_response_finish(struct leat_request *req); /* everything of it was accepted by output */
int http_reply_overload(struct leat_request *req);   /* the ready-made 503; 0 */

/* number.c: in decimal; returns the number of digits, at most 20. */
size_t http_put_number(uint8_t *to, uint64_t number);

/* status.c: "HTTP/1.1 200 OK\r\n" and its length; phrase "" when the status is not known. */
struct leat_view http_status_line(int status);

#endif
