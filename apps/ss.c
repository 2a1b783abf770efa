/* `leat ss`: the connections of a running program's own stack, which the kernel's ss does not know.
 * The program's control socket (net/watch/control.h) gives them. */
#include "apps/commands.h"
#include "apps/watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/watch/counters_file.h"

#define ANSWER_S 5 /* the program answers within a second, even for cores that do not */

struct ss {
    bool is_json;
    const char *state; /* NULL: all */
    unsigned row_count, silent_count;
};

/* What stands behind "name": of a row: text without its quotes, or a number. */
static const char *field(const char *row, const char *name, char *text, size_t size)
{
    char key[32];
    snprintf(key, sizeof(key), "\"%s\": ", name);
    const char *at = strstr(row, key);
    text[0] = '\0';
    if (at == NULL)
        return text;
    at += strlen(key);
    at += *at == '"';
    snprintf(text, size, "%.*s", (int)strcspn(at, "\",}"), at);
    return text;
}

static void say_row(const char *row)
{
    char f[12][64];
    double rtt_ms = strtod(field(row, "rtt_us", f[0], sizeof(f[0])), NULL) / 1000;
    printf("%-12s %8s %8s  %-28s %-28s %8.3f %8s %6s %4s\n",
           field(row, "state", f[1], sizeof(f[1])), field(row, "receive_queue", f[2], sizeof(f[2])),
           field(row, "send_queue", f[3], sizeof(f[3])), field(row, "local", f[4], sizeof(f[4])),
           field(row, "peer", f[5], sizeof(f[5])), rtt_ms, field(row, "cwnd", f[6], sizeof(f[6])),
           field(row, "resent", f[7], sizeof(f[7])), field(row, "core", f[8], sizeof(f[8])));
}

/* True: it was the last line. */
static bool take_line(struct ss *ss, const char *row)
{
    char text[64];
    if (strcmp(row, "{\"end\": true}") == 0)
        return true;
    if (strstr(row, "\"silent\": true") != NULL) {
        fprintf(stderr,
                "leat ss: core %s does not answer, a callback keeps it: leat top tells for how "
                "long\n",
                field(row, "core", text, sizeof(text)));
        ss->silent_count++;
        return false;
    }
    if (ss->state != NULL && strcasecmp(field(row, "state", text, sizeof(text)), ss->state) != 0)
        return false;
    if (ss->row_count++ == 0 && !ss->is_json)
        printf("%-12s %8s %8s  %-28s %-28s %8s %8s %6s %4s\n", "state", "recv-q", "send-q", "local",
               "peer", "rtt ms", "cwnd", "resent", "core");
    if (ss->is_json)
        printf("%s\n", row);
    else
        say_row(row);
    return false;
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

static int list(struct ss *ss, int pid)
{
    static const char request[] = "connections\n";
    int fd = connect_to(pid);
    if (fd < 0)
        return fail_connect(pid, -fd);
    FILE *stream = fdopen(fd, "r");
    char *row = NULL;
    size_t room = 0;
    ssize_t length = -1;
    bool is_end = false;
    if (stream == NULL) {
        close(fd);
        return fail_connect(pid, ENOMEM);
    }
    if (send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) > 0)
        while (!is_end && (length = getline(&row, &room, stream)) > 0) {
            row[length - 1] = '\0';
            is_end = take_line(ss, row);
        }
    free(row);
    fclose(stream);
    if (!is_end)
        fprintf(stderr, "leat ss: process %d stopped answering\n", pid);
    return is_end && ss->silent_count == 0 ? 0 : 1;
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
    };
    struct leat_command_line line = {
        .name = "leat ss",
        .summary = "Lists listeners, handshakes and connections of a running program's own stack.\n"
                   "Without PID, of the only one that serves. Those of kernel sockets are in ss.",
        .tables = {options},
        .table_counts = {sizeof(options) / sizeof(options[0])},
    };
    int code = watch_take(&line, argc, argv, &view);
    if (code >= 0)
        return code;
    int pid = (int)view.header->pid;
    counters_view_close(&view);
    code = list(&ss, pid);
    return fflush(stdout) == 0 ? code : 1;
}
