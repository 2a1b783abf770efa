/* Hosts with several cores: which queue of the port a frame comes to, truthfully or not, and that
 * every frame and every connection is on the core where it belongs. The hash is computed here once
 * more, bit by bit, so that the stack's own is not checked by itself. */
#include "net/sim/sim_internal.h"

#include "net/stack/tcp/tcp.h"

static uint32_t toeplitz_sum(const uint8_t *key, const uint8_t *bytes, unsigned count)
{
    uint64_t window = 0;
    uint32_t sum = 0;
    for (unsigned i = 0; i < 8; i++)
        window = window << 8 | key[i];
    for (unsigned i = 0; i < count; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            sum ^= bytes[i] & 0x80u >> bit ? (uint32_t)(window >> 32) : 0;
            window <<= 1;
        }
        window |= i + 8 < OWNER_KEY_BYTES ? key[i + 8] : 0u;
    }
    return sum;
}

/* Addresses and ports of an IP packet, in the order of the hash; the ports only if they are there
 * to be seen. 0: no IP packet. */
static unsigned hash_input(const uint8_t *frame, uint32_t length, uint8_t input[36], bool *is_tcp)
{
    const struct eth_header *eth = (const void *)frame;
    const struct ipv4_header *ip4 = (const void *)(frame + 14);
    const struct ipv6_header *ip6 = (const void *)(frame + 14);
    bool v4 = be16_get(eth->type) == ETHERTYPE_IPV4 && length >= 34;
    bool v6 = be16_get(eth->type) == ETHERTYPE_IPV6 && length >= 54;
    if (!v4 && !v6)
        return 0;
    unsigned header = v4 ? (ip4->version_ihl & 15u) * 4u : 40u, bytes = v4 ? 8 : 32;
    uint8_t protocol = v4 ? ip4->protocol : ip6->next;
    bool is_whole = v6 || (be16_get(ip4->fragment) & (IPV4_MF | IPV4_OFFSET)) == 0;
    memcpy(input, v4 ? frame + 14 + 12 : frame + 14 + 8, bytes);
    *is_tcp = protocol == IP_TCP && is_whole && length >= 14 + header + 4;
    if (!*is_tcp)
        return bytes;
    memcpy(input + bytes, frame + 14 + header, 4);
    return bytes + 4;
}

static struct sim_host *mate_of_queue(struct sim_host *leader, uint32_t queue)
{
    struct sim_host *mate = leader->mates[queue];
    return mate->stack != NULL ? mate : leader;
}

struct sim_host *sim_cores_receiver(struct sim_host *leader, struct sim_arrived *a)
{
    const struct sim_port_options *o = &leader->options.port;
    struct sim *sim = leader->sim;
    const struct leat_port_info *info = &leader->port.info;
    uint8_t input[36], other_key[OWNER_KEY_BYTES];
    bool is_tcp = false;
    unsigned bytes = hash_input(a->bytes, a->length_bytes, input, &is_tcp);
    if (o->rss == SIM_RSS_NONE) {
        sim->fault_count++;
        return mate_of_queue(leader, (uint32_t)sim_random_below(sim, info->rx_queue_count));
    }
    for (unsigned i = 0; i < OWNER_KEY_BYTES; i++)
        other_key[i] = (uint8_t)(info->rss_key[i] ^ (o->rss == SIM_RSS_OTHER_KEY ? 0x5a : 0));
    a->rss_hash = bytes > 0 ? toeplitz_sum(other_key, input, bytes) : 0;
    a->is_hashed = bytes > 0;
    uint32_t queue = leader->rss_table[a->rss_hash % SIM_RSS_TABLE];
    if (o->rss == SIM_RSS_OTHER_QUEUE)
        queue = (uint32_t)sim_random_below(sim, info->rx_queue_count);
    sim->fault_count += o->rss != SIM_RSS_TRUE;
    return mate_of_queue(leader, queue);
}

/* The core that handles what comes from the far end of a frame that is being sent. */
static uint32_t owner_of_reply(const struct sim_host *leader, const uint8_t *input, unsigned bytes)
{
    const struct owner_map *owners = &leader->steer->owners;
    unsigned ip = (bytes - 4) / 2;
    uint8_t turned[36];
    memcpy(turned, input + ip, ip);
    memcpy(turned + ip, input, ip);
    memcpy(turned + 2 * ip, input + 2 * ip + 2, 2);
    memcpy(turned + 2 * ip + 2, input + 2 * ip, 2);
    return owners->cores[toeplitz_sum(owners->key, turned, bytes) & owners->mask];
}

void sim_cores_check_sent(struct sim_host *host, const uint8_t *frame, uint32_t length)
{
    struct sim_host *leader = host->leader;
    uint8_t input[36];
    bool is_tcp = false;
    unsigned bytes = hash_input(frame, length, input, &is_tcp);
    if (leader->core_count < 2 || !is_tcp)
        return;
    uint32_t owner = owner_of_reply(leader, input, bytes);
    uint32_t queues = leader->port.info.rx_queue_count;
    uint32_t queue = owner < queues ? owner : owner % queues;
    if (host->core_index != queue)
        sim_violation(host->sim, "host %u, core %u sent a segment of core %u", leader->number,
                      host->core_index, owner);
}

/* Bug 19: a connection that lives where its packets do not come. */
const char *sim_cores_invalid(const struct sim_host *host)
{
    const struct stack_tcp *t = host->stack->tcp;
    if (host->leader->core_count < 2)
        return NULL;
    for (uint32_t i = 0; i < t->conns.capacity_count; i++) {
        const struct tcp_conn *c = slots_at(&t->conns, i);
        if (c == NULL)
            continue;
        bool v4 = ip_addr_is_v4(&c->local);
        unsigned ip = v4 ? 4 : 16;
        uint8_t input[36];
        memcpy(input, c->local.b + (v4 ? 12 : 0), ip);
        memcpy(input + ip, c->remote.b + (v4 ? 12 : 0), ip);
        memcpy(input + 2 * ip, &c->local_port, 2);
        memcpy(input + 2 * ip + 2, &c->remote_port, 2);
        if (owner_of_reply(host->leader, input, 2 * ip + 4) != host->core_index)
            return "a connection lives on a core where its packets do not come";
    }
    if (host->options.port.rss == SIM_RSS_TRUE &&
        atomic_load(&host->leader->steer->rss) == STEER_RSS_FALSE)
        return "a card that does what it says is not believed";
    return NULL;
}

void sim_cores_init(struct sim_host *leader)
{
    struct leat_port_info *info = &leader->port.info;
    uint32_t queues = leader->options.port.queue_count;
    struct leat_error error = {0};
    info->rx_queue_count = info->tx_queue_count =
        (uint16_t)(queues != 0 ? queues : leader->core_count);
    for (unsigned i = 0; i < OWNER_KEY_BYTES; i++) {
        info->rss_key[i] = (uint8_t)sim_random(leader->sim);
        leader->rss_key[i] = (uint8_t)sim_random(leader->sim);
    }
    for (unsigned i = 0; i < SIM_RSS_TABLE; i++)
        leader->rss_table[i] = (uint16_t)sim_random_below(leader->sim, info->rx_queue_count);
    if (leader->options.port.rss != SIM_RSS_NONE) {
        info->can |= LEAT_PORT_CAN_RSS;
        info->rss_table = leader->rss_table;
        info->rss_table_count = SIM_RSS_TABLE;
    }
    leader->steer = steer_new(&leader->port, leader->core_count, leader->rss_key, &error);
    CHECK(leader->steer != NULL);
}
