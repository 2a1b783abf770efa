/* Where JSON is wrong: line and column, counted as late as possible, and the sentence. */
#include "net/http/message/json_internal.h"

#include <inttypes.h>
#include <stdio.h>

enum json_piece json_fail(struct leat_json *json, int code, const char *wanted)
{
    json->code = code;
    json->wanted = wanted;
    return JSON_PIECE_WRONG;
}

void json_count_to(struct leat_json *json, const uint8_t *place)
{
    const uint8_t *at = json->counted, *line;
    if (place <= at)
        return;
    while ((line = memchr(at, '\n', (size_t)(place - at))) != NULL) {
        json->line++;
        json->column = 1;
        at = line + 1;
    }
    for (; at < place; at++)
        json->column += (*at & 0xc0) != 0x80; /* bytes within a character do not count */
    json->counted = place;
}

void json_string_place(struct leat_json *json)
{
    if (json->string_at != NULL && json->part >= JSON_PART_STRING &&
        json->part <= JSON_PART_HIGH_U) {
        json_count_to(json, json->string_at);
        json->string_line = json->line;
        json->string_column = json->column;
    }
    json->string_at = NULL;
}

static void found_put(const struct leat_json *json, char *to, size_t size_bytes)
{
    if (json->at >= json->end)
        snprintf(to, size_bytes, "the end");
    else if (*json->at > 0x20 && *json->at < 0x7f)
        snprintf(to, size_bytes, "'%c'", *json->at);
    else
        snprintf(to, size_bytes, "the byte 0x%02x", *json->at);
}

int leat_json_error(struct leat_json *json, struct leat_error *error)
{
    if (json->code == 0)
        return 0;
    if (json->is_of_string) {
        json_string_place(json);
        return leat_fail(error, json->code,
                         "line %" PRIu64 ", column %" PRIu64 ": the string here is not %s",
                         json->string_line, json->string_column, json->wanted);
    }
    json_count_to(json, json->at);
    if (json->code != -EBADMSG)
        return leat_fail(error, json->code, "line %" PRIu64 ", column %" PRIu64 ": %s", json->line,
                         json->column, json->wanted);
    char found[32];
    found_put(json, found, sizeof(found));
    return leat_fail(error, json->code,
                     "line %" PRIu64 ", column %" PRIu64 ": found %s, expected %s", json->line,
                     json->column, found, json->wanted);
}
