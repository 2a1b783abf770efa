/* Forms in a target or a body, and cookies: what they come to, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/http/message/cookies.h"
#include "net/http/message/urlencoded.h"

#define VIEW(text) ((struct leat_view){text, sizeof(text) - 1})

/* ---- Pairs ---- */

/* Room for piece_bytes more, in memory of exactly that size, so that no byte more is written. */
static void pairs_grow(struct http_pairs *pairs, const struct http_urlencoded *form, size_t bytes)
{
    size_t size = pairs->used_bytes + pairs->open_bytes + http_urlencoded_room(form, bytes);
    char *grown = malloc(size);

    if (pairs->bytes != NULL)
        memcpy(grown, pairs->bytes, pairs->used_bytes + pairs->open_bytes);
    free(pairs->bytes);
    pairs->bytes = grown;
    pairs->capacity_bytes = size;
}

static int piece_push(struct http_urlencoded *form, struct leat_view piece,
                      struct http_pairs *pairs)
{
    char *copy = malloc(piece.length_bytes + 1);

    pairs_grow(pairs, form, piece.length_bytes);
    memcpy(copy, piece.data, piece.length_bytes);
    int status = http_urlencoded_push(form, (struct leat_view){copy, piece.length_bytes}, pairs);
    free(copy);
    return status;
}

/* As "name=value;" for each pair, then the status unless 0. */
static void form_describe(struct leat_view in, size_t first, size_t second, char *text)
{
    struct http_urlencoded form = {.field_bytes_max = 12, .fields_max = 4};
    struct http_pairs pairs = {.bytes = NULL};
    struct leat_view name, value;
    size_t position = 0;

    int status = piece_push(&form, (struct leat_view){in.data, first}, &pairs);
    if (status == 0)
        status = piece_push(&form, (struct leat_view){in.data + first, second - first}, &pairs);
    if (status == 0)
        status = piece_push(&form, (struct leat_view){in.data + second, in.length_bytes - second},
                            &pairs);
    if (status == 0) {
        pairs_grow(&pairs, &form, 0);
        status = http_urlencoded_end(&form, &pairs);
    }
    *text = '\0';
    while (http_pairs_next(&pairs, &position, &name, &value))
        text += sprintf(text, "%.*s=%.*s;", LEAT_VIEW_PRINT(name), LEAT_VIEW_PRINT(value));
    if (status < 0)
        sprintf(text, "%d", status);
    free(pairs.bytes);
}

static void check_form(struct leat_view in, const char *expected)
{
    char text[512];

    for (size_t first = 0; first <= in.length_bytes; first++)
        for (size_t second = first; second <= in.length_bytes; second++) {
            form_describe(in, first, second, text);
            assert_string_equal(text, expected);
        }
}

static void forms_come_to_pairs(void **state)
{
    check_form(VIEW(""), "");
    check_form(VIEW("a"), "a=;");
    check_form(VIEW("a=1&b=&c&=d"), "a=1;b=;c=;=d;");
    check_form(VIEW("&&a=b=c&&"), "a=b=c;");
    check_form(VIEW("="), "=;");
    check_form(VIEW("a=1&a=2"), "a=1;a=2;");
}

/* URL Standard, application/x-www-form-urlencoded parsing and percent-decoding. */
static void bytes_are_decoded_as_the_url_standard_says(void **state)
{
    check_form(VIEW("a+b%2Bc"), "a b+c=;");
    check_form(VIEW("%3d=%26%3D"), "==&=;");
    check_form(VIEW("a=100%"), "a=100%;");
    check_form(VIEW("%zz%4=%%41%4"), "%zz%4=%A%4;");
    check_form(VIEW("%4&%=%4%"), "%4=;%=%4%;");
    check_form(VIEW("a=%c3%A9"), "a=\xc3\xa9;");
    check_form(VIEW("a=\xff"), "a=\xff;");
    check_form(VIEW("a=%2541"), "a=%41;");
}

/* A string of C could not hold them. */
static void pairs_with_nul_are_left_out(void **state)
{
    check_form(VIEW("a=1&b=%00&c=3"), "a=1;c=3;");
    check_form(VIEW("%00=1&c=3"), "c=3;");
    check_form(VIEW("a\0=1&c"), "c=;");
    check_form(VIEW("a=1&b=2&c=3&d=4&e=%00"), "a=1;b=2;c=3;d=4;"); /* and do not count */
}

