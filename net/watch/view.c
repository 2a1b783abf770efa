/* Rows of a view as JSON, as text, and read back. */
#include "net/watch/view.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const void *column_at(const struct view_column *column, const void *row)
{
    return (const char *)row + column->offset;
}

static uint64_t column_number(const struct view_column *column, const void *row)
{
    const void *at = column_at(column, row);
    return column->kind == VIEW_U32 ? *(const uint32_t *)at : *(const uint64_t *)at;
}

/* The value as JSON has it, without quotes. Returns text. */
static const char *column_value(const struct view_column *column, const void *row,
                                char text[LEAT_ADDR_TEXT_BYTES_MAX])
{
    const void *at = column_at(column, row);
    switch (column->kind) {
    case VIEW_TEXT:
        return *(const char *const *)at;
    case VIEW_ADDR:
        return leat_addr_format(at, text);
    case VIEW_FLAG:
        return *(const bool *)at ? "true" : "false";
    case VIEW_DOUBLE:
        snprintf(text, LEAT_ADDR_TEXT_BYTES_MAX, "%.*f", (int)column->decimals,
                 *(const double *)at);
        return text;
    default:
        snprintf(text, LEAT_ADDR_TEXT_BYTES_MAX, "%" PRIu64, column_number(column, row));
        return text;
    }
}

size_t view_json(const struct view *view, const void *row, char *text, size_t size)
{
    size_t used = 0;
    for (unsigned i = 0; i < view->count; i++) {
        const struct view_column *column = &view->columns[i];
        char value[LEAT_ADDR_TEXT_BYTES_MAX];
        const char *quote = column->kind == VIEW_TEXT || column->kind == VIEW_ADDR ? "\"" : "";
        int length = snprintf(text + used, size - used, "%s\"%s\": %s%s%s%s", i == 0 ? "{" : ", ",
                              column->key, quote, column_value(column, row, value), quote,
                              i + 1 == view->count ? "}" : "");
        if (length < 0 || (size_t)length >= size - used)
            return 0;
        used += (size_t)length;
    }
    return used;
}

/* ---- Text ---- */

static uint64_t power_of_ten(unsigned exponent)
{
    uint64_t power = 1;
    while (exponent-- > 0)
        power *= 10;
    return power;
}

static const char *column_shown(const struct view_column *column, const void *row,
                                char text[LEAT_ADDR_TEXT_BYTES_MAX])
{
    if (column->decimals == 0 || column->kind == VIEW_DOUBLE)
        return column_value(column, row, text);
    uint64_t number = column_number(column, row), unit = power_of_ten(column->decimals);
    snprintf(text, LEAT_ADDR_TEXT_BYTES_MAX, "%" PRIu64 ".%0*" PRIu64, number / unit,
             (int)column->decimals, number % unit);
    return text;
}

/* row NULL: the titles. */
static char *line_write(const struct view *view, const void *row, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (unsigned i = 0; i < view->count && used < size; i++) {
        const struct view_column *column = &view->columns[i];
        char value[LEAT_ADDR_TEXT_BYTES_MAX];
        if (column->title == NULL)
            continue;
        int length = snprintf(text + used, size - used, "%s%*s", used > 0 ? " " : "", column->width,
                              row != NULL ? column_shown(column, row, value) : column->title);
        used += length > 0 ? (size_t)length : 0;
    }
    return text;
}

char *view_header(const struct view *view, char *text, size_t size)
{
    return line_write(view, NULL, text, size);
}

char *view_row(const struct view *view, const void *row, char *text, size_t size)
{
    return line_write(view, row, text, size);
}

/* ---- Reading ---- */

static char *blanks_skip(char *at)
{
    return at + strspn(at, " \t\r\n");
}

/* at stands behind a quote. Returns what is behind the closing one, which becomes NUL; NULL without
 * one, or for an escape. */
static char *text_read(char *at)
{
    at += strcspn(at, "\"\\");
    if (*at != '"')
        return NULL;
    *at = '\0';
    return at + 1;
}

/* A number, true, false or null. */
static char *word_read(char *at)
{
    char *end = at;
    while (isalnum((unsigned char)*end) || *end == '-' || *end == '+' || *end == '.')
        end++;
    return end > at ? end : NULL;
}

/* A value at *at, and the comma or brace behind it, which becomes NUL. False: malformed. */
static bool value_read(char **at, struct view_field *field)
{
    bool is_text = **at == '"';
    field->value = is_text ? *at + 1 : *at;
    char *end = is_text ? text_read(*at + 1) : word_read(*at);
    if (end == NULL)
        return false;
    char *mark = blanks_skip(end);
    bool is_last = *mark == '}';
    if (*mark != ',' && !is_last)
        return false;
    *at = is_last ? mark : mark + 1;
    *mark = *end = '\0';
    return true;
}

enum view_next view_next(char **at, struct view_field *field)
{
    char *from = blanks_skip(*at);
    if (*from == '\0')
        return VIEW_END;
    from = blanks_skip(*from == '{' ? from + 1 : from);
    if (*from == '}')
        return VIEW_END;
    if (*from != '"')
        return VIEW_BAD;
    field->key = from + 1;
    char *colon = text_read(from + 1);
    if (colon == NULL || *(colon = blanks_skip(colon)) != ':')
        return VIEW_BAD;
    *at = blanks_skip(colon + 1);
    return value_read(at, field) ? VIEW_FIELD : VIEW_BAD;
}

static bool number_set(const struct view_column *column, void *at, const char *value)
{
    char *end;
    uint64_t number = strtoull(value, &end, 10);
    if (!isdigit((unsigned char)*value) || *end != '\0')
        return false;
    if (column->kind == VIEW_U64)
        *(uint64_t *)at = number;
    else
        *(uint32_t *)at = (uint32_t)number;
    return column->kind == VIEW_U64 || number <= UINT32_MAX;
}

bool view_set(const struct view *view, void *row, const struct view_field *field)
{
    const struct view_column *column = view->columns, *end = column + view->count;
    while (column < end && strcmp(column->key, field->key) != 0)
        column++;
    if (column == end)
        return true;
    void *at = (char *)row + column->offset;
    char *rest;
    switch (column->kind) {
    case VIEW_TEXT:
        *(const char **)at = field->value;
        return true;
    case VIEW_ADDR:
        return strcmp(field->value, "none") == 0 || leat_addr_parse(at, field->value, 0, NULL) == 0;
    case VIEW_FLAG:
        *(bool *)at = strcmp(field->value, "true") == 0;
        return *(bool *)at || strcmp(field->value, "false") == 0;
    case VIEW_DOUBLE:
        *(double *)at = strtod(field->value, &rest);
        return rest != field->value && *rest == '\0';
    default:
        return number_set(column, at, field->value);
    }
}
