/* What DPDK says beside its log, and its last words: what is printed while the port is set up or
 * closed is kept aside, and handed out when the process ends in between.
 *
 * DPDK ends a process itself: rte_panic by abort, rte_exit by exit, a driver by either. Its reason
 * is in its log, which is kept in memory (eal.c), or was printed to a descriptor that is not the
 * user's at the moment. The state here is the process's, as descriptors and signals are. */
#include "net/port/dpdk/dpdk_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LAST_WORDS_BYTES 1500 /* of each source, from the beginning of a line */

static const int fatal_signals[] = {SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE};
#define FATAL_COUNT (sizeof(fatal_signals) / sizeof(fatal_signals[0]))

static struct {
    unsigned depth;
    int aside;    /* a file in memory that takes what is printed; -1: there is none */
    int out, err; /* the user's, while depth is not 0; -1: they could not be kept */
    bool has_spoken;
    struct sigaction before[FATAL_COUNT];
} words = {.aside = -1, .out = -1, .err = -1};

/* ---- quiet ---- */

void dpdk_quiet_begin(void)
{
    if (words.depth++ > 0)
        return;
    fflush(stdout);
    if (words.aside < 0)
        words.aside = memfd_create("leat-dpdk", MFD_CLOEXEC);
    else if (ftruncate(words.aside, 0) == 0)
        lseek(words.aside, 0, SEEK_SET);
    if (words.aside < 0)
        return;
    words.out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    words.err = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    if (words.out >= 0)
        dup2(words.aside, STDOUT_FILENO);
    if (words.err >= 0)
        dup2(words.aside, STDERR_FILENO);
}

static void descriptor_restore(int *kept, int fd)
{
    if (*kept >= 0) {
        dup2(*kept, fd);
        close(*kept);
    }
    *kept = -1;
}

void dpdk_quiet_end(void)
{
    if (--words.depth > 0)
        return;
    fflush(stdout);
    descriptor_restore(&words.out, STDOUT_FILENO);
    descriptor_restore(&words.err, STDERR_FILENO);
}

/* ---- last words: nothing here allocates or locks, but for what must not fail ---- */

static void text_write(const char *text, size_t length)
{
    while (length > 0) {
        ssize_t n = write(STDERR_FILENO, text, length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        text += n;
        length -= (size_t)n;
    }
}

/* Where the last LAST_WORDS_BYTES of it begin, in whole lines. */
static size_t text_last(const char *text, size_t length)
{
    if (length <= LAST_WORDS_BYTES)
        return 0;
    const char *line = memchr(text + length - LAST_WORDS_BYTES, '\n', LAST_WORDS_BYTES);
    return line != NULL ? (size_t)(line + 1 - text) : length;
}

/* From where DPDK gives its reason, or else the last of it, in whole lines. */
static const char *text_end(const char *text)
{
    static const char *const reasons[] = {"PANIC in", "Error - exiting"};
    for (unsigned i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        const char *found = strstr(text, reasons[i]);
        while (found != NULL && found > text && found[-1] != '\n')
            found--;
        if (found != NULL)
            return found;
    }
    return text + text_last(text, strlen(text));
}

/* At most LAST_WORDS_BYTES of it. */
static void text_say(const char *who, const char *text, size_t length)
{
    if (length == 0)
        return;
    length = length < LAST_WORDS_BYTES ? length : LAST_WORDS_BYTES;
    text_write(who, strlen(who));
    text_write(text, length);
    if (text[length - 1] != '\n')
        text_write("\n", 1);
}

/* Where the line begins that ends before end. */
static size_t line_begin(const char *text, size_t end)
{
    const char *before = end > 1 ? memrchr(text, '\n', end - 1) : NULL;
    return before != NULL ? (size_t)(before + 1 - text) : 0;
}

/* Where rte_panic's list of calls begins, which is the last that it prints: lines as "3: FILE
 * (FUNCTION+0x8f) [7efcb1102944]". In a deep call it is longer than all that is said, and the
 * reason stands before it. */
static size_t calls_begin(const char *text, size_t length)
{
    size_t at = length;
    while (at > 1 && text[at - 1] == '\n' && text[at - 2] == ']') {
        size_t begin = line_begin(text, at);
        if (text[begin] < '0' || text[begin] > '9')
            break;
        at = begin;
    }
    return at;
}

/* What was printed aside: the last of it, and what calls led there. */
static void aside_say(void)
{
    off_t end = words.aside >= 0 ? lseek(words.aside, 0, SEEK_END) : 0;
    size_t length = end > 0 ? (size_t)end : 0;
    const char *text =
        length > 0 ? mmap(NULL, length, PROT_READ, MAP_PRIVATE, words.aside, 0) : MAP_FAILED;
    if (text == MAP_FAILED)
        return;
    size_t calls = calls_begin(text, length), from = text_last(text, calls);
    text_say("leat: printed meanwhile:\n", text + from, calls - from);
    text_say("leat: called by:\n", text + calls, length - calls);
}

/* Gives the user's descriptors back, and says on them what is known. */
static void last_words_say(void)
{
    static const char nothing[] = "leat: the process ends inside DPDK, which said nothing of it";
    bool was_quiet = words.depth > 0;
    if (words.has_spoken)
        return;
    words.has_spoken = true;
    if (words.out >= 0)
        dup2(words.out, STDOUT_FILENO);
    if (words.err >= 0)
        dup2(words.err, STDERR_FILENO);
    const char *log = text_end(dpdk_log_unflushed());
    size_t length = strlen(log);
    text_say("leat: the process ends while DPDK is in use; DPDK said last:\n", log, length);
    if (length == 0 && was_quiet)
        text_say("", nothing, sizeof(nothing) - 1);
    if (was_quiet)
        aside_say();
}

/* As before the watch: the program's own report, or the default. */
static void signal_pass_on(const struct sigaction *before, int number, siginfo_t *info,
                           void *context)
{
    if ((before->sa_flags & SA_SIGINFO) && before->sa_sigaction != NULL) {
        before->sa_sigaction(number, info, context);
    } else if (before->sa_handler != SIG_DFL && before->sa_handler != SIG_IGN) {
        before->sa_handler(number);
    } else {
        sigaction(number, before, NULL);
        raise(number);
    }
}

static void on_fatal_signal(int number, siginfo_t *info, void *context)
{
    last_words_say();
    for (unsigned i = 0; i < FATAL_COUNT; i++)
        if (fatal_signals[i] == number)
            signal_pass_on(&words.before[i], number, info, context);
}

/* rte_exit, or a driver's exit: the program itself closes its port before it ends. */
static void on_exit_inside(void)
{
    bool says_why = strstr(dpdk_log_unflushed(), "Error - exiting") != NULL;
    if (words.depth > 0 || says_why)
        last_words_say();
}

void dpdk_words_watch(void)
{
    struct sigaction action = {.sa_sigaction = on_fatal_signal,
                               .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    for (unsigned i = 0; i < FATAL_COUNT; i++)
        sigaction(fatal_signals[i], &action, &words.before[i]);
    atexit(on_exit_inside);
}
