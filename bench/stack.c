/* A request through all of the stack: a frame from a port in memory, Ethernet, IP, TCP, HTTP, the
 * answer's segment into the port, the turn of the loop around them. The port checks nothing, costs
 * next to nothing, and claims no offloads, so that checksums are in software, as over memif. */
#include "bench/harness.h"

#include <leat/http.h>
#include <leat/loop.h>

#include "net/port/port.h"
#include "net/stack/source.h"
#include "net/stack/wire.h"
#include "runtime/base/clock.h"
#include "runtime/base/core.h"
#include "runtime/base/list.h"
#include "runtime/loop/loop_internal.h"

#include <stdlib.h>
#include <string.h>

#define CLIENTS_MAX  32
#define CLIENT_PORT  40000
#define REQUEST      "GET / HTTP/1.1\r\nHost: 10.0.0.2\r\n\r\n"
#define OPTION_BYTES 12 /* timestamps */
#define HEADER_BYTES (14 + 20 + 20 + OPTION_BYTES)
#define FRAME_BYTES  (HEADER_BYTES + sizeof(REQUEST) - 1)
#define HEADS        256
#define TURN_NS      (20 * LEAT_NS_PER_US)
#define SAMPLED      UINT64_C(256) /* beside the clients: the profile looks at each turn */

struct client {
    uint8_t frame[(FRAME_BYTES + 63) / 64 * 64];
    csum sum; /* of what never changes */
    uint32_t seq, ack;
    be32 echo;
    uint32_t answer_bytes;
};

struct stack_bench {
    struct leat_port port;   /* first */
    struct leat_clock clock; /* second */
    uint64_t now_ns;
    struct leat_loop *loop;
    struct stack_source *source;
    struct leat_http *http;
    struct client clients[CLIENTS_MAX];
    unsigned client_count, frame_count, taken_count;
    bool is_sampled;
    uint32_t frame_bytes, frame_span; /* span: in sequence numbers */
    uint8_t heads[HEADS][LEAT_PORT_HEAD_BYTES];
    unsigned free_heads[HEADS], free_count;
};

/* ---- the port ---- */

static struct stack_bench *of(struct leat_port *port)
{
    return (struct stack_bench *)port;
}

static unsigned port_poll(struct leat_port *port, unsigned queue, struct leat_frame *frames,
                          unsigned count)
{
    struct stack_bench *bench = of(port);
    unsigned left = bench->frame_count - bench->taken_count;
    count = count < left ? count : left;
    for (unsigned i = 0; i < count; i++) {
        unsigned at = bench->taken_count++;
        frames[i] = (struct leat_frame){.data = bench->clients[at].frame,
                                        .handle = &bench->clients[at],
                                        .length_bytes = bench->frame_bytes,
                                        .buffer_bytes = 2048};
    }
    return count;
}

static void port_release(struct leat_port *port, unsigned queue, void *const *handles,
                         unsigned count)
{
}

static unsigned port_grant(struct leat_port *port, unsigned queue, struct leat_packet *packets,
                           unsigned count)
{
    struct stack_bench *bench = of(port);
    count = count < bench->free_count ? count : bench->free_count;
    for (unsigned i = 0; i < count; i++) {
        unsigned head = bench->free_heads[--bench->free_count];
        packets[i].head = bench->heads[head];
        packets[i].handle = bench->heads[head];
    }
    return count;
}

static void port_revoke(struct leat_port *port, unsigned queue, struct leat_packet *packets,
                        unsigned count)
{
    struct stack_bench *bench = of(port);
    for (unsigned i = 0; i < count; i++) {
        size_t offset_bytes = (size_t)((uint8_t *)packets[i].handle - bench->heads[0]);
        bench->free_heads[bench->free_count++] = (unsigned)(offset_bytes / LEAT_PORT_HEAD_BYTES);
    }
}

static uint32_t get32(const void *from)
{
    be32 value;
    memcpy(&value, from, sizeof(value));
    return be32_get(value);
}

/* Our timestamp in a segment: the stack writes it first, behind the MSS of a SYN-ACK. */
static const uint8_t *stamp_of(const uint8_t *tcp)
{
    const uint8_t *option = tcp + 20;
    while (*option != 8)
        option += *option == 1 ? 1 : option[1];
    return option + 2;
}

