/* Views: rows that a running program tells of and a tool shows. A column is described once, in a
 * table; the line of JSON, reading it back, the header and the row come from there.
 *
 * A row is a plain struct. Columns with a title are shown, in the order of the table; all of them
 * are in the JSON, by their keys. Values; no memory is owned, nothing allocates. Any thread.
 * Internal: not installed. */
#ifndef LEAT_VIEW_H
#define LEAT_VIEW_H

#include <leat/addr.h>
#include <leat/defs.h>

enum view_kind {
    VIEW_U32,
    VIEW_U64,
    VIEW_DOUBLE, /* with as many decimals as the column has */
    VIEW_TEXT,   /* const char *: no byte of it needs an escape in JSON */
    VIEW_ADDR,   /* struct leat_addr */
    VIEW_FLAG,   /* bool */
};

struct view_column {
    const char *key;   /* in JSON */
    const char *title; /* in the header; NULL: in JSON only */
    int width;         /* negative: flush left */
    enum view_kind kind;
    size_t offset;     /* in the row */
    unsigned decimals; /* of a whole number when it is shown: 3 shows 1500 as 1.500 */
    const char *doc;   /* what it is, in one line */
};

struct view {
    const struct view_column *columns;
    unsigned count;
};

/* "{...}" without an end of line, NUL-terminated. Returns its length, 0 when size has no room. */
size_t view_json(const struct view *view, const void *row, char *text, size_t size);
/* The titles, and the values below them; cut at size. Return text. */
char *view_header(const struct view *view, char *text, size_t size);
char *view_row(const struct view *view, const void *row, char *text, size_t size);

/* ---- Reading: a flat JSON object, field by field ---- */

struct view_field {
    const char *key, *value; /* of a text without its quotes; else as it stands: 12, true */
};

enum view_next { VIEW_FIELD, VIEW_END, VIEW_BAD };

/* *at is the line, then where it left off; the bytes at *at are changed: keys and values point into
 * them, NUL-terminated. Neither nested values nor escapes are understood: VIEW_BAD. */
enum view_next view_next(char **at, struct view_field *field) LEAT_MUST_CHECK;
/* Sets the field's column in row; a key that the view does not have is no error. A text stays where
 * the field has it. False: the value is not of the column's kind. */
bool view_set(const struct view *view, void *row, const struct view_field *field) LEAT_MUST_CHECK;

#endif
