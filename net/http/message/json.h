/* JSON (RFC 8259), strictly: a tokenizer that is fed in pieces, a tree in one block on top of it,
 * and a writer.
 *
 * The tree, for a text that is there as a whole, NDJSON's lines among them:
 *
 *     struct leat_json_tree tree;
 *     leat_json_tree_init(&tree, NULL);
 *     root = leat_json_parse(&tree, body.data, body.length_bytes, &error);
 *     if (leat_json_int(leat_json_find(root, "id"), &id) < 0)
 *         ...
 *     leat_json_tree_fini(&tree);
 *
 * A text that comes in pieces is fed: leat_json_feed gives a piece, leat_json_tree_build (or
 * leat_json_next, token by token) works on it, and asks for more by LEAT_JSON_WAIT. After
 * LEAT_JSON_YIELD_BYTES of text it returns LEAT_JSON_YIELD, so that a large text does not block a
 * loop: call again, from leat_set_immediate or a later turn.
 *
 * Where RFC 8259 leaves a choice:
 *   names that occur twice  are kept; leat_json_find finds the last, as JSON.parse does.
 *   numbers                 without fraction and exponent within int64_t are LEAT_JSON_INT and
 *                           exact; others, and -0, are LEAT_JSON_DOUBLE, rounded correctly, and
 *                           what was written is kept beside it: nothing is lost. A number beyond
 *                           double's range is refused when it is read, not turned into infinity.
 *   strings                 are valid UTF-8, unescaped. An escaped lone surrogate, which JSON.parse
 *                           accepts, is refused: no UTF-8 can say it. An escaped NUL is accepted:
 *                           the view's length counts.
 *
 * A mark (U+FEFF) at the front is refused, as by JSON.parse.
 *
 * Bounds (struct leat_json_limits): -EMSGSIZE. Errors say line, column (in characters), what stood
 * there, and what may stand there.
 *
 * All of it belongs to the core that made it. A tokenizer and a tree refer to the bytes that were
 * fed, until the next call of leat_json_feed; the tree's nodes, names and strings are copies. */
#ifndef LEAT_JSON_H
#define LEAT_JSON_H

#include <leat/buf.h>
#include <leat/error.h>
#include <leat/view.h>

LEAT_BEGIN

#define LEAT_JSON_DEPTH_MAX          64
#define LEAT_JSON_DOCUMENT_BYTES_MAX (UINT64_C(16) << 20)
#define LEAT_JSON_STRING_BYTES_MAX   (UINT32_C(1) << 20)
#define LEAT_JSON_NUMBER_BYTES_MAX   1024
#define LEAT_JSON_YIELD_BYTES        65536

/* 0: the default, which is the constant above. */
struct leat_json_limits {
    uint64_t document_bytes_max; /* of text */
    uint32_t string_bytes_max;   /* of one string or name, unescaped */
    uint32_t depth_max;          /* of arrays and objects in each other; at most the default */
};

enum leat_json_kind {
    LEAT_JSON_NONE, /* there is no such value */
    LEAT_JSON_NULL,
    LEAT_JSON_FALSE,
    LEAT_JSON_TRUE,
    LEAT_JSON_INT,
    LEAT_JSON_DOUBLE,
    LEAT_JSON_STRING,
    LEAT_JSON_ARRAY,
    LEAT_JSON_OBJECT,
    /* of tokens only */
    LEAT_JSON_NAME,
    LEAT_JSON_END, /* of the innermost array or object */
};

enum leat_json_step {
    LEAT_JSON_TOKEN, /* one was read */
    LEAT_JSON_WAIT,  /* the piece is used up: feed the next, or say that there is none */
    LEAT_JSON_YIELD, /* LEAT_JSON_YIELD_BYTES were read: call again, later */
    LEAT_JSON_DONE,  /* the text is complete, and right */
    LEAT_JSON_WRONG, /* it is not, or a limit was reached: leat_json_error */
};

