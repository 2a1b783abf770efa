/* `leat ss`: the connections of a running program's own stack, which the kernel's ss does not know.
 * The program's control socket (net/watch/control.h) gives them. */
#include "apps/commands.h"
#include "apps/watch.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/watch/connections.h"
#include "net/watch/counters_file.h"
#include "runtime/base/output.h"

#define SS_STATES_MAX 16
#define ANSWER_S      5 /* the program answers within a second, even for cores that do not */

struct ss {
    bool is_json, shows_columns;
    const char *state; /* NULL: all */
    unsigned row_count, silent_count;
};

/* What the control socket says beside rows. */
struct ss_mark {
    bool is_end, is_silent;
    const char *error; /* NULL: none */
};
static const struct view_column mark_columns[] = {
    {"end", NULL, 0, VIEW_FLAG, offsetof(struct ss_mark, is_end), 0, "it was the last line"},
    {"silent", NULL, 0, VIEW_FLAG, offsetof(struct ss_mark, is_silent), 0, "a core is not heard"},
    {"error", NULL, 0, VIEW_TEXT, offsetof(struct ss_mark, error), 0, "what is wrong"},
};
static const struct view mark_view = {mark_columns, sizeof(mark_columns) / sizeof(mark_columns[0])};

enum ss_outcome { SS_MORE, SS_END, SS_BAD };

/* False: it is not what a program of this version says. */
static bool line_read(char *line, struct connection_row *row, struct ss_mark *mark)
{
    struct view_field field;
    enum view_next next;
    *row = (struct connection_row){.tcp.state = ""};
    *mark = (struct ss_mark){.error = NULL};
    while ((next = view_next(&line, &field)) == VIEW_FIELD)
        if (!view_set(&connection_view, row, &field) || !view_set(&mark_view, mark, &field))
            return false;
    return next == VIEW_END && mark->error == NULL;
}

static void row_say(struct ss *ss, const struct connection_row *row)
{
    char text[CONNECTION_JSON_BYTES_MAX];
    if (ss->row_count++ == 0 && !ss->is_json)
        printf("%s\n", view_header(&connection_view, text, sizeof(text)));
    if (!ss->is_json)
        printf("%s\n", view_row(&connection_view, row, text, sizeof(text)));
    else if (view_json(&connection_view, row, text, sizeof(text)) > 0)
        printf("%s\n", text);
}

static enum ss_outcome line_show(struct ss *ss, char *line)
{
    struct connection_row row;
    struct ss_mark mark;
    if (!line_read(line, &row, &mark))
        return SS_BAD;
    if (mark.is_end)
        return SS_END;
    if (mark.is_silent) {
        fprintf(stderr,
                "leat ss: core %u does not answer, a callback keeps it: leat top tells for how "
                "long\n",
                row.core);
        ss->silent_count++;
    } else if (ss->state == NULL || strcasecmp(row.tcp.state, ss->state) == 0) {
        row_say(ss, &row);
    }
    return SS_MORE;
}

static int fail_connect(int pid, int code)
{
    const char *why =
        code == EACCES ? "it is another user's: sudo, or run this as that user"
        : code == ENOENT || code == ECONNREFUSED
            ? "it has no control socket: it is ending, or was told of that at its start"
            : strerror(code);
    fprintf(stderr, "leat ss: cannot ask process %d: %s\n", pid, why);
    return 1;
}

static int connect_to(int pid)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    struct timeval limit = {.tv_sec = ANSWER_S};
    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/" COUNTERS_PREFIX "%d.sock",
             counters_folder(), pid);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0 ||
        connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0) {
        int code = -errno;
        close(fd);
        return code;
    }
    return fd;
}

/* Asks on fd, which it closes, and shows what comes. */
static enum ss_outcome connections_show(struct ss *ss, int fd)
{
    static const char request[] = "connections\n";
    FILE *stream = fdopen(fd, "r");
    char *line = NULL;
    size_t room = 0;
    enum ss_outcome outcome = SS_MORE;
    if (stream == NULL) {
        close(fd);
        return SS_BAD;
    }
    if (send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) > 0)
        while (outcome == SS_MORE && getline(&line, &room, stream) > 0)
            outcome = line_show(ss, line);
    free(line);
    fclose(stream);
    return outcome;
}

static int list(struct ss *ss, int pid)
{
    int fd = connect_to(pid);
    if (fd < 0)
        return fail_connect(pid, -fd);
    enum ss_outcome outcome = connections_show(ss, fd);
    if (outcome == SS_MORE)
        fprintf(stderr, "leat ss: process %d stopped answering\n", pid);
    else if (outcome == SS_BAD)
        fprintf(stderr,
                "leat ss: process %d says what this version does not understand: use the "
                "leat it was started with\n",
                pid);
    return outcome == SS_END && ss->silent_count == 0 ? 0 : 1;
}

static void lower_write(char *to, size_t size, const char *from)
{
    size_t length = 0;
    for (; from[length] != '\0' && length + 1 < size; length++)
        to[length] = (char)tolower((unsigned char)from[length]);
    to[length] = '\0';
}

/* Names as users type them. Returns 0, or the exit code for one that is no state. */
static int state_check(const char *state)
{
    char names[SS_STATES_MAX][16];
    const char *known[SS_STATES_MAX];
    char lower[64];
    unsigned count = 0;
    for (const char *name; count < SS_STATES_MAX && (name = tcp_list_state(count)) != NULL;) {
        if (strcasecmp(name, state) == 0)
            return 0;
        lower_write(names[count], sizeof(names[count]), name);
        known[count] = names[count];
        count++;
    }
    lower_write(lower, sizeof(lower), state);
    const char *nearest = leat_nearest(lower, known, count);
    fprintf(stderr, "leat ss: --state %s is no state of TCP: %s%s\n", state,
            nearest != NULL ? "did you mean " : "such as ",
            nearest != NULL ? nearest : "established");
    return 2;
}

int ss_main(int argc, char **argv)
{
    struct ss ss = {.state = NULL};
    struct counters_view view;
    const struct leat_option options[] = {
        {"state", LEAT_OPTION_TEXT, &ss.state, "NAME",
         "only these: listen, syn-received, established, time-wait ...", 0, 0},
        {"json", LEAT_OPTION_FLAG, &ss.is_json, NULL,
         "a line of JSON for each connection, with all that is known of it", 0, 0},
        {"columns", LEAT_OPTION_FLAG, &ss.shows_columns, NULL,
         "what each key of the JSON, and each column, means", 0, 0},
    };
    struct leat_command_line line = {
        .name = "leat ss",
        .summary = "Lists listeners, handshakes and connections of a running program's own stack.\n"
                   "Without PID, of the only one that serves. Those of kernel sockets are in ss.",
        .tables = {options},
        .table_counts = {sizeof(options) / sizeof(options[0])},
    };
    int pid;
    int code = watch_parse(&line, argc, argv, &pid);
    if (code < 0 && ss.shows_columns)
        return watch_columns_say(line.name, &connection_view);
    if (code < 0 && ss.state != NULL && state_check(ss.state) != 0)
        return 2;
    code = code < 0 ? watch_open(line.name, pid, &view) : code;
    if (code >= 0)
        return code;
    pid = (int)view.header->pid;
    counters_view_close(&view);
    return leat_output_end(line.name, list(&ss, pid));
}
