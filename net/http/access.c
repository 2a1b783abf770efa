/* The access log: one line per response, in the core's log ring, as text or as JSON. */
#include "net/http/http_internal.h"

#include <leat/log.h>
#include <stdio.h>

struct line {
    char text[LEAT_LOG_LINE_BYTES_MAX];
    size_t length;
};

#define TAIL_BYTES 160 /* kept free behind what the peer sent, for the numbers */

static void line_add_text(struct line *line, const char *text)
{
    size_t length = strlen(text);

    if (line->length + length <= sizeof(line->text)) {
        memcpy(line->text + line->length, text, length);
        line->length += length;
    }
}

static void line_add_number(struct line *line, uint64_t number)
{
    if (line->length + 20 <= sizeof(line->text))
        line->length += http_put_number((uint8_t *)line->text + line->length, number);
}

/* What the peer sent: cut, and escaped as JSON asks, which serves the text form too. */
static void line_add_view(struct line *line, struct leat_view view)
{
    static const char hex[] = "0123456789abcdef";

    for (size_t i = 0; i < view.length_bytes; i++) {
        unsigned char c = (unsigned char)view.data[i];
        if (line->length + 6 > sizeof(line->text) - TAIL_BYTES)
            return;
        char *to = line->text + line->length;
        if (c == '"' || c == '\\') {
            to[0] = '\\';
            to[1] = (char)c;
            line->length += 2;
        } else if (c < 0x20 || c >= 0x7f) {
            memcpy(to, "\\u00", 4);
            to[4] = hex[c >> 4];
            to[5] = hex[c & 15];
            line->length += 6;
        } else {
            to[0] = (char)c;
            line->length++;
        }
    }
}

static void line_add_time(struct line *line, struct leat_http *http)
{
    char date[HTTP_DATE_BYTES + 1];

    http_date_refresh(http->core, leat_loop_now(http->loop));
    memcpy(date, http->core->date, HTTP_DATE_BYTES);
    date[HTTP_DATE_BYTES] = '\0';
    line_add_text(line, date);
}

/* Of a request that could not be read there is nothing to tell: columns stay columns all the same.
 */
static struct leat_view view_or_dash(struct leat_view view, bool is_json)
{
    return view.length_bytes > 0 || is_json ? view : leat_view_of("-");
}

void http_access_log(const struct leat_request *req)
{
    const struct http_exchange *x = &req->x;
    struct line line;
    bool is_json = req->http->options.json_log;
    char peer[LEAT_ADDR_TEXT_BYTES_MAX] = "-";
    struct leat_addr addr;
    uint64_t now_ns = leat_loop_clock(req->http->loop);

    if (req->conn && leat_request_peer(req, &addr) == 0)
        leat_addr_format(&addr, peer);
    line.length = 0;
    line_add_text(&line, is_json ? "{\"time\":\"" : "");
    line_add_time(&line, req->http);
    line_add_text(&line, is_json ? "\",\"peer\":\"" : " ");
    line_add_view(&line, leat_view_of(peer));
    line_add_text(&line, is_json ? "\",\"method\":\"" : " \"");
    line_add_view(&line, view_or_dash(leat_request_method_name(req), is_json));
    line_add_text(&line, is_json ? "\",\"target\":\"" : " ");
    line_add_view(&line, view_or_dash(leat_request_target(req), is_json));
    line_add_text(&line, is_json ? "\",\"status\":" : "\" ");
    line_add_number(&line, x->status);
    line_add_text(&line, is_json ? ",\"body_bytes\":" : " ");
    line_add_number(&line, x->sent_bytes);
    line_add_text(&line, is_json ? ",\"duration_us\":" : " ");
    line_add_number(&line, (now_ns - x->began_ns) / LEAT_NS_PER_US);
    line_add_text(&line, is_json ? "}" : "us");
    (void)leat_log_output(line.text, line.length);
}
