#include "test/script/scripts.h"

#include <stdio.h>
#include <string.h>

int scripts_main(const struct CMUnitTest *tests, size_t count, int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--list") == 0) {
        for (size_t i = 0; i < count; i++)
            puts(tests[i].name);
        return 0;
    }
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    const char *name = strrchr(argv[0], '/');
    return _cmocka_run_group_tests(name != NULL ? name + 1 : argv[0], tests, count, NULL, NULL);
}
