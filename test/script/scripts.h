/* The main function of a group of scripts: `test-script-NAME` runs them all, `--list` prints their
 * names, a pattern (with * and ?) runs those that match. */
#ifndef TEST_SCRIPT_SCRIPTS_H
#define TEST_SCRIPT_SCRIPTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

int scripts_main(const struct CMUnitTest *tests, size_t count, int argc, char **argv);

#define run_scripts(tests, argc, argv)                                                             \
    scripts_main((tests), sizeof(tests) / sizeof((tests)[0]), (argc), (argv))

#endif
