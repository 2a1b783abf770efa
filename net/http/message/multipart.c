/* Forms with files, taken apart: delimiters, heads of parts, data.
 *
 *   PREAMBLE --delimiter--> LINE --CRLF--> HEAD --empty line--> DATA --delimiter--> LINE ...
 *                            `---"--"---> EPILOGUE
 */
#include "net/http/message/multipart.h"
#include "net/http/message/part.h"

#include <string.h>
#include "net/http/message/params.h"

enum {
    PREAMBLE,
    LINE,      /* behind a delimiter */
    LINE_DASH, /* behind its first "-" */
    LINE_BLANK,
    LINE_LF,
    HEAD,
    DATA,
    EPILOGUE,
};

static const struct {
    int status;
    const char *sentence;
} reasons[HTTP_MULTIPART_REASON_COUNT] = {[HTTP_MULTIPART_NONE] = {0, "nothing is wrong"},
#define LEAT_X(name, status, sentence) [HTTP_MULTIPART_##name] = {status, sentence},
                                          HTTP_MULTIPART_REASONS(LEAT_X)
#undef LEAT_X
};

const char *http_multipart_sentence(enum http_multipart_reason reason)
{
    return reasons[(unsigned)reason < HTTP_MULTIPART_REASON_COUNT ? reason : 0].sentence;
}

static int multipart_fail(struct http_multipart *m, enum http_multipart_reason reason)
{
    m->reason = (uint8_t)reason;
    return -reasons[reason].status;
}

/* ---- The boundary ---- */

/* RFC 2046 5.1.1: bchars; the last is no space. */
static bool boundary_is_valid(const char *boundary, size_t length)
{
    static const char others[] = "'()+_,-./:=? ";

    for (size_t i = 0; i < length; i++) {
        char c = boundary[i], letter = (char)(c | 0x20);
        if (!(c >= '0' && c <= '9') && !(letter >= 'a' && letter <= 'z') &&
            (c == '\0' || strchr(others, c) == NULL))
            return false;
    }
    return length > 0 && boundary[length - 1] != ' ';
}

/* Fills m->delimiter; false when there is no boundary, an invalid one, or more than one. */
static bool boundary_read(struct http_multipart *m, struct leat_view type)
{
    struct leat_view rest = type;
    struct http_param param;
    enum http_param_step step;
    size_t length = 0;

    if (!leat_view_equal_nocase(http_params_begin(&rest), "multipart/form-data"))
        return false;
    while ((step = http_param_next(&rest, &param)) == HTTP_PARAM) {
        if (!leat_view_equal_nocase(param.name, "boundary"))
            continue;
        if (length > 0 || param.value.length_bytes > HTTP_BOUNDARY_BYTES_MAX)
            return false;
        length = http_param_copy(&param, m->delimiter + 4);
        if (!boundary_is_valid(m->delimiter + 4, length))
            return false;
    }
    memcpy(m->delimiter, "\r\n--", 4);
    m->delimiter_bytes = (uint8_t)(length + 4);
    return step == HTTP_PARAM_END && length > 0;
}

int http_multipart_init(struct http_multipart *m, struct leat_view type, uint32_t parts_max,
                        char *area, size_t area_bytes)
{
    *m = (struct http_multipart){.state = PREAMBLE,
                                 .parts_max = parts_max,
                                 .area = area,
                                 .matched_bytes = 2, /* the first delimiter may begin the body */
                                 .implied_bytes = 2};
    m->area_bytes_max =
        area_bytes > HTTP_HEAD_BYTES_WALL ? HTTP_HEAD_BYTES_WALL : (uint32_t)area_bytes;
    http_limits_init(&m->limits);
    m->limits.head_bytes_max = m->area_bytes_max;
    m->limits.fields_max = HTTP_PART_FIELDS_MAX;
    return boundary_read(m, type) ? 0 : multipart_fail(m, HTTP_MULTIPART_NO_BOUNDARY);
}

/* ---- Data, and the delimiter that ends it ---- */

static void view_forward(struct leat_view *view, size_t bytes)
{
    view->data += bytes;
    view->length_bytes -= bytes;
}

/* Where a delimiter begins that is whole or cut off by the end; the end when there is none. */
static size_t delimiter_find(const struct http_multipart *m, struct leat_view input)
{
    const char *end = input.data + input.length_bytes, *at = input.data;

    while (at < end && (at = memchr(at, '\r', (size_t)(end - at))) != NULL) {
        size_t left = (size_t)(end - at);
        if (memcmp(at, m->delimiter, left < m->delimiter_bytes ? left : m->delimiter_bytes) == 0)
            return (size_t)(at - input.data);
        at++;
    }
    return input.length_bytes;
}

/* Within a delimiter. Its first byte, CR, comes in it once: when it breaks off, what came of it is
 * data, and no other one can have begun within. Returns an event; MORE: look again. */