/* ---- tokens ---- */

struct leat_json_token {
    enum leat_json_kind kind;
    struct leat_view text; /* STRING, NAME: unescaped; INT, DOUBLE: as it was written. Valid until
                              the next call */
    int64_t integer;       /* of INT */
};

struct leat_json { /* fields are the tokenizer's own */
    struct leat_json_limits limits;
    const uint8_t *at, *stop, *end; /* at <= stop <= end of the piece; stop: where it yields */
    const uint8_t *counted;         /* line and column are those of this place */
    uint8_t *gathered;              /* the beginning of a token that is not complete */
    const uint8_t *string_at;       /* where the string began, if it was in this piece */
    uint64_t left_bytes;            /* that may still be fed */
    uint64_t line, column;          /* from 1 */
    uint64_t string_line, string_column;
    uint64_t objects; /* bit i: level i + 1 is an object */
    uint32_t gathered_bytes, gathered_room;
    uint32_t valid_bytes; /* of gathered, known to be UTF-8 */
    uint32_t code_unit, high_surrogate;
    uint32_t depth;
    int code;           /* of the error; 0: none */
    const char *wanted; /* what may stand there, or which limit it is */
    uint8_t expects, part, number_state, digit_count;
    uint8_t literal, literal_count;
    bool is_last, is_cut, is_of_string;
};

/* limits may be NULL. Allocates nothing; the core's heap is used for tokens that straddle pieces or
 * have escapes, up to the limit of a string. */
LEAT_API void leat_json_init(struct leat_json *json, const struct leat_json_limits *limits);
LEAT_API void leat_json_fini(struct leat_json *json);
/* To begin a new text, whatever became of the last. */
LEAT_API void leat_json_reset(struct leat_json *json);

/* The next piece, when there was LEAT_JSON_WAIT; bytes NULL: there is none, the text ends here. The
 * bytes must stay as they are until the next LEAT_JSON_WAIT, or the end. */
LEAT_API void leat_json_feed(struct leat_json *json, const void *bytes, size_t length_bytes);
LEAT_API enum leat_json_step leat_json_next(struct leat_json *json,
                                            struct leat_json_token *token) LEAT_MUST_CHECK;
/* After LEAT_JSON_WRONG: fills error and returns its code: -EBADMSG (not JSON), -EMSGSIZE (a
 * limit), -ENOMEM. */
LEAT_API int leat_json_error(struct leat_json *json, struct leat_error *error);

/* ---- the tree ---- */

struct leat_json_node; /* valid until the tree is built anew or ends; NULL is of kind NONE */

struct leat_json_tree { /* fields are the tree's own */
    struct leat_json json;
    struct leat_buf block; /* all nodes and their text; of the core's pools */
    uint32_t used_units, open_unit;
    bool is_whole;
};

LEAT_API void leat_json_tree_init(struct leat_json_tree *tree,
                                  const struct leat_json_limits *limits);
LEAT_API void leat_json_tree_fini(struct leat_json_tree *tree);

/* To begin a new text in the same block. */
LEAT_API void leat_json_tree_reset(struct leat_json_tree *tree);

/* Builds on from what was fed to &tree->json: WAIT, YIELD, DONE or WRONG (then
 * leat_json_error(&tree->json, ...) says why). */
LEAT_API enum leat_json_step leat_json_tree_build(struct leat_json_tree *tree) LEAT_MUST_CHECK;
/* After LEAT_JSON_DONE; before it NULL. */
LEAT_API const struct leat_json_node *leat_json_root(const struct leat_json_tree *tree);

/* All of it in one call, which does not yield: for texts that are short, or off the loop's way. The
 * tree's block is used again. NULL: error says why. */
LEAT_API const struct leat_json_node *leat_json_parse(struct leat_json_tree *tree,
                                                      const void *bytes, size_t length_bytes,
                                                      struct leat_error *error) LEAT_MUST_CHECK;

