/* A log line as text or as JSON. */
#include "runtime/base/logger.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

struct out {
    char *at, *end;
};

static void out_put(struct out *out, const char *text, size_t bytes)
{
    if ((size_t)(out->end - out->at) >= bytes) {
        memcpy(out->at, text, bytes);
        out->at += bytes;
    }
}

static void put_string(struct out *out, const char *text)
{
    out_put(out, text, strlen(text));
}

/* The bytes of the well-formed UTF-8 character at text (Unicode 15, table 3-7), 0 when it is none.
 */
static size_t utf8_length(const unsigned char *text, size_t left)
{
    unsigned char c = text[0];
    size_t n = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
    if (n == 0 || n > left)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    if ((c == 0xe0 && text[1] < 0xa0) || (c == 0xed && text[1] > 0x9f) ||
        (c == 0xf0 && text[1] < 0x90) || (c == 0xf4 && text[1] > 0x8f))
        return 0;
    return n;
}

static void put_escaped(struct out *out, const char *text, size_t bytes, bool json)
{
    char escape[8];
    for (size_t i = 0; i < bytes;) {
        const unsigned char c = (unsigned char)text[i];
        size_t n = utf8_length((const unsigned char *)text + i, bytes - i);
        if (n == 0 && json) {
            put_string(out, "\\ufffd");
        } else if (n == 0 || c < 0x20 || c == 0x7f) {
            snprintf(escape, sizeof(escape), json ? "\\u%04x" : "\\x%02x", c);
            put_string(out, escape);
        } else if (json && (c == '"' || c == '\\')) {
            out_put(out, (const char[2]){'\\', (char)c}, 2);
        } else {
            out_put(out, text + i, n);
        }
        i += n == 0 ? 1 : n;
    }
}

static const char *file_of(const struct leat_log_site *site)
{
    const char *file = site->file;
    while (strncmp(file, "../", 3) == 0)
        file += 3;
    return file;
}

size_t leat_log_format(const struct leat_log_record *record, bool json,
                       char to[LEAT_LOG_FORMATTED_BYTES_MAX])
{
    struct out out = {to, to + LEAT_LOG_FORMATTED_BYTES_MAX - 1};
    time_t seconds = (time_t)(record->time_ns / LEAT_NS_PER_S);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    char date[32], core[32] = "", line[16];
    strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
    unsigned ms = (unsigned)(record->time_ns / LEAT_NS_PER_MS % 1000);
    const char *level = leat_level_name((enum leat_level)record->site->level);
    char head[128];
    if (json) {
        snprintf(line, sizeof(line), "%u", record->site->line);
        if (record->core >= 0)
            snprintf(core, sizeof(core), "\"core\":%d,", record->core);
        snprintf(head, sizeof(head), "{\"time\":\"%s.%03uZ\",\"level\":\"%s\",%s\"message\":\"",
                 date, ms, level, core);
        put_string(&out, head);
        put_escaped(&out, record->text, record->text_bytes, true);
        put_string(&out, "\",\"site\":\"");
        put_escaped(&out, file_of(record->site), strlen(file_of(record->site)), true);
        put_string(&out, ":");
        put_string(&out, line);
        put_string(&out, "\"}");
    } else {
        if (record->core >= 0)
            snprintf(core, sizeof(core), "core %d: ", record->core);
        snprintf(head, sizeof(head), "%s.%03uZ %-5s %s", date, ms, level, core);
        put_string(&out, head);
        put_escaped(&out, record->text, record->text_bytes, false);
    }
    *out.at++ = '\n';
    return (size_t)(out.at - to);
}
