/* Preconditions, ranges and codings of RFC 9110, as pure functions of headers and a version. */
#include "net/http/files/files_internal.h"

#include <stdio.h>
#include <string.h>

/* ---- Validators ---- */

void files_version_of(struct files_version *version, const struct stat *status)
{
    uint64_t modified_ns =
        (uint64_t)status->st_mtim.tv_sec * LEAT_NS_PER_S + (uint64_t)status->st_mtim.tv_nsec;
    version->modified_s = status->st_mtim.tv_sec;
    version->size_bytes = (uint64_t)status->st_size;
    snprintf(version->etag, sizeof(version->etag), "\"%lx-%lx-%lx\"",
             (unsigned long)status->st_size, (unsigned long)modified_ns,
             (unsigned long)status->st_ino);
    http_date_format(status->st_mtim.tv_sec > 0 ? (uint64_t)status->st_mtim.tv_sec : 0,
                     version->modified);
}

struct cursor {
    const char *at, *end;
};

static struct cursor cursor_of(struct leat_view view)
{
    return (struct cursor){view.data, view.data + view.length_bytes};
}

static void cursor_skip_blanks(struct cursor *cursor)
{
    while (cursor->at < cursor->end && (*cursor->at == ' ' || *cursor->at == '\t'))
        cursor->at++;
}

static bool cursor_skip_char(struct cursor *cursor, char c)
{
    if (cursor->at < cursor->end && *cursor->at == c) {
        cursor->at++;
        return true;
    }
    return false;
}

/* entity-tag = [ W/ ] DQUOTE *etagc DQUOTE (RFC 9110 8.8.3); tag includes the quotes. */
static bool etag_read(struct cursor *cursor, struct leat_view *tag, bool *is_weak)
{
    *is_weak = cursor->end - cursor->at >= 2 && cursor->at[0] == 'W' && cursor->at[1] == '/';
    cursor->at += *is_weak ? 2 : 0;
    const char *start = cursor->at;
    if (!cursor_skip_char(cursor, '"'))
        return false;
    const char *quote = memchr(cursor->at, '"', (size_t)(cursor->end - cursor->at));
    if (quote == NULL)
        return false;
    cursor->at = quote + 1;
    *tag = (struct leat_view){start, (size_t)(cursor->at - start)};
    return true;
}

static bool etag_in_list(struct leat_view list, const char *etag, bool is_strong_only)
{
    struct cursor cursor = cursor_of(list);
    cursor_skip_blanks(&cursor);
    if (cursor.end - cursor.at == 1 && *cursor.at == '*')
        return true;
    while (cursor.at < cursor.end) {
        struct leat_view tag;
        bool is_weak;
        if (!etag_read(&cursor, &tag, &is_weak))
            return false;
        if (!(is_weak && is_strong_only) && leat_view_equal(tag, etag))
            return true;
        do {
            cursor_skip_blanks(&cursor);
        } while (cursor_skip_char(&cursor, ','));
    }
    return false;
}

static bool etag_in_fields(const struct files_fields *fields, const char *etag, bool is_strong_only)
{
    for (unsigned i = 0; i < fields->count; i++)
        if (etag_in_list(fields->view[i], etag, is_strong_only))
            return true;
    return false;
}

static bool range_is_current(struct leat_view if_range, const struct files_version *version,
                             int64_t now_s)
{
    struct cursor cursor = cursor_of(if_range);
    struct leat_view tag;
    bool is_weak;
    if (etag_read(&cursor, &tag, &is_weak))
        return !is_weak && cursor.at == cursor.end && leat_view_equal(tag, version->etag);
    /* A date is a strong validator only when the file cannot have changed twice in that second:
     * RFC 9110 8.8.2.2. */
    return files_date_parse(if_range, now_s) == version->modified_s && version->modified_s < now_s;
}

