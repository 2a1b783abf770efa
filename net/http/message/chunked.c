/* The chunked transfer coding (RFC 9112 7.1). */
#include "net/http/message/parser_internal.h"

enum {
    SIZE, /* in the digits */

    /* chunk-ext = *( BWS ";" BWS token [ BWS "=" BWS ( token / quoted-string ) ] ) */
    SIZE_BLANK, /* behind the size: "bad white space", which may not end the line */
    EXT_BEGIN,  /* behind ";" */
    EXT_NAME,
    EXT_NAME_BLANK,
    EXT_EQUALS, /* behind "=" */
    EXT_TOKEN,
    EXT_QUOTED,
    EXT_PAIR, /* behind a backslash within quotes */
    EXT_END,  /* behind the closing quote */
    EXT_BLANK,
    EXT_STATES,

    SIZE_LF = EXT_STATES,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILERS,
    END,
};

/* What a byte is to an extension. */
enum { BLANK, TOKEN, EQUALS, SEMICOLON, QUOTE, BACKSLASH, CR, TEXT, CONTROL, EXT_BYTES };

#define BROKEN 0 /* SIZE, which none of them leads back to */
static const uint8_t ext_next[EXT_STATES][EXT_BYTES] = {
    [SIZE_BLANK] = {[BLANK] = SIZE_BLANK, [SEMICOLON] = EXT_BEGIN},
    [EXT_BEGIN] = {[BLANK] = EXT_BEGIN, [TOKEN] = EXT_NAME},
    [EXT_NAME] = {[BLANK] = EXT_NAME_BLANK,
                  [TOKEN] = EXT_NAME,
                  [EQUALS] = EXT_EQUALS,
                  [SEMICOLON] = EXT_BEGIN,
                  [CR] = SIZE_LF},
    [EXT_NAME_BLANK] = {[BLANK] = EXT_NAME_BLANK, [EQUALS] = EXT_EQUALS, [SEMICOLON] = EXT_BEGIN},
    [EXT_EQUALS] = {[BLANK] = EXT_EQUALS, [TOKEN] = EXT_TOKEN, [QUOTE] = EXT_QUOTED},
    [EXT_TOKEN] =
        {[BLANK] = EXT_BLANK, [TOKEN] = EXT_TOKEN, [SEMICOLON] = EXT_BEGIN, [CR] = SIZE_LF},
    [EXT_QUOTED] = {[BLANK] = EXT_QUOTED,
                    [TOKEN] = EXT_QUOTED,
                    [EQUALS] = EXT_QUOTED,
                    [SEMICOLON] = EXT_QUOTED,
                    [QUOTE] = EXT_END,
                    [BACKSLASH] = EXT_PAIR,
                    [TEXT] = EXT_QUOTED},
    [EXT_PAIR] = {[BLANK] = EXT_QUOTED,
                  [TOKEN] = EXT_QUOTED,
                  [EQUALS] = EXT_QUOTED,
                  [SEMICOLON] = EXT_QUOTED,
                  [QUOTE] = EXT_QUOTED,
                  [BACKSLASH] = EXT_QUOTED,
                  [TEXT] = EXT_QUOTED},
    [EXT_END] = {[BLANK] = EXT_BLANK, [SEMICOLON] = EXT_BEGIN, [CR] = SIZE_LF},
    [EXT_BLANK] = {[BLANK] = EXT_BLANK, [SEMICOLON] = EXT_BEGIN},
};

/* 16 digits are what 64 bits hold; leading zeros count, so that a size has an end. */
#define DIGITS_MAX 16

void http_chunked_init(struct http_chunked *chunked, const struct http_limits *limits,
                       struct http_head *trailers, uint8_t *area, size_t area_bytes)
{
    *chunked = (struct http_chunked){
        .area = area,
        .area_bytes_max = area_bytes > UINT32_MAX ? UINT32_MAX : (uint32_t)area_bytes,
        .trailers = trailers,
        .limits = limits,
    };
    http_head_init(trailers, HTTP_TRAILERS);
}

