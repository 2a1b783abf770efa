/* The HTTP/1.1 message parser: pure, incremental, zero-copy. No I/O, no allocation, no state but
 * what the caller holds; it
 * stands on plain types alone and may run on any thread.
 *
 * A head (start line, fields, empty line) is parsed from contiguous bytes that begin at the head:
 *
 *     struct http_head head;
 *     http_head_init(&head, HTTP_REQUEST);
 *     int used = http_parse_head(&head, bytes, length, &limits);
 *
 * used > 0: the head is complete, used bytes long, and what follows it is body or the next head.
 * used == 0: incomplete. Call again with the same head, all the bytes so far and more. They may
 *   have moved, since head keeps offsets. Nothing is scanned twice: one byte at a time costs O(n).
 * used < 0: -status to answer with, head.reason says why. The connection must be closed after the
 *   answer, since where the next request begins is not known. Calling again is not allowed.
 *
 * The outcome does not depend on how the bytes were split. head's results are valid after
 * used > 0; after an error only reason, and method (LEAT_METHOD_OTHER when it was not reached).
 *
 * Strictness follows RFC 9112 and RFC 9110; each refusal is a reason in HTTP_REASONS, with its
 * clause. Where the RFCs leave a choice, the strict one is taken when two parsers could disagree
 * about where a message ends (request smuggling), the lenient one elsewhere.
 *
 * Internal to the library: not installed. */
#ifndef LEAT_HTTP_PARSER_H
#define LEAT_HTTP_PARSER_H

#include <leat/defs.h>
#include <leat/method.h>
#include <leat/view.h>
#include <stddef.h>
#include <string.h>

/* Bytes of a head, relative to where it begins. {0, 0}: absent. */
struct http_span {
    uint16_t offset, length;
};

/* Name and value of a field line, without the white space around them. */
struct http_field {
    struct http_span name, value;
};

/* Walls, which no limit can be set above. */
#define HTTP_HEAD_BYTES_WALL         65535 /* spans are 16 bits */
#define HTTP_FIELDS_WALL             250   /* a byte counts them */
#define HTTP_FIELDS_DEFAULT          100
#define HTTP_METHOD_BYTES_MAX        32 /* longer: 501, RFC 9112 3 */
#define HTTP_LEADING_EMPTY_LINES_MAX 4  /* RFC 9112 2.2 asks to ignore at least one */

struct http_isa;

struct http_limits {
    uint32_t head_bytes_max;      /* [16384] start line, fields, both empty lines: 431, or 414
                                     while the target is not at its end */
    uint32_t target_bytes_max;    /* [8192] 414 */
    uint32_t fields_max;          /* [100] 431 */
    uint32_t trailer_fields_max;  /* [32] 431 */
    uint32_t chunk_ext_bytes_max; /* [4096] chunk extensions of one body in all: 413 */
    const struct http_isa *isa;   /* [the best of this CPU] */
};

/* Sets the defaults in brackets. Limits above a wall are taken as the wall. */
void http_limits_init(struct http_limits *limits);

