#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "net/http/message/url.h"

#define VIEW(text) ((struct leat_view){text, sizeof(text) - 1})

typedef ptrdiff_t decode_fn(struct leat_view from, char *to);

/* Into another buffer and in place: out is what comes, NULL for refused. */
static void check(decode_fn *decode, struct leat_view in, const char *out)
{
    char *to = malloc(in.length_bytes + 1), *place = malloc(in.length_bytes + 1);

    memcpy(place, in.data, in.length_bytes);
    ptrdiff_t length = decode(in, to);
    assert_int_equal(decode((struct leat_view){place, in.length_bytes}, place), length);
    assert_int_equal(length, out ? (ptrdiff_t)strlen(out) : -1);
    if (out) {
        assert_memory_equal(to, out, strlen(out));
        assert_memory_equal(place, out, strlen(out));
    }
    free(to);
    free(place);
}

static void escapes_are_decoded_once(void **state)
{
    check(http_url_decode, VIEW(""), "");
    check(http_url_decode, VIEW("a+b%20c%C3%a9"), "a+b c\xc3\xa9");
    check(http_url_decode, VIEW("%2525"), "%25");
    check(http_url_decode, VIEW("%2F%41"), "/A");
    check(http_url_decode, VIEW("%"), NULL);
    check(http_url_decode, VIEW("%4"), NULL);
    check(http_url_decode, VIEW("%4g"), NULL);
    check(http_url_decode, VIEW("%%41"), NULL);
    check(http_url_decode, VIEW("a%00"), NULL);
    check(http_url_decode, VIEW("a\0b"), NULL);
}

static void forms_are_decoded_as_the_url_standard_says(void **state)
{
    check(http_form_decode, VIEW("a+b%2Bc"), "a b+c");
    check(http_form_decode, VIEW("100%"), "100%");
    check(http_form_decode, VIEW("%zz%4"), "%zz%4");
    check(http_form_decode, VIEW("%00"), NULL);
}

static void paths_are_normalized_and_never_leave_the_root(void **state)
{
    check(http_path_normalize, VIEW("/"), "/");
    check(http_path_normalize, VIEW("/a/b"), "/a/b");
    check(http_path_normalize, VIEW("/a/b/"), "/a/b/");
    check(http_path_normalize, VIEW("/a%20b%41"), "/a bA");
    check(http_path_normalize, VIEW("//a///b//"), "/a/b/");
    check(http_path_normalize, VIEW("/./a/./b/."), "/a/b/");
    check(http_path_normalize, VIEW("/."), "/");
    check(http_path_normalize, VIEW("/a/.."), "/");
    check(http_path_normalize, VIEW("/a/b/../c"), "/a/c");
    check(http_path_normalize, VIEW("/a/b/../.."), "/");
    check(http_path_normalize, VIEW("/a/%2e%2E/b"), "/b");
    check(http_path_normalize, VIEW("/a/.%2e/%2e/b"), "/b");
    check(http_path_normalize, VIEW("/...a/..b/.c/d.."), "/...a/..b/.c/d..");
    check(http_path_normalize, VIEW("/a//../b"), "/b");
    check(http_path_normalize, VIEW("/.."), NULL);
    check(http_path_normalize, VIEW("/../etc/passwd"), NULL);
    check(http_path_normalize, VIEW("/a/../../etc/passwd"), NULL);
    check(http_path_normalize, VIEW("/%2e%2e/etc"), NULL);
    check(http_path_normalize, VIEW("/..%2fetc"), NULL);
    check(http_path_normalize, VIEW("/a%2Fb"), NULL);
    check(http_path_normalize, VIEW("/..\\etc"), NULL);
    check(http_path_normalize, VIEW("/a%5cb"), NULL);
    check(http_path_normalize, VIEW("/a%00.html"), NULL);
    check(http_path_normalize, VIEW("/a\0b"), NULL);
    check(http_path_normalize, VIEW("/%"), NULL);
    check(http_path_normalize, VIEW("/%4"), NULL);
    check(http_path_normalize, VIEW("/%zz"), NULL);
    check(http_path_normalize, VIEW(""), NULL);
    check(http_path_normalize, VIEW("a"), NULL);
    check(http_path_normalize, VIEW("*"), NULL);
    check(http_path_normalize, VIEW("%2f"), NULL);
}

typedef bool next_fn(struct leat_view *rest, struct leat_view *name, struct leat_view *value);

/* All pairs as "name=value;", "name;" without a value. */
static void check_pairs(next_fn *next, struct leat_view rest, const char *expected)
{
    char text[512] = "";
    struct leat_view name, value;

    while (next(&rest, &name, &value)) {
        strncat(text, name.data, name.length_bytes);
        if (value.data) {
            strcat(text, "=");
            strncat(text, value.data, value.length_bytes);
        }
        strcat(text, ";");
    }
    assert_string_equal(text, expected);
}

static void queries_are_walked_pair_by_pair(void **state)
{
    check_pairs(http_query_next, VIEW(""), "");
    check_pairs(http_query_next, VIEW("a"), "a;");
    check_pairs(http_query_next, VIEW("a=1&b=&c&=d"), "a=1;b=;c;=d;");
    check_pairs(http_query_next, VIEW("&&a=b=c&&"), "a=b=c;");
    check_pairs(http_query_next, VIEW("a+b=%26"), "a+b=%26;");
    check_pairs(http_query_next, (struct leat_view){NULL, 0}, "");
}

static void cookies_are_walked_one_by_one(void **state)
{
    check_pairs(http_cookie_next, VIEW(""), "");
    check_pairs(http_cookie_next, VIEW("a=b"), "a=b;");
    check_pairs(http_cookie_next, VIEW("a=b; c=d;e=f"), "a=b;c=d;e=f;");
    check_pairs(http_cookie_next, VIEW(" a = b c ;; =x; y; z="), "a=b c;z=;");
    check_pairs(http_cookie_next, VIEW("a=\"q\"; b=\"; c=\"\""), "a=q;b=\";c=;");
    check_pairs(http_cookie_next, VIEW("a=b=c"), "a=b=c;");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(escapes_are_decoded_once),
        cmocka_unit_test(forms_are_decoded_as_the_url_standard_says),
        cmocka_unit_test(paths_are_normalized_and_never_leave_the_root),
        cmocka_unit_test(queries_are_walked_pair_by_pair),
        cmocka_unit_test(cookies_are_walked_one_by_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