static void limits_hold_at_their_edge(void **state)
{
    check_form(VIEW("123456=123456"), "123456=123456;");
    check_form(VIEW("1234%3567=123456"), "-413");
    check_form(VIEW("a=1&b=2&c=3&d=4"), "a=1;b=2;c=3;d=4;");
    check_form(VIEW("a=1&b=2&c=3&d=4&e"), "a=1;b=2;c=3;d=4;-413");
    check_form(VIEW("a=1&123456=1234567"), "a=1;-413");
}

/* ---- Cookies ---- */

static void check_cookies(struct leat_view in, const char *expected)
{
    struct leat_view rest = in, name, value;
    char text[256] = "", *to = text;

    while (http_cookie_next(&rest, &name, &value))
        to += sprintf(to, "%.*s=%.*s;", LEAT_VIEW_PRINT(name), LEAT_VIEW_PRINT(value));
    assert_string_equal(text, expected);
}

static void cookies_are_pairs_between_semicolons(void **state)
{
    check_cookies(VIEW(""), "");
    check_cookies((struct leat_view){NULL, 0}, "");
    check_cookies(VIEW("a=b"), "a=b;");
    check_cookies(VIEW("a=b; c=d;e=f"), "a=b;c=d;e=f;");
    check_cookies(VIEW(" a = b c ;; =x; y; z="), "a=b c;z=;");
    check_cookies(VIEW("a=\"q\"; b=\"; c=\"\""), "a=q;b=\";c=;");
    check_cookies(VIEW("a=b=c"), "a=b=c;");
}

/* expected NULL: refused. */
static void check_written(const struct leat_cookie *cookie, bool is_tls, const char *expected)
{
    char line[HTTP_COOKIE_LINE_BYTES_MAX];
    ptrdiff_t length = http_cookie_write(cookie, is_tls, line);

    assert_int_equal(length, expected != NULL ? (ptrdiff_t)strlen(expected) : -EINVAL);
    if (expected != NULL)
        assert_memory_equal(line, expected, strlen(expected));
}
#define WRITTEN(expected, ...)                                                                     \
    check_written(&(struct leat_cookie){.name = "a", .value = "b", __VA_ARGS__}, false, expected)
#define GIVEN(expected, ...) check_written(&(struct leat_cookie){__VA_ARGS__}, false, expected)
#define REST                 "; SameSite=Lax; HttpOnly"

static void what_a_cookie_leaves_out_is_the_safe_choice(void **state)
{
    check_written(&(struct leat_cookie){.name = "a"}, false, "a=; Path=/" REST);
    check_written(&(struct leat_cookie){.name = "a", .value = "b"}, true,
                  "a=b; Path=/; SameSite=Lax; Secure; HttpOnly");
    check_written(&(struct leat_cookie){.name = "a", .secure = LEAT_COOKIE_SECURE_NEVER}, true,
                  "a=; Path=/" REST);
    WRITTEN("a=b; Path=/x y" REST, .path = "/x y");
    WRITTEN("a=b; Path=/; Domain=example.org" REST, .domain = "example.org");
    WRITTEN("a=b; Path=/; Max-Age=60" REST, .max_age_s = 60);
    WRITTEN("a=b; Path=/; Max-Age=0" REST, .max_age_s = LEAT_COOKIE_REMOVE);
    WRITTEN("a=b; Path=/; SameSite=Strict; HttpOnly", .same_site = LEAT_SAME_SITE_STRICT);
    WRITTEN("a=b; Path=/; SameSite=Lax", .is_for_scripts = true);
    WRITTEN("a=b; Path=/; SameSite=Lax; Secure; HttpOnly", .secure = LEAT_COOKIE_SECURE_ALWAYS);
}

