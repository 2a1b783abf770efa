/* Modules that are not there, that do not load, and that belong to another version: one sentence
 * with the remedy each. */
#include "runtime/os/module.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <leat/crypto.h>

static char folder[] = "/tmp/leat-module-XXXXXX";
static char file[64];
static const struct module_kind kind = {
    .file = "leat-tls.so",
    .symbol = "leat_crypto_module",
    .abi = UINT32_MAX,
    .code = -ENOTSUP,
    .missing = "build it",
    .broken = "install libssl3",
};

static int setup(void **state)
{
    if (mkdtemp(folder) == NULL)
        return 1;
    snprintf(file, sizeof(file), "%s/leat-tls.so", folder);
    FILE *to = fopen(file, "w");
    if (to == NULL)
        return 1;
    fputs("no library", to);
    return fclose(to);
}

static int teardown(void **state)
{
    unlink(file);
    return rmdir(folder);
}

static void one_that_is_not_there(void **state)
{
    struct module_kind other = kind;
    struct leat_error error = {0};
    other.file = "leat-of-nobody.so";
    assert_null(module_load(&other, &error));
    assert_int_equal(error.code, -ENOTSUP);
    assert_string_equal(error.sentence, "build it");
}

static void one_that_does_not_load(void **state)
{
    struct leat_error error = {0};
    setenv("LEAT_MODULES", folder, 1);
    assert_null(module_load(&kind, &error));
    assert_int_equal(error.code, -ENOTSUP);
    assert_non_null(strstr(error.sentence, "install libssl3 ("));
    assert_non_null(strstr(error.sentence, "leat-tls.so"));
}

/* As programs meet it: each door of leat/crypto.h says the same. */
static void all_that_stands_on_it_is_not_supported(void **state)
{
    setenv("LEAT_MODULES", folder, 1);
    struct leat_loop *loop = leat_loop_new(NULL, NULL);
    assert_null(leat_hash_new(loop, LEAT_SHA512, NULL, 0));
    assert_int_equal(leat_loop_error(loop)->code, -ENOTSUP);
    assert_non_null(strstr(leat_loop_error(loop)->sentence, "sudo apt install libssl3"));
    assert_null(leat_key_new(loop, "", 0));
    assert_int_equal(leat_loop_error(loop)->code, -ENOTSUP);
    struct leat_future *derived = leat_derive(loop, &(struct leat_derive_options){.cost = 2});
    assert_int_equal(leat_future_result(derived)->code, -ENOTSUP);
    leat_future_ignore(derived);
    leat_future_unref(derived);
    leat_loop_free(loop);
}

#ifdef HAS_MODULE
static void one_of_another_version(void **state)
{
    struct leat_error error = {0};
    struct module_kind other = kind;
    setenv("LEAT_MODULES", HAS_MODULE, 1);
    assert_null(module_load(&kind, &error));
    assert_int_equal(error.code, -EPROTO);
    assert_non_null(strstr(error.sentence, "another version of Leat"));
    other.symbol = "leat_module_of_nobody";
    error.code = 0;
    assert_null(module_load(&other, &error));
    assert_int_equal(error.code, -EPROTO);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_that_is_not_there),
        cmocka_unit_test(one_that_does_not_load),
        cmocka_unit_test(all_that_stands_on_it_is_not_supported),
#ifdef HAS_MODULE
        cmocka_unit_test(one_of_another_version),
#endif
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
