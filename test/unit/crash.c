/* Crashes, each in a child: what it says, and of what it dies. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <leat_config.h>
#include "runtime/base/crash.h"

static char report[65536];

/* What becomes the child: standard error goes to fd. */
static void die_in_child(void (*crash)(void), int fd)
{
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    alarm(60);
    dup2(fd, STDERR_FILENO);
    if (leat_crash_install() == 0) {
        leat_crash_stack_new();
        crash();
    }
    _exit(0);
}

/* Reads fd to its end into report, and closes it; returns the wait status of pid. */
static int end_of(pid_t pid, int fd)
{
    int status = 0;
    size_t used = 0;
    ssize_t n;
    while ((n = read(fd, report + used, sizeof(report) - 1 - used)) > 0)
        used += (size_t)n;
    report[used] = '\0';
    close(fd);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

/* Runs crash in a child with its standard error in report; returns the wait status. */
static int child_of(void (*crash)(void))
{
    int fds[2];
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(fds[0]);
        die_in_child(crash, fds[1]);
    }
    close(fds[1]);
    return end_of(pid, fds[0]);
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

/* A frame of this file; the folder before it is the compiler's choice. */
static void assert_frame(const char *function)
{
    char name[64];
    snprintf(name, sizeof(name), " %s (", function);
    const char *at = strstr(report, name), *end = at != NULL ? strchr(at, ')') : NULL;
    const char *file = at != NULL ? strstr(at, "test/unit/crash.c:") : NULL;
    if (file == NULL || end == NULL || file > end)
        print_message("no whole frame of %s in:\n%s", function, report);
    assert_true(file != NULL && end != NULL && file < end);
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

static void write_to_nowhere_else(void)
{
    uintptr_t nowhere = 128;
    __asm__ volatile("" : "+r"(nowhere));
    crash_here((volatile int *)nowhere);
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
    assert_in_range(after.tv_sec - before.tv_sec, 0, LEAT_CRASH_REPORT_S + 15);
    assert_said("leat: addresses: 0x");
}

/* Two threads: the first is kept within its report, because nobody reads it, until the second has
 * crashed as well. */

enum { FILLED_BYTES = 3840, PIPE_BYTES = 4096 }; /* the first line still fits, no report does */

static struct {
    int filled[2]; /* standard error */
    int ids[2];    /* the second thread says its number */
    int go[2];     /* and waits for a byte */
    void (*first)(void);
    void (*second)(void);
} two;

static void *crash_second(void *arg)
{
    static struct leat_core core = {.index = 7, .phase = "mailbox"};
    int self = (int)syscall(SYS_gettid);
    char byte;
    leat_core_now = &core;
    leat_crash_stack_new();
    if (write(two.ids[1], &self, sizeof(self)) == sizeof(self) && read(two.go[0], &byte, 1) == 1)
        two.second();
    return arg;
}

static __attribute__((noinline)) unsigned crash_below(unsigned depth)
{
    volatile unsigned own = depth;
    if (depth == 0)
        two.first();
    else
        own = own + crash_below(depth - 1);
    return own + 1;
}

static __attribute__((noinline)) void crash_twice(void)
{
    static char filling[FILLED_BYTES];
    pthread_t thread;
    if (write(STDERR_FILENO, filling, sizeof(filling)) != sizeof(filling) ||
        (two.second != NULL && pthread_create(&thread, NULL, crash_second, NULL) != 0))
        _exit(1);
    _exit((int)crash_below(20)); /* a call in between: a jump would leave no frame of this one */
}

/* Whether the thread has blocked every signal that can be, as one does that waits; true also when
 * the process has ended. */
static bool waits_or_ended(pid_t pid, int thread)
{
    char path[64], line[128];
    unsigned long long blocked = 0;
    siginfo_t info = {.si_pid = 0};
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT), 0);
    if (info.si_pid == pid)
        return true;
    snprintf(path, sizeof(path), "/proc/%d/task/%d/status", (int)pid, thread);
    FILE *file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL)
        if (sscanf(line, "SigBlk: %llx", &blocked) == 1)
            break;
    if (file != NULL)
        fclose(file);
    return (blocked >> (SIGTERM - 1) & 1) != 0;
}

static void pause_a_little(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static pid_t child_of_two(void (*first)(void), void (*second)(void))
{
    two.first = first;
    two.second = second;
    assert_int_equal(pipe2(two.filled, O_CLOEXEC), 0);
    assert_int_equal(pipe2(two.ids, O_CLOEXEC), 0);
    assert_int_equal(pipe2(two.go, O_CLOEXEC), 0);
    assert_int_equal(fcntl(two.filled[1], F_SETPIPE_SZ, PIPE_BYTES), PIPE_BYTES);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        die_in_child(crash_twice, two.filled[1]);
    close(two.filled[1]);
    return pid;
}

static void two_close(void)
{
    close(two.ids[0]);
    close(two.ids[1]);
    close(two.go[0]);
    close(two.go[1]);
}

static int status_of_two(void (*first)(void), void (*second)(void))
{
    int thread, written = 0;
    pid_t pid = child_of_two(first, second);
    assert_int_equal(read(two.ids[0], &thread, sizeof(thread)), sizeof(thread));
    while (written <= FILLED_BYTES) {
        pause_a_little();
        assert_int_equal(ioctl(two.filled[0], FIONREAD, &written), 0);
    }
    assert_int_equal(write(two.go[1], "!", 1), 1);
    while (!waits_or_ended(pid, thread))
        pause_a_little();
    int status = end_of(pid, two.filled[0]);
    two_close();
    memmove(report, report + FILLED_BYTES, sizeof(report) - FILLED_BYTES);
    return status;
}

static void assert_is_whole(const char *begin)
{
    assert_ptr_equal(strstr(report, begin), report);
    assert_said("leat: addresses: 0x");
#if LEAT_HAVE_LIBDW
    assert_frame("crash_below");
    assert_frame("crash_twice");
    assert_frame("main");
#endif
    assert_null(strstr(report, "mailbox")); /* nothing of the second */
}

static void a_second_crash_does_not_cut_the_report(void **state)
{
    assert_died(status_of_two(write_to_nowhere, write_to_nowhere_else), SIGSEGV);
    assert_is_whole("leat: SIGSEGV at address 0x40 on core 5 in phase timers\n");
    assert_died(status_of_two(write_to_nowhere, fail_a_check), SIGSEGV);
    assert_is_whole("leat: SIGSEGV at address 0x40 on core 5 in phase timers\n");
    assert_died(status_of_two(fail_a_check, write_to_nowhere_else), SIGABRT);
    assert_is_whole("leat: ");
    assert_said("check failed: 1 + 1 == 3 (core -1, phase none)\n");
    assert_died(status_of_two(fail_a_check, fail_a_check), SIGABRT);
    assert_is_whole("leat: ");
}

static void ends_although_nobody_reads(void **state)
{
#if defined(__SANITIZE_THREAD__)
    print_message("skip: the thread sanitizer lets no signal through while a write is blocked\n");
    skip();
#endif
    int status;
    pid_t pid = child_of_two(write_to_nowhere, NULL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    report[0] = '\0';
    assert_died(status, SIGSEGV);
    close(two.filled[0]);
    two_close();
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
        cmocka_unit_test(a_second_crash_does_not_cut_the_report),
        cmocka_unit_test(ends_although_nobody_reads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
