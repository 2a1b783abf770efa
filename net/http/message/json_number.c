/* JSON's numbers (RFC 8259 6): the grammar as a table, whole numbers exactly. */
#include "net/http/message/json_internal.h"

enum number_state {
    NUMBER_BEGIN,
    NUMBER_MINUS,
    NUMBER_ZERO,
    NUMBER_WHOLE,
    NUMBER_POINT,
    NUMBER_FRACTION,
    NUMBER_E,
    NUMBER_SIGN,
    NUMBER_EXPONENT,
    NUMBER_STATES,
};

enum number_class {
    CLASS_ZERO,
    CLASS_DIGIT,
    CLASS_MINUS,
    CLASS_PLUS,
    CLASS_POINT,
    CLASS_E,
    CLASSES
};

/* A state and what may follow it: 0, 1 to 9, -, +, ., e. NUMBER_BEGIN: the byte is not the
 * number's. A number may end in NUMBER_ZERO, _WHOLE, _FRACTION, _EXPONENT. */
static const uint8_t follows[NUMBER_STATES][CLASSES] = {
    [NUMBER_BEGIN] = {NUMBER_ZERO, NUMBER_WHOLE, NUMBER_MINUS},
    [NUMBER_MINUS] = {NUMBER_ZERO, NUMBER_WHOLE},
    [NUMBER_ZERO] = {0, 0, 0, 0, NUMBER_POINT, NUMBER_E},
    [NUMBER_WHOLE] = {NUMBER_WHOLE, NUMBER_WHOLE, 0, 0, NUMBER_POINT, NUMBER_E},
    [NUMBER_POINT] = {NUMBER_FRACTION, NUMBER_FRACTION},
    [NUMBER_FRACTION] = {NUMBER_FRACTION, NUMBER_FRACTION, 0, 0, 0, NUMBER_E},
    [NUMBER_E] = {NUMBER_EXPONENT, NUMBER_EXPONENT, NUMBER_SIGN, NUMBER_SIGN},
    [NUMBER_SIGN] = {NUMBER_EXPONENT, NUMBER_EXPONENT},
    [NUMBER_EXPONENT] = {NUMBER_EXPONENT, NUMBER_EXPONENT},
};

static enum number_class class_of(uint8_t byte)
{
    if (byte - (unsigned)'0' <= 9)
        return byte == '0' ? CLASS_ZERO : CLASS_DIGIT;
    switch (byte) {
    case '-':
        return CLASS_MINUS;
    case '+':
        return CLASS_PLUS;
    case '.':
        return CLASS_POINT;
    case 'e':
    case 'E':
        return CLASS_E;
    default:
        return CLASSES;
    }
}

/* INT where it is one and fits; -0 is none, as an integer would lose its sign. */
static void number_set(struct leat_view text, bool is_whole, struct leat_json_token *token)
{
    bool is_negative = text.data[0] == '-';
    uint64_t magnitude = 0, limit = (uint64_t)INT64_MAX + is_negative;
    token->kind = LEAT_JSON_DOUBLE;
    token->text = text;
    token->integer = 0;
    if (!is_whole)
        return;
    for (size_t i = is_negative; i < text.length_bytes; i++)
        if (__builtin_mul_overflow(magnitude, 10, &magnitude) ||
            __builtin_add_overflow(magnitude, (uint64_t)(text.data[i] - '0'), &magnitude) ||
            magnitude > limit)
            return;
    if (is_negative && magnitude == 0)
        return;
    token->kind = LEAT_JSON_INT;
    token->integer = (int64_t)(is_negative ? 0 - magnitude : magnitude);
}

/* The number ends at json->at; the bytes since from are not gathered. */
static enum json_piece number_done(struct leat_json *json, const uint8_t *from,
                                   struct leat_json_token *token)
{
    enum number_state state = json->number_state;
    struct leat_view text = {(const char *)from, (size_t)(json->at - from)};
    if (state != NUMBER_ZERO && state != NUMBER_WHOLE && state != NUMBER_FRACTION &&
        state != NUMBER_EXPONENT)
        return json_fail(json, -EBADMSG, state == NUMBER_E ? "a digit or a sign" : "a digit");
    if (json->gathered_bytes != 0) {
        if (json_gather(json, from, text.length_bytes, LEAT_JSON_NUMBER_BYTES_MAX) ==
            JSON_PIECE_WRONG)
            return JSON_PIECE_WRONG;
        text = (struct leat_view){(const char *)json->gathered, json->gathered_bytes};
    } else if (text.length_bytes > LEAT_JSON_NUMBER_BYTES_MAX) {
        return json_fail(json, -EMSGSIZE, "a number longer than may be");
    }
    number_set(text, state == NUMBER_ZERO || state == NUMBER_WHOLE, token);
    return JSON_PIECE_READY;
}

enum json_piece json_number_read(struct leat_json *json, struct leat_json_token *token)
{
    const uint8_t *from = json->at;
    for (; json->at < json->stop; json->at++) {
        enum number_class class = class_of(*json->at);
        uint8_t next = class == CLASSES ? NUMBER_BEGIN : follows[json->number_state][class];
        if (next == NUMBER_BEGIN)
            return number_done(json, from, token);
        json->number_state = next;
    }
    enum json_piece piece =
        json_gather(json, from, (size_t)(json->at - from), LEAT_JSON_NUMBER_BYTES_MAX);
    return piece == JSON_PIECE_READY ? JSON_PIECE_MORE : piece;
}

enum json_piece json_number_finish(struct leat_json *json, struct leat_json_token *token)
{
    return number_done(json, json->at, token);
}
