#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include <leat/error.h>

static void fail_records_code_and_sentence(void **state)
{
    struct leat_error error = {0};
    assert_int_equal(leat_fail(&error, -EADDRINUSE, "port %d is taken", 80), -EADDRINUSE);
    assert_int_equal(error.code, -EADDRINUSE);
    assert_string_equal(error.sentence, "port 80 is taken");
}

static void a_long_sentence_is_truncated_not_overrun(void **state)
{
    struct leat_error error = {0};
    char text[2 * LEAT_SENTENCE_BYTES_MAX];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = 0;
    leat_fail(&error, -EINVAL, "%s", text);
    assert_int_equal(strlen(error.sentence), LEAT_SENTENCE_BYTES_MAX - 1);
}

static void errno_names_take_either_sign(void **state)
{
    assert_string_equal(leat_errno_name(-ENOENT), "ENOENT");
    assert_string_equal(leat_errno_name(ENOENT), "ENOENT");
    assert_string_equal(leat_errno_name(99999), "E?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fail_records_code_and_sentence),
        cmocka_unit_test(a_long_sentence_is_truncated_not_overrun),
        cmocka_unit_test(errno_names_take_either_sign),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
