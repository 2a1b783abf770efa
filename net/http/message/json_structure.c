/* JSON's tokenizer: the structure between strings, numbers and literals, and the pieces. */
#include "net/http/message/json_internal.h"

#include "buffers/heap.h"

static const char *const literals[] = {"null", "false", "true"};

void leat_json_init(struct leat_json *json, const struct leat_json_limits *limits)
{
    memset(json, 0, sizeof(*json));
    if (limits != NULL)
        json->limits = *limits;
    struct leat_json_limits *own = &json->limits;
    if (own->document_bytes_max == 0)
        own->document_bytes_max = LEAT_JSON_DOCUMENT_BYTES_MAX;
    if (own->string_bytes_max == 0)
        own->string_bytes_max = LEAT_JSON_STRING_BYTES_MAX;
    if (own->depth_max == 0 || own->depth_max > LEAT_JSON_DEPTH_MAX)
        own->depth_max = LEAT_JSON_DEPTH_MAX;
    leat_json_reset(json);
}

void leat_json_fini(struct leat_json *json)
{
    leat_heap_free(json->gathered);
    json->gathered = NULL;
    json->gathered_room = 0;
}

void leat_json_reset(struct leat_json *json)
{
    struct leat_json fresh = {
        .limits = json->limits,
        .gathered = json->gathered,
        .gathered_room = json->gathered_room,
        .left_bytes = json->limits.document_bytes_max,
        .line = 1,
        .column = 1,
        .expects = JSON_EXPECTS_VALUE,
    };
    *json = fresh;
}

static const uint8_t *stop_of(const struct leat_json *json)
{
    size_t rest = (size_t)(json->end - json->at);
    return json->at + (rest < LEAT_JSON_YIELD_BYTES ? rest : LEAT_JSON_YIELD_BYTES);
}

void leat_json_feed(struct leat_json *json, const void *bytes, size_t length_bytes)
{
    static const uint8_t nothing[1];
    CHECK(json->at == json->end && !json->is_last);
    json->is_last = bytes == NULL;
    if (bytes == NULL) {
        bytes = nothing;
        length_bytes = 0;
    }
    if (length_bytes > json->left_bytes) {
        length_bytes = (size_t)json->left_bytes;
        json->is_cut = true;
    }
    json->left_bytes -= length_bytes;
    json->at = json->counted = bytes;
    json->end = json->at + length_bytes;
    json->stop = stop_of(json);
}

static bool is_in_object(const struct leat_json *json)
{
    return json->depth != 0 && (json->objects >> (json->depth - 1) & 1) != 0;
}

static void value_done(struct leat_json *json)
{
    if (json->depth == 0)
        json->expects = JSON_EXPECTS_NOTHING;
    else
        json->expects = is_in_object(json) ? JSON_EXPECTS_MORE_MEMBERS : JSON_EXPECTS_MORE_ELEMENTS;
}

static enum json_piece level_open(struct leat_json *json, struct leat_json_token *token)
{
    bool is_object = *json->at == '{';
    if (json->depth == json->limits.depth_max)
        return json_fail(json, -EMSGSIZE, "more levels than may be");
    json->objects |= (uint64_t)is_object << json->depth++;
    json->expects = is_object ? JSON_EXPECTS_NAME_OR_END : JSON_EXPECTS_VALUE_OR_END;
    json->at++;
    token->kind = is_object ? LEAT_JSON_OBJECT : LEAT_JSON_ARRAY;
    return JSON_PIECE_READY;
}

static enum json_piece level_close(struct leat_json *json, struct leat_json_token *token)
{
    json->depth--;
    json->objects &= ~(UINT64_C(1) << json->depth);
    json->at++;
    value_done(json);
    token->kind = LEAT_JSON_END;
    return JSON_PIECE_READY;
}

static enum json_piece literal_read(struct leat_json *json, struct leat_json_token *token)
{
    const char *literal = literals[json->literal];
    for (; literal[json->literal_count] != '\0'; json->literal_count++, json->at++) {
        if (json->at == json->stop)
            return JSON_PIECE_MORE;
        if (*json->at != (uint8_t)literal[json->literal_count])
            return json_fail(json, -EBADMSG, literal);
    }
    token->kind = (enum leat_json_kind)(LEAT_JSON_NULL + json->literal);
    return JSON_PIECE_READY;
}

/* The token that has begun; its value ends here, or in a later piece. */
static enum json_piece part_read(struct leat_json *json, struct leat_json_token *token)
{
    enum json_piece piece;
    if (json->part == JSON_PART_LITERAL) {
        piece = literal_read(json, token);
    } else if (json->part == JSON_PART_NUMBER) {
        piece = json_number_read(json, token);
    } else {
        piece = json_string_read(json, &token->text);
        if (piece == JSON_PIECE_READY &&
            (json->expects == JSON_EXPECTS_NAME || json->expects == JSON_EXPECTS_NAME_OR_END)) {
            json->part = JSON_PART_NONE;
            json->expects = JSON_EXPECTS_COLON;
            token->kind = LEAT_JSON_NAME;
            return JSON_PIECE_READY;
        }
        token->kind = LEAT_JSON_STRING;
    }
    if (piece == JSON_PIECE_READY) {
        json->part = JSON_PART_NONE;
        value_done(json);
    }
    return piece;
}

