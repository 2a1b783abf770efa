/* JSON's strings: where they lie when nothing in them is escaped, gathered otherwise. */
#include "buffers/heap.h"
#include "net/http/message/json_internal.h"

#include <leat/codec.h>

enum { GATHERED_ROOM_LEAST = 256 };

enum json_piece json_gather(struct leat_json *json, const uint8_t *from, size_t bytes,
                            uint32_t bytes_max)
{
    if (bytes == 0)
        return JSON_PIECE_READY;
    if (bytes > bytes_max - json->gathered_bytes)
        return json_fail(json, -EMSGSIZE,
                         json->part == JSON_PART_NUMBER ? "a number longer than may be"
                                                        : "a string longer than may be");
    if (json->gathered_bytes + bytes > json->gathered_room) {
        size_t room =
            json->gathered_room < GATHERED_ROOM_LEAST ? GATHERED_ROOM_LEAST : json->gathered_room;
        while (room < json->gathered_bytes + bytes)
            room *= 2;
        uint8_t *grown = leat_heap_realloc(json->gathered, room);
        if (grown == NULL)
            return json_fail(json, -ENOMEM, "no memory for a string");
        json->gathered = grown;
        json->gathered_room = (uint32_t)room;
    }
    memcpy(json->gathered + json->gathered_bytes, from, bytes);
    json->gathered_bytes += (uint32_t)bytes;
    return JSON_PIECE_READY;
}

#define EVERY_BYTE(byte) (UINT64_C(0x0101010101010101) * (byte))

/* A bit set in each byte of word that is 0; bytes above the lowest such one may have it, too. */
static uint64_t zero_bytes(uint64_t word)
{
    return (word - EVERY_BYTE(1)) & ~word & EVERY_BYTE(0x80);
}

/* The first quote, backslash or control character; stop: there is none. */
static const uint8_t *run_end(const uint8_t *at, const uint8_t *stop)
{
    while (stop - at >= 8) {
        uint64_t word;
        memcpy(&word, at, sizeof(word));
        uint64_t control = (word - EVERY_BYTE(0x20)) & ~word & EVERY_BYTE(0x80);
        if ((control | zero_bytes(word ^ EVERY_BYTE('"')) | zero_bytes(word ^ EVERY_BYTE('\\'))) !=
            0)
            break;
        at += 8;
    }
    while (at < stop && *at != '"' && *at != '\\' && *at >= 0x20)
        at++;
    return at;
}

static enum json_piece utf8_fail(struct leat_json *json)
{
    json->is_of_string = true;
    return json_fail(json, -EBADMSG, "UTF-8");
}

/* What is gathered must be UTF-8. A sequence at its end may still be completed, unless is_end. */
static enum json_piece gathered_check(struct leat_json *json, bool is_end)
{
    uint32_t left = json->gathered_bytes - json->valid_bytes;
    if (left != 0)
        json->valid_bytes += (uint32_t)leat_utf8_validate(json->gathered + json->valid_bytes, left);
    left = json->gathered_bytes - json->valid_bytes;
    return left >= 4 || (is_end && left != 0) ? utf8_fail(json) : JSON_PIECE_READY;
}

/* The string is wrong at json->at, unless it is wrong already before it: whatever the pieces are,
 * the first fault is the one that is told. */
static enum json_piece string_fail(struct leat_json *json, int code, const char *wanted)
{
    if (gathered_check(json, true) == JSON_PIECE_WRONG)
        return JSON_PIECE_WRONG;
    return json_fail(json, code, wanted);
}

/* What stands behind a backslash means this, \u aside. 0: there is no such escape. */
static uint8_t escape_of(uint8_t byte)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *found = byte == '\0' ? NULL : strchr(from, byte);
    return found == NULL ? 0 : (uint8_t)to[found - from];
}

static enum json_piece escape_read(struct leat_json *json)
{
    uint8_t byte = *json->at;
    if (byte == 'u') {
        json->at++;
        json->part = JSON_PART_DIGITS;
        json->digit_count = 0;
        json->code_unit = 0;
        return JSON_PIECE_READY;
    }
    uint8_t meant = escape_of(byte);
    if (meant == 0)
        return string_fail(json, -EBADMSG, "one of \" \\ / b f n r t u behind a backslash");
    json->part = JSON_PART_STRING;
    enum json_piece piece = json_gather(json, &meant, 1, json->limits.string_bytes_max);
    json->at += piece == JSON_PIECE_READY;
    return piece;
}

static enum json_piece character_gather(struct leat_json *json, uint32_t character)
{
    uint8_t bytes[4];
    size_t count = character < 0x80 ? 1 : character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;
    static const uint8_t marks[5] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = count - 1; i > 0; i--, character >>= 6)
        bytes[i] = (uint8_t)(0x80 | (character & 0x3f));
    bytes[0] = (uint8_t)(marks[count] | character);
    return json_gather(json, bytes, count, json->limits.string_bytes_max);
}

