/* A chat over all cores: each line from one client goes to every client, on whichever core it is.
 * `nc 127.0.0.1 7000`, several times. */
#include <leat/leat.h>

#include <stdlib.h>

#define LINE_BYTES_MAX 512 /* a longer line goes out in pieces */
#define CORES_MAX      1024

struct member { /* one client */
    leat_conn conn;
    struct room *room;
    struct member *next;
    size_t line_bytes;
    char line[LINE_BYTES_MAX];
};

static struct room { /* the clients of one core, which alone touches them */
    struct leat_loop *loop;
    struct member *first;
} rooms[CORES_MAX];

struct message { /* one line on its way to one core, which frees it */
    struct room *room;
    size_t length_bytes;
    char bytes[LINE_BYTES_MAX];
};

static void deliver(void *arg) /* on the core of the room that the line goes to */
{
    struct message *message = arg;
    for (struct member *m = message->room->first; m != NULL; m = m->next)
        if (leat_conn_send_bytes(m->conn, message->bytes, message->length_bytes) < 0)
            (void)leat_conn_abort(m->conn); /* reads too slowly, or memory is out */
    free(message);
}

static void say(struct member *member)
{
    struct leat_loop *here = member->room->loop;
    for (uint32_t core = 0; core < leat_run_core_count(here); core++) {
        struct message *message = malloc(sizeof(*message));
        if (message == NULL)
            return;
        message->room = &rooms[core];
        message->length_bytes = member->line_bytes;
        memcpy(message->bytes, member->line, member->line_bytes);
        if (leat_loop_post(rooms[core].loop, deliver, message) < 0)
            free(message); /* that core is behind by a thousand lines: it misses this one */
    }
    member->line_bytes = 0;
}

static void on_data(leat_conn conn, void *user, const struct leat_buf *slices, unsigned count)
{
    struct member *member = user;
    for (unsigned i = 0; i < count; i++)
        for (size_t at = 0; at < slices[i].length_bytes; at++) {
            member->line[member->line_bytes++] = (char)slices[i].data[at];
            if (slices[i].data[at] == '\n' || member->line_bytes == LINE_BYTES_MAX)
                say(member);
        }
}

static void on_end(leat_conn conn, void *user)
{
    (void)leat_conn_close(conn);
}

static void on_close(leat_conn conn, void *user, enum leat_close_reason reason)
{
    struct member *member = user;
    if (member == NULL)
        return;
    struct member **at = &member->room->first;
    while (*at != member)
        at = &(*at)->next;
    *at = member->next;
    free(member);
}

static void on_open(leat_conn conn, void *user) /* user is what leat_listen was given */
{
    struct room *room = user;
    struct member *member = calloc(1, sizeof(*member));
    (void)leat_conn_set(conn, NULL, member);
    if (member == NULL) {
        (void)leat_conn_abort(conn);
        return;
    }
    *member = (struct member){.conn = conn, .room = room, .next = room->first};
    room->first = member;
}

static const struct leat_conn_ops ops = {on_open, on_data, NULL, on_end, on_close};

static int start(struct leat_loop *loop) /* runs once on every core, and each listens */
{
    struct room *room = &rooms[leat_loop_index(loop)];
    struct leat_listener *listener;
    struct leat_error error = {0};
    struct leat_addr addr;
    const char *text = leat_run_listen_at(loop, 0);
    room->loop = loop;
    if (leat_addr_parse(&addr, text != NULL ? text : "127.0.0.1:7000", 7000, &error) < 0)
        return leat_run_fail(loop, error.code, "%s", error.sentence);
    int result = leat_listen(loop, &addr, NULL, &ops, room, &listener);
    if (result == 0)
        leat_run_listening(loop, "tcp", leat_listener_addr(listener));
    return result;
}

int main(int argc, char **argv)
{
    return leat_main(argc, argv, start);
}
