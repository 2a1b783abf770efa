#include "test/http/reference.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MORE = 0, HEAD_MAX = 16384, TARGET_MAX = 8192, FIELDS_MAX = 100, TRAILERS_MAX = 32 };
enum kind { REQUEST, RESPONSE, TRAILER };

struct field {
    char name[HEAD_MAX + 1], value[HEAD_MAX + 1];
};

struct reader {
    jmp_buf stop; /* left with MORE + 1, or a status + 1 */
    const uint8_t *bytes;
    size_t length, at, limit;
    int limit_status;
    enum kind kind;
    unsigned count;
    struct field *fields;
    char method[HEAD_MAX + 1], target[HEAD_MAX + 1], phrase[HEAD_MAX + 1];
    char path[HEAD_MAX + 1], query[HEAD_MAX + 1], host[HEAD_MAX + 1];
    const char *form;
    bool has_query;
    int minor, status;
    bool hosted, close, keep_alive, asks_upgrade, has_upgrade, expect, chunked, has_length;
    bool coded, coded_otherwise;
    unsigned long long body_length;
};

static __attribute__((noreturn)) void stop(struct reader *r, int status)
{
    longjmp(r->stop, status + 1);
}

/* The byte at the place, which stays. */
static int peek(struct reader *r)
{
    if (r->at >= r->limit)
        stop(r, r->limit_status);
    if (r->at >= r->length)
        stop(r, MORE);
    return r->bytes[r->at];
}

static int take(struct reader *r)
{
    int byte = peek(r);
    r->at++;
    return byte;
}

static void expect_byte(struct reader *r, int byte)
{
    if (take(r) != byte)
        stop(r, 400);
}

static bool is_tchar(int byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
           (byte >= 'A' && byte <= 'Z') || (byte != 0 && strchr("!#$%&'*+-.^_`|~", byte));
}

static bool is_text(int byte)
{
    return byte == '\t' || (byte >= ' ' && byte != 0x7f);
}

static char lower(char byte)
{
    return byte >= 'A' && byte <= 'Z' ? (char)(byte + 32) : byte;
}

static bool same(const char *a, const char *b)
{
    while (*a && lower(*a) == lower(*b)) {
        a++;
        b++;
    }
    return lower(*a) == lower(*b);
}

static char *strip(char *text)
{
    while (*text == ' ' || *text == '\t')
        text++;
    size_t length = strlen(text);
    while (length && (text[length - 1] == ' ' || text[length - 1] == '\t'))
        text[--length] = '\0';
    return text;
}

static bool all_digits(const char *text)
{
    return *text != '\0' && strspn(text, "0123456789") == strlen(text);
}

