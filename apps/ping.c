/* `leat ping`: how long connecting takes, one connection after the other; or an echo over UDP. */
#include <leat/leat.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "apps/commands.h"
#include "runtime/base/histogram.h"

#define PING_COUNT       5
#define PING_INTERVAL_NS LEAT_NS_PER_S
#define PING_TIMEOUT_NS  (5 * LEAT_NS_PER_S)
#define PING_LINGER_NS   (100 * LEAT_NS_PER_MS)

struct ping {
    uint64_t count, interval_ns, timeout_ns;
    struct leat_addr to;
    char text[LEAT_ADDR_TEXT_BYTES_MAX];
    struct leat_conn_options options;
    struct leat_loop *loop;
    struct leat_timer next;
    uint64_t begun_count, answered_count, begun_ns;
    leat_conn conn;
    leat_udp udp;
    struct leat_timer patience; /* over UDP */
    bool is_open, is_over, is_udp;
    uint64_t sum_ns, min_ns, max_ns;
};

static void ping_finish(struct ping *ping)
{
    if (!ping->is_over) {
        ping->is_over = true;
        leat_timer_stop(&ping->next);
        leat_timer_stop(&ping->patience);
        (void)leat_conn_abort(ping->conn); /* -ESTALE when none is under way */
        (void)leat_udp_close(ping->udp);
        leat_run_unref(ping->loop);
    }
}

/* One has ended: the next comes when its time has come. */
static void ping_settled(struct ping *ping)
{
    if (ping->begun_count == ping->count)
        ping_finish(ping);
    else if (!ping->is_over)
        leat_timer_start_at(&ping->next, ping->begun_ns + ping->interval_ns);
}

static void ping_answered(struct ping *ping, const char *what)
{
    uint64_t took_ns = leat_loop_clock(ping->loop) - ping->begun_ns;
    ping->is_open = true;
    ping->answered_count++;
    ping->sum_ns += took_ns;
    ping->min_ns = took_ns < ping->min_ns ? took_ns : ping->min_ns;
    ping->max_ns = took_ns > ping->max_ns ? took_ns : ping->max_ns;
    printf("%s: %s in %.3f ms\n", ping->text, what, (double)took_ns / 1e6);
    fflush(stdout);
}

static void on_open(leat_conn conn, void *user)
{
    ping_answered(user, "connected");
    (void)leat_conn_close(conn);
}

static void on_close(leat_conn conn, void *user, enum leat_close_reason reason)
{
    struct ping *ping = user;
    if (!ping->is_open && !ping->is_over) {
        printf("%s: %s\n", ping->text, leat_close_reason_sentence(reason));
        fflush(stdout);
    }
    ping_settled(ping);
}

static const struct leat_conn_ops ping_ops = {.on_open = on_open, .on_close = on_close};

/* ---- over UDP ---- */

/* What was sent is settled, once. */
static void udp_settled(struct ping *ping, const char *why)
{
    if (ping->is_open || ping->is_over)
        return;
    leat_timer_stop(&ping->patience);
    if (why != NULL)
        printf("%s: %s\n", ping->text, why);
    else
        ping_answered(ping, "answered");
    fflush(stdout);
    ping->is_open = true;
    ping_settled(ping);
}

static void on_datagrams(leat_udp udp, void *user, const struct leat_datagram *datagrams,
                         unsigned count)
{
    struct ping *ping = user;
    for (unsigned i = 0; i < count; i++) {
        const struct leat_buf *data = &datagrams[i].data;
        if (data->length_bytes == sizeof(ping->begun_count) &&
            memcmp(data->data, &ping->begun_count, sizeof(ping->begun_count)) == 0)
            udp_settled(ping, NULL);
    }
}

static void on_udp_error(leat_udp udp, void *user, const struct leat_addr *peer,
                         enum leat_close_reason reason)
{
    udp_settled(user, reason == LEAT_CLOSE_REFUSED ? "nobody listens on that port"
                                                   : leat_close_reason_sentence(reason));
}

static void on_patience(struct leat_timer *timer, void *arg)
{
    udp_settled(arg, "no answer in the time allowed");
}

static void on_udp_close(leat_udp udp, void *user, enum leat_close_reason reason)
{
}

static const struct leat_udp_ops udp_ops = {.on_datagrams = on_datagrams,
                                            .on_error = on_udp_error,
                                            .on_close = on_udp_close};

static void udp_once(struct ping *ping)
{
    int result =
        leat_udp_send_bytes(ping->udp, NULL, &ping->begun_count, sizeof(ping->begun_count));
    leat_timer_start(&ping->patience, ping->timeout_ns, 0);
    if (result < 0)
        udp_settled(ping, leat_errno_name(result));
}

