/* The scanner of heads: a template, included once per instruction set (head_scalar.c,
 * head_sse42.c, ...) by a file that defines
 *   HTTP_TARGET                          the function attribute that selects the instructions,
 *   scan_token, scan_value, scan_target  (begin, at, end): the first byte in [at, end) that is
 *                                        outside of the class, or end; [begin, end) is readable.
 *
 * Each step takes one element from the cursor. When bytes run out it says in which state to go on,
 * and all else that the next call needs stands in the head. */
#include "net/http/parser_internal.h"

#define STEP static inline __attribute__((always_inline)) HTTP_TARGET

struct cursor {
    const uint8_t *begin, *at, *end;
    const uint8_t *mark;  /* where the element being scanned began; head->mark between calls */
    uint32_t field_count; /* head->field_count between calls */
    struct http_head *head;
    const struct http_limits *limits;
    uint32_t fields_max;
};

/* Keeps in the head what the next call needs. */
STEP int wait_in(struct cursor *c, enum http_state state)
{
    c->head->state = (uint8_t)state;
    c->head->at = (uint16_t)(c->at - c->begin);
    c->head->mark = (uint16_t)(c->mark - c->begin);
    c->head->field_count = (uint8_t)c->field_count;
    return HTTP_WAIT;
}

STEP uint16_t offset_of(const struct cursor *c, const uint8_t *at)
{
    return (uint16_t)(at - c->begin);
}

STEP struct http_span span_to(const struct cursor *c, const uint8_t *end)
{
    return (struct http_span){offset_of(c, c->mark), (uint16_t)(end - c->mark)};
}

/* At a CR: takes CRLF. */
STEP int take_crlf(struct cursor *c, enum http_state when_lf_is_missing)
{
    if (http_unlikely(c->end - c->at < 2)) {
        c->at++;
        return wait_in(c, when_lf_is_missing);
    }
    if (http_unlikely(c->at[1] != '\n'))
        return HTTP_REASON_BARE_CR;
    c->at += 2;
    return HTTP_GO;
}

/* Behind a CR whose LF had not come yet. */
STEP int take_lf(struct cursor *c, enum http_state state)
{
    if (c->at == c->end)
        return wait_in(c, state);
    if (*c->at != '\n')
        return HTTP_REASON_BARE_CR;
    c->at++;
    return HTTP_GO;
}

/* RFC 9112 2.2: empty lines before a request are ignored, but not without end. */
STEP int empty_lines(struct cursor *c, enum http_state state)
{
    int step = HTTP_GO;

    for (;;) {
        if (state == HTTP_STATE_REQUEST_LF) {
            step = take_lf(c, HTTP_STATE_REQUEST_LF);
            if (step != HTTP_GO)
                return step;
        }
        if (c->at == c->end)
            return wait_in(c, HTTP_STATE_REQUEST);
        if (http_likely(*c->at != '\r'))
            break;
        if (c->head->empty_lines++ == HTTP_LEADING_EMPTY_LINES_MAX)
            return HTTP_REASON_EMPTY_LINES;
        c->at++;
        state = HTTP_STATE_REQUEST_LF;
    }
    if (*c->at == '\n')
        return HTTP_REASON_BARE_LF;
    c->mark = c->at;
    return HTTP_GO;
}

STEP int method(struct cursor *c)
{
    struct http_head *head = c->head;
    const uint8_t *begin = c->mark;

    if (http_likely(c->at == begin && c->end - begin >= 4 && memcmp(begin, "GET ", 4) == 0)) {
        head->method = LEAT_METHOD_GET;
        head->method_name = (struct http_span){offset_of(c, begin), 3};
        c->at = begin + 4;
        c->mark = c->at;
        return HTTP_GO;
    }
    c->at = scan_token(c->begin, c->at, c->end);
    if (c->at - begin > HTTP_METHOD_BYTES_MAX)
        return HTTP_REASON_METHOD_LONG;
    if (c->at == c->end)
        return wait_in(c, HTTP_STATE_METHOD);
    if (*c->at != ' ' || c->at == begin)
        return HTTP_REASON_METHOD;
    head->method_name = span_to(c, c->at);
    head->method = (uint8_t)leat_method_find(begin, head->method_name.length);
    c->at++;
    c->mark = c->at;
    return HTTP_GO;
}

STEP int target_end(struct cursor *c)
{
    struct http_head *head = c->head;
    int step;

    if (http_unlikely(*c->at == '\r' || *c->at == '\n'))
        return HTTP_REASON_VERSION;
    head->target = span_to(c, c->at);
    if (http_unlikely(*c->at != ' ' || head->target.length == 0))
        return HTTP_REASON_TARGET;
    head->path = head->target;
    if (head->has_query) {
        head->query.length = (uint16_t)(offset_of(c, c->at) - head->query.offset);
        head->path.length = (uint16_t)(head->query.offset - 1 - head->path.offset);
    }
    if (http_unlikely(*c->mark != '/' || head->method == LEAT_METHOD_CONNECT)) {
        step = http_target_meaning(head, c->begin);
        if (step != HTTP_GO)
            return step;
    }
    c->at++;
    c->mark = c->at;
    return HTTP_GO;
}