/* The client takes note of what it is to acknowledge. */
static void client_take(struct stack_bench *bench, const struct leat_packet *packet)
{
    const uint8_t *tcp = packet->head + 34;
    struct client *client = &bench->clients[(tcp[2] << 8 | tcp[3]) - CLIENT_PORT];
    uint32_t header_bytes = 34 + (tcp[12] >> 4) * 4u;
    uint32_t length = packet->head_bytes + packet->slice_bytes - header_bytes;
    client->ack = get32(tcp + 4) + length + ((tcp[13] & TCP_SYN) != 0);
    memcpy(&client->echo, stamp_of(tcp), sizeof(client->echo));
    client->answer_bytes += length;
}

static unsigned port_transmit(struct leat_port *port, unsigned queue, struct leat_packet *packets,
                              unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        const uint8_t *ip = packets[i].head + 14;
        if (ip[0] == 0x45 && ip[9] == IP_TCP) /* others announce the address */
            client_take(of(port), &packets[i]);
        for (unsigned k = 0; k < packets[i].slice_count; k++)
            leat_buf_unref(packets[i].slices[k]);
    }
    port_revoke(port, queue, packets, count);
    return count;
}

static unsigned port_reclaim(struct leat_port *port, unsigned queue)
{
    return 0;
}

static const struct leat_port_ops port_ops = {.poll = port_poll,
                                              .release = port_release,
                                              .grant = port_grant,
                                              .transmit = port_transmit,
                                              .revoke = port_revoke,
                                              .reclaim = port_reclaim};

/* ---- the clients ---- */

static void put16(uint8_t *to, uint32_t value)
{
    be16 field = be16_put((uint16_t)value);
    memcpy(to, &field, sizeof(field));
}

/* The frames of one kind of segment, but for what changes from one to the next. */
static void prepare(struct stack_bench *bench, uint8_t flags, uint32_t length_bytes)
{
    struct ip_addr from = ip_addr_v4(be32_put(0x0a000001));
    struct ip_addr to = ip_addr_v4(be32_put(0x0a000002));
    uint32_t segment_bytes = 20 + OPTION_BYTES + length_bytes;
    for (unsigned i = 0; i < bench->client_count; i++) {
        uint8_t *frame = bench->clients[i].frame, *ip = frame + 14, *tcp = ip + 20;
        memset(frame, 0, sizeof(bench->clients[i].frame));
        memcpy(frame, "\2\0\0\0\0\1\2\0\0\0\0\2\x08", 14);
        memcpy(ip, "\x45\0\0\0\0\0\x40\0\x40\6\0\0\x0a\0\0\1\x0a\0\0\2", 20);
        put16(ip + 2, 20 + segment_bytes);
        put16(ip + 10, be16_get(csum_finish(csum_add(CSUM_ZERO, ip, 20))));
        put16(tcp, CLIENT_PORT + i);
        put16(tcp + 2, 80);
        tcp[12] = (20 + OPTION_BYTES) / 4 << 4;
        tcp[13] = flags;
        put16(tcp + 14, 65000);
        memcpy(tcp + 20, "\1\1\x08\x0a", 4);
        memcpy(tcp + 20 + OPTION_BYTES, REQUEST, length_bytes);
        csum sum = csum_pseudo(&from, &to, IP_TCP, segment_bytes);
        bench->clients[i].sum = csum_add(sum, tcp, segment_bytes);
    }
    bench->frame_bytes = HEADER_BYTES + length_bytes;
    bench->frame_span = length_bytes + ((flags & TCP_SYN) != 0);
}

static void client_send(struct stack_bench *bench, struct client *client)
{
    uint8_t *tcp = client->frame + 34;
    be32 fields[4] = {be32_put(client->seq), be32_put(client->ack),
                      be32_put((uint32_t)(bench->now_ns / LEAT_NS_PER_MS)), client->echo};
    csum sum = client->sum;
    for (unsigned i = 0; i < 4; i++)
        sum.sum += fields[i].raw;
    be16 checksum = csum_finish(sum);
    memcpy(tcp + 4, fields, 8);
    memcpy(tcp + 24, fields + 2, 8);
    memcpy(tcp + 16, &checksum, 2);
    client->seq += bench->frame_span;
}