/* The fields that servers and clients look up: enumerator, name in lower case. At most 63. */
#define HTTP_KNOWN_FIELDS(X)                                                                       \
    X(ACCEPT, "accept")                                                                            \
    X(ACCEPT_ENCODING, "accept-encoding")                                                          \
    X(ACCEPT_LANGUAGE, "accept-language")                                                          \
    X(ACCEPT_RANGES, "accept-ranges")                                                              \
    X(ACCESS_CONTROL_REQUEST_HEADERS, "access-control-request-headers")                            \
    X(ACCESS_CONTROL_REQUEST_METHOD, "access-control-request-method")                              \
    X(AGE, "age")                                                                                  \
    X(ALLOW, "allow")                                                                              \
    X(AUTHORIZATION, "authorization")                                                              \
    X(CACHE_CONTROL, "cache-control")                                                              \
    X(CONNECTION, "connection")                                                                    \
    X(CONTENT_DISPOSITION, "content-disposition")                                                  \
    X(CONTENT_ENCODING, "content-encoding")                                                        \
    X(CONTENT_LENGTH, "content-length")                                                            \
    X(CONTENT_RANGE, "content-range")                                                              \
    X(CONTENT_TYPE, "content-type")                                                                \
    X(COOKIE, "cookie")                                                                            \
    X(DATE, "date")                                                                                \
    X(ETAG, "etag")                                                                                \
    X(EXPECT, "expect")                                                                            \
    X(EXPIRES, "expires")                                                                          \
    X(FORWARDED, "forwarded")                                                                      \
    X(HOST, "host")                                                                                \
    X(HTTP2_SETTINGS, "http2-settings")                                                            \
    X(IF_MATCH, "if-match")                                                                        \
    X(IF_MODIFIED_SINCE, "if-modified-since")                                                      \
    X(IF_NONE_MATCH, "if-none-match")                                                              \
    X(IF_RANGE, "if-range")                                                                        \
    X(IF_UNMODIFIED_SINCE, "if-unmodified-since")                                                  \
    X(KEEP_ALIVE, "keep-alive")                                                                    \
    X(LAST_EVENT_ID, "last-event-id")                                                              \
    X(LAST_MODIFIED, "last-modified")                                                              \
    X(LOCATION, "location")                                                                        \
    X(MAX_FORWARDS, "max-forwards")                                                                \
    X(ORIGIN, "origin")                                                                            \
    X(PRAGMA, "pragma")                                                                            \
    X(PROXY_AUTHORIZATION, "proxy-authorization")                                                  \
    X(PROXY_CONNECTION, "proxy-connection")                                                        \
    X(RANGE, "range")                                                                              \
    X(REFERER, "referer")                                                                          \
    X(RETRY_AFTER, "retry-after")                                                                  \
    X(SEC_WEBSOCKET_ACCEPT, "sec-websocket-accept")                                                \
    X(SEC_WEBSOCKET_EXTENSIONS, "sec-websocket-extensions")                                        \
    X(SEC_WEBSOCKET_KEY, "sec-websocket-key")                                                      \
    X(SEC_WEBSOCKET_PROTOCOL, "sec-websocket-protocol")                                            \
    X(SEC_WEBSOCKET_VERSION, "sec-websocket-version")                                              \
    X(SERVER, "server")                                                                            \
    X(SET_COOKIE, "set-cookie")                                                                    \
    X(TE, "te")                                                                                    \
    X(TRAILER, "trailer")                                                                          \
    X(TRANSFER_ENCODING, "transfer-encoding")                                                      \
    X(UPGRADE, "upgrade")                                                                          \
    X(USER_AGENT, "user-agent")                                                                    \
    X(VARY, "vary")                                                                                \
    X(VIA, "via")                                                                                  \
    X(WWW_AUTHENTICATE, "www-authenticate")                                                        \
    X(X_FORWARDED_FOR, "x-forwarded-for")                                                          \
    X(X_FORWARDED_HOST, "x-forwarded-host")                                                        \
    X(X_FORWARDED_PROTO, "x-forwarded-proto")                                                      \
    X(X_REAL_IP, "x-real-ip")                                                                      \
    X(X_REQUEST_ID, "x-request-id")

enum http_known {
    HTTP_UNKNOWN,
#define LEAT_X(name, text) HTTP_##name,
    HTTP_KNOWN_FIELDS(LEAT_X)
#undef LEAT_X
        HTTP_KNOWN_COUNT
};

const char *http_known_name(enum http_known known); /* "host"; "" for HTTP_UNKNOWN */
enum http_known http_known_find(const uint8_t *name, size_t length);

