/* Goodput under loss: one connection over a link of 20 Mbit/s, for each loss rate, round-trip time
 * and receive buffer, beside what it should be: the least of the link's rate, a window per round
 * trip, and the response function of CUBIC (RFC 9438 5.1 and 4.3, whose friendly region is Mathis's
 * formula).
 *
 *     goodput                prints the matrix
 *     goodput --seeds N      the mean of N seeds for each cell: to compare two stacks, of which one
 *                            seed says little where losses are few
 *     goodput --check FILE   fails when a cell differs from FILE's by more than TOLERANCE_PERCENT
 *
 * Everything is virtual and drawn from one seed per cell: the same stack gives the same matrix. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <leat/conn.h>

#include "net/sim/sim.h"
#include "runtime/base/core.h"

#define TOLERANCE_PERCENT 10
#define LINK_KBIT         20000
#define MSS               1448 /* 1500 bytes without IPv4 and TCP headers, timestamps */
#define FRAME_BYTES       1514
#define WARM_NS           (20 * LEAT_NS_PER_S) /* slow start is not what is measured */
#define FAST_NS           (30 * LEAT_NS_PER_S)
#define SLOW_NS           (300 * LEAT_NS_PER_S)
#define CHUNK_BYTES       32768
#define SEED_STEP         1000 /* between the seeds of a cell */

static const unsigned losses_ppm[] = {0, 100, 1000, 10000, 30000};
static const unsigned rtts_ms[] = {1, 10, 50, 200};
static const unsigned buffers_kib[] = {32, 128, 512, 2048};
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

struct cell {
    unsigned loss_ppm, rtt_ms, buffer_kib;
    unsigned measured_kbit, expected_kbit;
    const char *limit; /* what bounds it */
};

struct transfer {
    leat_conn conn;
    uint64_t received;
};

static void refill(leat_conn conn, void *user)
{
    static const uint8_t zeros[CHUNK_BYTES];
    (void)user;
    while (leat_conn_send_bytes(conn, zeros, sizeof(zeros)) >= 0)
        ;
}

static void on_data(leat_conn conn, void *user, const struct leat_buf *slices, unsigned count)
{
    struct transfer *t = user;
    (void)conn;
    for (unsigned i = 0; i < count; i++)
        t->received += slices[i].length_bytes;
}

static const struct leat_conn_ops sender_ops = {.on_open = refill, .on_writable = refill};
static const struct leat_conn_ops receiver_ops = {.on_data = on_data};

/* ---- what it should be ---- */

static double response_kbit(const struct cell *c)
{
    const double C = 0.4, beta = 0.7, p = c->loss_ppm / 1e6, rtt = c->rtt_ms / 1e3;
    double cubic = pow(C * (3 + beta) / (4 * (1 - beta)), 0.25) * pow(rtt, 0.75) / pow(p, 0.75);
    double friendly = sqrt(1.5 / p);
    double segments = cubic > friendly ? cubic : friendly;
    return segments * MSS * 8 / rtt / 1e3;
}

static void expect(struct cell *c)
{
    double rate = (double)LINK_KBIT * MSS / FRAME_BYTES;
    double window = c->buffer_kib * 1024.0 * 8 / c->rtt_ms;
    double least = rate;
    c->limit = "link";
    if (window < least) {
        least = window;
        c->limit = "window";
    }
    if (c->loss_ppm != 0 && response_kbit(c) < least) {
        least = response_kbit(c);
        c->limit = "loss";
    }
    c->expected_kbit = (unsigned)least;
}

/* ---- what it is ---- */

static struct sim_host *add_host(struct sim *sim, const struct cell *c, unsigned loss_ppm)
{
    uint32_t bdp = LINK_KBIT / 8 * c->rtt_ms; /* the bottleneck's queue holds a round trip */
    const struct sim_host_options o = {.kind = SIM_STACK,
                                       .buffer_bytes_max = 256u << 20,
                                       .link = {.delay_ns = c->rtt_ms * LEAT_NS_PER_MS / 2,
                                                .bits_per_second = LINK_KBIT * UINT64_C(1000),
                                                .queue_bytes_max = bdp > 65536 ? bdp : 65536,
                                                .loss_ppm = loss_ppm}};
    return sim_add_host(sim, &o);
}

