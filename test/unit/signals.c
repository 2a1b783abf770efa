/* Signals as events of a loop, and who holds a port. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <leat/loop.h>
#include <leat/signals.h>
#include "runtime/os/holder.h"

static unsigned seen_count;

static void on_signal(struct leat_signal *signal, void *arg)
{
    seen_count++;
    assert_ptr_equal(arg, &seen_count);
    if (seen_count < 3)
        raise(signal->number);
    else
        leat_signal_stop(signal);
}

static void arrives_on_the_loop(void **state)
{
    struct leat_error error;
    assert_int_equal(leat_signals_block(NULL), 0);
    struct leat_loop *loop = leat_loop_new(NULL, &error);
    assert_non_null(loop);
    struct leat_signal signal;
    leat_signal_init(&signal, loop, on_signal, &seen_count);
    assert_int_equal(leat_signal_start(&signal, SIGUSR1), 0);
    assert_int_equal(leat_signal_start(&signal, SIGUSR1), -EBUSY);
    raise(SIGUSR1);
    assert_int_equal(leat_loop_run(loop), 0); /* stopping it leaves the loop nothing to wait for */
    assert_int_equal(seen_count, 3);
    leat_signal_stop(&signal);
    leat_loop_free(loop);
}

static void unref_lets_the_loop_end(void **state)
{
    struct leat_error error;
    struct leat_loop *loop = leat_loop_new(NULL, &error);
    struct leat_signal signal;
    leat_signal_init(&signal, loop, on_signal, NULL);
    assert_int_equal(leat_signal_start(&signal, SIGUSR2), 0);
    leat_signal_unref(&signal);
    assert_int_equal(leat_loop_run(loop), 0);
    leat_signal_stop(&signal);
    leat_loop_free(loop);
}

static void refuses_what_cannot_be_had(void **state)
{
    static const int numbers[] = {0, -1, 10000, SIGKILL, SIGSTOP, SIGSEGV};
    struct leat_error error;
    struct leat_loop *loop = leat_loop_new(NULL, &error);
    struct leat_signal signal;
    leat_signal_init(&signal, loop, on_signal, NULL);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        assert_int_equal(leat_signal_start(&signal, numbers[i]), -EINVAL);
    leat_loop_free(loop);
}

static uint16_t listen_on(int family, int *fd)
{
    struct sockaddr_in6 addr = {.sin6_family = (sa_family_t)family}; /* all zeros but the family */
    socklen_t length = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(addr);
    *fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (*fd < 0)
        return 0;
    assert_int_equal(bind(*fd, (struct sockaddr *)&addr, length), 0);
    assert_int_equal(listen(*fd, 1), 0);
    assert_int_equal(getsockname(*fd, (struct sockaddr *)&addr, &length), 0);
    return ntohs(addr.sin6_port);
}

static void names_who_listens(void **state)
{
    char text[HOLDER_TEXT_BYTES_MAX], expected[HOLDER_TEXT_BYTES_MAX];
    snprintf(expected, sizeof(expected), "test-signals (pid %d, this program itself)", getpid());
    static const int families[] = {AF_INET, AF_INET6};
    for (unsigned i = 0; i < 2; i++) {
        int fd;
        uint16_t port = listen_on(families[i], &fd);
        if (port == 0)
            continue; /* a machine without IPv6 */
        assert_string_equal(holder_of_port(port, text), expected);
        close(fd);
        assert_string_equal(holder_of_port(port, text), "another process");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arrives_on_the_loop),
        cmocka_unit_test(unref_lets_the_loop_end),
        cmocka_unit_test(refuses_what_cannot_be_had),
        cmocka_unit_test(names_who_listens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