/* Why a message is refused: name, status, sentence. The peer did all of these. */
#define HTTP_REASONS(X)                                                                            \
    X(EMPTY_LINES, 400, "too many empty lines before the request (RFC 9112 2.2)")                  \
    X(BARE_LF, 400, "a line ends in LF without CR (RFC 9112 2.2)")                                 \
    X(BARE_CR, 400, "a CR is not followed by LF (RFC 9112 2.2)")                                   \
    X(METHOD, 400, "the method is not a token (RFC 9110 9.1)")                                     \
    X(METHOD_LONG, 501, "the method is longer than any known one (RFC 9112 3)")                    \
    X(TARGET, 400, "the request target has a form or a byte that is not allowed (RFC 9112 3.2)")   \
    X(TARGET_LONG, 414, "the request target is longer than the limit (RFC 9112 3)")                \
    X(VERSION, 400, "the start line does not carry an HTTP version (RFC 9112 2.3)")                \
    X(VERSION_MAJOR, 505, "the major version is not 1 (RFC 9110 15.6.6)")                          \
    X(STATUS_LINE, 400, "the status line is malformed (RFC 9112 4)")                               \
    X(SWITCHED, 400, "status 101 where no upgrade was asked for (RFC 9110 15.2.2)")                \
    X(HEAD_LARGE, 431, "the head is larger than the limit (RFC 6585 5)")                           \
    X(FIELDS_MANY, 431, "there are more fields than the limit (RFC 6585 5)")                       \
    X(FOLD, 400, "a field line begins with white space (RFC 9112 5.2)")                            \
    X(FIELD_NAME, 400,                                                                             \
      "a field name is empty, not a token, or not ended by a colon (RFC 9110 5.1)")                \
    X(FIELD_SPACE, 400, "white space stands between a field name and its colon (RFC 9112 5.1)")    \
    X(FIELD_VALUE, 400, "a field value has a control byte (RFC 9110 5.5)")                         \
    X(HOST_MISSING, 400, "an HTTP/1.1 request has no Host (RFC 9112 3.2)")                         \
    X(HOST_REPEATED, 400, "there is more than one Host (RFC 9112 3.2)")                            \
    X(HOST, 400, "the Host is not a host and an optional port (RFC 9112 3.2)")                     \
    X(LENGTH, 400, "the Content-Length is not a number, or too large a one (RFC 9112 6.3)")        \
    X(LENGTH_REPEATED, 400, "there is more than one Content-Length (RFC 9112 6.3)")                \
    X(CODING_AND_LENGTH, 400,                                                                      \
      "Transfer-Encoding and Content-Length stand together (RFC 9112 6.3)")                        \
    X(CODING_VERSION, 400, "Transfer-Encoding in an HTTP/1.0 message (RFC 9112 6.1)")              \
    X(CODING, 400,                                                                                 \
      "the Transfer-Encoding is malformed, or does not end in one chunked "                        \
      "(RFC 9112 6.3)")                                                                            \
    X(CODING_UNKNOWN, 501, "a transfer coding other than chunked (RFC 9112 6.1)")                  \
    X(EXPECTATION, 417, "an expectation other than 100-continue (RFC 9110 10.1.1)")                \
    X(CHUNK_SIZE, 400, "a chunk size is malformed or too large (RFC 9112 7.1)")                    \
    X(CHUNK_EXT, 400, "a chunk extension breaks its grammar (RFC 9112 7.1.1)")                     \
    X(CHUNK_EXT_LARGE, 413, "the chunk extensions are larger than the limit (RFC 9112 7.1.1)")     \
    X(CHUNK_END, 400, "a chunk's data is not followed by CRLF (RFC 9112 7.1)")                     \
    X(TRAILER_LARGE, 431, "the trailer section is larger than the limit (RFC 6585 5)")             \
    X(TRAILER_FIELD, 400, "a field that frames or routes stands in a trailer (RFC 9110 6.5.1)")

enum http_reason {
    HTTP_REASON_NONE,
#define LEAT_X(name, status, sentence) HTTP_REASON_##name,
    HTTP_REASONS(LEAT_X)
#undef LEAT_X
        HTTP_REASON_COUNT
};

const char *http_reason_name(enum http_reason reason);     /* "BARE_LF"; "NONE" */
const char *http_reason_sentence(enum http_reason reason); /* static */
int http_reason_status(enum http_reason reason);           /* 400 ...; 0 for none */

enum http_kind {
    HTTP_REQUEST,
    HTTP_RESPONSE,
    HTTP_TRAILERS,
    HTTP_PART, /* of a multipart body: fields alone, as trailers, and none means anything here */
};

/* RFC 9112 3.2 */
enum http_target_form {
    HTTP_TARGET_ORIGIN,    /* /path?query */
    HTTP_TARGET_ABSOLUTE,  /* http://host/path?query: its host is head.host, Host is ignored */
    HTTP_TARGET_AUTHORITY, /* host:port, CONNECT only */
    HTTP_TARGET_ASTERISK,  /* *, OPTIONS only */
};

