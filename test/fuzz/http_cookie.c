/* Cookies: the pairs of a field stand in it in order; a cookie that is written is one line, and is
 * read again as what it was. The input: five bytes of choices, then name, value, path and domain,
 * each up to a NUL; and all of it as a Cookie field. */
#include <leat/check.h>
#include <stdlib.h>
#include <string.h>

#include "net/http/message/cookies.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length_bytes);

enum { CHOICES = 5 };

static void check_read(struct leat_view in)
{
    const char *before = in.data;
    struct leat_view rest = in, name, value;

    while (http_cookie_next(&rest, &name, &value)) {
        LEAT_CHECK(rest.data + rest.length_bytes == in.data + in.length_bytes);
        LEAT_CHECK(rest.data > before && name.data >= before && name.length_bytes > 0);
        LEAT_CHECK(value.data > name.data + name.length_bytes - 1);
        LEAT_CHECK(value.data + value.length_bytes <= rest.data);
        LEAT_CHECK(memchr(name.data, '=', name.length_bytes) == NULL);
        LEAT_CHECK(memchr(name.data, ';', name.length_bytes) == NULL);
        LEAT_CHECK(memchr(value.data, ';', value.length_bytes) == NULL);
        before = rest.data;
    }
}

static const char *text_next(char **at, const char *end)
{
    const char *text = *at;
    size_t length = strlen(text);

    *at += length + (*at + length < end ? 1 : 0);
    return text;
}

static void check_written(const struct leat_cookie *cookie, bool is_tls)
{
    static char line[HTTP_COOKIE_LINE_BYTES_MAX + 1];
    ptrdiff_t length = http_cookie_write(cookie, is_tls, line);
    struct leat_view rest = {line, 0}, name, value;

    if (length < 0)
        return;
    LEAT_CHECK(length <= HTTP_COOKIE_LINE_BYTES_MAX);
    for (ptrdiff_t i = 0; i < length; i++)
        LEAT_CHECK((unsigned char)line[i] >= 0x20 && line[i] != 0x7f);
    rest.length_bytes = (size_t)length;
    LEAT_CHECK(http_cookie_next(&rest, &name, &value));
    LEAT_CHECK(leat_view_equal(name, cookie->name));
    LEAT_CHECK(leat_view_equal(value, cookie->value));
    LEAT_CHECK(http_cookie_next(&rest, &name, &value) && leat_view_equal(name, "Path"));
    LEAT_CHECK(leat_view_equal(value, cookie->path));
    bool is_secure = memmem(line, (size_t)length, "; Secure", 8) != NULL;
    LEAT_CHECK(is_secure || strncmp(cookie->name, "__Host-", 7) != 0);
    LEAT_CHECK(is_secure || strncmp(cookie->name, "__Secure-", 9) != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length_bytes)
{
    if (length_bytes <= CHOICES)
        return 0;
    check_read((struct leat_view){(const char *)data + CHOICES, length_bytes - CHOICES});
    char *copy = calloc(1, length_bytes + 1), *at = copy + CHOICES;
    memcpy(copy, data, length_bytes);
    const char *end = copy + length_bytes;
    struct leat_cookie cookie = {.name = text_next(&at, end),
                                 .value = text_next(&at, end),
                                 .path = text_next(&at, end),
                                 .domain = data[3] & 1 ? text_next(&at, end) : NULL,
                                 .max_age_s = (int8_t)data[0] * INT64_C(1000003),
                                 .same_site = (enum leat_same_site)(data[1] % 3),
                                 .secure = (enum leat_cookie_secure)(data[2] % 3),
                                 .is_for_scripts = data[3] & 2,
                                 .is_partitioned = data[3] & 4};
    check_written(&cookie, data[4] & 1);
    free(copy);
    return 0;
}
