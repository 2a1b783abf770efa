/* What the link alone costs: bare frames over a port, without a stack, straight on its contract.
 *
 *   forward KIND:WHERE reflect [SECONDS]                  sends every frame back
 *   forward KIND:WHERE sink    [SECONDS]                  takes every frame and drops it
 *   forward KIND:WHERE ask     SECONDS BYTES WINDOW       keeps WINDOW frames in flight, counts
 *                                                         those that come back and how long they
 * took forward KIND:WHERE pour    SECONDS BYTES              sends as many as the port takes
 *
 * BYTES are a frame's, header included. Prints what it did as JSON; cycles are those of turns that
 * moved a frame. Moves frames for SECONDS (60 when not given) or until SIGTERM, and then keeps its
 * side of the link, untouched, until SIGTERM or for HELD_S: memif's driver unmaps its rings when
 * the peer goes, under the feet of whoever is polling them. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/port/ports.h"
#include "runtime/base/clock.h"
#include "runtime/base/histogram.h"

#define SECONDS_MAX 60
#define HELD_S      10
#define HEAD_BYTES                                                                                 \
    54 /* of the frames that do not fit into a head: as many as TCP's headers are                  \
        */
#define PAYLOAD_BYTES 65536
#define WINDOW_MAX    1024
#define LOST_NS       LEAT_NS_PER_S         /* nothing came back for so long: it was lost */
#define PROBE_NS      (20 * LEAT_NS_PER_MS) /* the same until the first came back */
#define CLOCK_TURNS   64                    /* vain turns between two looks at the clock */

static volatile sig_atomic_t is_told_to_end;

struct forward {
    struct leat_port *port;
    uint32_t frame_bytes, window, in_flight;
    uint32_t sent_at, received_at; /* in sent_ns, a ring: frames come back in order */
    uint64_t frames, bytes, lost, work_cycles, turns;
    uint64_t last_ns; /* when a frame last came back */
    struct clock_machine clock;
    uint64_t sent_ns[WINDOW_MAX];
    struct histogram trips;
    uint8_t payload[PAYLOAD_BYTES];
    uint32_t payload_at;
};

typedef unsigned turn_fn(struct forward *f); /* returns how many frames it moved */

static void on_signal(int number)
{
    is_told_to_end = 1;
}

static void give_back(struct forward *f, const struct leat_frame *frames, unsigned count)
{
    void *handles[LEAT_PORT_BURST];
    for (unsigned i = 0; i < count; i++) {
        handles[i] = frames[i].handle;
        f->bytes += frames[i].length_bytes;
    }
    f->frames += count;
    f->port->ops->release(f->port, 0, handles, count);
}

/* What is not taken at once waits here, as the stack's backlog would. */
static void send_all(struct forward *f, struct leat_packet *packets, unsigned count)
{
    for (unsigned sent = 0; sent < count && !is_told_to_end;) {
        sent += f->port->ops->transmit(f->port, 0, packets + sent, count - sent);
        if (sent < count)
            f->port->ops->reclaim(f->port, 0);
    }
}

static unsigned packets_grant(struct forward *f, struct leat_packet *packets, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        memset(&packets[i], 0, offsetof(struct leat_packet, slices));
    return f->port->ops->grant(f->port, 0, packets, count);
}

static unsigned turn_reflect(struct forward *f)
{
    struct leat_frame frames[LEAT_PORT_BURST];
    struct leat_packet packets[LEAT_PORT_BURST];
    unsigned count = f->port->ops->poll(f->port, 0, frames, LEAT_PORT_BURST);
    if (count == 0)
        return 0;
    unsigned granted = packets_grant(f, packets, count);
    for (unsigned i = 0; i < granted; i++) {
        uint32_t length = frames[i].length_bytes;
        length = length < LEAT_PORT_HEAD_BYTES ? length : LEAT_PORT_HEAD_BYTES;
        memcpy(packets[i].head, frames[i].data, length);
        packets[i].head_bytes = (uint16_t)length;
    }
    send_all(f, packets, granted);
    give_back(f, frames, count);
    return count;
}

