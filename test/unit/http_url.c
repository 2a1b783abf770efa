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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(escapes_are_decoded_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
