/* The normal form of paths. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "net/http/message/path.h"

/* NULL: leads out of the root. */
static const struct {
    const char *path, *normal;
} rows[] = {
    {"/", "/"},
    {"/a", "/a"},
    {"/a/", "/a/"},
    {"/a/b.c/..d/.e/.../f", "/a/b.c/..d/.e/.../f"},
    {"/%2fa", "/%2fa"},
    {"/a%2e", "/a%2e"},
    {"/%2", "/%2"},
    {"/.%", "/.%"},
    {"//", "/"},
    {"//a", "/a"},
    {"/a//b", "/a/b"},
    {"/a//", "/a/"},
    {"/.", "/"},
    {"/./", "/"},
    {"/./a", "/a"},
    {"/a/.", "/a/"},
    {"/a/./b", "/a/b"},
    {"/a/..", "/"},
    {"/a/../", "/"},
    {"/a/../b", "/b"},
    {"/a/b/..", "/a/"},
    {"/a/b/../..", "/"},
    {"/a//../b", "/b"},
    {"/%2e/a", "/a"},
    {"/a/%2E%2e/b", "/b"},
    {"/a/.%2e", "/"},
    {"/..", NULL},
    {"/../a", NULL},
    {"/a/../..", NULL},
    {"/%2e.", NULL},
    {"//..", NULL},
    {"//\\a", "/%5Ca"},
    {"*", "*"},
    {"a:80", "a:80"},
    {"", ""},
};

static void paths_have_their_normal_form(void **state)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *path = rows[i].path, *normal = rows[i].normal;
        struct leat_view view = {path, strlen(path)};
        bool is_normal = normal != NULL && strcmp(path, normal) == 0;
        char to[64];
        assert_int_equal(http_path_is_normal(view), is_normal);
        if (*path != '/')
            continue;
        ptrdiff_t length = http_path_normal_form(view, to);
        assert_int_equal(length, normal != NULL ? (ptrdiff_t)strlen(normal) : -1);
        if (normal == NULL)
            continue;
        assert_memory_equal(to, normal, strlen(normal));
        assert_true(http_path_is_normal((struct leat_view){to, (size_t)length}));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(paths_have_their_normal_form)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
