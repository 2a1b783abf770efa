/* `leat ping`: how long connecting takes, one connection after the other; or an echo over UDP. */
#include <leat/leat.h>

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "apps/commands.h"
#include "apps/why.h"
#include "net/api/resolve.h"
#include "runtime/base/output.h"

#define PING_COUNT       5
#define PING_INTERVAL_NS LEAT_NS_PER_S
#define PING_TIMEOUT_NS  (5 * LEAT_NS_PER_S)
#define PING_LINGER_NS   (100 * LEAT_NS_PER_MS)

struct ping {
    uint64_t count, interval_ns, timeout_ns;
    struct leat_addr addrs[RESOLVED_MAX]; /* until one has answered, each gets its turn */
    unsigned addrs_count, addr_at;
    char text[LEAT_ADDR_TEXT_BYTES_MAX]; /* of the address at addr_at */
    struct leat_conn_options options;
    struct leat_loop *loop;
    struct leat_timer next;
    uint64_t begun_count, answered_count, begun_ns;
    leat_conn conn;
    leat_udp udp;
    unsigned udp_addr_at;       /* of its peer; UINT_MAX: not opened */
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

/* What was printed goes out at once; without a reader there is nothing more to do. */
static void ping_flush(struct ping *ping)
{
    if (fflush(stdout) != 0)
        ping_finish(ping);
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
    ping_flush(ping);
}

static void addr_choose(struct ping *ping, unsigned at)
{
    ping->addr_at = at;
    leat_addr_format(&ping->addrs[at], ping->text);
}

/* One had no answer. Another address of the same name is tried in its place, at once. */
static void ping_failed(struct ping *ping, const char *why)
{
    if (ping->is_over)
        return;
    if (ping->answered_count == 0 && ping->addr_at + 1 < ping->addrs_count) {
        addr_choose(ping, ping->addr_at + 1);
        ping->begun_count--;
        leat_timer_start(&ping->next, 0, 0);
        return;
    }
    printf("%s: %s\n", ping->text, why);
    ping_flush(ping);
    ping_settled(ping);
}

static void on_open(leat_conn conn, void *user)
{
    ping_answered(user, "connected");
    (void)leat_conn_close(conn);
}

static void on_close(leat_conn conn, void *user, enum leat_close_reason reason)
{
    struct ping *ping = user;
    if (ping->is_open)
        ping_settled(ping);
    else
        ping_failed(ping, why_not_connected(&ping->addrs[ping->addr_at], reason));
}

static const struct leat_conn_ops ping_ops = {.on_open = on_open, .on_close = on_close};

/* ---- over UDP ---- */

/* What was sent is settled, once. */
static void udp_settled(struct ping *ping, const char *why)
{
    if (ping->is_open || ping->is_over)
        return;
    leat_timer_stop(&ping->patience);
    if (why != NULL) {
        ping->is_open = true; /* an answer that comes now is late */
        ping_failed(ping, why);
        return;
    }
    ping_answered(ping, "answered");
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

/* A socket to the address whose turn it is. Returns 0 or -errno, with a sentence of the loop's. */
static int udp_open(struct ping *ping)
{
    if (ping->udp_addr_at == ping->addr_at)
        return 0;
    (void)leat_udp_close(ping->udp); /* -ESTALE for the first */
    int result = leat_udp_connect(ping->loop, &ping->addrs[ping->addr_at], NULL, NULL, &udp_ops,
                                  ping, &ping->udp);
    ping->udp_addr_at = result == 0 ? ping->addr_at : UINT_MAX;
    return result;
}

static void udp_once(struct ping *ping)
{
    int result = udp_open(ping);
    if (result < 0) {
        udp_settled(ping, leat_loop_error(ping->loop)->sentence);
        return;
    }
    result = leat_udp_send_bytes(ping->udp, NULL, &ping->begun_count, sizeof(ping->begun_count));
    leat_timer_start(&ping->patience, ping->timeout_ns, 0);
    if (result < 0)
        udp_settled(ping, leat_errno_name(result));
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
    int result = leat_connect(ping->loop, &ping->addrs[ping->addr_at], NULL, &ping->options,
                              &ping_ops, ping, &ping->conn);
    if (result < 0)
        ping_failed(ping, leat_loop_error(ping->loop)->sentence);
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
    leat_timer_init(&ping->patience, loop, on_patience, ping);
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
    int count = addr_resolve(ping->addrs, line->operand_items[0], 0, &error);
    if (count < 0) {
        fprintf(stderr, "leat ping: %s\n", error.sentence);
        return count == -EINVAL ? 2 : 1;
    }
    ping->addrs_count = (unsigned)count;
    addr_choose(ping, 0);
    if (ping->addrs[0].port == 0 && ping->addrs[0].family != LEAT_FAMILY_UNIX) {
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
        .udp_addr_at = UINT_MAX,
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
    return leat_output_end("leat ping", ping.answered_count == ping.begun_count ? code : 1);
}