STEP int target(struct cursor *c)
{
    struct http_head *head = c->head;

    for (;;) {
        c->at = scan_target(c->begin, c->at, c->end);
        if (http_unlikely(c->at - (c->mark) > (ptrdiff_t)c->limits->target_bytes_max))
            return HTTP_REASON_TARGET_LONG;
        if (http_unlikely(c->at == c->end))
            return wait_in(c, HTTP_STATE_TARGET);
        if (*c->at != '?')
            return target_end(c);
        c->at++;
        if (!head->has_query) {
            head->has_query = true;
            head->query.offset = offset_of(c, c->at);
        }
    }
}

STEP int version(struct cursor *c)
{
    const uint8_t *at = c->at;
    size_t length = (size_t)(c->end - at);
    int step;

    if (http_likely(length >= 10 && memcmp(at, "HTTP/1.1\r\n", 10) == 0)) {
        c->head->minor = 1;
        c->at = at + 10;
        return HTTP_GO;
    }
    step = http_version_check(at, length);
    if (step != HTTP_GO)
        return step == HTTP_WAIT ? wait_in(c, HTTP_STATE_VERSION) : step;
    if (length > 8 && at[8] != '\r')
        return at[8] == '\n' ? HTTP_REASON_BARE_LF : HTTP_REASON_VERSION;
    if (length < 10)
        return wait_in(c, HTTP_STATE_VERSION);
    if (at[9] != '\n')
        return HTTP_REASON_BARE_CR;
    c->head->minor = (uint8_t)(at[7] - '0');
    c->at = at + 10;
    return HTTP_GO;
}

/* The reason phrase means nothing, and many servers leave it out with its space. */
STEP int status(struct cursor *c)
{
    int step = http_status_check(c->head, c->at, (size_t)(c->end - c->at));

    if (step == HTTP_GO && c->end - c->at == 12)
        step = HTTP_WAIT;
    if (step != HTTP_GO)
        return step == HTTP_WAIT ? wait_in(c, HTTP_STATE_STATUS) : step;
    if (c->at[12] == ' ')
        c->at++;
    else if (c->at[12] != '\r' && c->at[12] != '\n')
        return HTTP_REASON_STATUS_LINE;
    c->at += 12;
    c->mark = c->at;
    return HTTP_GO;
}

STEP int phrase(struct cursor *c)
{
    c->at = scan_value(c->begin, c->at, c->end);
    if (c->at == c->end)
        return wait_in(c, HTTP_STATE_PHRASE);
    if (*c->at != '\r')
        return *c->at == '\n' ? HTTP_REASON_BARE_LF : HTTP_REASON_STATUS_LINE;
    c->head->phrase = span_to(c, c->at);
    return take_crlf(c, HTTP_STATE_PHRASE_LF);
}

/* At the first byte of a line: HTTP_DONE behind the empty line that ends the head. */
STEP int field_begin(struct cursor *c)
{
    int step;

    if (http_unlikely(c->at == c->end))
        return wait_in(c, HTTP_STATE_FIELD);
    if (*c->at == '\r') {
        step = take_crlf(c, HTTP_STATE_END_LF);
        return step == HTTP_GO ? HTTP_DONE : step;
    }
    if (http_unlikely(*c->at == ' ' || *c->at == '\t'))
        return HTTP_REASON_FOLD;
    if (http_unlikely(*c->at == '\n'))
        return HTTP_REASON_BARE_LF;
    if (http_unlikely(c->field_count >= c->fields_max))
        return HTTP_REASON_FIELDS_MANY;
    c->mark = c->at;
    return HTTP_GO;
}

STEP int field_name(struct cursor *c)
{
    struct http_head *head = c->head;

    c->at = scan_token(c->begin, c->at, c->end);
    if (http_unlikely(c->at == c->end))
        return wait_in(c, HTTP_STATE_NAME);
    if (http_unlikely(*c->at != ':' || c->at == c->mark)) {
        if (c->at == c->mark || (*c->at != ' ' && *c->at != '\t'))
            return HTTP_REASON_FIELD_NAME;
        return HTTP_REASON_FIELD_SPACE;
    }
    head->fields[c->field_count].name = span_to(c, c->at);
    c->at++;
    return HTTP_GO;
}

STEP int field_blank(struct cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\t'))
        c->at++;
    if (http_unlikely(c->at == c->end))
        return wait_in(c, HTTP_STATE_BLANK);
    c->mark = c->at;
    return HTTP_GO;
}