enum files_outcome files_evaluate(const struct files_conditions *conditions,
                                  const struct files_version *version, int64_t now_s)
{
    if (conditions->if_match.count > 0) {
        if (!etag_in_fields(&conditions->if_match, version->etag, true))
            return FILES_FAILED;
    } else if (conditions->if_unmodified_since.data != NULL) {
        int64_t since_s = files_date_parse(conditions->if_unmodified_since, now_s);
        if (since_s >= 0 && version->modified_s > since_s)
            return FILES_FAILED;
    }
    if (conditions->if_none_match.count > 0) {
        if (etag_in_fields(&conditions->if_none_match, version->etag, false))
            return FILES_NOT_MODIFIED;
    } else if (conditions->if_modified_since.data != NULL) {
        int64_t since_s = files_date_parse(conditions->if_modified_since, now_s);
        if (since_s >= 0 && version->modified_s <= since_s)
            return FILES_NOT_MODIFIED;
    }
    if (conditions->range.data != NULL && conditions->if_range.data != NULL &&
        !range_is_current(conditions->if_range, version, now_s))
        return FILES_SEND_ALL;
    return FILES_SEND;
}

/* ---- Ranges ---- */

/* 1*DIGIT; a value that does not fit is beyond every file's end. */
static bool number_read(struct cursor *cursor, uint64_t *number)
{
    const char *start = cursor->at;
    *number = 0;
    while (cursor->at < cursor->end && *cursor->at >= '0' && *cursor->at <= '9') {
        uint64_t digit = (uint64_t)(*cursor->at++ - '0');
        *number = *number > (UINT64_MAX - digit) / 10 ? UINT64_MAX : *number * 10 + digit;
    }
    return cursor->at > start;
}

/* One range-spec (RFC 9110 14.1.1). False: the grammar is broken. *is_there: it can be satisfied.
 */
static bool range_read(struct cursor *cursor, uint64_t size_bytes, struct files_range *range,
                       bool *is_there)
{
    uint64_t first, last;
    if (cursor_skip_char(cursor, '-')) {
        uint64_t suffix_bytes;
        if (!number_read(cursor, &suffix_bytes))
            return false;
        *is_there = suffix_bytes > 0 && size_bytes > 0;
        range->first = suffix_bytes < size_bytes ? size_bytes - suffix_bytes : 0;
        range->last = size_bytes - 1;
        return true;
    }
    if (!number_read(cursor, &first) || !cursor_skip_char(cursor, '-'))
        return false;
    if (!number_read(cursor, &last))
        last = UINT64_MAX;
    if (last < first)
        return false;
    *is_there = first < size_bytes;
    range->first = first;
    range->last = last < size_bytes ? last : size_bytes - 1;
    return true;
}

/* Joins what overlaps or touches into the one that came first (RFC 9110 15.3.7.2). */
static int ranges_join(struct files_range *ranges, int count)
{
    for (int i = 0; i < count; i++) {
        for (int j = i + 1; j < count; j++) {
            struct files_range *a = &ranges[i], *b = &ranges[j];
            if (a->first <= b->last + 1 && b->first <= a->last + 1) {
                a->first = a->first < b->first ? a->first : b->first;
                a->last = a->last > b->last ? a->last : b->last;
                memmove(b, b + 1, (size_t)(count - j - 1) * sizeof(*b));
                count--;
                j = i; /* what has grown may touch those passed over */
            }
        }
    }
    return count;
}

