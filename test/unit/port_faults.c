/* The port that treats packets badly, around one that gives numbered frames and counts what it is
 * given. */
#include "net/port/faults.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "buffers/heap.h"
#include "buffers/pools.h"

#define COUNT 2000u

/* Every frame and head is an allocation of its own. */
struct plain {
    struct leat_port port; /* first */
    uint32_t next, last;   /* frames next .. last - 1 will come */
    unsigned lent_count, head_count;
    bool is_closed, is_full;
    uint32_t sent[3 * COUNT];
    unsigned sent_count;
    uint8_t flags; /* of the frames */
};

static struct plain *of(struct leat_port *port)
{
    return (struct plain *)port;
}

static unsigned plain_poll(struct leat_port *port, unsigned queue, struct leat_frame *frames,
                           unsigned count)
{
    struct plain *p = of(port);
    unsigned n = 0;
    for (; n < count && p->next < p->last; n++) {
        uint32_t *bytes = malloc(sizeof(*bytes));
        assert_non_null(bytes);
        *bytes = p->next++;
        frames[n] =
            (struct leat_frame){.data = (uint8_t *)bytes,
                                .handle = bytes,
                                .length_bytes = sizeof(*bytes),
                                .flags = p->flags != 0 && *bytes % 3 != 2 ? LEAT_FRAME_MORE : 0};
    }
    p->lent_count += n;
    return n;
}

static void plain_release(struct leat_port *port, unsigned queue, void *const *handles,
                          unsigned count)
{
    of(port)->lent_count -= count;
    for (unsigned i = 0; i < count; i++)
        free(handles[i]);
}

static unsigned plain_grant(struct leat_port *port, unsigned queue, struct leat_packet *packets,
                            unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        packets[i].head = packets[i].handle = malloc(LEAT_PORT_HEAD_BYTES);
    of(port)->head_count += count;
    return count;
}

static void plain_revoke(struct leat_port *port, unsigned queue, struct leat_packet *packets,
                         unsigned count)
{
    of(port)->head_count -= count;
    for (unsigned i = 0; i < count; i++)
        free(packets[i].handle);
}

static unsigned plain_transmit(struct leat_port *port, unsigned queue, struct leat_packet *packets,
                               unsigned count)
{
    struct plain *p = of(port);
    for (unsigned i = 0; i < count; i++) {
        if (p->is_full)
            return i;
        assert_true(packets[i].head_bytes == 4 && packets[i].slice_count == 1);
        assert_memory_equal(packets[i].slices[0].data, packets[i].head, 4);
        memcpy(&p->sent[p->sent_count++], packets[i].head, 4);
        leat_buf_unref(packets[i].slices[0]);
        plain_revoke(port, queue, &packets[i], 1);
    }
    return count;
}

static unsigned plain_reclaim(struct leat_port *port, unsigned queue)
{
    return 0;
}

static void plain_arm(struct leat_port *port, unsigned queue, struct leat_port_nap *nap)
{
    *nap = (struct leat_port_nap){.fd = -1, .nap_ns_max = UINT64_MAX};
}

static void plain_stats(struct leat_port *port, unsigned queue, struct leat_port_stats *stats)
{
    *stats = (struct leat_port_stats){.rx_held_count = of(port)->lent_count,
                                      .tx_held_count = of(port)->head_count};
}

static void plain_close(struct leat_port *port)
{
    of(port)->is_closed = true;
}

static const struct leat_port_ops plain_ops = {
    .poll = plain_poll,
    .release = plain_release,
    .grant = plain_grant,
    .transmit = plain_transmit,
    .revoke = plain_revoke,
    .reclaim = plain_reclaim,
    .arm = plain_arm,
    .stats = plain_stats,
    .close = plain_close,
};

static struct plain plain;

