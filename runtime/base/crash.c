/* The report of a crash: signal, core, phase, backtrace; written by one thread. */
#include "runtime/base/crash.h"

#include "runtime/base/logger.h"

#include <errno.h>
#include <execinfo.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

static const int crash_signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};

/* A line goes out by one call: the log's writer may write at the same time. */
struct line {
    char text[64 + LEAT_CRASH_FRAMES_MAX * 20];
    size_t length;
};

/* Only %s, %d, %u, %x and %p: glibc formats these without allocating. What finds no room is cut. */
static void crash_say(struct line *line, const char *format, ...) LEAT_PRINTF(2, 3);
static void crash_say(struct line *line, const char *format, ...)
{
    size_t room = sizeof(line->text) - line->length;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line->text + line->length, room, format, args);
    va_end(args);
    if (n > 0)
        line->length += (size_t)n < room ? (size_t)n : room - 1;
}

static void line_end(struct line *line, int fd)
{
    crash_say(line, "\n");
    ssize_t written = write(fd, line->text, line->length);
    (void)written;
}

/* The thread that reports; 0: none. The handlers belong to the process, and so does this. */
static atomic_int crash_reporter;

/* The system calls are made directly: glibc's wrapper may allocate. The signal goes to thread: any
 * other would wait for it. */
static void bound_time(int thread, int signal_number)
{
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = signal_number};
    struct itimerspec when = {.it_value = {.tv_sec = LEAT_CRASH_REPORT_S}};
    int timer;
    event._sigev_un._tid = thread;
    if (syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer) == 0)
        syscall(SYS_timer_settime, timer, 0, &when, NULL);
}

static void signals_unblock(int signal_number)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal_number);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static _Noreturn void crash_die(int signal_number)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigaction(signal_number, &action, NULL);
    signals_unblock(signal_number);
    raise(signal_number);
    _exit(128 + signal_number);
}

/* The reporting thread ends the process; this one does when even its timer could not be had. */
static _Noreturn void wait_for_report(int signal_number)
{
    struct timespec left = {.tv_sec = LEAT_CRASH_REPORT_S + 1};
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR)
        continue;
    crash_die(signal_number);
}

void leat_crash_begin(int signal_number)
{
    int self = (int)syscall(SYS_gettid), reporter = 0;
    if (!atomic_compare_exchange_strong(&crash_reporter, &reporter, self)) {
        if (reporter != self)
            wait_for_report(signal_number);
        crash_die(signal_number);
    }
    signals_unblock(signal_number);
    bound_time(self, signal_number);
}

/* The program's own last words; once, for they may crash as well. */
static void fatal_hook_run(void)
{
    struct leat_core *core = leat_core_now;
    if (core == NULL || core->on_fatal == NULL)
        return;
    void (*fn)(void *) = core->on_fatal;
    core->on_fatal = NULL;
    core->log = NULL; /* what it logs goes out at once: nobody will write the ring */
    fn(core->on_fatal_arg);
}

/* Names are found by libdw, which wants more stack than a task has. ASan, which is not told of
 * the switch, takes it for an error; under it a task has twice the stack. TSan does not mind it,
 * and its own calls want more than twice. */
#if defined(__SANITIZE_ADDRESS__)
static void symbols_write(int fd, void *const *frames, unsigned count)
{
    leat_crash_symbols(fd, frames, count);
}
#else
struct symbols_call {
    int fd;
    unsigned count;
    void *const *frames;
    ucontext_t there, back;
};

/* makecontext passes ints alone. */
static void symbols_enter(unsigned low, unsigned high)
{
    const struct symbols_call *call =
        (const struct symbols_call *)(((uintptr_t)high << 16 << 16) | low);
    leat_crash_symbols(call->fd, call->frames, call->count);
}

