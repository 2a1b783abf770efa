/* A program whose connections and sockets use what its end hook frees, for ends.py: nothing of it
 * may be used after that. Each core listens, connects to itself, and waits for the end. */
#include <leat/leat.h>
#include <leat/udp.h>

#include <errno.h>
#include <stdlib.h>

struct ends {
    const char *at; /* ADDR:PORT */
    bool reconnect; /* from on_close */
};

/* Freed by the end hook; what opens and closes reads it. */
struct core_ends {
    struct leat_loop *loop;
    struct leat_listener *listener;
    const struct ends *ends;
    unsigned closed_count;
};

static void on_tick(void *arg)
{
    const struct core_ends *core = arg;
    LEAT_LOG_INFO("tick after %u", core->closed_count);
}

static void on_open(leat_conn conn, void *user)
{
    LEAT_LOG_INFO("open");
}

static void on_close(leat_conn conn, void *user, enum leat_close_reason reason);
static const struct leat_conn_ops ops = {.on_open = on_open, .on_close = on_close};

static void on_close(leat_conn conn, void *user, enum leat_close_reason reason)
{
    struct core_ends *core = user;
    core->closed_count++;
    LEAT_LOG_INFO("closed: %s", leat_close_reason_name(reason));
    (void)leat_next_tick(core->loop, on_tick, core);
    if (core->ends->reconnect) {
        int result = leat_connect(core->loop, leat_listener_addr(core->listener), NULL, NULL, &ops,
                                  core, &conn);
        LEAT_LOG_INFO("connect: %s", leat_errno_name(result));
    }
}

static void on_datagrams(leat_udp udp, void *user, const struct leat_datagram *datagrams,
                         unsigned count)
{
}

static void on_udp_close(leat_udp udp, void *user, enum leat_close_reason reason)
{
    on_close(LEAT_CONN_NONE, user, reason);
}

static const struct leat_udp_ops udp_ops = {.on_datagrams = on_datagrams, .on_close = on_udp_close};

static void on_end(void *arg)
{
    struct core_ends *core = arg;
    LEAT_LOG_INFO("end after %u", core->closed_count);
    leat_listener_close(core->listener);
    free(core);
}

static int start(struct leat_loop *loop)
{
    struct core_ends *core = calloc(1, sizeof(*core));
    struct leat_error error;
    struct leat_addr addr;
    leat_conn conn;
    leat_udp udp;
    if (core == NULL)
        return leat_run_fail(loop, -ENOMEM, "out of memory");
    *core = (struct core_ends){.loop = loop, .ends = leat_run_user(loop)};
    int result = leat_addr_parse(&addr, core->ends->at, 0, &error);
    if (result == 0)
        result = leat_run_on_end(loop, on_end, core);
    if (result == 0)
        result = leat_listen(loop, &addr, NULL, &ops, core, &core->listener);
    if (result == 0)
        result =
            leat_connect(loop, leat_listener_addr(core->listener), NULL, NULL, &ops, core, &conn);
    if (result == 0)
        result = leat_udp_bind(loop, &addr, NULL, &udp_ops, core, &udp);
    return result;
}

int main(int argc, char **argv)
{
    struct ends ends = {.at = "127.0.0.1:0"};
    const struct leat_option options[] = {
        {"at", LEAT_OPTION_TEXT, &ends.at, "ADDR:PORT", "where to listen", 0, 0},
        {"reconnect", LEAT_OPTION_FLAG, &ends.reconnect, NULL, "from each on_close", 0, 0},
    };
    const struct leat_program program = {
        .options = options,
        .option_count = sizeof(options) / sizeof(options[0]),
        .start = start,
        .user = &ends,
    };
    return leat_program_main(&program, argc, argv);
}