/* Four digits were read: a character, or half of one (RFC 8259 7). json->at is at the last. */
static enum json_piece code_unit_done(struct leat_json *json)
{
    uint32_t unit = json->code_unit, high = json->high_surrogate;
    bool is_low = (unit & 0xfc00) == 0xdc00, is_high = (unit & 0xfc00) == 0xd800;
    if (high != 0 && !is_low)
        return string_fail(json, -EBADMSG, "\\udc00 to \\udfff behind a high surrogate");
    if (high == 0 && is_low)
        return string_fail(json, -EBADMSG, "no low surrogate without a high one before it");
    json->high_surrogate = is_high ? unit : 0;
    if (is_high) {
        json->part = JSON_PART_HIGH_SLASH;
        return JSON_PIECE_READY;
    }
    json->part = JSON_PART_STRING;
    if (high != 0)
        unit = 0x10000 + ((high - 0xd800) << 10) + (unit - 0xdc00);
    return character_gather(json, unit);
}

static enum json_piece digit_read(struct leat_json *json)
{
    unsigned decimal = *json->at - (unsigned)'0', letter = (*json->at | 0x20u) - (unsigned)'a';
    if (decimal > 9 && letter > 5)
        return string_fail(json, -EBADMSG, "a hexadecimal digit");
    json->code_unit = json->code_unit << 4 | (decimal <= 9 ? decimal : letter + 10);
    enum json_piece piece = JSON_PIECE_READY;
    if (++json->digit_count == 4)
        piece = code_unit_done(json);
    json->at += piece == JSON_PIECE_READY;
    return piece;
}

/* One byte that is not plain. */
static enum json_piece escaped_read(struct leat_json *json)
{
    switch ((enum json_part)json->part) {
    case JSON_PART_ESCAPE:
        return escape_read(json);
    case JSON_PART_HIGH_SLASH:
        if (*json->at != '\\')
            return string_fail(json, -EBADMSG, "the low surrogate, '\\'");
        json->at++;
        json->part = JSON_PART_HIGH_U;
        return JSON_PIECE_READY;
    case JSON_PART_HIGH_U:
        if (*json->at != 'u')
            return string_fail(json, -EBADMSG, "the low surrogate, 'u'");
        return escape_read(json);
    default:
        return digit_read(json);
    }
}

/* The closing quote is at json->at; the bytes since from are not gathered. */
static enum json_piece string_done(struct leat_json *json, const uint8_t *from,
                                   struct leat_view *text)
{
    size_t bytes = (size_t)(json->at - from);
    uint32_t bytes_max = json->limits.string_bytes_max;
    if (json->gathered_bytes == 0) {
        if (bytes > bytes_max)
            return json_fail(json, -EMSGSIZE, "a string longer than may be");
        if (leat_utf8_validate(from, bytes) != bytes)
            return utf8_fail(json);
        *text = (struct leat_view){(const char *)from, bytes};
    } else {
        if (json_gather(json, from, bytes, bytes_max) == JSON_PIECE_WRONG ||
            gathered_check(json, true) == JSON_PIECE_WRONG)
            return JSON_PIECE_WRONG;
        *text = (struct leat_view){(const char *)json->gathered, json->gathered_bytes};
    }
    json->at++;
    return JSON_PIECE_READY;
}

/* Plain bytes up to the next that is not; READY: that is the closing quote, and text is set. */
static enum json_piece plain_read(struct leat_json *json, struct leat_view *text)
{
    const uint8_t *from = json->at;
    json->at = run_end(from, json->stop);
    if (json->at < json->stop && *json->at == '"')
        return string_done(json, from, text);
    size_t bytes = (size_t)(json->at - from);
    if (json_gather(json, from, bytes, json->limits.string_bytes_max) == JSON_PIECE_WRONG ||
        gathered_check(json, false) == JSON_PIECE_WRONG)
        return JSON_PIECE_WRONG;
    if (json->at == json->stop)
        return JSON_PIECE_MORE;
    if (*json->at != '\\')
        return string_fail(json, -EBADMSG, "an escape: control characters are written \\u00..");
    json->at++;
    json->part = JSON_PART_ESCAPE;
    return JSON_PIECE_MORE;
}

enum json_piece json_string_read(struct leat_json *json, struct leat_view *text)
{
    while (json->at < json->stop) {
        enum json_piece piece = JSON_PIECE_MORE;
        if (json->part == JSON_PART_STRING)
            piece = plain_read(json, text);
        else if (escaped_read(json) == JSON_PIECE_WRONG)
            piece = JSON_PIECE_WRONG;
        if (piece != JSON_PIECE_MORE)
            return piece;
    }
    return JSON_PIECE_MORE;
}