static unsigned turn_sink(struct forward *f)
{
    struct leat_frame frames[LEAT_PORT_BURST];
    unsigned count = f->port->ops->poll(f->port, 0, frames, LEAT_PORT_BURST);
    if (count > 0)
        give_back(f, frames, count);
    return count;
}

/* A broadcast of a type that nobody speaks. */
static void frame_write(uint8_t *head, uint32_t bytes)
{
    memset(head, 0xff, 6);
    memset(head + 6, 2, 6);
    head[12] = 0x88;
    head[13] = 0xb5;
    memset(head + 14, 0, bytes - 14);
}

static void ask(struct forward *f)
{
    struct leat_packet packets[LEAT_PORT_BURST];
    unsigned wanted = f->window - f->in_flight;
    wanted = wanted < LEAT_PORT_BURST ? wanted : LEAT_PORT_BURST;
    unsigned count = wanted > 0 ? packets_grant(f, packets, wanted) : 0;
    uint64_t now_ns = count > 0 ? clock_machine_now(&f->clock) : 0;
    for (unsigned i = 0; i < count; i++) {
        frame_write(packets[i].head, f->frame_bytes);
        packets[i].head_bytes = (uint16_t)f->frame_bytes;
        f->sent_ns[f->sent_at++ % WINDOW_MAX] = now_ns;
    }
    f->in_flight += count;
    send_all(f, packets, count);
}

static unsigned turn_ask(struct forward *f)
{
    struct leat_frame frames[LEAT_PORT_BURST];
    unsigned count = f->port->ops->poll(f->port, 0, frames, LEAT_PORT_BURST);
    if (count > 0) {
        uint64_t now_ns = f->last_ns = clock_machine_now(&f->clock);
        for (unsigned i = 0; i < count && f->in_flight > 0; i++, f->in_flight--)
            histogram_record(&f->trips, now_ns - f->sent_ns[f->received_at++ % WINDOW_MAX]);
        give_back(f, frames, count);
    } else if (f->in_flight > 0 &&
               clock_machine_now(&f->clock) - f->last_ns > (f->frames > 0 ? LOST_NS : PROBE_NS)) {
        f->lost += f->frames > 0 ? f->in_flight : 0;
        f->received_at = f->sent_at;
        f->in_flight = 0;
        f->last_ns = clock_machine_now(&f->clock);
    }
    if (f->in_flight < f->window)
        ask(f);
    return count;
}

static unsigned turn_pour(struct forward *f)
{
    struct leat_packet packets[LEAT_PORT_BURST];
    const struct leat_port_ops *ops = f->port->ops;
    unsigned count = packets_grant(f, packets, LEAT_PORT_BURST);
    uint32_t body = f->frame_bytes > LEAT_PORT_HEAD_BYTES ? f->frame_bytes - HEAD_BYTES : 0;
    for (unsigned i = 0; i < count; i++) {
        struct leat_packet *p = &packets[i];
        frame_write(p->head, f->frame_bytes - body);
        p->head_bytes = (uint16_t)(f->frame_bytes - body);
        if (body > 0) {
            f->payload_at = f->payload_at + body <= PAYLOAD_BYTES ? f->payload_at : 0;
            p->slices[0] = leat_buf_from_static(f->payload + f->payload_at, body);
            p->slice_count = 1;
            p->slice_bytes = body;
            f->payload_at += body;
        }
    }
    unsigned sent = count > 0 ? ops->transmit(f->port, 0, packets, count) : 0;
    if (sent < count)
        ops->revoke(f->port, 0, packets + sent, count - sent);
    ops->reclaim(f->port, 0);
    f->frames += sent;
    f->bytes += (uint64_t)sent * f->frame_bytes;
    return sent;
}

