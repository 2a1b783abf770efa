/* What the files of the parser share: byte classes, the lookup of known fields, and the meaning of
 * fields and targets, which is compiled once. The parser of heads itself (head_parse.inc) is
 * compiled once per instruction set. */
#ifndef LEAT_HTTP_PARSER_INTERNAL_H
#define LEAT_HTTP_PARSER_INTERNAL_H

#include "net/http/message/parser.h"
#include "runtime/base/core.h"

#include <string.h>

/* A step of the parser ends in one of these, or in an enum http_reason, which is positive. */
enum {
    HTTP_GO = 0,
    HTTP_WAIT = -1, /* more bytes are needed */
    HTTP_DONE = -2,
    HTTP_DROP = -3, /* of a trailer field: leave it out */
};

enum { HTTP_IS_TOKEN = 1, HTTP_IS_VALUE = 2, HTTP_IS_TARGET = 4, HTTP_IS_HOST = 8 };
extern const uint8_t http_class[256];
/* What the scanners compare with, each 32 times. They are loaded from memory: the compiler would
 * build each from two or three instructions, in every scan. */
struct http_vectors {
    uint8_t space[32], tab[32], del[32], hash[32], query[32], control[32], half[32], bits[32];
} __attribute__((aligned(32)));
extern const struct http_vectors http_vectors;
/* The classes as tables of bits: bit u of row l is the byte 16 * u + l, below 0x80. */
extern const uint8_t http_token_rows[16], http_host_rows[16];

#define HTTP_KNOWN_BYTES_MAX 30
#define HTTP_KNOWN_SLOT(length, first, middle, last)                                               \
    (((length)*207u + (first)*198u + (middle)*133u + (last)*20u) & 255u)
struct http_known_text {
    char text[31];
    uint8_t length;
};
extern const uint8_t http_known_slots[256]; /* enum http_known by HTTP_KNOWN_SLOT */
extern const struct http_known_text http_known_texts[HTTP_KNOWN_COUNT];

#define HTTP_BIT(known) (UINT64_C(1) << HTTP_##known)
/* The fields that http_field_meaning has to see, by enum http_kind. */
extern const uint64_t http_special[4];

/* What a special field's value means for the message: HTTP_GO, a reason, or HTTP_DROP. */
int http_field_meaning(struct http_head *head, const uint8_t *bytes, enum http_known known,
                       struct http_span value) LEAT_MUST_CHECK;
/* Takes head->target apart: HTTP_GO or a reason. */
int http_target_meaning(struct http_head *head, const uint8_t *bytes) LEAT_MUST_CHECK;
/* uri-host [":" port], RFC 9110 7.2; strict: neither host nor port may be empty. */
bool http_host_is_valid(const uint8_t *at, size_t length, bool strict);
/* The bytes of "HTTP/d.d" that are there: HTTP_GO when all are good, HTTP_WAIT when some are
 * missing, or a reason. */
int http_version_check(const uint8_t *at, size_t length) LEAT_MUST_CHECK;
/* The same for "HTTP/d.d ddd"; fills in head->minor and status when complete. */
int http_status_check(struct http_head *head, const uint8_t *at, size_t length) LEAT_MUST_CHECK;

/* A Host that is valid. RFC 9112 3.2 and 3.2.2: the target's own authority comes before it. */
static inline LEAT_MUST_CHECK int http_host_set(struct http_head *head, struct http_span value)
{
    if (http_has(head, HTTP_HOST))
        return HTTP_REASON_HOST_REPEATED;
    if (head->target_form == HTTP_TARGET_ORIGIN || head->target_form == HTTP_TARGET_ASTERISK)
        head->host = value;
    return HTTP_GO;
}

/* What can be said only when all fields are there: HTTP_GO or a reason. */
static inline LEAT_MUST_CHECK int http_head_finish(struct http_head *head)
{
    bool is_1_1 = head->minor > 0;

    if (head->kind >= HTTP_TRAILERS)
        return HTTP_GO;
    if (head->kind == HTTP_REQUEST && is_1_1 && !http_has(head, HTTP_HOST))
        return HTTP_REASON_HOST_MISSING;
    if (unlikely(head->coding != 0) && !head->chunked)
        return HTTP_REASON_CODING;
    if (unlikely(head->coding & HTTP_CODING_UNKNOWN))
        return HTTP_REASON_CODING_UNKNOWN;
    head->keep_alive = !(head->connection & HTTP_CONNECTION_CLOSE) &&
                       (is_1_1 || (head->connection & HTTP_CONNECTION_KEEP_ALIVE));
    head->upgrade =
        is_1_1 && (head->connection & HTTP_CONNECTION_UPGRADE) && http_has(head, HTTP_UPGRADE);
    return HTTP_GO;
}

extern const struct http_isa http_isa_scalar;
#if defined(__x86_64__)
extern const struct http_isa http_isa_sse42, http_isa_avx2;
#endif

/* Lower case for letters; leaves the other bytes of a token different from all letters and "-". */
static inline uint64_t http_differ8(const uint8_t *name, const char *lower)
{
    uint64_t a, b;

    memcpy(&a, name, 8);
    memcpy(&b, lower, 8);
    return (a | UINT64_C(0x2020202020202020)) ^ b;
}

static inline uint32_t http_differ4(const uint8_t *name, const char *lower)
{
    uint32_t a, b;

    memcpy(&a, name, 4);
    memcpy(&b, lower, 4);
    return (a | UINT32_C(0x20202020)) ^ b;
}

/* name is a token, lower consists of letters, digits and "-"; both have length bytes. */
static inline bool http_token_is(const uint8_t *name, const char *lower, size_t length)
{
    uint64_t different = 0;

    if (length >= 8) {
        different = http_differ8(name + (length - 8), lower + (length - 8));
        for (size_t i = 0; i + 8 < length; i += 8)
            different |= http_differ8(name + i, lower + i);
    } else if (length >= 4) {
        different =
            http_differ4(name, lower) | http_differ4(name + (length - 4), lower + (length - 4));
    } else {
        for (size_t i = 0; i < length; i++)
            different |= (uint64_t)((name[i] | 0x20) ^ lower[i]);
    }
    return different == 0;
}

/* Whether the four bytes are "Host" in any case. */
static inline bool http_is_host(const uint8_t *name)
{
    return http_differ4(name, "host") == 0;
}

/* name is a token, and not Host. */
static inline enum http_known http_known_search(const uint8_t *name, size_t length)
{
    unsigned slot, known;

    if (length - 2 > HTTP_KNOWN_BYTES_MAX - 2)
        return HTTP_UNKNOWN;
    slot = HTTP_KNOWN_SLOT((unsigned)length, name[0] | 0x20u, name[length / 2] | 0x20u,
                           name[length - 1] | 0x20u);
    known = http_known_slots[slot];
    if (http_known_texts[known].length != length ||
        !http_token_is(name, http_known_texts[known].text, length))
        return HTTP_UNKNOWN;
    return (enum http_known)known;
}

static inline enum http_known http_known_lookup(const uint8_t *name, size_t length)
{
    return length == 4 && http_is_host(name) ? HTTP_HOST : http_known_search(name, length);
}

#endif
