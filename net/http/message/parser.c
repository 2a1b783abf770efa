#include "net/http/message/parser_internal.h"

/* RFC 9110 5.6.2: tchar. 5.5: field-vchar, SP and HTAB. RFC 9112 3.2 and RFC 3986: a target has
 * visible ASCII only; "#" would begin a fragment, which is never sent, and "?" is stopped at
 * because it splits the target. Other visible bytes that RFC 3986 wants escaped (such as "|") are
 * sent by browsers, and are harmless to framing. RFC 3986 3.2.2: reg-name. */
#define IN(c, a, b) ((c) >= (a) && (c) <= (b))
#define ALNUM(c)    (IN(c, '0', '9') || IN(c, 'a', 'z') || IN(c, 'A', 'Z'))
#define ONE(c, x)   ((c) == (x))
#define SUB(c)      (ONE(c, '!') || ONE(c, '$') || IN(c, '&', ',') || ONE(c, ';') || ONE(c, '='))
#define TOKEN(c)                                                                                   \
    (ALNUM(c) || ONE(c, '!') || IN(c, '#', '\'') || ONE(c, '*') || ONE(c, '+') || ONE(c, '-') ||   \
     ONE(c, '.') || IN(c, '^', '`') || ONE(c, '|') || ONE(c, '~'))
#define VALUE(c)  (ONE(c, '\t') || (IN(c, 0x20, 0xff) && !ONE(c, 0x7f)))
#define TARGET(c) (IN(c, 0x21, 0x7e) && !ONE(c, '#') && !ONE(c, '?'))
#define HOST(c)   (ALNUM(c) || SUB(c) || ONE(c, '-') || ONE(c, '.') || ONE(c, '_') || ONE(c, '~'))
#define C1(c)                                                                                      \
    (uint8_t)((TOKEN(c) ? HTTP_IS_TOKEN : 0) | (VALUE(c) ? HTTP_IS_VALUE : 0) |                    \
              (TARGET(c) ? HTTP_IS_TARGET : 0) | (HOST(c) ? HTTP_IS_HOST : 0))
#define C4(c)  C1(c), C1((c) + 1), C1((c) + 2), C1((c) + 3)
#define C16(c) C4(c), C4((c) + 4), C4((c) + 8), C4((c) + 12)
#define C64(c) C16(c), C16((c) + 16), C16((c) + 32), C16((c) + 48)

const uint8_t http_class[256] = {C64(0), C64(64), C64(128), C64(192)};

#define BIT(in, u, l) (in(16 * (u) + (l)) ? 1 << (u) : 0)
#define ROW(in, l)                                                                                 \
    (uint8_t)(BIT(in, 2, l) | BIT(in, 3, l) | BIT(in, 4, l) | BIT(in, 5, l) | BIT(in, 6, l) |      \
              BIT(in, 7, l))
#define ROWS(in)                                                                                   \
    {                                                                                              \
        ROW(in, 0), ROW(in, 1), ROW(in, 2), ROW(in, 3), ROW(in, 4), ROW(in, 5), ROW(in, 6),        \
            ROW(in, 7), ROW(in, 8), ROW(in, 9), ROW(in, 10), ROW(in, 11), ROW(in, 12),             \
            ROW(in, 13), ROW(in, 14), ROW(in, 15)                                                  \
    }
const uint8_t http_token_rows[16] = ROWS(TOKEN);
const uint8_t http_host_rows[16] = ROWS(HOST);

#define TIMES32(c)                                                                                 \
    {                                                                                              \
        [0 ... 31] = (c)                                                                           \
    }
#define POWERS 1, 2, 4, 8, 16, 32, 64, 128
const struct http_vectors http_vectors = {
    .space = TIMES32(0x20),
    .tab = TIMES32('\t'),
    .del = TIMES32(0x7f),
    .hash = TIMES32('#'),
    .query = TIMES32('?'),
    .control = TIMES32(0x1f),
    .half = TIMES32(15),
    .bits = {POWERS, POWERS, POWERS, POWERS},
};

