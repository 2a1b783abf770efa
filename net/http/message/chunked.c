/* The chunked transfer coding (RFC 9112 7.1). */
#include "net/http/message/parser_internal.h"

enum {
    SIZE,  /* in the digits */
    BLANK, /* "bad white space" between size and ";": a space that may not end the line */
    EXT,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILERS,
    END,
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

/* Extensions mean nothing to us; they are bounded, and may not hide a line end. Before the ";"
 * there may be blanks ("bad white space"), but not in place of it. */
static int ext_read(struct http_chunked *c, uint8_t byte)
{
    if (byte == '\n')
        return HTTP_REASON_BARE_LF;
    if (c->state != EXT) {
        if (byte != ' ' && byte != '\t' && byte != ';')
            return HTTP_REASON_CHUNK_SIZE;
        c->state = byte == ';' ? EXT : BLANK;
    } else if (byte == '\r') {
        c->state = SIZE_LF;
        return HTTP_GO;
    } else if (!(http_class[byte] & HTTP_IS_VALUE)) {
        return HTTP_REASON_CHUNK_EXT;
    }
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
    if (byte == '\r')
        c->state = SIZE_LF;
    else
        return ext_read(c, byte);
    return HTTP_GO;
}

/* One byte of what stands between the pieces of data. */
static int between_read(struct http_chunked *c, uint8_t byte)
{
    switch (c->state) {
    case SIZE:
        return size_read(c, byte);
    case BLANK:
    case EXT:
        return ext_read(c, byte);
    case DATA_CR:
        if (byte != '\r')
            return byte == '\n' ? HTTP_REASON_BARE_LF : HTTP_REASON_CHUNK_END;
        c->state = DATA_LF;
        return HTTP_GO;
    default: /* SIZE_LF, DATA_LF */
        if (byte != '\n')
            return HTTP_REASON_BARE_CR;
        if (c->state == SIZE_LF) {
            c->state = c->chunk_bytes ? DATA : TRAILERS;
        } else {
            c->state = SIZE;
            c->digits = 0;
        }
        return HTTP_GO;
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
