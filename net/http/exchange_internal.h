/* An exchange, one request with its answer: its phase, and all that is known of it. */
#ifndef LEAT_HTTP_EXCHANGE_INTERNAL_H
#define LEAT_HTTP_EXCHANGE_INTERNAL_H

#include <leat/http.h>
#include "net/http/message/parser.h"

#define HTTP_TRAILER_AREA_BYTES 4096

enum http_phase {
    HTTP_PHASE_HEAD,     /* between requests, or a head is incomplete */
    HTTP_PHASE_HELD,     /* a request was answered, and its task still runs */
    HTTP_PHASE_EXCHANGE, /* a request is in progress */
    HTTP_PHASE_CLOSING,  /* what was written goes out first */
    HTTP_PHASE_CLOSED,   /* nothing more is read or sent; the transport closes */
    HTTP_PHASE_GONE,     /* the connection is closed, or not ours any more */
};

enum http_reader { HTTP_READER_NONE, HTTP_READER_COLLECT, HTTP_READER_STREAM, HTTP_READER_DISCARD };

struct http_attachment;

struct http_chunk_state {
    struct http_chunked chunked;
    struct http_head trailers;
    uint8_t area[HTTP_TRAILER_AREA_BYTES];
};

#define HTTP_HANDLE (1u << 0) /* a leat_deferred names it */
#define HTTP_PINNED (1u << 1) /* a task has it, and it stays until that returns */

/* What is zeroed between requests. Its bits say more than the phase:
 *
 *  bit            set by                          cleared by              never together with
 *  is_open        exchange_init                   http_exchange_fini      phase HEAD
 *  is_broken      http_exchange_reject                                    not close
 *  is_failing     http_fail                       http_fail               (between two events)
 *  has_failed     failed_late, reply_check                                not begun
 *  has_bufs       whoever fills kept              (with kept)             (kept without it)
 *  handles:
 *   HANDLE        leat_request_defer              http_request_stale      ended, in EXCHANGE
 *   PINNED        http_task_start                 request_unpin           phase HEAD; ended, in
 *                                                                         EXCHANGE
 *  deferred       leat_request_defer              leat_next
 *  paused         leat_request_pause              _resume, http_body_feed
 *  body_done      http_body_begin, body_complete, reader_start: its end
 *                 http_exchange_abort             is to be called
 *  body_began     http_body_feed, send_continue
 *  had_reader     reader_start                                            (a reader without it)
 *  begun          http_reply_begin, reply_write,
 *                 http_reply_no_memory, 101
 *  ended          http_response_finish, and who                           not begun
 *                 breaks a response off
 *  close          many: the connection closes
 *                 behind the answer
 *  chunked        reply_decide_close                                      has_length; not begun
 *  has_length     leat_response_begin                                     chunked
 *  no_body        http_reply_begin                                        not begun
 *  want_writable  stream_check, stream_done       pump_begin              not begun
 *  is_full        stream_done: write gave 1       conn_on_writable        not want_writable
 *  bad_header     header_refuse, and the like
 *  has_type,      leat_response_header            reply_check             no extra headers
 *  has_upgrade
 *
 * http_conn_validate holds them to it. */
struct http_exchange {
    /* Request. */
    const uint8_t *head_bytes; /* base of head's spans: input, partial, or head_kept */
    uint32_t head_length;
    struct leat_view path; /* decoded */
    unsigned chain_index;
    void *user;
    struct http_attachment *attachments; /* attach.c */
    void (*on_abort)(struct leat_request *req);
    leat_handler *on_writable;
    uint64_t deferred_ns; /* when the application took charge */
    bool is_open;         /* from exchange_init to exchange_fini */
    bool is_broken;       /* its head could not be parsed */
    bool is_failing;      /* the error handler runs */
    bool has_failed;      /* the log has said that its handler failed, after it had answered */
    bool has_bufs;        /* something in kept is set */
    uint8_t handles;      /* HTTP_HANDLE, HTTP_PINNED */
    bool deferred;        /* the application has taken charge */
    bool paused;

    /* Body. */
    uint8_t framing; /* enum http_framing */
    uint8_t reader;  /* enum http_reader */
    bool body_done, body_began, had_reader;
    uint64_t body_left_bytes; /* HTTP_BODY_LENGTH */
    uint64_t body_seen_bytes;
    uint64_t body_limit_bytes;
    uint64_t discarded_bytes;
    const uint8_t *body; /* collected */
    size_t body_bytes, body_capacity;
    leat_body_fn *on_body;
    leat_handler *on_body_end;

    /* Response. */
    uint16_t status;
    bool begun, ended, close, chunked, no_body, want_writable, is_full, has_length;
    bool bad_header, has_type, has_upgrade; /* of the extra headers */
    uint64_t left_bytes;                    /* promised by Content-Length, not written yet */
    uint64_t sent_bytes;                    /* of the body */
    uint64_t began_ns, accepted_bytes;      /* access log: when it began, what stood before it */
};

#endif