static int udp_start(struct ping *ping)
{
    leat_timer_init(&ping->patience, ping->loop, on_patience, ping);
    return ping->is_udp
               ? leat_udp_connect(ping->loop, &ping->to, NULL, NULL, &udp_ops, ping, &ping->udp)
               : 0;
}

static void ping_once(struct ping *ping)
{
    ping->begun_count++;
    ping->is_open = false;
    ping->begun_ns = leat_loop_clock(ping->loop);
    if (ping->is_udp) {
        udp_once(ping);
        return;
    }
    int result =
        leat_connect(ping->loop, &ping->to, NULL, &ping->options, &ping_ops, ping, &ping->conn);
    if (result < 0) {
        printf("%s: %s\n", ping->text, leat_loop_error(ping->loop)->sentence);
        ping_settled(ping);
    }
}

static void on_next(struct leat_timer *timer, void *arg)
{
    ping_once(arg);
}

static void on_drain(void *arg)
{
    ping_finish(arg);
}

static int start(struct leat_loop *loop)
{
    struct ping *ping = leat_run_user(loop);
    if (leat_loop_index(loop) != 0)
        return leat_run_fail(loop, -EINVAL, "one core is enough: leave out --cores");
    int result = leat_run_on_drain(loop, on_drain, ping);
    if (result < 0)
        return result;
    ping->loop = loop;
    result = udp_start(ping);
    if (result < 0)
        return result;
    leat_run_ref(loop);
    leat_timer_init(&ping->next, loop, on_next, ping);
    ping_once(ping);
    return 0;
}

static int check(const struct leat_command_line *line, const struct leat_run_options *options,
                 void *user)
{
    struct ping *ping = user;
    struct leat_error error = {0};
    if (line->operand_count == 0) {
        fprintf(stderr, "leat ping: which address? Such as: leat ping 127.0.0.1:8080\n");
        return 2;
    }
    if (leat_addr_parse(&ping->to, line->operand_items[0], 0, &error) < 0) {
        fprintf(stderr, "leat ping: %s\n", error.sentence);
        return 2;
    }
    leat_addr_format(&ping->to, ping->text);
    if (ping->to.port == 0 && ping->to.family != LEAT_FAMILY_UNIX) {
        fprintf(stderr, "leat ping: to which port of %s? Such as: leat ping 127.0.0.1:8080\n",
                line->operand_items[0]);
        return 2;
    }
    ping->options = (struct leat_conn_options){.connect_timeout_ns = ping->timeout_ns,
                                               .linger_ns = PING_LINGER_NS};
    return 0;
}

int ping_main(int argc, char **argv)
{
    struct ping ping = {
        .count = PING_COUNT,
        .interval_ns = PING_INTERVAL_NS,
        .timeout_ns = PING_TIMEOUT_NS,
        .min_ns = UINT64_MAX,
    };
    const struct leat_option options[] = {
        {"n|count", LEAT_OPTION_COUNT, &ping.count, "N", "how many connections (default: 5)", 1,
         UINT64_C(1) << 32},
        {"i|interval", LEAT_OPTION_DURATION, &ping.interval_ns, "TIME",
         "from one to the next (default: 1s)", LEAT_NS_PER_MS, 0},
        {"udp", LEAT_OPTION_FLAG, &ping.is_udp, NULL,
         "send datagrams to a server that sends them back (leat echo --udp)", 0, 0},
        {"timeout", LEAT_OPTION_DURATION, &ping.timeout_ns, "TIME", "for each (default: 5s)",
         LEAT_NS_PER_MS, 0},
    };
    const struct leat_program program = {
        .name = "leat ping",
        .summary = "Connects over TCP, and says how long that took; or waits for an echo over UDP.",
        .operands = "ADDR:PORT",
        .operand_count_max = 1,
        .options = options,
        .option_count = sizeof(options) / sizeof(options[0]),
        .check = check,
        .start = start,
        .user = &ping,
        .cores = "1",
        .is_client = true,
    };
    int code = leat_program_main(&program, argc, argv);
    if (ping.begun_count == 0)
        return code;
    printf("%" PRIu64 " of %" PRIu64 " %s", ping.answered_count, ping.begun_count,
           ping.is_udp ? "answered" : "connected");
    if (ping.answered_count > 0) {
        printf(": min %.3f ms, mean %.3f ms, max %.3f ms", (double)ping.min_ns / 1e6,
               (double)ping.sum_ns / (double)ping.answered_count / 1e6, (double)ping.max_ns / 1e6);
    }
    printf("\n");
    return ping.answered_count == ping.begun_count ? code : 1;
}