static void measure(struct cell *c, uint64_t seed)
{
    struct transfer t = {0};
    struct sim *sim = sim_new(seed, NULL, NULL);
    struct sim_host *to = add_host(sim, c, 0), *from = add_host(sim, c, c->loss_ppm);
    struct leat_addr at = sim_addr(to, false, 80);
    /* the sender always has more than the window: its own marks are not what is measured */
    const struct leat_conn_options options = {.send_high_bytes = c->buffer_kib * 4096,
                                              .send_low_bytes = c->buffer_kib * 2048,
                                              .receive_bytes_max = c->buffer_kib * 1024};
    const struct leat_listen_options listen = {.conn = options};
    struct leat_listener *listener;
    sim_enter(to);
    CHECK(leat_listen(sim_loop(to), &at, &listen, &receiver_ops, &t, &listener) == 0);
    sim_leave(to);
    sim_enter(from);
    CHECK(leat_connect(sim_loop(from), &at, NULL, &options, &sender_ops, NULL, &t.conn) == 0);
    sim_leave(from);
    sim_run_for(sim, WARM_NS);
    uint64_t before = t.received;
    bool is_rare = strcmp(c->limit, "loss") == 0; /* losses: few in a short time */
    uint64_t span = is_rare || c->expected_kbit * 2 < LINK_KBIT ? SLOW_NS : FAST_NS;
    sim_run_for(sim, span);
    c->measured_kbit = (unsigned)((t.received - before) * 8 / (span / LEAT_NS_PER_MS));
    sim_check_host(from);
    sim_check_host(to);
    if (sim_violation_count(sim) > 0)
        printf("violation: %s\n", sim_violation_sentence(sim));
    CHECK(sim_free(sim) == 0);
}

static void print_cell(const struct cell *c)
{
    printf("%7.2f %7u %10u %10u %10u %7u  %s\n", c->loss_ppm / 1e4, c->rtt_ms, c->buffer_kib,
           c->measured_kbit, c->expected_kbit, c->measured_kbit * 100 / c->expected_kbit, c->limit);
}

/* ---- the snapshot ---- */

static bool find(FILE *file, const struct cell *c, unsigned *kbit)
{
    char line[200];
    rewind(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        double loss;
        unsigned rtt, buffer;
        if (sscanf(line, "%lf %u %u %u", &loss, &rtt, &buffer, kbit) == 4 &&
            (unsigned)(loss * 1e4 + 0.5) == c->loss_ppm && rtt == c->rtt_ms &&
            buffer == c->buffer_kib)
            return true;
    }
    return false;
}

static bool is_same(FILE *file, const struct cell *c)
{
    unsigned before;
    if (!find(file, c, &before)) {
        printf("the snapshot has no such cell:\n");
        return false;
    }
    unsigned difference =
        c->measured_kbit > before ? c->measured_kbit - before : before - c->measured_kbit;
    if (difference * 100 <= before * TOLERANCE_PERCENT)
        return true;
    printf("was %u kbit/s:\n", before);
    return false;
}

static void measure_mean(struct cell *c, unsigned number, unsigned seed_count)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < seed_count; i++) {
        measure(c, number + (uint64_t)i * SEED_STEP);
        sum += c->measured_kbit;
    }
    c->measured_kbit = (unsigned)(sum / seed_count);
}

int main(int argc, char **argv)
{
    FILE *file = argc == 3 && strcmp(argv[1], "--check") == 0 ? fopen(argv[2], "r") : NULL;
    int seed_count = argc == 3 && strcmp(argv[1], "--seeds") == 0 ? atoi(argv[2]) : argc == 1;
    unsigned differ = 0, count = 0;
    if (seed_count < 1 && file == NULL) {
        fprintf(stderr, "usage: goodput [--check FILE | --seeds N]\n");
        return 2;
    }
    if (file == NULL)
        printf(" loss %%  RTT ms buffer KiB  is kbit/s  should be percent  bound by\n");
    for (unsigned b = 0; b < COUNT(buffers_kib); b++) {
        for (unsigned r = 0; r < COUNT(rtts_ms); r++) {
            for (unsigned l = 0; l < COUNT(losses_ppm); l++) {
                struct cell c = {losses_ppm[l], rtts_ms[r], buffers_kib[b], 0, 0, NULL};
                expect(&c);
                measure_mean(&c, ++count, file != NULL ? 1 : (unsigned)seed_count);
                bool same = file == NULL || is_same(file, &c);
                if (file == NULL || !same)
                    print_cell(&c);
                differ += !same;
                fflush(stdout);
            }
        }
    }
    if (file != NULL) {
        printf("%u of %u cells differ by more than %d %%%s\n", differ, count, TOLERANCE_PERCENT,
               differ > 0 ? "; if they should, ./dev goodput --write" : "");
        fclose(file);
    }
    return differ > 0 ? 1 : 0;
}