int files_ranges_parse(struct leat_view range, uint64_t size_bytes, unsigned max,
                       struct files_range ranges[FILES_RANGES_MAX])
{
    struct cursor cursor = cursor_of(range);
    if (range.length_bytes < 6 ||
        !leat_view_equal_nocase((struct leat_view){range.data, 5}, "bytes"))
        return 0;
    cursor.at += 5;
    if (!cursor_skip_char(&cursor, '='))
        return 0;
    unsigned count = 0, spec_count = 0;
    for (;;) {
        cursor_skip_blanks(&cursor);
        if (cursor.at == cursor.end)
            break;
        if (cursor_skip_char(&cursor, ',')) /* empty list elements are allowed, RFC 9110 5.6.1.2 */
            continue;
        struct files_range next;
        bool is_there = false;
        if (spec_count++ == max || !range_read(&cursor, size_bytes, &next, &is_there))
            return 0;
        if (is_there)
            ranges[count++] = next;
        cursor_skip_blanks(&cursor);
        if (cursor.at < cursor.end && *cursor.at != ',')
            return 0;
    }
    return spec_count == 0 ? 0 : count == 0 ? -1 : ranges_join(ranges, (int)count);
}

/* ---- Codings ---- */

/* weight = OWS ";" OWS "q=" qvalue, in thousandths; 1000 when absent, -1 when broken. */
static int weight_read(struct cursor *cursor)
{
    cursor_skip_blanks(cursor);
    if (!cursor_skip_char(cursor, ';'))
        return 1000;
    cursor_skip_blanks(cursor);
    if (!(cursor_skip_char(cursor, 'q') || cursor_skip_char(cursor, 'Q')) ||
        !cursor_skip_char(cursor, '='))
        return -1;
    int weight = cursor_skip_char(cursor, '1') ? 1000 : cursor_skip_char(cursor, '0') ? 0 : -1;
    if (weight >= 0 && cursor_skip_char(cursor, '.')) {
        for (int place = 100; place > 0; place /= 10)
            if (cursor->at < cursor->end && *cursor->at >= '0' && *cursor->at <= '9')
                weight += (*cursor->at++ - '0') * place;
    }
    return weight <= 1000 ? weight : -1;
}

static void list_weigh(struct leat_view list, int weights[FILES_CODING_END], int *any)
{
    struct cursor cursor = cursor_of(list);
    while (cursor.at < cursor.end) {
        cursor_skip_blanks(&cursor);
        const char *start = cursor.at;
        while (cursor.at < cursor.end && strchr(" \t,;", *cursor.at) == NULL)
            cursor.at++;
        struct leat_view name = {start, (size_t)(cursor.at - start)};
        int weight = weight_read(&cursor);
        if (leat_view_equal_nocase(name, "br"))
            weights[FILES_BROTLI] = weight;
        else if (leat_view_equal_nocase(name, "gzip") || leat_view_equal_nocase(name, "x-gzip"))
            weights[FILES_GZIP] = weight;
        else if (leat_view_equal_nocase(name, "identity"))
            weights[FILES_IDENTITY] = weight;
        else if (leat_view_equal(name, "*"))
            *any = weight;
        while (cursor.at < cursor.end && !cursor_skip_char(&cursor, ','))
            cursor.at++;
    }
}

void files_codings_parse(const struct files_fields *accept_encoding,
                         enum files_coding order[FILES_CODING_END + 1])
{
    enum { NOT_SAID = -2 };
    int weights[FILES_CODING_END] = {NOT_SAID, NOT_SAID, NOT_SAID}, any = NOT_SAID;
    for (unsigned i = 0; i < accept_encoding->count; i++)
        list_weigh(accept_encoding->view[i], weights, &any);
    for (int i = 0; i < FILES_CODING_END; i++) {
        if (weights[i] == NOT_SAID) {
            /* Identity is acceptable unless it is excluded, but anything named is better. */
            weights[i] = i == FILES_IDENTITY ? (any == 0 ? 0 : 1) : any;
        }
    }
    unsigned count = 0;
    for (;;) {
        int best = -1;
        for (int i = 0; i < FILES_CODING_END; i++)
            if (weights[i] > 0 && (best < 0 || weights[i] > weights[best]))
                best = i;
        if (best < 0)
            break;
        order[count++] = (enum files_coding)best;
        weights[best] = 0;
        if (best == FILES_IDENTITY)
            break; /* it is always there: what is liked less is never looked for */
    }
    order[count] = FILES_CODING_END;
}