/* Every function here takes NULL and nodes of any kind, so that only the last of a chain of calls
 * must be looked at. */
LEAT_API enum leat_json_kind leat_json_kind(const struct leat_json_node *node);
/* The value of the last member with that name; NULL: none, or no object. Takes time in proportion
 * to the members. */
LEAT_API const struct leat_json_node *leat_json_find(const struct leat_json_node *node,
                                                     const char *name);
/* Elements of an array, members of an object; else 0. */
LEAT_API uint32_t leat_json_count(const struct leat_json_node *node);

/* Of a STRING its characters, of a DOUBLE what was written; data is NULL otherwise. NUL-terminated
 * behind its length. */
LEAT_API struct leat_view leat_json_text(const struct leat_json_node *node);
/* 0; -EINVAL: no number; -ERANGE: not a whole number of int64_t, or beyond double. 1e3 is the int
 * 1000; of a DOUBLE what it is rounded to counts, up to 2^53. */
LEAT_API int leat_json_int(const struct leat_json_node *node, int64_t *value) LEAT_MUST_CHECK;
LEAT_API int leat_json_double(const struct leat_json_node *node, double *value) LEAT_MUST_CHECK;

/* for (struct leat_json_each each = leat_json_each(node); leat_json_each_next(&each);) */
struct leat_json_each {
    struct leat_view name; /* of a member; data is NULL in an array */
    const struct leat_json_node *value;
    const struct leat_json_node *next; /* the walk's own, and so is what follows */
    uint32_t left_count;
    bool is_object;
};
LEAT_API struct leat_json_each leat_json_each(const struct leat_json_node *node);
LEAT_API bool leat_json_each_next(struct leat_json_each *each);

/* ---- the writer ---- */

/* Writes into one buffer of the core's pools, as JSON.stringify does without spaces: the shortest
 * numbers that read back the same, control characters escaped. Errors stick: the functions return
 * nothing, leat_json_writer_end returns the first. */
struct leat_json_writer { /* fields are the writer's own */
    struct leat_buf buf;
    size_t used_bytes, bytes_max;
    uint64_t objects; /* as in struct leat_json */
    uint32_t depth;
    bool has_items, has_name, has_root;
    int code;
};

/* bytes_max 0: LEAT_JSON_DOCUMENT_BYTES_MAX. */
LEAT_API void leat_json_writer_init(struct leat_json_writer *writer, size_t bytes_max);
LEAT_API void leat_json_writer_fini(struct leat_json_writer *writer);
/* kind: LEAT_JSON_ARRAY or LEAT_JSON_OBJECT. */
LEAT_API void leat_json_open(struct leat_json_writer *writer, enum leat_json_kind kind);
LEAT_API void leat_json_close(struct leat_json_writer *writer);
LEAT_API void leat_json_name(struct leat_json_writer *writer, const char *name);
LEAT_API void leat_json_write_text(struct leat_json_writer *writer, struct leat_view text);
LEAT_API void leat_json_write_int(struct leat_json_writer *writer, int64_t value);
/* Infinity and not-a-number are -EINVAL: JSON has neither. */
LEAT_API void leat_json_write_double(struct leat_json_writer *writer, double value);
/* kind: LEAT_JSON_NULL, _FALSE or _TRUE. */
LEAT_API void leat_json_write_literal(struct leat_json_writer *writer, enum leat_json_kind kind);
/* A value of a tree with all that is in it; numbers as they were written. */
LEAT_API void leat_json_write_node(struct leat_json_writer *writer,
                                   const struct leat_json_node *node);
/* 0: *buf is the text, with a reference of the caller's, and the writer begins anew. -EINVAL: the
 * calls did not make one value; -EILSEQ: a text was no UTF-8; -EMSGSIZE, -ENOMEM: it became too
 * large. */
LEAT_API int leat_json_writer_end(struct leat_json_writer *writer,
                                  struct leat_buf *buf) LEAT_MUST_CHECK;

LEAT_END
#endif
