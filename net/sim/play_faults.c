/* What goes wrong in a world: drawn from the seed, or named by a list. */
#include <stdlib.h>

#include "net/sim/play_internal.h"

#define LISTED_FAULTS 6   /* of each host, at least: half of PLAY_FAULTS_MIN and one more */
#define LISTED_EACH   10  /* ... one among so many of its first frames */
#define EXTRA_ADDRESS 100 /* more than the number of the host in its address */
#define FORGOTTEN     600 /* neighbours that push all others out of the table */

/* ---- lists: "client drop 3 7, server delay 5" ---- */

static const char *const kind_names[] = {"drop", "double", "delay", "damage"};

static int kind_of(const char *word)
{
    for (unsigned i = 0; i < sizeof(kind_names) / sizeof(kind_names[0]); i++)
        if (strcmp(word, kind_names[i]) == 0)
            return (int)i;
    return -1;
}

static bool add_fault(struct sim_link *link, int kind, const char *word)
{
    char *end;
    unsigned long number = strtoul(word, &end, 10);
    if (link == NULL || kind < 0 || *end != 0 || number == 0 || number > UINT32_MAX ||
        link->list_count == SIM_FAULT_LIST_MAX)
        return false;
    link->list[link->list_count++] = (struct sim_fault){(uint32_t)number, (uint8_t)kind};
    return true;
}

bool play_faults_parse(const char *text, struct sim_link *client, struct sim_link *server)
{
    char copy[1024], *rest = copy;
    struct sim_link *link = NULL;
    int kind = -1;
    if (strlen(text) >= sizeof(copy))
        return false;
    memcpy(copy, text, strlen(text) + 1);
    for (char *word; (word = strsep(&rest, " ,")) != NULL;) {
        if (*word == 0)
            continue;
        if (strcmp(word, "client") == 0)
            link = client;
        else if (strcmp(word, "server") == 0)
            link = server;
        else if (kind_of(word) >= 0)
            kind = kind_of(word);
        else if (!add_fault(link, kind, word))
            return false;
    }
    return true;
}

bool play_faults_are_good(const char *faults)
{
    struct sim_link client = {0}, server = {0};
    return faults == NULL || play_faults_parse(faults, &client, &server);
}

/* ---- drawing ---- */

static void draw_list(struct play *p, struct sim_link *link)
{
    for (uint32_t i = 0; i < LISTED_FAULTS; i++) {
        uint32_t number = 1 + i * LISTED_EACH + (uint32_t)below(p, LISTED_EACH);
        link->list[i] = (struct sim_fault){number, (uint8_t)below(p, 4)};
    }
    link->list_count = LISTED_FAULTS;
}

void play_draw_link(struct play *p, struct sim_link *link)
{
    const struct shape *s = &p->shape;
    *link = (struct sim_link){.delay_ns =
                                  20000 + below(p, sim_chance(p->sim, 300000) ? 80000000 : 2000000),
                              .reorder_ns = 1 + below(p, 30 * LEAT_NS_PER_MS)};
    if (s->rate != 0) {
        link->bits_per_second = s->rate / 20 + below(p, s->rate);
        link->queue_bytes_max = 30000 + (uint32_t)below(p, 300000);
    }
    if (p->has_named_faults || s->by_name_only)
        return;
    link->loss_ppm = (uint32_t)below(p, s->loss_ppm + 1);
    link->burst_ppm = (uint32_t)below(p, s->burst_ppm + 1);
    link->burst_count = 1 + (uint32_t)below(p, 10);
    link->reorder_ppm = (uint32_t)below(p, s->reorder_ppm + 1);
    link->duplicate_ppm = (uint32_t)below(p, s->duplicate_ppm + 1);
    link->corrupt_ppm = (uint32_t)below(p, s->corrupt_ppm + 1);
    link->tamper_ppm = (uint32_t)below(p, s->tamper_ppm + 1);
    link->mark_ppm = (uint32_t)below(p, s->mark_ppm + 1);
    link->forge_ppm = s->forge_ppm;
    link->forge_inside_ppm = s->forge_inside_ppm;
    if (sim_chance(p->sim, 500000))
        link->jitter_ns = below(p, link->delay_ns);
    draw_list(p, link);
}

