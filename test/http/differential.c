#include "test/http/differential.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t test_random(uint64_t *seed)
{
    uint64_t z = *seed += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static void fill_limits(struct http_limits *limits, const struct http_isa *isa)
{
    http_limits_init(limits);
    limits->isa = isa;
}

/* The first pieces are delivered one after the other from copies of exactly their size. */
static int parse_pieces(struct http_head *head, enum http_kind kind,
                        const struct http_limits *limits, const uint8_t *bytes, size_t length,
                        const size_t splits[3])
{
    int used = 0;

    http_head_init(head, kind);
    memset(head->fields, 0xa5, sizeof(head->fields));
    for (unsigned i = 0; i < 4 && used == 0; i++) {
        size_t piece = i < 3 ? splits[i] : length;
        uint8_t *copy = malloc(piece ? piece : 1);
        LEAT_CHECK(copy);
        if (piece)
            memcpy(copy, bytes, piece);
        used = http_parse_head(head, copy, piece, limits);
        free(copy);
    }
    return used;
}

static void compare(const char *what, const struct text *reference, const struct text *ours)
{
    if (strcmp(reference->bytes, ours->bytes) == 0)
        return;
    fprintf(stderr, "%s\nreference: %s\nours:      %s\n", what, reference->bytes, ours->bytes);
    abort();
}

static void differential_head(enum http_kind kind, const struct text *reference,
                              const uint8_t *bytes, size_t length, uint64_t seed)
{
    static struct text ours;
    const struct http_isa *isa;
    struct http_limits limits;
    struct http_head head;

    for (unsigned i = 0; (isa = http_isa_at(i)); i++) {
        for (unsigned round = 0; round < 2; round++) {
            size_t splits[3] = {length, length, length}, end = length;
            for (unsigned j = 0; round && j < 3; j++)
                splits[2 - j] = end = test_random(&seed) % (end + 1);
            fill_limits(&limits, isa);
            int used = parse_pieces(&head, kind, &limits, bytes, length, splits);
            ours.length = 0;
            if (used < 0)
                text_add(&ours, "%d", -used);
            else
                describe_head(&ours, &head, bytes, used);
            compare(isa->name, reference, &ours);
        }
    }
}

void differential_request(const uint8_t *bytes, size_t length, uint64_t seed)
{
    static struct text reference;

    length = length < DIFFERENTIAL_BYTES_MAX ? length : DIFFERENTIAL_BYTES_MAX;
    reference.length = 0;
    reference_request(&reference, bytes, length);
    differential_head(HTTP_REQUEST, &reference, bytes, length, seed);
}

void differential_response(const uint8_t *bytes, size_t length, uint64_t seed)
{
    static struct text reference;

    length = length < DIFFERENTIAL_BYTES_MAX ? length : DIFFERENTIAL_BYTES_MAX;
    reference.length = 0;
    reference_response(&reference, bytes, length);
    differential_head(HTTP_RESPONSE, &reference, bytes, length, seed);
}

/* Feeds one piece: false when the decoder has ended or failed. */
static bool feed(struct text *text, struct http_chunked *chunked, const uint8_t *piece,
                 size_t length, size_t *used, int *outcome)
{
    struct leat_view input = {(const char *)piece, length}, payload;

    while ((*outcome = http_chunked_decode(chunked, &input, &payload)) == HTTP_CHUNK_DATA) {
        LEAT_CHECK(payload.length_bytes > 0 && payload.data >= (const char *)piece);
        LEAT_CHECK(payload.data + payload.length_bytes == input.data);
        text_add_bytes(text, payload.data, payload.length_bytes);
    }
    *used += length - input.length_bytes;
    LEAT_CHECK(*outcome != HTTP_CHUNK_MORE || input.length_bytes == 0);
    return *outcome == HTTP_CHUNK_MORE;
}

enum http_reason describe_chunked(struct text *text, const uint8_t *bytes, size_t length,
                                  size_t step, uint64_t *seed)
{
    uint8_t *area = malloc(REFERENCE_AREA_BYTES);
    struct http_chunked chunked;
    struct http_limits limits;
    struct http_head trailers;
    int outcome = HTTP_CHUNK_MORE;
    size_t used = 0;

    LEAT_CHECK(area);
    http_limits_init(&limits);
    http_chunked_init(&chunked, &limits, &trailers, area, REFERENCE_AREA_BYTES);
    text_add(text, "'");
    for (size_t at = 0, piece = 0; at < length; at += piece) {
        piece = step ? step : 1 + test_random(seed) % 40;
        piece = piece < length - at ? piece : length - at;
        uint8_t *copy = malloc(piece);
        LEAT_CHECK(copy);
        memcpy(copy, bytes + at, piece);
        bool more = feed(text, &chunked, copy, piece, &used, &outcome);
        free(copy);
        if (!more)
            break;
    }
    if (outcome == HTTP_CHUNK_END) {
        text_add(text, "' END %zu", used);
        describe_fields(text, &trailers, area);
    } else if (outcome < 0) {
        text_add(text, "' %d", -outcome);
    } else {
        text_add(text, "' 0");
    }
    free(area);
    return (enum http_reason)chunked.reason;
}

void differential_chunked(const uint8_t *bytes, size_t length, uint64_t seed)
{
    static struct text reference, ours;
    size_t steps[] = {DIFFERENTIAL_BYTES_MAX, 1, 0};

    length = length < DIFFERENTIAL_BYTES_MAX ? length : DIFFERENTIAL_BYTES_MAX;
    reference.length = 0;
    reference_chunked(&reference, bytes, length);
    for (unsigned i = 0; i < 3; i++) {
        ours.length = 0;
        describe_chunked(&ours, bytes, length, steps[i], &seed);
        compare("chunked", &reference, &ours);
    }
}
