/* A chat with tasks: each client has one, which waits for its lines and says each of them to all.
 * `nc 127.0.0.1 7001`, several times; the line "/count" is answered with who is here.
 *
 * Nobody waits for a slow reader: with SEND_BYTES queued it is dropped, and counted. A line longer
 * than LINE_BYTES_MAX ends its connection. One core; chat.c shows how lines cross cores. */
#include <leat/leat.h>
#include <stdio.h>

#define LINE_BYTES_MAX 512
#define SEND_BYTES     65536

struct member { /* lies on its task's stack */
    struct leat_stream *stream;
    struct member *next;
    bool is_dropped;
};

static struct member *first;
static unsigned here_count, dropped_count;

static void tell(struct member *to, const char *line, size_t length_bytes)
{
    if (to->is_dropped || leat_write_bytes(to->stream, line, length_bytes) == 0)
        return;
    to->is_dropped = true; /* 1: it was taken, and the queue is full; below 0: not even that */
    dropped_count++;
    leat_stream_destroy(to->stream, leat_failure(-ENOBUFS, "it reads too slowly"));
}

static void say(struct member *from, struct leat_buf said)
{
    char line[LINE_BYTES_MAX + 1];
    memcpy(line, said.data, said.length_bytes);
    line[said.length_bytes] = '\n';
    if (said.length_bytes == strlen("/count") && memcmp(line, "/count", said.length_bytes) == 0) {
        int length =
            snprintf(line, sizeof(line), "%u here, %u dropped\n", here_count, dropped_count);
        tell(from, line, (size_t)length);
        return;
    }
    for (struct member *to = first; to != NULL; to = to->next)
        tell(to, line, said.length_bytes + 1);
}

/* Until the client has no more to say, breaks off, is dropped, or the program ends. */
static void listen_to(struct member *member, struct leat_stream *lines)
{
    struct leat_result line = leat_await(leat_readable_next(lines));
    while (line.code == 1) {
        say(member, leat_result_buf(&line));
        leat_result_drop(&line);
        line = leat_await(leat_readable_next(lines));
    }
    leat_result_drop(&line);
}

static struct leat_result member_run(void *arg) /* a task */
{
    struct member *member = arg;
    struct leat_stream *lines = leat_lines(leat_loop_current(), LINE_BYTES_MAX);
    member->next = first;
    first = member;
    here_count++;
    if (lines != NULL) {
        struct leat_stream *both[] = {leat_stream_ref(member->stream), leat_stream_ref(lines)};
        struct leat_future *piped = leat_pipeline(both, 2); /* one that fails takes both along */
        leat_future_ignore(piped);
        leat_future_unref(piped);
        listen_to(member, lines);
        leat_stream_unref(lines);
    }
    struct member **at = &first;
    while (*at != member)
        at = &(*at)->next;
    *at = member->next;
    here_count--;
    leat_stream_end(member->stream); /* what is queued still goes out */
    leat_stream_unref(member->stream);
    return leat_nothing();
}

static void on_open(leat_conn conn, void *user)
{
    struct member member = {.stream = leat_conn_stream(conn, NULL)};
    if (member.stream == NULL) {
        (void)leat_conn_abort(conn);
        return;
    }
    struct leat_future *task =
        leat_task_start(leat_loop_current(), member_run, &member, sizeof(member)); /* copied */
    if (leat_future_result(task) != NULL) { /* too many tasks, or no memory for one */
        leat_stream_destroy(member.stream, leat_nothing());
        leat_stream_unref(member.stream);
    }
    leat_future_ignore(task);
    leat_future_unref(task);
}

static int start(struct leat_loop *loop)
{
    static const struct leat_conn_ops ops = {.on_open = on_open};
    const struct leat_listen_options options = {.conn.send_high_bytes = SEND_BYTES};
    struct leat_listener *listener;
    struct leat_error error = {0};
    struct leat_addr addr;
    const char *at = leat_run_listen_at(loop, 0);
    if (leat_addr_parse(&addr, at != NULL ? at : "127.0.0.1:7001", 7001, &error) < 0)
        return leat_run_fail(loop, error.code, "%s", error.sentence);
    int result = leat_listen(loop, &addr, &options, &ops, NULL, &listener);
    if (result == 0)
        leat_run_listening(loop, "tcp", leat_listener_addr(listener));
    return result;
}

int main(int argc, char **argv)
{
    const struct leat_program program = {.name = "chat-tasks", .cores = "1", .start = start};
    return leat_program_main(&program, argc, argv);
}
