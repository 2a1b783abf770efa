/* Reading the responses of one connection, in order: heads (folded lines are unfolded), bodies of
 * every framing, interim responses, a digest of each body. Incremental, as the parser that it
 * stands on. No I/O; memory only while a head is split between two deliveries, or from the first
 * chunked body on.
 *
 *     http_reader_init(&reader);
 *     while ((event = http_reader_next(&reader, &core, method, &input)) > HTTP_READ_MORE)
 *         if (event == HTTP_READ_END) use(reader.status, reader.body_bytes,
 * http_reader_digest(..));
 *
 * input is what was received and not read yet; each call moves it forward. The outcome does not
 * depend on how the bytes were split.
 *
 * struct http_reader is small, so that there may be very many; what reading needs beside it is
 * shared by all readers of one core. Both are the caller's memory, one thread's at a time.
 *
 * Internal to the library: not installed. */
#ifndef LEAT_HTTP_READER_H
#define LEAT_HTTP_READER_H

#include "net/http/message/parser.h"

#define HTTP_READER_HEAD_BYTES        16384 /* a larger head is refused, unless limits say more */
#define HTTP_READER_TRAILER_BYTES_MAX 2048  /* TRAILER_LARGE */

struct http_reader_split;
struct http_reader_chunks;

enum http_reader_state {
    HTTP_READER_HEAD, /* between two responses, or in a head that is kept in split */
    HTTP_READER_BODY,
    HTTP_READER_CHUNKS,
    HTTP_READER_FAILED,
};

struct http_reader {
    uint64_t left_bytes;             /* of the body; UINT64_MAX: until the connection ends */
    uint64_t body_bytes;             /* of the body, read so far */
    uint64_t sum, word;              /* the digest, and bytes that do not fill a word yet */
    struct http_reader_split *split; /* what has come of a head; NULL: nothing */
    struct http_reader_chunks *chunks;
    uint16_t status;    /* of the response that is being read, or was read last */
    uint8_t state;      /* enum http_reader_state */
    uint8_t reason;     /* enum http_reason, once it has failed */
    bool is_keep_alive; /* another response may follow */
};

/* What reading needs to know of a head. */
struct http_reader_head {
    uint64_t content_length;
    uint16_t status;
    uint8_t framing; /* enum http_framing */
    bool is_keep_alive;
};

#define HTTP_READER_LAST_BYTES_MAX 512 /* longer heads are parsed each time */

/* Per core. Servers repeat themselves: a head of the same bytes as the last one, in answer to the
 * same method, means the same, and is not parsed again. */
struct http_reader_core {
    struct http_head head;
    struct http_limits limits;
    struct http_reader_head last;
    uint32_t last_bytes; /* 0: there is none */
    bool has_no_digest;  /* for who will not ask for one */
    bool may_switch;     /* requests ask for an upgrade: 101 is an answer, the last one */
    enum leat_method last_method;
    uint8_t last_head[HTTP_READER_LAST_BYTES_MAX];
};

enum http_read {
    HTTP_READ_MEMORY = -2, /* memory was out */
    HTTP_READ_BAD = -1,    /* the peer broke the protocol: reader.reason says how */
    HTTP_READ_MORE = 0,    /* all of input was read */
    HTTP_READ_END = 1,     /* a response is complete; input stands behind it */
};

/* limits may be changed before the first response is read. */
void http_reader_core_init(struct http_reader_core *core);
void http_reader_init(struct http_reader *reader);
void http_reader_fini(struct http_reader *reader);

/* method is that of the request which the next response answers. */
enum http_read http_reader_next(struct http_reader *reader, struct http_reader_core *core,
                                enum leat_method method, struct leat_view *input);

/* The connection has ended: HTTP_READ_END when that completes a response, HTTP_READ_MORE between
 * responses, HTTP_READ_BAD within one (its reason stays HTTP_REASON_NONE). */
enum http_read http_reader_finish(struct http_reader *reader);

/* Whether part of a response, or of its head, has been read. */
static inline bool http_reader_is_within(const struct http_reader *reader)
{
    return reader->state != HTTP_READER_HEAD || reader->split != NULL;
}

/* 64 bits of what the body was, its length included. It finds faults, not forgeries. With
 * has_no_digest only the length is in it. */
uint64_t http_reader_digest(const struct http_reader *reader);

#endif
