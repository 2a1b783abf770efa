/* What a program says when it is ready: its port, and where it listens. */
#include "net/program/run_internal.h"

#include <stdio.h>
#include <unistd.h>

void leat_run_listening(struct leat_loop *loop, const char *scheme, const struct leat_addr *addr)
{
    struct leat_run_core *core = run_core_of(loop);
    if (core == NULL)
        return;
    struct leat_run *run = core->run;
    pthread_mutex_lock(&run->lock);
    bool is_new = run->stage == RUN_STARTING && run->lines_count < LEAT_RUN_LISTENING_MAX;
    for (unsigned i = 0; i < run->lines_count; i++)
        is_new = is_new && !leat_addr_equal(&run->lines[i].addr, addr);
    if (is_new) {
        struct run_line *line = &run->lines[run->lines_count++];
        snprintf(line->scheme, sizeof(line->scheme), "%s", scheme);
        line->addr = *addr;
    }
    pthread_mutex_unlock(&run->lock);
}

/* A port whose addresses nobody listens on answers nothing but pings. */
static void unreached_say(const struct leat_run *run)
{
    const struct run_line *first = &run->lines[0];
    char text[LEAT_ADDR_TEXT_BYTES_MAX];
    for (unsigned i = 0; i < run->lines_count; i++)
        if (leat_net_reaches(run->net, &run->lines[i].addr))
            return;
    if (run->lines_count > 0)
        run_complain(run,
                     "warning: nothing listens on the addresses of --ip, only on %s of the kernel: "
                     "add --listen :%u",
                     leat_addr_format(&first->addr, text),
                     first->addr.family == LEAT_FAMILY_UNIX ? 8080U : first->addr.port);
}

static void line_say(const struct leat_run *run, int fd, const struct run_line *line)
{
    char text[LEAT_ADDR_TEXT_BYTES_MAX];
    if (line->addr.family == LEAT_FAMILY_UNIX) {
        run_say(run, fd, "listening on %s", leat_addr_format(&line->addr, text));
    } else if (leat_addr_is_wildcard(&line->addr)) {
        run_say(run, fd, "listening on %s://%s:%u (every address)", line->scheme,
                leat_net_reaches(run->net, &line->addr)
                    ? leat_net_host(run->net, text, sizeof(text))
                    : "localhost",
                line->addr.port);
    } else {
        run_say(run, fd, "listening on %s://%s", line->scheme, leat_addr_format(&line->addr, text));
    }
}

void run_ready_say(struct leat_run *run)
{
    int fd = run->options->ready_on_stderr ? STDERR_FILENO : STDOUT_FILENO;
    char banner[LEAT_LOG_LINE_BYTES_MAX];
    if (leat_net_banner(run->net, banner, sizeof(banner)) != NULL)
        run_say(run, fd, "%s", banner);
    for (unsigned i = 0; i < run->lines_count; i++)
        line_say(run, fd, &run->lines[i]);
    unreached_say(run);
}