static void turn(struct stack_bench *bench)
{
    bench->frame_count = bench->client_count;
    bench->taken_count = 0;
    bench->now_ns += TURN_NS;
    if (bench->is_sampled)
        bench->loop->profile.turn_count = PROFILE_TURNS - 1;
    leat_loop_turn(bench->loop, 0);
    if (bench->taken_count != bench->frame_count)
        abort();
}

/* A segment of each client, and the turn that handles them. */
static void everyone(struct stack_bench *bench)
{
    for (unsigned i = 0; i < bench->client_count; i++)
        client_send(bench, &bench->clients[i]);
    turn(bench);
}

/* ---- the case ---- */

static uint64_t clock_now(const struct leat_clock *clock)
{
    return container_of(clock, struct stack_bench, clock)->now_ns;
}

static int hello(struct leat_request *req)
{
    return leat_respond_text(req, 200, "Hello, World!");
}

static void server_start(struct stack_bench *bench)
{
    const struct leat_loop_options loop_options = {.clock = &bench->clock,
                                                   .busy_poll = true,
                                                   .seed = 1};
    const struct stack_options options = {.port = &bench->port, .seed = {1, 2, 3, 4}};
    const struct ip_addr own = ip_addr_v4(be32_put(0x0a000002)),
                         peer = ip_addr_v4(be32_put(0x0a000001));
    const struct mac_addr peer_mac = {{2, 0, 0, 0, 0, 2}};
    if ((bench->loop = leat_loop_new(&loop_options, NULL)) == NULL ||
        (bench->source = stack_source_new(bench->loop, &options, NULL)) == NULL)
        abort();
    struct stack *s = stack_source_stack(bench->source);
    if (stack_add_address(s, &own, 24) != 0)
        abort();
    neighbour_learn(s, &peer, &peer_mac, NEIGHBOUR_MAKE);
    bench->http = leat_http_new(bench->loop);
    leat_http_get(bench->http, "/", hello);
    if (leat_http_listen(bench->http, "10.0.0.2:80") != 0)
        abort();
}

static void *setup(uint64_t clients)
{
    struct stack_bench *bench = aligned_alloc(64, (sizeof(*bench) + 63) / 64 * 64);
    if (bench == NULL)
        return NULL;
    memset(bench, 0, sizeof(*bench));
    bench->port.ops = &port_ops;
    bench->port.info = (struct leat_port_info){.driver = "memory",
                                               .slices_max = LEAT_PORT_SLICES_MAX,
                                               .mtu_bytes_max = 1500,
                                               .rx_queue_count = 1,
                                               .tx_queue_count = 1,
                                               .link_kind = LEAT_LINK_ETHERNET,
                                               .mac = {2, 0, 0, 0, 0, 1}};
    bench->clock.now = clock_now;
    bench->now_ns = 1000 * LEAT_NS_PER_S;
    bench->client_count = (unsigned)(clients % SAMPLED);
    bench->is_sampled = clients >= SAMPLED;
    while (bench->free_count < HEADS) {
        bench->free_heads[bench->free_count] = bench->free_count;
        bench->free_count++;
    }
    server_start(bench);
    prepare(bench, TCP_SYN, 0);
    everyone(bench);
    prepare(bench, TCP_ACK, 0);
    everyone(bench);
    prepare(bench, TCP_ACK | TCP_PSH, sizeof(REQUEST) - 1);
    return bench;
}

static void teardown(void *state)
{
    struct stack_bench *bench = state;
    leat_http_free(bench->http);
    stack_source_free(bench->source);
    leat_loop_free(bench->loop);
    free(bench);
}

/* One request of each client in a turn. */
static void requests(void *state, uint64_t iterations)
{
    struct stack_bench *bench = state;
    uint64_t asked = 0, before = bench->clients[0].answer_bytes;
    for (; asked < iterations; asked += bench->client_count)
        everyone(bench);
    if (bench->clients[0].answer_bytes - before < asked / bench->client_count * 100)
        abort(); /* an answer has more than 100 bytes */
}

#define STACK_CASE(label, clients)                                                                 \
    {                                                                                              \
        .name = label, .setup = setup, .run = requests, .teardown = teardown, .argument = clients  \
    }

static const struct bench_case cases[] = {
    STACK_CASE("request, one in a turn", 1),
    STACK_CASE("request, 32 in a turn", CLIENTS_MAX),
    STACK_CASE("request, 32 in a turn that is sampled", SAMPLED | CLIENTS_MAX),
};
BENCH_GROUP(stack, cases);