static void symbols_write(int fd, void *const *frames, unsigned count)
{
    struct symbols_call call = {.fd = fd, .count = count, .frames = frames};
    void *memory = mmap(NULL, LEAT_CRASH_STACK_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (memory == MAP_FAILED || getcontext(&call.there) != 0) {
        leat_crash_symbols(fd, frames, count);
        return;
    }
    uintptr_t at = (uintptr_t)&call;
    call.there.uc_stack = (stack_t){.ss_sp = memory, .ss_size = LEAT_CRASH_STACK_BYTES};
    call.there.uc_link = &call.back;
    makecontext(&call.there, (void (*)(void))(uintptr_t)symbols_enter, 2, (unsigned)at,
                (unsigned)(at >> 16 >> 16));
    (void)swapcontext(&call.back, &call.there);
    (void)munmap(memory, LEAT_CRASH_STACK_BYTES);
}
#endif

static void backtrace_from(int fd, void *const *frames, unsigned count)
{
    struct line line = {.length = 0};
    crash_say(&line, "leat: addresses:");
    for (unsigned i = 0; i < count; i++)
        crash_say(&line, " %p", frames[i]);
    line_end(&line, fd);
    symbols_write(fd, frames, count);
    fatal_hook_run();
}

/* The first of frames that is at; 0 when none is. */
static int frame_find(void *const *frames, int count, const void *at)
{
    for (int i = 0; i < count; i++)
        if (frames[i] == at)
            return i;
    return 0;
}

void leat_crash_backtrace(int fd, const void *from)
{
    void *frames[LEAT_CRASH_FRAMES_MAX];
    int count = backtrace(frames, LEAT_CRASH_FRAMES_MAX);
    int first = frame_find(frames, count, from);
    if (count > 0) {
        /* A return address; that of a call which never returns may belong to the next function. */
        frames[first] = (char *)frames[first] - 1;
        backtrace_from(fd, frames + first, (unsigned)(count - first));
    }
}

static void *interrupted_at(const ucontext_t *context)
{
#if defined(__x86_64__)
    return (void *)(uintptr_t)context->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    return (void *)(uintptr_t)context->uc_mcontext.pc;
#else
    (void)context;
    return NULL;
#endif
}

const void *leat_crash_note(int fd, const void *address, const void *sp)
{
    const struct leat_core *core = leat_core_now;
    return core != NULL && core->note_crash != NULL ? core->note_crash(fd, address, sp) : NULL;
}

void leat_crash_place(int fd, const void *place)
{
    if (place == NULL)
        return;
    void *frame = (char *)(uintptr_t)place - 1; /* a return address: the call before it */
    symbols_write(fd, &frame, 1);
}

static void *interrupted_sp(const ucontext_t *context)
{
#if defined(__x86_64__)
    return (void *)(uintptr_t)context->uc_mcontext.gregs[REG_RSP];
#elif defined(__aarch64__)
    return (void *)(uintptr_t)context->uc_mcontext.sp;
#else
    (void)context;
    return NULL;
#endif
}

static void on_crash(int signal_number, siginfo_t *info, void *context)
{
    const struct leat_core *core = leat_core_now;
    struct line line = {.length = 0};
    int fd = STDERR_FILENO;
    leat_crash_begin(signal_number);
    if (core != NULL)
        leat_log_flush(core->log); /* the last lines before the crash */
    crash_say(&line, "leat: SIG%s", sigabbrev_np(signal_number));
    if (info->si_code > 0 && signal_number != SIGABRT)
        crash_say(&line, " at address %p", info->si_addr);
    if (core != NULL)
        crash_say(&line, " on core %u in phase %s", core->index,
                  core->phase != NULL ? core->phase : "none");
    else
        crash_say(&line, " outside of any core");
    line_end(&line, fd);
    const void *fault = info->si_code > 0 && signal_number != SIGABRT ? info->si_addr : NULL;
    const void *place = leat_crash_note(fd, fault, fault != NULL ? interrupted_sp(context) : NULL);
    void *frames[LEAT_CRASH_FRAMES_MAX];
    int count = backtrace(frames, LEAT_CRASH_FRAMES_MAX);
    int first = frame_find(frames, count, interrupted_at(context)); /* a jump to nowhere has none */
    backtrace_from(fd, frames + first, (unsigned)(count - first));
    leat_crash_place(fd, place);
    crash_die(signal_number);
}

int leat_crash_install(void)
{
    /* The first call loads the unwinder, which allocates: not when it is too late for that. */
    void *frame;
    backtrace(&frame, 1);
    for (size_t i = 0; i < sizeof(crash_signals) / sizeof(crash_signals[0]); i++) {
        struct sigaction action = {.sa_sigaction = on_crash, .sa_flags = SA_SIGINFO | SA_ONSTACK};
        if (sigaction(crash_signals[i], &action, NULL) < 0)
            return -errno;
    }
    return 0;
}

void *leat_crash_stack_new(void)
{
    void *memory = mmap(NULL, LEAT_CRASH_STACK_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    stack_t stack = {.ss_sp = memory, .ss_size = LEAT_CRASH_STACK_BYTES};
    if (sigaltstack(&stack, NULL) < 0) {
        munmap(memory, LEAT_CRASH_STACK_BYTES);
        return NULL;
    }
    return memory;
}

void leat_crash_stack_free(void *stack)
{
    if (stack != NULL) {
        sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL);
        munmap(stack, LEAT_CRASH_STACK_BYTES);
    }
}
