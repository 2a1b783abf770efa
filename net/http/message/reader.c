/* Responses, read in order. */
#include "net/http/message/reader.h"

#include <string.h>

#include "buffers/heap.h"

/* A head that came in pieces, or has folded lines: it is gathered, so that the parser sees one run
 * of bytes, which may be changed. */
struct http_reader_split {
    struct http_head head;
    uint32_t length, room;
    uint8_t bytes[]; /* room of them */
};

struct http_reader_chunks {
    struct http_chunked chunked;
    struct http_head trailers;
    uint8_t area[HTTP_READER_TRAILER_BYTES_MAX];
};

void http_reader_core_init(struct http_reader_core *core)
{
    http_limits_init(&core->limits);
    core->last_bytes = 0;
    core->has_no_digest = false;
    core->may_switch = false;
    core->limits.head_bytes_max = HTTP_READER_HEAD_BYTES;
    core->limits.fields_max = HTTP_FIELDS_WALL;
}

void http_reader_init(struct http_reader *reader)
{
    *reader = (struct http_reader){0};
}

void http_reader_fini(struct http_reader *reader)
{
    leat_heap_free(reader->split);
    leat_heap_free(reader->chunks);
    reader->split = NULL;
    reader->chunks = NULL;
}

static enum http_read reader_fail(struct http_reader *reader, uint8_t reason)
{
    reader->state = HTTP_READER_FAILED;
    reader->reason = reason;
    return HTTP_READ_BAD;
}

/* The digest is a sum over the body's words, each multiplied with a number of its own place. The
 * terms do not depend on each other, so that the processor computes several at once. */
