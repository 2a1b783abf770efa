#include "test/http/describe.h"

#include <stdarg.h>
#include <stdio.h>

void text_add(struct text *text, const char *format, ...)
{
    size_t room = sizeof(text->bytes) - text->length;
    va_list arguments;

    va_start(arguments, format);
    int written = vsnprintf(text->bytes + text->length, room, format, arguments);
    va_end(arguments);
    LEAT_CHECK(written >= 0 && (size_t)written < room);
    text->length += (size_t)written;
}

void text_add_bytes(struct text *text, const void *bytes, size_t length)
{
    const uint8_t *at = bytes;

    for (size_t i = 0; i < length; i++)
        if (at[i] >= ' ' && at[i] <= '~' && at[i] != '\\' && at[i] != '|')
            text_add(text, "%c", at[i]);
        else
            text_add(text, "\\%02x", at[i]);
}

static void add_span(struct text *text, const char *label, const uint8_t *bytes,
                     struct http_span span)
{
    text_add(text, "%s", label);
    text_add_bytes(text, bytes + span.offset, span.length);
}

void describe_fields(struct text *text, const struct http_head *head, const uint8_t *bytes)
{
    for (unsigned i = 0; i < head->field_count; i++) {
        add_span(text, " | ", bytes, head->fields[i].name);
        add_span(text, ": ", bytes, head->fields[i].value);
    }
}

static void describe_request(struct text *text, const struct http_head *head, const uint8_t *bytes)
{
    static const char *const forms[] = {"origin", "absolute", "authority", "asterisk"};
    struct leat_view path = http_path(head, bytes);

    text_add(text, " %s", leat_method_name((enum leat_method)head->method));
    add_span(text, " ", bytes, head->method_name);
    add_span(text, " ", bytes, head->target);
    text_add(text, " %s ", forms[head->target_form]);
    text_add_bytes(text, path.data, path.length_bytes);
    if (head->has_query)
        add_span(text, " ?", bytes, head->query);
    add_span(text, " host=", bytes, head->host);
}

void describe_head(struct text *text, const struct http_head *head, const uint8_t *bytes, int used)
{
    if (used < 0) {
        text_add(text, "%d %s", -used, http_reason_name((enum http_reason)head->reason));
        return;
    }
    text_add(text, "%d", used);
    if (used == 0)
        return;
    if (head->kind == HTTP_REQUEST)
        describe_request(text, head, bytes);
    if (head->kind == HTTP_RESPONSE) {
        text_add(text, " %u", head->status);
        add_span(text, " '", bytes, head->phrase);
        text_add(text, "'");
    }
    if (head->kind != HTTP_TRAILERS)
        text_add(text, " 1.%u%s%s%s%s", head->minor, head->keep_alive ? " keep" : " close",
                 head->chunked ? " chunked" : "", head->expect_continue ? " expect" : "",
                 head->upgrade ? " upgrade" : "");
    if (head->has_length)
        text_add(text, " length=%llu", (unsigned long long)head->content_length);
    describe_fields(text, head, bytes);
}