static const struct {
    const char *name, *sentence;
    int status;
} reasons[HTTP_REASON_COUNT] = {[HTTP_REASON_NONE] = {"NONE", "nothing is wrong", 0},
#define LEAT_X(name, status, sentence) [HTTP_REASON_##name] = {#name, sentence, status},
                                HTTP_REASONS(LEAT_X)
#undef LEAT_X
};

const char *http_reason_name(enum http_reason reason)
{
    return reasons[(unsigned)reason < HTTP_REASON_COUNT ? reason : HTTP_REASON_NONE].name;
}

const char *http_reason_sentence(enum http_reason reason)
{
    return reasons[(unsigned)reason < HTTP_REASON_COUNT ? reason : HTTP_REASON_NONE].sentence;
}

int http_reason_status(enum http_reason reason)
{
    return reasons[(unsigned)reason < HTTP_REASON_COUNT ? reason : HTTP_REASON_NONE].status;
}

static const char *const method_names[LEAT_METHOD_COUNT] = {[LEAT_METHOD_OTHER] = "OTHER",
#define LEAT_X(name) [LEAT_METHOD_##name] = #name,
                                                            LEAT_METHODS(LEAT_X)
#undef LEAT_X
};

const char *leat_method_name(enum leat_method method)
{
    return method_names[(unsigned)method < LEAT_METHOD_COUNT ? method : LEAT_METHOD_OTHER];
}

enum leat_method leat_method_find(const void *bytes, size_t length_bytes)
{
#define LEAT_X(name)                                                                               \
    if (length_bytes == sizeof(#name) - 1 && memcmp(bytes, #name, sizeof(#name) - 1) == 0)         \
        return LEAT_METHOD_##name;
    LEAT_METHODS(LEAT_X)
#undef LEAT_X
    return LEAT_METHOD_OTHER;
}

const struct http_isa *http_isa_at(unsigned index)
{
    const struct http_isa *found[4] = {&http_isa_scalar};
    unsigned count = 1;

#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2"))
        found[count++] = &http_isa_sse42;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2"))
        found[count++] = &http_isa_avx2;
#endif
    return index < count ? found[index] : NULL;
}

const struct http_isa *http_isa_best(void)
{
    const struct http_isa *best = NULL, *isa;

    for (unsigned i = 0; (isa = http_isa_at(i)); i++)
        best = isa;
    return best;
}

void http_limits_init(struct http_limits *limits)
{
    *limits = (struct http_limits){
        .head_bytes_max = 16384,
        .target_bytes_max = 8192,
        .fields_max = HTTP_FIELDS_WALL,
        .trailer_fields_max = 32,
        .chunk_ext_bytes_max = 4096,
        .isa = http_isa_best(),
    };
}

int http_field_next(const struct http_head *head, enum http_known known, unsigned from)
{
    for (unsigned i = from; i < head->field_count; i++)
        if (head->ids[i] == known)
            return (int)i;
    return -1;
}

static uint8_t lower(uint8_t byte)
{
    return (uint8_t)(byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte);
}

int http_field_find(const struct http_head *head, const uint8_t *bytes, const char *name,
                    unsigned from)
{
    size_t length = strlen(name);

    for (unsigned i = from; i < head->field_count; i++) {
        struct http_span span = head->fields[i].name;
        size_t same = 0;

        while (span.length == length && same < length &&
               lower(bytes[span.offset + same]) == lower((uint8_t)name[same]))
            same++;
        if (span.length == length && same == length)
            return (int)i;
    }
    return -1;
}

enum http_framing http_framing_of(const struct http_head *head, enum leat_method request_method)
{
    if (head->kind == HTTP_RESPONSE) {
        if (request_method == LEAT_METHOD_HEAD || head->status < 200 || head->status == 204 ||
            head->status == 304)
            return HTTP_BODY_NONE;
        if (request_method == LEAT_METHOD_CONNECT && head->status < 300)
            return HTTP_BODY_NONE;
    }
    if (head->chunked)
        return HTTP_BODY_CHUNKED;
    if (head->has_length)
        return head->content_length ? HTTP_BODY_LENGTH : HTTP_BODY_NONE;
    return head->kind == HTTP_RESPONSE ? HTTP_BODY_UNTIL_CLOSE : HTTP_BODY_NONE;
}