static uint64_t digest_term(uint64_t word, uint64_t place)
{
    unsigned __int128 product = (unsigned __int128)(word ^ UINT64_C(0x9e3779b97f4a7c15)) *
                                ((place * UINT64_C(0xd6e8feb86659fd93)) | 1);
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static void body_add(struct http_reader *reader, const struct http_reader_core *core,
                     const uint8_t *bytes, size_t length)
{
    uint64_t at = reader->body_bytes, sum = reader->sum;
    size_t i = 0;
    reader->body_bytes += length;
    if (core->has_no_digest)
        return;
    for (; i < length && (at & 7) != 0; i++, at++) {
        reader->word |= (uint64_t)bytes[i] << (8 * (at & 7));
        if ((at & 7) == 7) {
            sum += digest_term(reader->word, at / 8);
            reader->word = 0;
        }
    }
    for (; length - i >= 8; i += 8, at += 8) {
        uint64_t word;
        memcpy(&word, bytes + i, 8);
        sum += digest_term(word, at / 8);
    }
    for (; i < length; i++, at++)
        reader->word |= (uint64_t)bytes[i] << (8 * (at & 7));
    reader->sum = sum;
}

uint64_t http_reader_digest(const struct http_reader *reader)
{
    return reader->sum + digest_term(reader->word, reader->body_bytes / 8) +
           digest_term(reader->body_bytes, UINT64_MAX);
}

static enum http_read chunks_begin(struct http_reader *reader, const struct http_reader_core *core)
{
    struct http_reader_chunks *chunks = reader->chunks;
    if (chunks == NULL) {
        chunks = leat_heap_alloc(sizeof(*chunks));
        if (chunks == NULL)
            return HTTP_READ_MEMORY;
        reader->chunks = chunks;
    }
    http_chunked_init(&chunks->chunked, &core->limits, &chunks->trailers, chunks->area,
                      sizeof(chunks->area));
    reader->state = HTTP_READER_CHUNKS;
    return HTTP_READ_MORE;
}

static struct http_reader_head meaning_of(const struct http_head *head, enum leat_method method)
{
    return (struct http_reader_head){
        .content_length = head->content_length,
        .status = head->status,
        .framing = (uint8_t)http_framing_of(head, method),
        .is_keep_alive = head->keep_alive && head->status != 101,
    };
}

/* A head is complete. HTTP_READ_END when the response is, too. */
static enum http_read head_done(struct http_reader *reader, const struct http_reader_core *core,
                                const struct http_reader_head *head)
{
    if (head->status < 200 && head->status != 101)
        return HTTP_READ_MORE; /* interim, RFC 9110 15.2: the response proper is still to come */
    if (unlikely(head->status == 101 && !core->may_switch))
        return reader_fail(reader, HTTP_REASON_SWITCHED);
    reader->status = head->status;
    reader->is_keep_alive = head->is_keep_alive;
    reader->sum = 0;
    reader->word = 0;
    reader->body_bytes = 0;
    switch (head->framing) {
    case HTTP_BODY_NONE:
        return HTTP_READ_END;
    case HTTP_BODY_LENGTH:
        reader->left_bytes = head->content_length;
        reader->state = HTTP_READER_BODY;
        return HTTP_READ_MORE;
    case HTTP_BODY_CHUNKED:
        return chunks_begin(reader, core);
    default:
        reader->left_bytes = UINT64_MAX;
        reader->is_keep_alive = false;
        reader->state = HTTP_READER_BODY;
        return HTTP_READ_MORE;
    }
}

static void input_skip(struct leat_view *input, size_t bytes)
{
    input->data += bytes;
    input->length_bytes -= bytes;
}

static struct http_reader_split *split_new(const struct http_reader_core *core)
{
    uint32_t room = core->limits.head_bytes_max;
    struct http_reader_split *split = leat_heap_alloc(sizeof(*split) + room);
    if (split != NULL) {
        http_head_init(&split->head, HTTP_RESPONSE);
        split->length = 0;
        split->room = room;
    }
    return split;
}

/* RFC 9112 5.2: a user agent replaces line folding, which is within values only, by spaces. Returns
 * whether there was any. */
static bool head_unfold(uint8_t *bytes, size_t length)
{
    bool was_folded = false, is_start_line = true, has_colon = false;
    for (size_t i = 0; i + 2 < length; i++) {
        has_colon = has_colon || (bytes[i] == ':' && !is_start_line);
        if (bytes[i] != '\r' || bytes[i + 1] != '\n')
            continue;
        if (bytes[i + 2] == '\r')
            break; /* the end of the head */
        bool is_fold = has_colon && (bytes[i + 2] == ' ' || bytes[i + 2] == '\t');
        if (is_fold)
            memset(bytes + i, ' ', 2);
        was_folded = was_folded || is_fold;
        has_colon = is_fold;
        is_start_line = false;
    }
    return was_folded;
}

/* Whether a folded line may be why a head is refused: it is one, or a value that seems wrong goes
 * on in it. */
static bool is_cured_by_unfolding(uint8_t reason)
{
    return reason == HTTP_REASON_FOLD || reason == HTTP_REASON_LENGTH ||
           reason == HTTP_REASON_CODING || reason == HTTP_REASON_CODING_UNKNOWN;
}

/* Whether the value that seems wrong may be one whose fold has not come yet. */
static bool may_go_on(const struct http_reader_split *split, size_t length)
{
    const uint8_t *end = split->bytes + length;
    return split->head.reason != HTTP_REASON_FOLD && is_cured_by_unfolding(split->head.reason) &&
           length >= 4 && memcmp(end - 2, "\r\n", 2) == 0 && memcmp(end - 4, "\r\n", 2) != 0;
}

/* As http_parse_head, of what is gathered and more bytes behind it. */
static int split_parse(struct http_reader_split *split, const struct http_reader_core *core,
                       size_t more)
{
    size_t length = split->length + more;
    int used = http_parse_head(&split->head, split->bytes, length, &core->limits);
    if (likely(used >= 0) || !is_cured_by_unfolding(split->head.reason))
        return used;
    if (head_unfold(split->bytes, length)) {
        http_head_init(&split->head, HTTP_RESPONSE);
        used = http_parse_head(&split->head, split->bytes, length, &core->limits);
    }
    if (used < 0 && may_go_on(split, length)) {
        http_head_init(&split->head, HTTP_RESPONSE);
        return 0;
    }
    return used;
}

/* Gathers what there is of a head in reader->split. */
static enum http_read head_split(struct http_reader *reader, const struct http_reader_core *core,
                                 enum leat_method method, struct leat_view *input)
{
    struct http_reader_split *split = reader->split;
    if (split == NULL) {
        split = split_new(core);
        if (split == NULL)
            return HTTP_READ_MEMORY;
        reader->split = split;
    }
    size_t room = split->room - split->length;
    size_t taken = input->length_bytes < room ? input->length_bytes : room;
    memcpy(split->bytes + split->length, input->data, taken);
    int used = split_parse(split, core, taken);
    if (used < 0)
        return reader_fail(reader, split->head.reason);
    if (used == 0 && taken == room)
        return reader_fail(reader, HTTP_REASON_HEAD_LARGE);
    if (used == 0) {
        split->length += (uint32_t)taken;
        input_skip(input, taken);
        return HTTP_READ_MORE;
    }
    input_skip(input, (size_t)used - split->length);
    struct http_reader_head head = meaning_of(&split->head, method);
    enum http_read outcome = head_done(reader, core, &head);
    leat_heap_free(split);
    reader->split = NULL;
    return outcome;
}

static enum http_read read_head(struct http_reader *reader, struct http_reader_core *core,
                                enum leat_method method, struct leat_view *input)
{
    if (unlikely(reader->split != NULL))
        return head_split(reader, core, method, input);
    if (likely(core->last_bytes != 0 && input->length_bytes >= core->last_bytes &&
               core->last_method == method &&
               memcmp(core->last_head, input->data, core->last_bytes) == 0)) {
        input_skip(input, core->last_bytes);
        return head_done(reader, core, &core->last);
    }
    http_head_init(&core->head, HTTP_RESPONSE);
    int used = http_parse_head(&core->head, (const uint8_t *)input->data, input->length_bytes,
                               &core->limits);
    if (unlikely(used == 0 || (used < 0 && is_cured_by_unfolding(core->head.reason))))
        return head_split(reader, core, method, input);
    if (unlikely(used < 0))
        return reader_fail(reader, core->head.reason);
    core->last = meaning_of(&core->head, method);
    core->last_method = method;
    core->last_bytes = used <= HTTP_READER_LAST_BYTES_MAX ? (uint32_t)used : 0;
    memcpy(core->last_head, input->data, core->last_bytes);
    input_skip(input, (size_t)used);
    return head_done(reader, core, &core->last);
}

static enum http_read read_body(struct http_reader *reader, const struct http_reader_core *core,
                                struct leat_view *input)
{
    size_t taken =
        input->length_bytes < reader->left_bytes ? input->length_bytes : (size_t)reader->left_bytes;
    body_add(reader, core, (const uint8_t *)input->data, taken);
    input_skip(input, taken);
    if (reader->left_bytes == UINT64_MAX)
        return HTTP_READ_MORE;
    reader->left_bytes -= taken;
    return reader->left_bytes > 0 ? HTTP_READ_MORE : HTTP_READ_END;
}

static enum http_read read_chunks(struct http_reader *reader, const struct http_reader_core *core,
                                  struct leat_view *input)
{
    struct http_chunked *chunked = &reader->chunks->chunked;
    struct leat_view payload;
    int outcome;
    while ((outcome = http_chunked_decode(chunked, input, &payload)) == HTTP_CHUNK_DATA)
        body_add(reader, core, (const uint8_t *)payload.data, payload.length_bytes);
    if (outcome < 0)
        return reader_fail(reader, chunked->reason);
    return outcome == HTTP_CHUNK_END ? HTTP_READ_END : HTTP_READ_MORE;
}

enum http_read http_reader_next(struct http_reader *reader, struct http_reader_core *core,
                                enum leat_method method, struct leat_view *input)
{
    while (input->length_bytes > 0) {
        enum http_read outcome;
        switch (reader->state) {
        case HTTP_READER_HEAD:
            outcome = read_head(reader, core, method, input);
            break;
        case HTTP_READER_BODY:
            outcome = read_body(reader, core, input);
            break;
        case HTTP_READER_CHUNKS:
            outcome = read_chunks(reader, core, input);
            break;
        default:
            return HTTP_READ_BAD;
        }
        if (outcome == HTTP_READ_END)
            reader->state = HTTP_READER_HEAD;
        if (outcome != HTTP_READ_MORE)
            return outcome;
    }
    return HTTP_READ_MORE;
}

enum http_read http_reader_finish(struct http_reader *reader)
{
    if (reader->state == HTTP_READER_BODY && reader->left_bytes == UINT64_MAX) {
        reader->state = HTTP_READER_HEAD;
        return HTTP_READ_END;
    }
    return http_reader_is_within(reader) ? HTTP_READ_BAD : HTTP_READ_MORE;
}