struct http_head {
    /* Where the parser stands; zeroed by http_head_init up to fields. */
    uint8_t state, kind;
    uint8_t empty_lines;
    uint8_t reason; /* enum http_reason */
    uint16_t at;    /* bytes scanned */
    uint16_t mark;  /* where the element being scanned began */

    /* Start line. */
    uint8_t method;      /* enum leat_method */
    uint8_t target_form; /* enum http_target_form */
    uint8_t minor;       /* of HTTP/1.minor, 0 to 9; above 1 it is treated as 1 */
    uint16_t status;     /* of a response, 100 to 999; from 600 on
                            as a 5xx (RFC 9110 15) */
    struct http_span method_name;
    struct http_span target; /* whole, as received */
    struct http_span path;   /* empty in the absolute form without one: use http_path */
    struct http_span query;  /* without "?" */
    struct http_span phrase; /* of a response */

    /* What the fields say together. */
    bool has_length;      /* content_length was given */
    bool chunked;         /* a chunked body follows; excludes has_length */
    bool keep_alive;      /* RFC 9112 9.3; the answer may still decide to close */
    bool expect_continue; /* never in HTTP/1.0 */
    bool upgrade;         /* Upgrade and Connection: upgrade, never in HTTP/1.0 */
    bool has_query;       /* "?" was there, even with nothing behind it */
    bool is_https;        /* the absolute form, of scheme https */
    uint8_t coding;       /* HTTP_CODING_ bits: what the lines of Transfer-Encoding had so far */
    uint8_t connection;   /* HTTP_CONNECTION_ bits: options that were named */
    uint8_t field_count;
    uint64_t content_length;    /* 0 to INT64_MAX */
    struct http_span host;      /* of the absolute or authority form's target, else of Host; with
                                   its port */
    uint64_t present, repeated; /* bit per enum http_known */
    uint8_t known[64];          /* by enum http_known: 1 + index of its first line, 0 if absent */

    struct http_field fields[HTTP_FIELDS_WALL];
    uint8_t ids[HTTP_FIELDS_WALL]; /* enum http_known of each field */
};

#define HTTP_CONNECTION_CLOSE      1
#define HTTP_CONNECTION_KEEP_ALIVE 2
#define HTTP_CONNECTION_UPGRADE    4

#define HTTP_CODING_GIVEN   1
#define HTTP_CODING_UNKNOWN 2 /* one that is not chunked */

/* The instruction sets that the scanner is built for, best last; every one gives the same result.
 * Scanning never reads outside of the bytes given. */
struct http_isa {
    const char *name; /* "scalar", "sse4.2", "avx2" */
    int (*parse)(struct http_head *head, const uint8_t *bytes, size_t length,
                 const struct http_limits *limits);
};

/* Where a head that is not complete goes on. Each state but the first of its group is entered in
 * the middle of an element that began at head->mark. */
enum http_state {
    HTTP_STATE_REQUEST, /* before the method, where empty lines are tolerated */
    HTTP_STATE_REQUEST_LF,
    HTTP_STATE_METHOD,
    HTTP_STATE_TARGET,
    HTTP_STATE_VERSION, /* rescans its at most 10 bytes */
    HTTP_STATE_STATUS,  /* rescans its at most 13 bytes */
    HTTP_STATE_PHRASE,
    HTTP_STATE_PHRASE_LF,
    HTTP_STATE_FIELD, /* at the first byte of a line */
    HTTP_STATE_NAME,
    HTTP_STATE_BLANK, /* between colon and value */
    HTTP_STATE_VALUE,
    HTTP_STATE_VALUE_LF,
    HTTP_STATE_END_LF,
};

static inline void http_head_init(struct http_head *head, enum http_kind kind)
{
    memset(head, 0, offsetof(struct http_head, fields));
    head->kind = (uint8_t)kind;
    head->state = kind == HTTP_REQUEST    ? HTTP_STATE_REQUEST
                  : kind == HTTP_RESPONSE ? HTTP_STATE_STATUS
                                          : HTTP_STATE_FIELD;
}