/* "%" and a ZoneID of RFC 6874 2, which "%25" and a ZoneID is as well. */
static bool is_zone(const char *at, const char *end)
{
    static const char unreserved[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                     "0123456789-._~";
    const char *hex = "0123456789abcdefABCDEF";
    if (*at != '%' || ++at == end)
        return false;
    for (; at < end; at++)
        if (*at == '%' && end - at >= 3 && strchr(hex, at[1]) && strchr(hex, at[2]))
            at += 2;
        else if (!strchr(unreserved, *at))
            return false;
    return true;
}

static bool begins(const char *text, const char *with)
{
    while (*with && lower(*text) == *with) {
        text++;
        with++;
    }
    return *with == '\0';
}

/* uri-host [ ":" port ]; strict: both must be there. */
static bool is_host(const char *whole, bool strict)
{
    static const char reg_name[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                   "-._~!$&'()*+,;=";
    const char *at = whole, *hex = "0123456789abcdefABCDEF";

    if (*at == '[') {
        size_t inside = strspn(at + 1, "0123456789abcdefABCDEF:.");
        size_t close = strcspn(at, "]");
        if (inside < 2 || at[close] == '\0')
            return false;
        if (close != inside + 1 && !is_zone(at + 1 + inside, at + close))
            return false;
        at += close + 1;
    } else {
        while (*at && *at != ':') {
            if (*at == '%') {
                if (!at[1] || !strchr(hex, at[1]) || !at[2] || !strchr(hex, at[2]))
                    return false;
                at += 3;
            } else if (strchr(reg_name, *at)) {
                at++;
            } else {
                return false;
            }
        }
        if (at == whole && (strict || *at))
            return false;
    }
    if (*at == '\0')
        return !strict;
    if (*at != ':')
        return false;
    if (at[1] == '\0')
        return !strict;
    if (!all_digits(at + 1))
        return false;
    while (at[1] == '0')
        at++;
    return strlen(at + 1) <= 5 && atoi(at + 1) <= 65535;
}

static void version(struct reader *r)
{
    for (const char *c = "HTTP/"; *c; c++)
        expect_byte(r, *c);
    int major = take(r);
    if (major < '0' || major > '9')
        stop(r, 400);
    expect_byte(r, '.');
    int minor = take(r);
    if (minor < '0' || minor > '9')
        stop(r, 400);
    if (major != '1')
        stop(r, 505);
    r->minor = minor - '0';
}

static void absolute(struct reader *r)
{
    char *authority;

    if (begins(r->target, "http://"))
        authority = r->target + 7;
    else if (begins(r->target, "https://"))
        authority = r->target + 8;
    else
        stop(r, 400);
    size_t length = strcspn(authority, "/?");
    memcpy(r->host, authority, length);
    r->host[length] = '\0';
    if (length == 0 || !is_host(r->host, false))
        stop(r, 400);
    authority += length;
    length = strcspn(authority, "?");
    memcpy(r->path, authority, length);
    r->path[length] = '\0';
    if (length == 0)
        strcpy(r->path, "/");
    r->form = "absolute";
}

static void target_parts(struct reader *r)
{
    char *question;

    strcpy(r->path, r->target);
    question = strchr(r->path, '?');
    if (question) {
        r->has_query = true;
        strcpy(r->query, question + 1);
        *question = '\0';
    }
    if (strcmp(r->method, "CONNECT") == 0) {
        if (!is_host(r->target, true))
            stop(r, 400);
        r->form = "authority";
        strcpy(r->host, r->target);
    } else if (r->target[0] == '/') {
        r->form = "origin";
    } else if (strcmp(r->target, "*") == 0 && strcmp(r->method, "OPTIONS") == 0) {
        r->form = "asterisk";
    } else {
        absolute(r);
    }
}

static void request_line(struct reader *r)
{
    size_t length = 0;

    for (unsigned lines = 0; peek(r) == '\r'; lines++) {
        if (lines == 4)
            stop(r, 400);
        take(r);
        expect_byte(r, '\n');
    }
    while (is_tchar(peek(r))) {
        r->method[length++] = (char)take(r);
        if (length > 32)
            stop(r, 501);
    }
    r->method[length] = '\0';
    expect_byte(r, ' ');
    if (length == 0)
        stop(r, 400);
    r->limit_status = 414;
    for (length = 0; peek(r) > ' ' && peek(r) < 0x7f && peek(r) != '#';) {
        r->target[length++] = (char)take(r);
        if (length > TARGET_MAX)
            stop(r, 414);
    }
    r->target[length] = '\0';
    expect_byte(r, ' ');
    r->limit_status = 431;
    if (length == 0)
        stop(r, 400);
    target_parts(r);
    version(r);
    expect_byte(r, '\r');
    expect_byte(r, '\n');
}

static void status_line(struct reader *r)
{
    size_t length = 0;

    version(r);
    expect_byte(r, ' ');
    int hundreds = take(r) - '0';
    if (hundreds < 1 || hundreds > 9)
        stop(r, 400);
    int tens = take(r) - '0';
    if (tens < 0 || tens > 9)
        stop(r, 400);
    int ones = take(r) - '0';
    if (ones < 0 || ones > 9)
        stop(r, 400);
    r->status = hundreds * 100 + tens * 10 + ones;
    if (peek(r) == ' ') {
        take(r);
        while (is_text(peek(r)))
            r->phrase[length++] = (char)take(r);
    }
    r->phrase[length] = '\0';
    expect_byte(r, '\r');
    expect_byte(r, '\n');
}

/* The elements of a comma-separated list; false past the last. */
static bool element(char **rest, char **out)
{
    if (!*rest)
        return false;
    char *comma = strchr(*rest, ',');
    *out = *rest;
    *rest = comma ? comma + 1 : NULL;
    if (comma)
        *comma = '\0';
    *out = strip(*out);
    return true;
}

static bool is_coding(char *text)
{
    char *semicolon = strchr(text, ';');
    if (semicolon) {
        *semicolon = '\0';
        text = strip(text);
        if (same(text, "chunked"))
            return false;
    }
    for (const char *c = text; *c; c++)
        if (!is_tchar((uint8_t)*c))
            return false;
    return *text != '\0';
}

/* One line of the list. Whether the list is right can be said when all lines are there. */
static void transfer_encoding(struct reader *r, char *list)
{
    char *coding;

    if (r->minor == 0 || (r->has_length && r->kind == REQUEST))
        stop(r, 400);
    r->coded = true;
    while (element(&list, &coding)) {
        if (r->chunked)
            stop(r, 400);
        if (same(coding, "chunked"))
            r->chunked = true;
        else if (is_coding(coding))
            r->coded_otherwise = true;
        else
            stop(r, 400);
    }
}

static void transfer_encoding_end(struct reader *r)
{
    if (r->coded && !r->chunked)
        stop(r, 400);
    if (r->coded_otherwise)
        stop(r, 501);
}

static void content_length(struct reader *r, const char *text)
{
    if (r->has_length || (r->coded && r->kind == REQUEST) || !all_digits(text))
        stop(r, 400);
    while (text[0] == '0' && text[1])
        text++;
    if (strlen(text) > 19 || (strlen(text) == 19 && strcmp(text, "9223372036854775807") > 0))
        stop(r, 400);
    r->has_length = true;
    r->body_length = strtoull(text, NULL, 10);
}

static void request_field(struct reader *r, const char *name, const char *value)
{
    static char copy[HEAD_MAX + 1];
    char *list = strcpy(copy, value), *one;

    if (same(name, "host")) {
        if (r->hosted || !is_host(value, false))
            stop(r, 400);
        r->hosted = true;
        if (strcmp(r->form, "origin") == 0 || strcmp(r->form, "asterisk") == 0)
            strcpy(r->host, value);
    }
    if (!same(name, "expect") || r->minor == 0)
        return;
    while (element(&list, &one))
        if (same(one, "100-continue"))
            r->expect = true;
        else if (*one)
            stop(r, 417);
}

static void field_meaning(struct reader *r, const char *name, const char *value)
{
    static char copy[HEAD_MAX + 1];
    char *list = strcpy(copy, value), *one;

    if (r->kind == REQUEST)
        request_field(r, name, value);
    if (same(name, "upgrade"))
        r->has_upgrade = true;
    if (same(name, "content-length"))
        content_length(r, value);
    if (same(name, "transfer-encoding"))
        transfer_encoding(r, list);
    if (same(name, "connection"))
        while (element(&list, &one)) {
            r->close |= same(one, "close");
            r->keep_alive |= same(one, "keep-alive");
            r->asks_upgrade |= same(one, "upgrade");
        }
}

/* Whether a trailer field is left out. */
static bool is_left_out(struct reader *r, const char *name)
{
    static const char *const refused[] = {"transfer-encoding",
                                          "content-length",
                                          "host",
                                          "connection",
                                          "upgrade",
                                          "expect",
                                          "te",
                                          "trailer",
                                          "keep-alive",
                                          "proxy-connection",
                                          "http2-settings"};
    static const char *const dropped[] = {"authorization",
                                          "proxy-authorization",
                                          "cookie",
                                          "set-cookie",
                                          "content-type",
                                          "content-encoding",
                                          "content-range",
                                          "content-disposition",
                                          "cache-control",
                                          "pragma",
                                          "max-forwards",
                                          "range",
                                          "if-match",
                                          "if-none-match",
                                          "if-modified-since",
                                          "if-unmodified-since",
                                          "if-range",
                                          "origin",
                                          "forwarded",
                                          "x-forwarded-for",
                                          "x-forwarded-host",
                                          "x-forwarded-proto",
                                          "x-real-ip",
                                          "location",
                                          "retry-after",
                                          "vary",
                                          "www-authenticate",
                                          "age",
                                          "expires",
                                          "date"};

    for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++)
        if (same(name, refused[i]))
            stop(r, 400);
    for (size_t i = 0; i < sizeof(dropped) / sizeof(*dropped); i++)
        if (same(name, dropped[i]))
            return true;
    return false;
}

static void field_lines(struct reader *r)
{
    while (peek(r) != '\r') {
        struct field *field = &r->fields[r->count];
        size_t length = 0;

        if (peek(r) == ' ' || peek(r) == '\t' || peek(r) == '\n')
            stop(r, 400);
        if (r->count == (r->kind == TRAILER ? TRAILERS_MAX : FIELDS_MAX))
            stop(r, 431);
        while (is_tchar(peek(r)))
            field->name[length++] = (char)take(r);
        field->name[length] = '\0';
        expect_byte(r, ':');
        if (length == 0)
            stop(r, 400);
        for (length = 0; is_text(peek(r));)
            field->value[length++] = (char)take(r);
        field->value[length] = '\0';
        expect_byte(r, '\r');
        expect_byte(r, '\n');
        memmove(field->value, strip(field->value), strlen(strip(field->value)) + 1);
        if (r->kind == TRAILER && is_left_out(r, field->name))
            continue;
        r->count++;
        if (r->kind != TRAILER)
            field_meaning(r, field->name, field->value);
    }
    take(r);
    expect_byte(r, '\n');
    if (r->kind == REQUEST && r->minor > 0 && !r->hosted)
        stop(r, 400);
    transfer_encoding_end(r);
}

static const char *known_method(const char *name)
{
    static const char *const names[] = {"GET",     "HEAD",    "POST",  "PUT",  "DELETE",
                                        "CONNECT", "OPTIONS", "TRACE", "PATCH"};

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (strcmp(names[i], name) == 0)
            return name;
    return "OTHER";
}

static void add(struct text *text, const char *label, const char *string)
{
    text_add(text, "%s", label);
    text_add_bytes(text, string, strlen(string));
}

static void report_fields(struct text *text, const struct reader *r)
{
    for (unsigned i = 0; i < r->count; i++) {
        add(text, " | ", r->fields[i].name);
        add(text, ": ", r->fields[i].value);
    }
}

static void report(struct text *text, const struct reader *r)
{
    text_add(text, "%zu", r->at);
    if (r->kind == REQUEST) {
        text_add(text, " %s", known_method(r->method));
        add(text, " ", r->method);
        add(text, " ", r->target);
        add(text, " ", r->form);
        add(text, " ", r->path);
        if (r->has_query)
            add(text, " ?", r->query);
        add(text, " host=", r->host);
    } else {
        text_add(text, " %d", r->status);
        add(text, " '", r->phrase);
        text_add(text, "'");
    }
    text_add(text, " 1.%d%s%s%s%s", r->minor,
             !r->close && (r->minor > 0 || r->keep_alive) ? " keep" : " close",
             r->chunked ? " chunked" : "", r->expect ? " expect" : "",
             r->minor > 0 && r->has_upgrade && r->asks_upgrade ? " upgrade" : "");
    if (r->has_length)
        text_add(text, " length=%llu", r->body_length);
    report_fields(text, r);
}

static struct reader *reader(enum kind kind, const uint8_t *bytes, size_t length)
{
    static struct field fields[FIELDS_MAX + 1];
    static struct reader r;

    memset(&r, 0, sizeof(r));
    r.fields = fields;
    r.kind = kind;
    r.bytes = bytes;
    r.length = length;
    r.limit = HEAD_MAX;
    r.limit_status = 431;
    return &r;
}

static void reference(struct text *text, enum kind kind, const uint8_t *bytes, size_t length)
{
    struct reader *r = reader(kind, bytes, length);
    int stopped = setjmp(r->stop);

    if (stopped) {
        text_add(text, "%d", stopped - 1);
        return;
    }
    if (kind == REQUEST)
        request_line(r);
    else
        status_line(r);
    field_lines(r);
    if (kind == RESPONSE && r->chunked && r->has_length) {
        r->has_length = false;
        r->close = true;
    }
    report(text, r);
}

void reference_request(struct text *text, const uint8_t *bytes, size_t length)
{
    reference(text, REQUEST, bytes, length);
}

void reference_response(struct text *text, const uint8_t *bytes, size_t length)
{
    reference(text, RESPONSE, bytes, length);
}

static unsigned long long chunk_size(struct reader *r)
{
    unsigned long long size = 0;
    unsigned digits = 0;

    while (peek(r) && strchr("0123456789abcdefABCDEF", peek(r))) {
        char digit[2] = {(char)take(r), 0};
        if (++digits > 16)
            stop(r, 400);
        size = size * 16 + strtoull(digit, NULL, 16);
    }
    if (digits == 0)
        stop(r, 400);
    return size;
}

static void ext_take(struct reader *r, unsigned *bytes)
{
    take(r);
    if (++*bytes > 4096)
        stop(r, 413);
}

static unsigned ext_blanks(struct reader *r, unsigned *bytes)
{
    unsigned blanks = 0;

    for (; peek(r) == ' ' || peek(r) == '\t'; blanks++)
        ext_take(r, bytes);
    return blanks;
}

static void ext_token(struct reader *r, unsigned *bytes)
{
    if (!is_tchar(peek(r)))
        stop(r, 400);
    while (is_tchar(peek(r)))
        ext_take(r, bytes);
}

static void ext_quoted(struct reader *r, unsigned *bytes)
{
    ext_take(r, bytes);
    while (peek(r) != '"') {
        if (peek(r) == '\\')
            ext_take(r, bytes);
        if (!is_text(peek(r)))
            stop(r, 400);
        ext_take(r, bytes);
    }
    ext_take(r, bytes);
}

/* What stands between size and CR: *( BWS ";" BWS name [ BWS "=" BWS value ] ). */
static void chunk_ext(struct reader *r, unsigned *bytes)
{
    for (;;) {
        unsigned blanks = ext_blanks(r, bytes);
        if (peek(r) != ';') {
            if (blanks)
                stop(r, 400);
            return;
        }
        ext_take(r, bytes);
        ext_blanks(r, bytes);
        ext_token(r, bytes);
        blanks = ext_blanks(r, bytes);
        if (peek(r) == '=') {
            ext_take(r, bytes);
            ext_blanks(r, bytes);
            if (peek(r) == '"')
                ext_quoted(r, bytes);
            else
                ext_token(r, bytes);
        } else if (blanks && peek(r) != ';') {
            stop(r, 400);
        }
    }
}

static void chunks(struct text *text, struct reader *r)
{
    unsigned long long size, total = 0;
    unsigned ext = 0;

    do {
        size = chunk_size(r);
        peek(r);
        if (size > INT64_MAX || total + size > INT64_MAX)
            stop(r, 400);
        total += size;
        chunk_ext(r, &ext);
        expect_byte(r, '\r');
        expect_byte(r, '\n');
        for (unsigned long long i = 0; i < size; i++) {
            uint8_t byte = (uint8_t)take(r);
            text_add_bytes(text, &byte, 1);
        }
        if (size) {
            expect_byte(r, '\r');
            expect_byte(r, '\n');
        }
    } while (size);
}

void reference_chunked(struct text *text, const uint8_t *bytes, size_t length)
{
    struct reader *r = reader(TRAILER, bytes, length);
    int stopped;

    r->limit = SIZE_MAX;
    text_add(text, "'");
    stopped = setjmp(r->stop);
    if (stopped) {
        text_add(text, "' %d", stopped - 1);
        return;
    }
    chunks(text, r);
    r->limit = r->at + REFERENCE_AREA_BYTES;
    field_lines(r);
    text_add(text, "' END %zu", r->at);
    report_fields(text, r);
}