STEP int field_value(struct cursor *c)
{
    struct http_head *head = c->head;
    const uint8_t *begin = c->mark, *end;

    c->at = end = scan_value(c->begin, c->at, c->end);
    if (http_unlikely(end == c->end))
        return wait_in(c, HTTP_STATE_VALUE);
    if (http_unlikely(*end != '\r'))
        return *end == '\n' ? HTTP_REASON_BARE_LF : HTTP_REASON_FIELD_VALUE;
    while (end > begin && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    head->fields[c->field_count].value = span_to(c, end);
    return take_crlf(c, HTTP_STATE_VALUE_LF);
}

/* The line is complete: look the name up, let special fields speak, and keep it. */
STEP int field_end(struct cursor *c)
{
    struct http_head *head = c->head;
    const struct http_field *field = &head->fields[c->field_count];
    enum http_known known = http_known_lookup(c->begin + field->name.offset, field->name.length);
    uint64_t bit = UINT64_C(1) << known;
    int step;

    if (http_special[head->kind] & bit) {
        step = http_field_meaning(head, c->begin, known, field->value);
        if (http_unlikely(step != HTTP_GO))
            return step == HTTP_DROP ? HTTP_GO : step;
    }
    head->repeated |= head->present & bit;
    head->present |= bit;
    head->ids[c->field_count++] = (uint8_t)known;
    if (head->known[known] == 0)
        head->known[known] = (uint8_t)c->field_count;
    return HTTP_GO;
}

#define NEXT(step_call)                                                                            \
    step = (step_call);                                                                            \
    if (http_unlikely(step != HTTP_GO))                                                            \
    return step

STEP int field_lines(struct cursor *c, enum http_state state)
{
    int step;

    for (;; state = HTTP_STATE_FIELD) {
        switch (state) {
        default:
            NEXT(field_begin(c));
            __attribute__((fallthrough));
        case HTTP_STATE_NAME:
            NEXT(field_name(c));
            __attribute__((fallthrough));
        case HTTP_STATE_BLANK:
            NEXT(field_blank(c));
            __attribute__((fallthrough));
        case HTTP_STATE_VALUE:
            NEXT(field_value(c));
            NEXT(field_end(c));
            break;
        case HTTP_STATE_VALUE_LF:
            NEXT(take_lf(c, HTTP_STATE_VALUE_LF));
            NEXT(field_end(c));
            break;
        case HTTP_STATE_END_LF:
            NEXT(take_lf(c, HTTP_STATE_END_LF));
            return HTTP_DONE;
        }
    }
}

STEP int start_line(struct cursor *c, enum http_state state)
{
    int step;

    switch (state) {
    case HTTP_STATE_REQUEST:
    case HTTP_STATE_REQUEST_LF:
        NEXT(empty_lines(c, state));
        __attribute__((fallthrough));
    case HTTP_STATE_METHOD:
        NEXT(method(c));
        __attribute__((fallthrough));
    case HTTP_STATE_TARGET:
        NEXT(target(c));
        __attribute__((fallthrough));
    case HTTP_STATE_VERSION:
        return version(c);
    case HTTP_STATE_STATUS:
        NEXT(status(c));
        __attribute__((fallthrough));
    case HTTP_STATE_PHRASE:
        return phrase(c);
    case HTTP_STATE_PHRASE_LF:
        return take_lf(c, HTTP_STATE_PHRASE_LF);
    default:
        return HTTP_GO;
    }
}

STEP uint32_t at_most(uint32_t limit, uint32_t wall)
{
    return limit < wall ? limit : wall;
}

static HTTP_TARGET int parse(struct http_head *head, const uint8_t *bytes, size_t length,
                             const struct http_limits *limits)
{
    size_t bytes_max = at_most(limits->head_bytes_max, HTTP_HEAD_BYTES_WALL);
    bool cut = length >= bytes_max;
    uint32_t fields_max =
        head->kind == HTTP_TRAILERS ? limits->trailer_fields_max : limits->fields_max;
    struct cursor c = {.begin = bytes,
                       .at = bytes + head->at,
                       .end = bytes + (cut ? bytes_max : length),
                       .mark = bytes + head->mark,
                       .field_count = head->field_count,
                       .head = head,
                       .limits = limits,
                       .fields_max = at_most(fields_max, HTTP_FIELDS_WALL)};
    enum http_state state = (enum http_state)head->state;
    int step = HTTP_GO;

    if (state < HTTP_STATE_FIELD) {
        step = start_line(&c, state);
        state = HTTP_STATE_FIELD;
    }
    if (http_likely(step == HTTP_GO))
        step = field_lines(&c, state);
    if (step == HTTP_WAIT) {
        if (!cut)
            return 0;
        step = head->state == HTTP_STATE_TARGET ? HTTP_REASON_TARGET_LONG : HTTP_REASON_HEAD_LARGE;
    } else if (step == HTTP_DONE) {
        head->field_count = (uint8_t)c.field_count;
        step = http_head_finish(head);
        if (http_likely(step == HTTP_GO))
            return (int)(c.at - bytes);
    }
    head->reason = (uint8_t)step;
    return -http_reason_status((enum http_reason)step);
}

#undef NEXT
#undef STEP