static struct leat_port *wrapped(const char *text)
{
    struct faults_options options;
    struct leat_error error;
    memset(&plain, 0, sizeof(plain));
    plain.port.ops = &plain_ops;
    plain.port.info = (struct leat_port_info){.driver = "plain",
                                              .can = LEAT_PORT_CAN_RELEASE_ANYWHERE,
                                              .rx_queue_count = 1,
                                              .tx_queue_count = 1};
    assert_int_equal(faults_parse(&options, text, &error), 0);
    struct leat_port *port = faults_port_new(&plain.port, &options, &error);
    assert_non_null(port);
    assert_int_equal(port->info.can, 0);
    return port;
}

static void finish(struct leat_port *port)
{
    struct leat_port_stats stats;
    port->ops->leave(port);
    port->ops->stats(port, 0, &stats);
    assert_int_equal(stats.rx_held_count, 0);
    assert_int_equal(stats.tx_held_count, 0);
    port->ops->close(port);
    assert_true(plain.is_closed);
}

/* Polls until nothing is held any more; the frames' numbers in the order of their coming. */
static unsigned receive(struct leat_port *port, uint32_t *numbers)
{
    struct leat_frame frames[LEAT_PORT_BURST];
    struct leat_port_nap nap = {.nap_ns_max = 0};
    unsigned total = 0;
    plain.last = COUNT;
    while (plain.next < plain.last || nap.nap_ns_max != UINT64_MAX) {
        unsigned n = port->ops->poll(port, 0, frames, LEAT_PORT_BURST);
        for (unsigned i = 0; i < n; i++) {
            memcpy(&numbers[total++], frames[i].data, 4);
            port->ops->release(port, 0, &frames[i].handle, 1);
        }
        port->ops->arm(port, 0, &nap);
    }
    return total;
}

/* How often each number came; whether any came behind a later one. */
static bool counts_of(const uint32_t *numbers, unsigned total, uint8_t counts[COUNT])
{
    uint32_t highest = 0;
    bool is_reordered = false;
    memset(counts, 0, COUNT);
    for (unsigned i = 0; i < total; i++) {
        assert_true(numbers[i] < COUNT);
        counts[numbers[i]]++;
        is_reordered = is_reordered || numbers[i] < highest;
        highest = numbers[i] > highest ? numbers[i] : highest;
    }
    return is_reordered;
}

static unsigned how_many(const uint8_t counts[COUNT], uint8_t times)
{
    unsigned n = 0;
    for (unsigned i = 0; i < COUNT; i++)
        n += counts[i] == times;
    return n;
}

static void check_fates(const char *text, const uint32_t *numbers, unsigned total)
{
    uint8_t counts[COUNT];
    bool is_reordered = counts_of(numbers, total, counts);
    unsigned lost = how_many(counts, 0), twice = how_many(counts, 2);
    assert_int_equal(lost + how_many(counts, 1) + twice, COUNT);
    assert_true(strstr(text, "loss") != NULL ? lost > COUNT / 40 && lost < COUNT / 16 : lost == 0);
    assert_true(strstr(text, "dup") != NULL ? twice > COUNT / 40 && twice < COUNT / 16
                                            : twice == 0);
    assert_int_equal(is_reordered, strstr(text, "reorder") != NULL);
}

static const char *const texts[] = {"seed=3", "loss=5%,seed=3", "duplicate=5%", "reorder=5%,seed=9",
                                    "loss=5%,duplicate=5%,reorder=5%"};

static void frames_are_lost_doubled_and_reordered(void **state)
{
    static uint32_t numbers[3 * COUNT];
    for (unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct leat_port *port = wrapped(texts[i]);
        check_fates(texts[i], numbers, receive(port, numbers));
        finish(port);
    }
}

static void fates_repeat_with_the_seed(void **state)
{
    static uint32_t numbers[2][3 * COUNT];
    uint8_t counts[3][COUNT];
    for (unsigned i = 0; i < 3; i++) {
        struct leat_port *port =
            wrapped(i < 2 ? "loss=5%,duplicate=5%,seed=4" : "loss=5%,duplicate=5%,seed=5");
        counts_of(numbers[0], receive(port, numbers[0]), counts[i]);
        finish(port);
    }
    assert_memory_equal(counts[0], counts[1], COUNT);
    assert_memory_not_equal(counts[0], counts[2], COUNT);
}