static int delimiter_read(struct http_multipart *m, struct leat_view *input, struct leat_view *data)
{
    bool is_data = m->state == DATA;

    while (m->matched_bytes < m->delimiter_bytes && input->length_bytes > 0 &&
           *input->data == m->delimiter[m->matched_bytes]) {
        m->matched_bytes++;
        view_forward(input, 1);
    }
    if (m->matched_bytes == m->delimiter_bytes) {
        m->matched_bytes = m->implied_bytes = 0;
        m->state = LINE;
        return is_data ? HTTP_MULTIPART_PART_END : HTTP_MULTIPART_MORE;
    }
    if (input->length_bytes == 0)
        return HTTP_MULTIPART_MORE;
    *data = (struct leat_view){m->delimiter + m->implied_bytes,
                               (size_t)(m->matched_bytes - m->implied_bytes)};
    m->matched_bytes = m->implied_bytes = 0;
    return is_data && data->length_bytes > 0 ? HTTP_MULTIPART_DATA : HTTP_MULTIPART_MORE;
}

static int data_read(struct http_multipart *m, struct leat_view *input, struct leat_view *data)
{
    size_t length;

    if (m->matched_bytes > 0)
        return delimiter_read(m, input, data);
    length = delimiter_find(m, *input);
    *data = (struct leat_view){input->data, length};
    view_forward(input, length);
    if (length > 0 && m->state == DATA)
        return HTTP_MULTIPART_DATA;
    if (input->length_bytes > 0) {
        m->matched_bytes = 1;
        view_forward(input, 1);
    }
    return HTTP_MULTIPART_MORE;
}

/* ---- Between ---- */

/* One byte of the line of a delimiter. RFC 2046 5.1.1: blanks may follow it. */
static int line_read(struct http_multipart *m, char byte)
{
    static const struct {
        uint8_t state, next;
        char byte;
    } rows[] = {
        {LINE, LINE_DASH, '-'},         {LINE_DASH, EPILOGUE, '-'},  {LINE, LINE_BLANK, ' '},
        {LINE, LINE_BLANK, '\t'},       {LINE, LINE_LF, '\r'},       {LINE_BLANK, LINE_BLANK, ' '},
        {LINE_BLANK, LINE_BLANK, '\t'}, {LINE_BLANK, LINE_LF, '\r'}, {LINE_LF, HEAD, '\n'},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (rows[i].state == m->state && rows[i].byte == byte) {
            m->state = rows[i].next;
            return 0;
        }
    return multipart_fail(m, HTTP_MULTIPART_DELIMITER);
}

/* Gathers the head in the area. What is copied behind it stays in input. */
static int head_read(struct http_multipart *m, struct leat_view *input)
{
    size_t room = m->area_bytes_max - m->area_length, before = m->area_length;
    size_t more = input->length_bytes < room ? input->length_bytes : room;

    if (before == 0) {
        if (m->parts_count++ == m->parts_max)
            return multipart_fail(m, HTTP_MULTIPART_PARTS);
        http_head_init(&m->head, HTTP_PART);
    }
    memcpy(m->area + before, input->data, more);
    m->area_length += (uint32_t)more;
    int used = http_parse_head(&m->head, (uint8_t *)m->area, m->area_length, &m->limits);
    if (used == 0 && m->area_length < m->area_bytes_max) {
        view_forward(input, more);
        return HTTP_MULTIPART_MORE;
    }
    if (used <= 0)
        return multipart_fail(m, used == 0 || m->head.reason == HTTP_REASON_HEAD_LARGE
                                     ? HTTP_MULTIPART_HEAD_LARGE
                                     : HTTP_MULTIPART_HEAD);
    view_forward(input, (size_t)used - before);
    m->area_length = 0;
    enum http_multipart_reason reason = http_part_read(&m->head, m->area, &m->part);
    if (reason != HTTP_MULTIPART_NONE)
        return multipart_fail(m, reason);
    m->state = DATA;
    /* A delimiter may follow at once: its CRLF is then that of the empty line (RFC 2046 5.1.1, a
     * body-part without content). */
    m->matched_bytes = m->implied_bytes = 2;
    return HTTP_MULTIPART_PART;
}

int http_multipart_read(struct http_multipart *m, struct leat_view *input, struct leat_view *data)
{
    int event = HTTP_MULTIPART_MORE;

    while (input->length_bytes > 0 && event == HTTP_MULTIPART_MORE)
        switch (m->state) {
        case PREAMBLE:
        case DATA:
            event = data_read(m, input, data);
            break;
        case HEAD:
            event = head_read(m, input);
            break;
        case EPILOGUE:
            view_forward(input, input->length_bytes);
            break;
        default:
            event = line_read(m, *input->data);
            view_forward(input, 1);
        }
    return event;
}

int http_multipart_end(struct http_multipart *m)
{
    return m->state == EPILOGUE ? 0 : multipart_fail(m, HTTP_MULTIPART_TRUNCATED);
}