static enum json_piece string_begin(struct leat_json *json, struct leat_json_token *token)
{
    json->string_at = json->at++;
    json->part = JSON_PART_STRING;
    json->valid_bytes = 0;
    return part_read(json, token);
}

static const char *expects_sentence(const struct leat_json *json)
{
#define JSON_EXPECTS_SENTENCE(constant, sentence) sentence,
    static const char *const sentences[] = {JSON_EXPECTS(JSON_EXPECTS_SENTENCE)};
    return sentences[json->expects];
}

static enum json_piece value_begin(struct leat_json *json, struct leat_json_token *token)
{
    uint8_t byte = *json->at;
    switch (byte) {
    case '{':
    case '[':
        return level_open(json, token);
    case '"':
        return string_begin(json, token);
    case 'n':
    case 'f':
    case 't':
        json->part = JSON_PART_LITERAL;
        json->literal = byte == 'n' ? 0 : byte == 'f' ? 1 : 2;
        json->literal_count = 0;
        return part_read(json, token);
    default:
        if (byte != '-' && byte - (unsigned)'0' > 9)
            return json_fail(json, -EBADMSG, expects_sentence(json));
        json->part = JSON_PART_NUMBER;
        json->number_state = 0;
        return part_read(json, token);
    }
}

/* The byte at json->at, which is no space; MORE: it was a comma or a colon. */
static enum json_piece structure_byte(struct leat_json *json, struct leat_json_token *token)
{
    uint8_t byte = *json->at;
    enum json_expects expects = json->expects;
    switch (expects) {
    case JSON_EXPECTS_VALUE_OR_END:
        if (byte == ']')
            return level_close(json, token);
        return value_begin(json, token);
    case JSON_EXPECTS_VALUE:
        return value_begin(json, token);
    case JSON_EXPECTS_NAME:
    case JSON_EXPECTS_NAME_OR_END:
        if (byte == '"')
            return string_begin(json, token);
        if (byte == '}' && expects == JSON_EXPECTS_NAME_OR_END)
            return level_close(json, token);
        break;
    case JSON_EXPECTS_COLON:
        if (byte != ':')
            break;
        json->at++;
        json->expects = JSON_EXPECTS_VALUE;
        return JSON_PIECE_MORE;
    case JSON_EXPECTS_MORE_MEMBERS:
    case JSON_EXPECTS_MORE_ELEMENTS:
        if (byte == (expects == JSON_EXPECTS_MORE_MEMBERS ? '}' : ']'))
            return level_close(json, token);
        if (byte != ',')
            break;
        json->at++;
        json->expects =
            expects == JSON_EXPECTS_MORE_MEMBERS ? JSON_EXPECTS_NAME : JSON_EXPECTS_VALUE;
        return JSON_PIECE_MORE;
    case JSON_EXPECTS_NOTHING:
        break;
    }
    return json_fail(json, -EBADMSG, expects_sentence(json));
}

static bool is_space(uint8_t byte)
{
    return byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t';
}

static enum json_piece structure_read(struct leat_json *json, struct leat_json_token *token)
{
    while (json->at < json->stop) {
        if (is_space(*json->at)) {
            json->at++;
            continue;
        }
        enum json_piece piece = structure_byte(json, token);
        if (piece != JSON_PIECE_MORE || json->part != JSON_PART_NONE)
            return piece;
    }
    return JSON_PIECE_MORE;
}

/* All was read up to json->stop, and no token is complete. */
static enum leat_json_step piece_end(struct leat_json *json, struct leat_json_token *token)
{
    if (json->stop == json->end && json->is_cut) {
        (void)json_fail(json, -EMSGSIZE, "more bytes than may be");
        return LEAT_JSON_WRONG;
    }
    if (json->stop < json->end || !json->is_last) {
        json_string_place(json);
        json_count_to(json, json->stop);
        if (json->stop == json->end)
            return LEAT_JSON_WAIT;
        json->stop = stop_of(json);
        return LEAT_JSON_YIELD;
    }
    if (json->part == JSON_PART_NUMBER) {
        if (json_number_finish(json, token) == JSON_PIECE_WRONG)
            return LEAT_JSON_WRONG;
        json->part = JSON_PART_NONE;
        value_done(json);
        return LEAT_JSON_TOKEN;
    }
    if (json->part == JSON_PART_NONE && json->expects == JSON_EXPECTS_NOTHING)
        return LEAT_JSON_DONE;
    const char *wanted = json->part == JSON_PART_NONE      ? expects_sentence(json)
                         : json->part == JSON_PART_LITERAL ? literals[json->literal]
                                                           : "the end of the string";
    (void)json_fail(json, -EBADMSG, wanted);
    return LEAT_JSON_WRONG;
}

enum leat_json_step leat_json_next(struct leat_json *json, struct leat_json_token *token)
{
    if (unlikely(json->code != 0))
        return LEAT_JSON_WRONG;
    if (json->part == JSON_PART_NONE)
        json->gathered_bytes = 0; /* the last token's */
    token->text = (struct leat_view){NULL, 0};
    enum json_piece piece =
        json->part == JSON_PART_NONE ? structure_read(json, token) : part_read(json, token);
    if (likely(piece == JSON_PIECE_READY))
        return LEAT_JSON_TOKEN;
    return piece == JSON_PIECE_WRONG ? LEAT_JSON_WRONG : piece_end(json, token);
}
