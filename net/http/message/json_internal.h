/* The state of the tokenizer, and what its files say to each other.
 *
 * expects is written by json_structure.c alone, part by whoever reads the part. What is true:
 *   part == NONE  gathered_bytes == 0, and *at is a space or what expects names
 *   otherwise     the bytes of the token before at are in gathered, or in the piece
 *   code != 0     nothing is read any more
 *   depth <= limits.depth_max, bits of objects from depth on are 0 */
#ifndef LEAT_JSON_INTERNAL_H
#define LEAT_JSON_INTERNAL_H

#include "net/http/message/json.h"
#include "runtime/base/core.h"

#include <errno.h>

/* What may stand there. A row is {constant, sentence}. */
#define JSON_EXPECTS(X)                                                                            \
    X(JSON_EXPECTS_VALUE, "a value")                                                               \
    X(JSON_EXPECTS_VALUE_OR_END, "a value or ']'")                                                 \
    X(JSON_EXPECTS_NAME, "a name in double quotes")                                                \
    X(JSON_EXPECTS_NAME_OR_END, "a name in double quotes or '}'")                                  \
    X(JSON_EXPECTS_COLON, "':'")                                                                   \
    X(JSON_EXPECTS_MORE_MEMBERS, "',' or '}'")                                                     \
    X(JSON_EXPECTS_MORE_ELEMENTS, "',' or ']'")                                                    \
    X(JSON_EXPECTS_NOTHING, "nothing more")
#define JSON_EXPECTS_CONSTANT(constant, sentence) constant,
enum json_expects { JSON_EXPECTS(JSON_EXPECTS_CONSTANT) };

/* Which token is being read, and where in it: what may come next.
 *   HIGH_SLASH, HIGH_U: a high surrogate was read, '\' and 'u' of the low one follow */
enum json_part {
    JSON_PART_NONE,
    JSON_PART_STRING,
    JSON_PART_ESCAPE,
    JSON_PART_DIGITS,
    JSON_PART_HIGH_SLASH,
    JSON_PART_HIGH_U,
    JSON_PART_NUMBER,
    JSON_PART_LITERAL,
};

enum json_piece {
    JSON_PIECE_READY, /* the token is complete */
    JSON_PIECE_MORE,  /* the piece ends before it */
    JSON_PIECE_WRONG, /* json_fail was called */
};

/* The text is wrong at json->at, where wanted may stand; or a limit is reached there, which wanted
 * names. */
enum json_piece json_fail(struct leat_json *json, int code, const char *wanted);
/* Counts lines and columns on, up to a place in the piece at or behind counted. */
void json_count_to(struct leat_json *json, const uint8_t *place);
/* Before the piece is left: where did the string begin that is not complete? */
void json_string_place(struct leat_json *json);

/* Appends to what is gathered; READY, or WRONG: no memory, or more than bytes_max. */
enum json_piece json_gather(struct leat_json *json, const uint8_t *from, size_t bytes,
                            uint32_t bytes_max) LEAT_MUST_CHECK;

/* json_string.c: on from json->at, behind the opening quote. */
enum json_piece json_string_read(struct leat_json *json, struct leat_view *text) LEAT_MUST_CHECK;

/* json_number.c */
enum json_piece json_number_read(struct leat_json *json,
                                 struct leat_json_token *token) LEAT_MUST_CHECK;
/* The text ends behind what is gathered of the number. */
enum json_piece json_number_finish(struct leat_json *json,
                                   struct leat_json_token *token) LEAT_MUST_CHECK;

/* json_double.c: a number of JSON's grammar, correctly rounded; -ERANGE: beyond double. */
int json_double_read(const char *text, size_t length_bytes, double *value) LEAT_MUST_CHECK;
/* The shortest that reads back as the same, of a finite value; returns the length, at most 31. */
#define JSON_DOUBLE_BYTES 32
size_t json_double_put(double value, char text[JSON_DOUBLE_BYTES]);

/* json_tree.c: a node, in units of its own size; its text, if it has one, and what is in it lie
 * behind it. */
struct leat_json_node {
    uint8_t kind;
    uint16_t literal_bytes; /* of DOUBLE: its text behind it, with a NUL */
    uint32_t units;         /* of this node and of all that lies behind it and belongs to it */
    union {
        int64_t integer;
        double real;
        uint64_t text_bytes; /* of STRING and NAME: behind it, with a NUL */
        struct {
            uint32_t count;
            uint32_t parent; /* while it is open: unit of the one around it, plus 1; 0: none */
        };
    };
};
_Static_assert(sizeof(struct leat_json_node) == 16, "the unit of the tree");

#endif