void play_draw_port(struct play *p, struct sim_port_options *port)
{
    const struct shape *s = &p->shape;
    if (s->offload && sim_chance(p->sim, 500000))
        port->can = LEAT_PORT_CAN_RX_L4_CHECKSUM | LEAT_PORT_CAN_TX_IP_CHECKSUM |
                    LEAT_PORT_CAN_TX_L4_CHECKSUM | LEAT_PORT_CAN_TSO;
    if (p->has_named_faults)
        return;
    port->tx_refuse_ppm = (uint32_t)below(p, s->tx_refuse_ppm + 1);
    port->grant_refuse_ppm = (uint32_t)below(p, s->grant_refuse_ppm + 1);
    port->heads_max = s->heads_max;
    if (s->rx_buffers_max != 0)
        port->rx_buffers_max = s->rx_buffers_max / 2 + (uint32_t)below(p, s->rx_buffers_max);
    if (s->late)
        port->completion_ns = below(p, 3 * LEAT_NS_PER_MS);
}

/* ---- what happens at times ---- */

static struct sim_host *draw_host(struct play *p)
{
    return sim_chance(p->sim, 500000) ? p->client : p->server;
}

static void fault_again(struct play *p, void (*fn)(struct sim *sim, void *arg), uint64_t within_ns)
{
    if (!p->is_healed)
        sim_at(p->sim, sim_now(p->sim) + below(p, within_ns), fn, p);
}

static void fault_outage(struct sim *sim, void *arg)
{
    struct play *p = arg;
    if (p->is_healed)
        return;
    struct sim_link *link = sim_link(draw_host(p));
    link->down = !link->down;
    (void)sim;
    fault_again(p, fault_outage, 4 * LEAT_NS_PER_S);
}

static uint32_t draw_mtu(struct play *p)
{
    uint32_t least = p->v6 ? 1280 : 576;
    return least + (uint32_t)below(p, p->mtu_bytes - least + 1);
}

/* Longer packets than some size vanish, now on one way, now on the other. */
static void black_hole(struct sim *sim, void *arg)
{
    struct play *p = arg;
    if (p->is_healed)
        return;
    struct sim_link *link = sim_link(draw_host(p));
    link->mtu_bytes = link->mtu_bytes == 0 ? 100 + (uint32_t)below(p, 1400) : 0;
    (void)sim;
    fault_again(p, black_hole, 4 * LEAT_NS_PER_S);
}

/* Stays narrow when the other faults end: nothing that ICMP has told is a fault. */
static void fault_narrow(struct sim *sim, void *arg)
{
    struct play *p = arg;
    if (p->is_healed)
        return;
    struct sim_link *link = sim_link(draw_host(p));
    link->mtu_bytes = sim_chance(sim, 800000) ? draw_mtu(p) : 0;
    link->says_too_big = true;
    fault_again(p, fault_narrow, 6 * LEAT_NS_PER_S);
}

static void fault_vanish(struct sim *sim, void *arg)
{
    struct play *p = arg;
    (void)sim;
    sim_link(p->client)->down = sim_link(p->server)->down = true;
}

/* A neighbour solicitation from somebody new for the host's IPv6 address: RFC 4861 7.2.3 has the
 * asker remembered. */
static void forgotten_solicit(struct play *p, struct sim_host *host)
{
    struct {
        struct eth_header eth;
        struct ipv6_header ip;
        struct nd_neighbour nd;
        uint8_t option[8];
    } WIRE_PACKED f = {.eth.type = be16_put(ETHERTYPE_IPV6),
                       .ip.version_class_flow = be32_put(0x60000000),
                       .ip.length = be16_put(sizeof(f.nd) + sizeof(f.option)),
                       .ip.next = IP_ICMPV6,
                       .ip.hop_limit = 255,
                       .nd.icmp.type = ND_SOLICIT,
                       .option = {1, 1, 2, 0, 0, 1}};
    f.ip.dst = f.nd.target = sim_ip(host, true);
    f.eth.dst = sim_mac(host);
    uint64_t who = sim_random(p->sim);
    f.ip.src = (struct ip_addr){{0xfd}};
    memcpy(f.ip.src.b + 9, &who, 7);
    memcpy(f.option + 5, &who, 3);
    memcpy(f.eth.src.b, f.option + 2, 6);
    csum sum = csum_pseudo(&f.ip.src, &f.ip.dst, IP_ICMPV6, sizeof(f.nd) + sizeof(f.option));
    f.nd.icmp.checksum = csum_finish(csum_add(sum, &f.nd, sizeof(f.nd) + sizeof(f.option)));
    sim_inject(host, &f, sizeof(f));
}