/* What browsers would drop, or send where it must not go. */
static void a_cookie_keeps_what_it_promises(void **state)
{
    GIVEN("__Host-a=b; Path=/; SameSite=Lax; Secure; HttpOnly", .value = "b", .name = "__Host-a");
    GIVEN("__Secure-a=b; Path=/x; SameSite=Lax; Secure; HttpOnly", .value = "b",
          .name = "__Secure-a", .path = "/x");
    GIVEN(NULL, .value = "b", .name = "__Host-a", .secure = LEAT_COOKIE_SECURE_NEVER);
    GIVEN(NULL, .value = "b", .name = "__Host-a", .path = "/x");
    GIVEN(NULL, .value = "b", .name = "__Host-a", .domain = "example.org");
    GIVEN(NULL, .value = "b", .name = "__hOST-a", .path = "/x");
    GIVEN(NULL, .value = "b", .name = "__Secure-a", .secure = LEAT_COOKIE_SECURE_NEVER);
    WRITTEN("a=b; Path=/; SameSite=None; Secure; HttpOnly", .same_site = LEAT_SAME_SITE_NONE);
    WRITTEN(NULL, .same_site = LEAT_SAME_SITE_NONE, .secure = LEAT_COOKIE_SECURE_NEVER);
    WRITTEN("a=b; Path=/; SameSite=Lax; Secure; HttpOnly; Partitioned", .is_partitioned = true);
    WRITTEN(NULL, .is_partitioned = true, .secure = LEAT_COOKIE_SECURE_NEVER);
}

static void a_cookie_cannot_hold_another_line(void **state)
{
    static char large[LEAT_COOKIE_BYTES_MAX + 1];

    GIVEN(NULL, .value = "b", .name = NULL);
    GIVEN(NULL, .value = "b", .name = "");
    GIVEN(NULL, .value = "b", .name = "a b");
    GIVEN(NULL, .value = "b", .name = "a=b");
    GIVEN(NULL, .value = "b", .name = "a\r\nX");
    GIVEN(NULL, .name = "a", .value = "a;b");
    GIVEN(NULL, .name = "a", .value = "a\r\nX: y");
    GIVEN(NULL, .name = "a", .value = "a b");
    GIVEN(NULL, .name = "a", .value = "a,b");
    GIVEN(NULL, .name = "a", .value = "\"a\"");
    GIVEN(NULL, .name = "a", .value = "\xc3\xa9");
    WRITTEN(NULL, .path = "x");
    WRITTEN(NULL, .path = "");
    WRITTEN(NULL, .path = "/;Domain=org");
    WRITTEN(NULL, .path = "/\n");
    WRITTEN(NULL, .domain = "");
    WRITTEN(NULL, .domain = ".org");
    WRITTEN(NULL, .domain = "a..b");
    WRITTEN(NULL, .domain = "a; Path=/");
    WRITTEN(NULL, .max_age_s = -1);
    memset(large, 'x', sizeof(large) - 1);
    GIVEN(NULL, .name = "a", .value = large);
    char line[HTTP_COOKIE_LINE_BYTES_MAX];
    assert_true(http_cookie_write(&(struct leat_cookie){.name = "a", .value = large + 1}, false,
                                  line) > LEAT_COOKIE_BYTES_MAX);
}

/* Everything as long as it may be. */
static void the_longest_line_fits(void **state)
{
    static char value[LEAT_COOKIE_BYTES_MAX], path[LEAT_COOKIE_PATH_MAX + 1];
    static char domain[LEAT_COOKIE_DOMAIN_MAX + 1], line[HTTP_COOKIE_LINE_BYTES_MAX];

    memset(value, 'v', sizeof(value) - 1);
    memset(path, '/', sizeof(path) - 1);
    memset(domain, 'd', sizeof(domain) - 1);
    ptrdiff_t length = http_cookie_write(&(struct leat_cookie){.name = "n",
                                                               .value = value,
                                                               .path = path,
                                                               .domain = domain,
                                                               .max_age_s = INT64_MAX,
                                                               .same_site = LEAT_SAME_SITE_STRICT,
                                                               .is_partitioned = true},
                                         true, line);
    assert_true(length > 0 && length < HTTP_COOKIE_LINE_BYTES_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms_come_to_pairs),
        cmocka_unit_test(bytes_are_decoded_as_the_url_standard_says),
        cmocka_unit_test(pairs_with_nul_are_left_out),
        cmocka_unit_test(limits_hold_at_their_edge),
        cmocka_unit_test(cookies_are_pairs_between_semicolons),
        cmocka_unit_test(what_a_cookie_leaves_out_is_the_safe_choice),
        cmocka_unit_test(a_cookie_keeps_what_it_promises),
        cmocka_unit_test(a_cookie_cannot_hold_another_line),
        cmocka_unit_test(the_longest_line_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