static int hex_digit(uint8_t byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    byte |= 0x20;
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

static unsigned ext_byte(uint8_t byte)
{
    switch (byte) {
    case ' ':
    case '\t':
        return BLANK;
    case '=':
        return EQUALS;
    case ';':
        return SEMICOLON;
    case '"':
        return QUOTE;
    case '\\':
        return BACKSLASH;
    case '\r':
        return CR;
    default:
        if (http_class[byte] & HTTP_IS_TOKEN)
            return TOKEN;
        return http_class[byte] & HTTP_IS_VALUE ? TEXT : CONTROL;
    }
}

/* Extensions mean nothing to us (RFC 9112 7.1.1): they are bounded, and must follow the grammar, so
 * that no two readers can disagree about where the line ends. */
static int ext_read(struct http_chunked *c, uint8_t byte)
{
    unsigned next = ext_next[c->state][ext_byte(byte)];

    if (byte == '\n')
        return HTTP_REASON_BARE_LF;
    if (next == BROKEN)
        return c->state == SIZE_BLANK ? HTTP_REASON_CHUNK_SIZE : HTTP_REASON_CHUNK_EXT;
    c->state = (uint8_t)next;
    if (next == SIZE_LF)
        return HTTP_GO;
    return c->ext_bytes++ >= c->limits->chunk_ext_bytes_max ? HTTP_REASON_CHUNK_EXT_LARGE : HTTP_GO;
}

static int size_read(struct http_chunked *c, uint8_t byte)
{
    int digit = hex_digit(byte);

    if (digit >= 0) {
        if (c->digits++ == DIGITS_MAX)
            return HTTP_REASON_CHUNK_SIZE;
        c->chunk_bytes = c->chunk_bytes << 4 | (unsigned)digit;
        return HTTP_GO;
    }
    if (c->digits == 0 || c->chunk_bytes > INT64_MAX - c->body_bytes)
        return HTTP_REASON_CHUNK_SIZE;
    c->state = byte == '\r' ? SIZE_LF : SIZE_BLANK;
    return byte == '\r' ? HTTP_GO : ext_read(c, byte);
}

/* One byte of what stands between the pieces of data. */
static int between_read(struct http_chunked *c, uint8_t byte)
{
    switch (c->state) {
    case SIZE:
        return size_read(c, byte);
    case DATA_CR:
        if (byte != '\r')
            return byte == '\n' ? HTTP_REASON_BARE_LF : HTTP_REASON_CHUNK_END;
        c->state = DATA_LF;
        return HTTP_GO;
    case SIZE_LF:
    case DATA_LF:
        if (byte != '\n')
            return HTTP_REASON_BARE_CR;
        if (c->state == SIZE_LF) {
            c->state = c->chunk_bytes ? DATA : TRAILERS;
        } else {
            c->state = SIZE;
            c->digits = 0;
        }
        return HTTP_GO;
    default:
        return ext_read(c, byte);
    }
}

static void input_forward(struct leat_view *input, size_t bytes)
{
    input->data += bytes;
    input->length_bytes -= bytes;
}

static int chunked_fail(struct http_chunked *c, enum http_reason reason)
{
    c->reason = (uint8_t)reason;
    return -http_reason_status(reason);
}

/* Gathers input behind what came before. The bytes that turn out to follow the section are copied
 * in vain, but stay in input. */
static int trailers_read(struct http_chunked *c, struct leat_view *input)
{
    size_t room = c->area_bytes_max - c->area_length, before = c->area_length;
    size_t more = input->length_bytes < room ? input->length_bytes : room;
    int used;

    if (before == 0 && input->length_bytes >= 2 && memcmp(input->data, "\r\n", 2) == 0) {
        input_forward(input, 2);
        c->state = END;
        return HTTP_CHUNK_END;
    }
    if (more)
        memcpy(c->area + before, input->data, more);
    c->area_length += (uint32_t)more;
    used = http_parse_head(c->trailers, c->area, c->area_length, c->limits);
    if (used < 0)
        return chunked_fail(c, c->trailers->reason == HTTP_REASON_HEAD_LARGE
                                   ? HTTP_REASON_TRAILER_LARGE
                                   : (enum http_reason)c->trailers->reason);
    if (used > 0) {
        input_forward(input, (size_t)used - before);
        c->state = END;
        return HTTP_CHUNK_END;
    }
    input_forward(input, more);
    return c->area_length == c->area_bytes_max ? chunked_fail(c, HTTP_REASON_TRAILER_LARGE)
                                               : HTTP_CHUNK_MORE;
}

static int data_read(struct http_chunked *c, struct leat_view *input, struct leat_view *payload)
{
    size_t bytes = input->length_bytes < c->chunk_bytes ? input->length_bytes : c->chunk_bytes;

    *payload = (struct leat_view){input->data, bytes};
    input_forward(input, bytes);
    c->body_bytes += bytes;
    c->chunk_bytes -= bytes;
    if (c->chunk_bytes == 0)
        c->state = DATA_CR;
    return HTTP_CHUNK_DATA;
}

void http_chunked_unread(struct http_chunked *c, size_t bytes)
{
    DCHECK(c->state == DATA || c->state == DATA_CR);
    c->body_bytes -= bytes;
    c->chunk_bytes += bytes;
    if (bytes > 0)
        c->state = DATA;
}

int http_chunked_decode(struct http_chunked *chunked, struct leat_view *input,
                        struct leat_view *payload)
{
    int reason;

    if (chunked->state == END)
        return HTTP_CHUNK_END;
    while (input->length_bytes) {
        if (chunked->state == DATA)
            return data_read(chunked, input, payload);
        if (chunked->state == TRAILERS)
            return trailers_read(chunked, input);
        reason = between_read(chunked, (uint8_t)*input->data);
        if (reason != HTTP_GO)
            return chunked_fail(chunked, (enum http_reason)reason);
        input_forward(input, 1);
    }
    return HTTP_CHUNK_MORE;
}