/* The table of neighbours overflows, or nobody answers for a while, or both. */
static void fault_forget(struct sim *sim, void *arg)
{
    struct play *p = arg;
    if (p->is_healed)
        return;
    struct sim_host *host = draw_host(p);
    struct sim_link *link = sim_link(host);
    link->no_link = sim_chance(sim, 500000);
    for (unsigned i = 0; i < FORGOTTEN && sim_chance(sim, 999000); i++)
        forgotten_solicit(p, host);
    fault_again(p, fault_forget, 3 * LEAT_NS_PER_S);
}

/* ---- addresses ---- */

static struct ip_addr extra_ip(const struct play *p)
{
    struct ip_addr ip = sim_ip(p->server, p->v6);
    ip.b[15] = (uint8_t)(ip.b[15] + EXTRA_ADDRESS);
    return ip;
}

enum door play_door(const struct flow *f)
{
    if (f->is_looped)
        return DOOR_LOOPED;
    return f->uses_extra ? DOOR_EXTRA : DOOR_SERVER;
}

struct leat_addr play_addr(const struct play *p, enum door door)
{
    struct leat_addr addr = sim_addr(door == DOOR_LOOPED ? p->client : p->server, p->v6, PORT);
    if (door == DOOR_EXTRA) {
        struct ip_addr ip = extra_ip(p);
        memcpy(addr.ip, p->v6 ? ip.b : ip.b + 12, p->v6 ? 16 : 4);
    }
    return addr;
}

static void set_extra(struct play *p, bool is_there)
{
    struct ip_addr ip = extra_ip(p);
    sim_enter(p->server);
    int result = is_there ? stack_add_address(sim_stack(p->server), &ip, p->v6 ? 64 : 24)
                          : stack_remove_address(sim_stack(p->server), &ip);
    sim_leave(p->server);
    CHECK(result == 0 || is_there == (addr_find(sim_stack(p->server), &ip) != NULL));
}

static void fault_move(struct sim *sim, void *arg)
{
    struct play *p = arg;
    if (p->is_healed)
        return;
    set_extra(p, sim_chance(sim, 500000));
    fault_again(p, fault_move, 3 * LEAT_NS_PER_S);
}

/* A core that stands still, for up to two seconds. */
static void fault_stall(struct sim *sim, void *arg)
{
    struct play *p = arg;
    if (p->is_healed)
        return;
    struct sim_host *host = rng_below(&p->stalls, 2) == 0 ? p->client : p->server;
    host = sim_core(host, (uint32_t)rng_below(&p->stalls, p->core_count));
    sim_stall(host, LEAT_NS_PER_MS << rng_below(&p->stalls, 12));
    sim_at(sim, sim_now(sim) + rng_below(&p->stalls, 3 * LEAT_NS_PER_S), fault_stall, p);
}

/* ---- beginning and end ---- */

void play_faults_begin(struct play *p)
{
    const struct shape *s = &p->shape;
    p->fault_until_ns = sim_now(p->sim) + (s->fault_ns != 0 ? s->fault_ns : 20 * LEAT_NS_PER_S);
    if (s->moves)
        set_extra(p, true);
    if (p->has_named_faults)
        return;
    if (s->outage)
        fault_again(p, fault_outage, LEAT_NS_PER_S);
    if (s->black_hole)
        fault_again(p, black_hole, LEAT_NS_PER_S);
    if (s->narrow)
        fault_again(p, fault_narrow, LEAT_NS_PER_S);
    if (s->vanish)
        fault_again(p, fault_vanish, 6 * LEAT_NS_PER_S);
    if (s->forgets)
        fault_again(p, fault_forget, LEAT_NS_PER_S);
    if (s->moves)
        fault_again(p, fault_move, 3 * LEAT_NS_PER_S);
    if (p->has_stalls && !s->is_plain)
        sim_at(p->sim, sim_now(p->sim) + rng_below(&p->stalls, LEAT_NS_PER_S), fault_stall, p);
}

void play_faults_end(struct play *p)
{
    struct sim_host *hosts[2] = {p->client, p->server};
    uint32_t mtus[2];
    p->is_healed = true;
    for (unsigned i = 0; i < 2; i++)
        mtus[i] = sim_link(hosts[i])->says_too_big ? sim_link(hosts[i])->mtu_bytes : 0;
    sim_heal(p->sim);
    for (unsigned i = 0; i < 2; i++) {
        sim_link(hosts[i])->mtu_bytes = mtus[i];
        sim_link(hosts[i])->says_too_big = mtus[i] != 0;
    }
}
