/* Crashes, each in a child: what it says, and of what it dies. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <leat_config.h>
#include "runtime/base/crash.h"

static char report[65536];

/* Runs crash in a child with its standard error in report; returns the wait status. */
static int child_of(void (*crash)(void))
{
    int fds[2], status = 0;
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        alarm(60);
        dup2(fds[1], STDERR_FILENO);
        close(fds[0]);
        close(fds[1]);
        if (leat_crash_install() == 0) {
            leat_crash_stack_new();
            crash();
        }
        _exit(0);
    }
    close(fds[1]);
    size_t used = 0;
    ssize_t n;
    while ((n = read(fds[0], report + used, sizeof(report) - 1 - used)) > 0)
        used += (size_t)n;
    report[used] = '\0';
    close(fds[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void assert_died(int status, int signal_number)
{
    if (!WIFSIGNALED(status) || WTERMSIG(status) != signal_number)
        print_message("status %x, report:\n%s", (unsigned)status, report);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), signal_number);
}

static void assert_said(const char *text)
{
    if (strstr(report, text) == NULL)
        print_message("missing \"%s\" in:\n%s", text, report);
    assert_non_null(strstr(report, text));
}

static __attribute__((noinline)) void crash_here(volatile int *where)
{
    *where = 1;
    __asm__ volatile("" ::: "memory");
}

static __attribute__((noinline)) void write_to_nowhere(void)
{
    static struct leat_core core = {.index = 5, .phase = "timers"};
    leat_core_now = &core;
    uintptr_t nowhere = 64;
    __asm__ volatile("" : "+r"(nowhere));
    crash_here((volatile int *)nowhere);
    __asm__ volatile("" ::: "memory");
}

static void reports_core_phase_and_lines(void **state)
{
    assert_died(child_of(write_to_nowhere), SIGSEGV);
    assert_said("leat: SIGSEGV at address 0x40 on core 5 in phase timers\n");
    assert_said("leat: addresses: 0x");
#if LEAT_HAVE_LIBDW
    assert_said("#0  crash_here");
    assert_said("test/unit/crash.c:");
    assert_said("#1  write_to_nowhere");
#endif
}

static __attribute__((noinline)) void fail_a_check(void)
{
    LEAT_CHECK(1 + 1 == 3);
}

static void panics_with_one_backtrace(void **state)
{
    assert_died(child_of(fail_a_check), SIGABRT);
    assert_said("check failed: 1 + 1 == 3 (core -1, phase none)\n");
    const char *first = strstr(report, "leat: addresses:");
    assert_non_null(first);
    assert_null(strstr(first + 1, "leat: addresses:"));
#if LEAT_HAVE_LIBDW
    assert_said("#0  fail_a_check");
#endif
}

static void leave(int signal_number)
{
    (void)signal_number;
    _exit(7);
}

static void fail_a_check_under_a_fuzzer(void)
{
    signal(SIGABRT, leave);
    fail_a_check();
}

static void panic_calls_a_handler_that_is_not_ours(void **state)
{
    int status = child_of(fail_a_check_under_a_fuzzer);
    assert_said("check failed: 1 + 1 == 3");
    assert_said("leat: addresses:");
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
}

static void abort_now(void)
{
    abort();
}

static void raise_bus(void)
{
    raise(SIGBUS);
}

static void raise_fpe(void)
{
    raise(SIGFPE);
}

static void raise_ill(void)
{
    __builtin_trap();
}

static void dies_of_the_same_signal(void **state)
{
    assert_died(child_of(abort_now), SIGABRT);
    assert_said("leat: SIGABRT outside of any core\n");
    assert_died(child_of(raise_bus), SIGBUS);
    assert_died(child_of(raise_fpe), SIGFPE);
    assert_died(child_of(raise_ill), SIGILL);
}

static __attribute__((noinline)) unsigned overflow_at(unsigned depth)
{
    volatile char page[4096];
    page[0] = (char)depth;
    return depth == UINT32_MAX ? 0 : overflow_at(depth + 1) + (unsigned)page[0];
}

static void *overflow_thread(void *arg)
{
    leat_crash_stack_new();
    overflow_at(0);
    return arg;
}

static void overflow(void)
{
    pthread_t thread;
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 1 << 18);
    pthread_create(&thread, &attr, overflow_thread, NULL);
    pthread_join(thread, NULL);
}

static void reports_an_overflown_stack(void **state)
{
    assert_died(child_of(overflow), SIGSEGV);
    assert_said("leat: SIGSEGV at address");
#if LEAT_HAVE_LIBDW
    assert_said("  #10 overflow_at");
#endif
}

/* A freed chunk's list is turned into a trap, so that the next malloc crashes under malloc's lock,
 * which the report then needs. */
static void crash_in_malloc(void)
{
    enum { COUNT = 16 };
    void *chunks[COUNT];
    for (unsigned i = 0; i < COUNT; i++)
        chunks[i] = malloc(2000);
    for (unsigned i = 0; i < COUNT; i += 2) {
        free(chunks[i]);
        __asm__ volatile("" : "+r"(chunks[i]));
    }
    for (unsigned i = 0; i < COUNT; i += 2) {
        memset(chunks[i], 0x41, 2000);
        __asm__ volatile("" ::"r"(chunks[i]) : "memory");
    }
    for (unsigned i = 0; i < 64; i++) {
        chunks[0] = malloc(700 + 64 * i);
        __asm__ volatile("" ::"r"(chunks[0]) : "memory");
    }
}

static void ends_although_malloc_is_broken(void **state)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    print_message("skip: the sanitizer's allocator has no such lists\n");
    skip();
#endif
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    int status = child_of(crash_in_malloc);
    clock_gettime(CLOCK_MONOTONIC, &after);
    assert_true(WIFSIGNALED(status));
    assert_true(WTERMSIG(status) == SIGABRT || WTERMSIG(status) == SIGSEGV);
    assert_in_range(after.tv_sec - before.tv_sec, 0, LEAT_CRASH_SYMBOLS_S + 15);
    assert_said("leat: addresses: 0x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reports_core_phase_and_lines),
        cmocka_unit_test(panics_with_one_backtrace),
        cmocka_unit_test(panic_calls_a_handler_that_is_not_ours),
        cmocka_unit_test(dies_of_the_same_signal),
        cmocka_unit_test(reports_an_overflown_stack),
        cmocka_unit_test(ends_although_malloc_is_broken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