static void frames_in_several_buffers_are_lost_whole(void **state)
{
    static uint32_t numbers[3 * COUNT];
    struct leat_port *port = wrapped("loss=5%,duplicate=50%,reorder=50%");
    plain.flags = LEAT_FRAME_MORE;
    unsigned total = receive(port, numbers);
    assert_true(total < COUNT && total > COUNT / 2);
    for (unsigned i = 0; i < total / 3 * 3; i++)
        assert_int_equal(numbers[i], numbers[i / 3 * 3] / 3 * 3 + i % 3);
    finish(port);
}

static struct leat_packet packet_of(struct leat_port *port, uint32_t number)
{
    struct leat_packet packet = {.head_bytes = 4, .slice_count = 1, .slice_bytes = 4};
    assert_int_equal(port->ops->grant(port, 0, &packet, 1), 1);
    memcpy(packet.head, &number, 4);
    packet.slices[0] = leat_buf_from_bytes(&number, 4);
    assert_non_null(packet.slices[0].data);
    return packet;
}

static void packets_are_lost_doubled_and_reordered(void **state)
{
    for (unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct leat_port *port = wrapped(texts[i]);
        for (uint32_t k = 0; k < COUNT; k++) {
            struct leat_packet packet = packet_of(port, k);
            plain.is_full = k % 7 == 0;
            unsigned taken = port->ops->transmit(port, 0, &packet, 1);
            plain.is_full = false;
            while (taken == 0)
                taken = port->ops->transmit(port, 0, &packet, 1);
        }
        struct leat_frame none;
        while (port->ops->reclaim(port, 0) > 0)
            port->ops->poll(port, 0, &none, 1);
        check_fates(texts[i], plain.sent, plain.sent_count);
        finish(port);
    }
}

static void what_is_held_goes_when_its_core_leaves(void **state)
{
    struct leat_port *port = wrapped("reorder=100%");
    struct leat_packet packet = packet_of(port, 7);
    struct leat_frame frames[4];
    assert_int_equal(port->ops->transmit(port, 0, &packet, 1), 1);
    plain.last = 1;
    port->ops->poll(port, 0, frames, 4);
    assert_int_equal(plain.lent_count, 1);
    finish(port);
    assert_int_equal(plain.sent_count, 1);
}

static void refuses_what_is_no_chance(void **state)
{
    static const char *const wrong[] = {"",
                                        "loss",
                                        "loss=1",
                                        "loss=101%",
                                        "loss=-1%",
                                        "loss=x%",
                                        "seed=0",
                                        "seed=-4",
                                        "delay=1ms",
                                        "loss=1%,",
                                        "loss=nan%",
                                        ",",
                                        "loss=1%%",
                                        "loss=1% ",
                                        "seed=1s",
                                        "Loss=1%",
                                        "seed=99999999999999999999"};
    struct faults_options options;
    struct leat_error error;
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(faults_parse(&options, wrong[i], &error), -EINVAL);
    assert_int_equal(faults_parse(&options, "loss=0.5%,reorder=100%,duplicate=0%,seed=12", &error),
                     0);
    assert_true(options.loss == 5000 && options.reorder == 1000000 && options.duplicate == 0 &&
                options.seed == 12);
}

int main(void)
{
    static struct leat_core core;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_are_lost_doubled_and_reordered),
        cmocka_unit_test(fates_repeat_with_the_seed),
        cmocka_unit_test(frames_in_several_buffers_are_lost_whole),
        cmocka_unit_test(packets_are_lost_doubled_and_reordered),
        cmocka_unit_test(what_is_held_goes_when_its_core_leaves),
        cmocka_unit_test(refuses_what_is_no_chance),
    };
    leat_core_now = &core;
    if (leat_heap_init(&core, NULL) < 0 || leat_pools_init(&core, 16 << 20, NULL) < 0)
        return 2;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    failed += leat_pools_fini(&core) != 0;
    leat_heap_fini(&core);
    return failed;
}