static void run(struct forward *f, turn_fn *turn, uint64_t seconds)
{
    clock_machine_init(&f->clock);
    uint64_t begin_ns = clock_machine_now(&f->clock), now_ns = begin_ns, first_ns = 0;
    uint64_t until_ns = begin_ns + seconds * LEAT_NS_PER_S, begin_tsc = clock_tsc();
    f->last_ns = begin_ns;
    for (uint64_t vain = 0; !is_told_to_end && now_ns < until_ns; f->turns++) {
        uint64_t from = clock_tsc();
        if (turn(f) > 0) {
            f->work_cycles += clock_tsc() - from;
            vain = 0;
        } else if (vain++ % CLOCK_TURNS != 0) {
            continue;
        }
        now_ns = clock_machine_now(&f->clock);
        if (first_ns == 0 && f->frames > 0) { /* a side that waits is measured from here */
            first_ns = now_ns;
            begin_tsc = clock_tsc();
        }
    }
    uint64_t cycles = clock_tsc() - begin_tsc;
    double took_s = (double)(now_ns - (first_ns != 0 ? first_ns : begin_ns)) / 1e9;
    printf("{\"frames\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"lost\": %" PRIu64
           ", \"seconds\": %.6f, \"work_cycles\": %" PRIu64 ", \"busy\": %.4f, "
           "\"round_trip_us\": {\"p50\": %.3f, \"p99\": %.3f}}\n",
           f->frames, f->bytes, f->lost, took_s, f->work_cycles,
           cycles > 0 ? (double)f->work_cycles / (double)cycles : 0,
           (double)histogram_percentile(&f->trips, 50) / 1e3,
           (double)histogram_percentile(&f->trips, 99) / 1e3);
    fflush(stdout);
}

static int fail(const char *sentence)
{
    fprintf(stderr, "forward: %s\n", sentence);
    return 1;
}

static int forward(struct forward *f, const char *net, turn_fn *turn, uint64_t seconds)
{
    struct leat_error error = {0};
    char kind[16];
    size_t length = strcspn(net, ":");
    snprintf(kind, sizeof(kind), "%.*s", (int)length, net);
    struct port_options options = {.kind = kind,
                                   .where = net[length] == ':' ? net + length + 1 : "",
                                   .queue_count = 1};
    f->port = strcmp(kind, "tun") == 0 ? tun_port_open(&options, &error)
                                       : dpdk_port_open(&options, &error);
    if (f->port == NULL)
        return fail(error.sentence);
    const struct leat_port_ops *ops = f->port->ops;
    if (ops->enter != NULL && ops->enter(f->port, &error) < 0)
        return fail(error.sentence);
    printf("ready\n");
    fflush(stdout);
    run(f, turn, seconds);
    for (unsigned ms = 0; !is_told_to_end && ms < HELD_S * 1000; ms++)
        usleep(1000);
    if (ops->leave != NULL)
        ops->leave(f->port);
    ops->close(f->port);
    return f->frames == 0 ? fail("no frame came through") : 0;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        turn_fn *turn;
        int argc;
    } modes[] = {{"reflect", turn_reflect, 3},
                 {"sink", turn_sink, 3},
                 {"ask", turn_ask, 6},
                 {"pour", turn_pour, 5}};
    static struct leat_core core;
    unsigned mode = 0;
    while (argc > 2 && mode < 4 && strcmp(argv[2], modes[mode].name) != 0)
        mode++;
    struct forward *f = calloc(1, sizeof(*f));
    if (argc < 3 || mode == 4 || argc < modes[mode].argc || f == NULL)
        return fail("usage: forward KIND:WHERE reflect|sink|ask|pour [SECONDS [BYTES [WINDOW]]]");
    uint64_t seconds = argc > 3 ? strtoull(argv[3], NULL, 10) : SECONDS_MAX;
    f->frame_bytes = argc > 4 ? (uint32_t)atoi(argv[4]) : 64;
    f->window = argc > 5 ? (uint32_t)atoi(argv[5]) : 1;
    uint32_t bytes_max = modes[mode].turn == turn_ask ? LEAT_PORT_HEAD_BYTES : 1514;
    if (seconds == 0 || seconds > SECONDS_MAX || f->frame_bytes < 60 ||
        f->frame_bytes > bytes_max || f->window == 0 || f->window > WINDOW_MAX)
        return fail("1 to 60 seconds; frames of 60 to 1514 bytes, asked 384; a window up to 1024");
    leat_core_now = &core;
    signal(SIGTERM, on_signal);
    int code = forward(f, argv[1], modes[mode].turn, seconds);
    free(f);
    return code;
}
