#include "socket.h"

#include "runtime/base/core.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static enum leat_sockets_which which;

enum leat_sockets_which which_now(void)
{
    return which;
}

struct world *world_as(const struct leat_sockets_options *options)
{
    struct leat_error error = {0};
    struct world *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    w->transport = options->which == LEAT_SOCKETS_EPOLL ? &contract_epoll : &contract_uring;
    w->loop = leat_loop_new(NULL, &error);
    if (w->loop == NULL || leat_sockets_open(w->loop, options, &error) != 0)
        fail_msg("%s", error.sentence);
    w->core = leat_core_now;
    assert_int_equal(leat_addr_parse(&w->any, "127.0.0.1:0", 0, NULL), 0);
    return w;
}

struct world *world_with(const struct leat_sockets_options *options)
{
    static const struct leat_sockets_options defaults;
    struct leat_sockets_options own = options != NULL ? *options : defaults;
    own.which = which;
    return world_as(&own);
}

void in_child(void (*test)(void))
{
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        alarm(60);
        test();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static unsigned descriptors;

static int set_up(void **state)
{
    descriptors = open_descriptors();
    return 0;
}

static int tear_down(void **state)
{
    assert_int_equal(open_descriptors(), descriptors);
    return 0;
}

int main(int argc, char **argv)
{
    struct rlimit limit;
    if (argc < 2 || (strcmp(argv[1], "epoll") != 0 && strcmp(argv[1], "uring") != 0)) {
        fprintf(stderr, "usage: socket epoll|uring [PATTERN]\n");
        return 2;
    }
    which = strcmp(argv[1], "epoll") == 0 ? LEAT_SOCKETS_EPOLL : LEAT_SOCKETS_URING;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max < 16384 ? limit.rlim_max : 16384;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    if (argc >= 3)
        cmocka_set_test_filter(argv[2]);
#define ENTRY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down),
    const struct CMUnitTest tests[] = {SOCKET_TESTS(ENTRY)};
    return _cmocka_run_group_tests(argv[1], tests, sizeof(tests) / sizeof(tests[0]), NULL, NULL);
}