static inline int http_parse_head(struct http_head *head, const uint8_t *bytes, size_t length,
                                  const struct http_limits *limits)
{
    return limits->isa->parse(head, bytes, length, limits);
}

/* Views into bytes, which are those that were parsed. */
static inline struct leat_view http_view_of(const uint8_t *bytes, struct http_span span)
{
    return (struct leat_view){(const char *)bytes + span.offset, span.length};
}

static inline bool http_has(const struct http_head *head, enum http_known known)
{
    return head->present >> known & 1;
}

/* The value of the first line of that name; {NULL, 0} when there is none. When head->repeated has
 * its bit, http_field_next finds the others (RFC 9110 5.3: lists may be spread over lines). */
static inline struct leat_view http_field_value(const struct http_head *head, const uint8_t *bytes,
                                                enum http_known known)
{
    unsigned place = head->known[known];

    return place ? http_view_of(bytes, head->fields[place - 1].value) : (struct leat_view){NULL, 0};
}

/* Index of the first field at or after index from that has this known name, or -1. */
int http_field_next(const struct http_head *head, enum http_known known, unsigned from);

/* The same by any name, compared without regard to case. */
int http_field_find(const struct http_head *head, const uint8_t *bytes, const char *name,
                    unsigned from);

/* The path to serve: "/" for an absolute form without one, "*" for the asterisk form. */
static inline struct leat_view http_path(const struct http_head *head, const uint8_t *bytes)
{
    return head->path.length ? http_view_of(bytes, head->path) : (struct leat_view){"/", 1};
}

/* How the body of a message is framed (RFC 9112 6.3). request_method matters to responses only. */
enum http_framing { HTTP_BODY_NONE, HTTP_BODY_LENGTH, HTTP_BODY_CHUNKED, HTTP_BODY_UNTIL_CLOSE };
enum http_framing http_framing_of(const struct http_head *head, enum leat_method request_method);

/* The chunked coding (RFC 9112 7.1). Payload is never copied; a trailer section, which may arrive
 * in pieces, is gathered in an area of the caller's and parsed there.
 *
 *     http_chunked_init(&chunked, &limits, &trailers, area, sizeof area);
 *     while ((outcome = http_chunked_decode(&chunked, &input, &payload)) == HTTP_CHUNK_DATA)
 *         use(payload);
 *
 * Each call moves input forward. HTTP_CHUNK_DATA: payload is a piece of the body that lies in
 * input's bytes. HTTP_CHUNK_MORE: all of input was used. HTTP_CHUNK_END: the body is complete and
 * input stands behind it; trailers has the trailer fields as spans of area. Negative: -status,
 * chunked.reason; the connection must be closed. The last bytes of a payload can be given back
 * before the next call: then input must stand before them again. */
struct http_chunked {
    uint8_t state;
    uint8_t digits;
    uint8_t reason;     /* enum http_reason */
    uint32_t ext_bytes; /* of all extensions so far */
    uint32_t area_length, area_bytes_max;
    uint64_t chunk_bytes; /* size being read, then what is left of the chunk */
    uint64_t body_bytes;  /* payload handed out so far */
    uint8_t *area;
    struct http_head *trailers;
    const struct http_limits *limits;
};

enum http_chunk { HTTP_CHUNK_MORE, HTTP_CHUNK_DATA, HTTP_CHUNK_END };

/* trailers is initialised by it. area_bytes bounds the trailer section, its empty line included: at
 * least 2. Fields that frame or route in a trailer are refused; other fields that have no meaning
 * there (RFC 9110 6.5.1) are left out. */
void http_chunked_init(struct http_chunked *chunked, const struct http_limits *limits,
                       struct http_head *trailers, uint8_t *area, size_t area_bytes);

int http_chunked_decode(struct http_chunked *chunked, struct leat_view *input,
                        struct leat_view *payload);

void http_chunked_unread(struct http_chunked *chunked, size_t bytes);

const struct http_isa *http_isa_best(void);
/* The index-th that this CPU can run, 0 being scalar; NULL past the last. */
const struct http_isa *http_isa_at(unsigned index);

#endif
