/* A --net that is a port: the flags, the port, and a stack on each loop. */
#include "net/program/bypass.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "net/program/bypass_flags.h"
#include "net/program/bypass_lease.h"
#include "net/program/bypass_link.h"
#include "net/port/faults.h"
#include "net/port/ports.h"
#include "net/stack/source.h"
#include "net/stack/steer.h"
#include "net/stack/udp.h"

/* What stands before the colon of --net. */
struct port_kind {
    const char *name;
    const char *example;
    struct leat_port *(*open)(const struct port_options *options, struct leat_error *error);
};

static const struct port_kind kinds[] = {
    {"dpdk", "dpdk:net_ring0", dpdk_port_open}, {"memif", "memif:/run/leat.sock", dpdk_port_open},
    {"packet", "packet:eth1", dpdk_port_open},  {"pci", "pci:0000:03:00.0", dpdk_port_open},
    {"tap", "tap:leat0", dpdk_port_open},       {"tun", "tun:leat0", tun_port_open},
    {"xdp", "xdp:eth1", dpdk_port_open},        {"sim", "sim:7", simulator_port_open},
};
#define KIND_COUNT (sizeof(kinds) / sizeof(kinds[0]))

struct bypass {
    const char *name; /* as written */
    const struct port_kind *kind;
    struct bypass_flags flags;
    struct leat_port *port;
    struct leat_port_info info; /* for the banner */
    uint64_t seed[4];
    struct steer *steer; /* NULL: one loop */
    struct bypass_lease lease;
    struct bypass_link link;
    _Atomic unsigned loop_count; /* that have the port open */
    bool is_unsound;             /* what the port watched was not right */
    struct stack_source *sources[LEAT_PORT_QUEUES_MAX];

    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned stack_count, waiting_count, meetings; /* under lock */
};

bool bypass_is_meant(const char *net)
{
    return strchr(net, ':') != NULL;
}

static const struct port_kind *kind_of(const char *net, struct leat_error *error)
{
    size_t length = strcspn(net, ":");
    const char *names[KIND_COUNT];
    char word[32];
    for (unsigned i = 0; i < KIND_COUNT; i++) {
        names[i] = kinds[i].name;
        if (strlen(names[i]) == length && memcmp(net, names[i], length) == 0) {
            if (net[length + 1] != '\0')
                return &kinds[i];
            leat_fail(error, -EINVAL, "--net %s lacks what comes behind the colon, as in %s", net,
                      kinds[i].example);
            return NULL;
        }
    }
    snprintf(word, sizeof(word), "%.*s", (int)length, net);
    const char *near = leat_nearest(word, names, KIND_COUNT);
    leat_fail(error, -EINVAL, "--net %s: there is no kind of port called \"%s\"%s%s%s", net, word,
              near != NULL ? "; did you mean " : ", see --help", near != NULL ? near : "",
              near != NULL ? "?" : "");
    return NULL;
}

static int cores_check(const struct port_kind *kind, const struct leat_net_options *o,
                       struct leat_error *error)
{
    if (kind->open == simulator_port_open && o->cores_count > 1)
        return leat_fail(error, -EINVAL, "--net %s plays a program of one loop: leave out --cores",
                         o->net);
    if (o->cores_count > STEER_CORES_MAX)
        return leat_fail(error, -EINVAL, "--net %s serves at most %d loops: use fewer --cores",
                         o->net, STEER_CORES_MAX);
    if (o->queue_count > o->cores_count)
        return leat_fail(error, -EINVAL,
                         "--queues %llu is more than the %u loop%s that would poll them",
                         (unsigned long long)o->queue_count, o->cores_count,
                         o->cores_count == 1 ? "" : "s");
    return 0;
}

static int faults_wrap(struct bypass *b, const struct faults_options *options,
                       struct leat_error *error)
{
    struct leat_port *port = faults_port_new(b->port, options, error);
    if (port == NULL) {
        b->port->ops->close(b->port);
        b->port = NULL;
        return error->code;
    }
    b->port = port;
    return 0;
}

static int port_open(struct bypass *b, const struct leat_net_options *o, struct leat_error *error)
{
    static const struct mac_addr none;
    struct port_options options = {
        .kind = b->kind->name,
        .where = strchr(o->net, ':') + 1,
        .queue_count = o->queue_count != 0 ? (unsigned)o->queue_count : o->cores_count,
        .is_queue_count_given = o->queue_count != 0,
        .vlan = b->flags.vlan,
        .mtu_bytes = b->flags.mtu_bytes,
        .is_mac_given = memcmp(&b->flags.mac, &none, sizeof(none)) != 0,
    };
    memcpy(options.mac, b->flags.mac.b, sizeof(options.mac));
    struct faults_options faults;
    if (o->faults != NULL && faults_parse(&faults, o->faults, error) < 0)
        return error->code;
    b->port = b->kind->open(&options, error);
    if (b->port == NULL)
        return error->code;
    if (o->faults != NULL && faults_wrap(b, &faults, error) < 0)
        return error->code;
    CHECK(b->port != NULL);
    b->info = b->port->info;
    return 0;
}

static int steer_open(struct bypass *b, uint32_t cores_count, struct leat_error *error)
{
    uint8_t key[OWNER_KEY_BYTES];
    if (cores_count == 1)
        return 0;
    CHECK(getrandom(key, sizeof(key), 0) == (ssize_t)sizeof(key));
    b->steer = steer_new(b->port, cores_count, key, error);
    return b->steer != NULL ? 0 : error->code;
}

struct bypass *bypass_new(const struct leat_net_options *options, struct leat_error *error)
{
    const struct port_kind *kind = kind_of(options->net, error);
    if (kind == NULL || cores_check(kind, options, error) < 0)
        return NULL;
    struct bypass *b = calloc(1, sizeof(*b));
    if (b == NULL) {
        leat_fail(error, -ENOMEM, "cannot prepare the network stack: out of memory");
        return NULL;
    }
    b->name = options->net;
    b->kind = kind;
    bypass_lease_init(&b->lease, b->name, &b->flags);
    CHECK(getrandom(b->seed, sizeof(b->seed), 0) == (ssize_t)sizeof(b->seed));
    struct leat_net_options o = *options;
    if (kind->open == simulator_port_open && o.ips.count == 0)
        o.ips = (struct leat_option_list){.items = {"10.0.0.1/24", "fd00::1/64"}, .count = 2};
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->changed, NULL);
    if (bypass_flags_parse(&b->flags, &o, error) < 0 || port_open(b, &o, error) < 0 ||
        steer_open(b, options->cores_count, error) < 0) {
        bypass_free(b);
        return NULL;
    }
    if (b->info.clock != NULL) /* a world that is played: the same again is the same */
        for (unsigned i = 0; i < 4; i++)
            b->seed[i] = b->info.seed + i;
    return b;
}

bool bypass_spares_hugepages(const struct bypass *b)
{
    return b->kind->open != tun_port_open;
}

const struct leat_clock *bypass_clock(const struct bypass *b)
{
    return b->info.clock;
}

uint64_t bypass_seed(const struct bypass *b)
{
    return b->info.seed;
}

bool bypass_is_sound(const struct bypass *b)
{
    return !b->is_unsound;
}

static void port_close(struct bypass *b)
{
    if (b->port != NULL)
        b->port->ops->close(b->port);
    b->port = NULL;
}

void bypass_free(struct bypass *b)
{
    if (b == NULL)
        return;
    steer_free(b->steer);
    port_close(b);
    pthread_cond_destroy(&b->changed);
    pthread_mutex_destroy(&b->lock);
    bypass_lease_fini(&b->lease);
    free(b);
}

/* RFC 4291 appendix A: fe80::/64 and the MAC, so that routers can be asked. */
static struct ip_addr link_local_of(const struct mac_addr *mac)
{
    struct ip_addr ip = {{0xfe, 0x80}};
    const uint8_t *m = mac->b;
    uint8_t tail[8] = {(uint8_t)(m[0] ^ 2), m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]};
    memcpy(ip.b + 8, tail, sizeof(tail));
    return ip;
}

static int address_add(struct stack *s, const struct bypass_range *range, struct leat_error *error)
{
    char text[128];
    for (unsigned i = 0; i < range->count; i++) {
        struct ip_addr ip = bypass_range_at(range, i);
        int result = stack_add_address(s, &ip, range->prefix_bits);
        if (result < 0)
            return leat_fail(error, result,
                             result == -EEXIST ? "--ip %s gives an address twice"
                                               : "--ip %s cannot be an address of this stack",
                             bypass_range_format(range, text, sizeof(text)));
    }
    return 0;
}

static int addresses_add(const struct bypass *b, struct stack *s, struct leat_error *error)
{
    bool has_v6 = b->flags.is_slaac;
    for (unsigned i = 0; i < b->flags.range_count; i++) {
        const struct bypass_range *range = &b->flags.ranges[i];
        int result = address_add(s, range, error);
        if (result < 0)
            return result;
        has_v6 = has_v6 || !ip_addr_is_v4(&range->first);
    }
    struct ip_addr local = link_local_of(&s->mac);
    if (has_v6 && addr_find(s, &local) == NULL && stack_add_address(s, &local, 64) < 0)
        return leat_fail(error, -EINVAL, "cannot add the link-local address");
    for (unsigned i = 0; i < b->flags.gateway_count; i++) {
        static const struct ip_addr any_v6;
        const struct ip_addr *gateway = &b->flags.gateways[i];
        struct ip_addr any = ip_addr_is_v4(gateway) ? ip_addr_v4((be32){0}) : any_v6;
        int result = stack_add_route(s, &any, 0, gateway);
        if (result < 0)
            return leat_fail(error, result, "cannot route through --gateway: %s",
                             leat_errno_name(result));
    }
    return 0;
}

static int port_enter(struct bypass *b, struct leat_error *error)
{
    const struct leat_port_ops *ops = b->port->ops;
    int result = ops->enter != NULL ? ops->enter(b->port, error) : 0;
    if (result == 0)
        atomic_fetch_add(&b->loop_count, 1);
    return result;
}

static void port_leave(struct bypass *b)
{
    if (b->port->ops->leave != NULL)
        b->port->ops->leave(b->port);
    if (atomic_fetch_sub(&b->loop_count, 1) > 1)
        return;
    b->is_unsound = b->port->ops->is_sound != NULL && !b->port->ops->is_sound(b->port);
    if (b->info.clock == NULL) /* loops read the port's own clock to their end */
        port_close(b);
}

static void stack_leave(struct bypass *b, uint32_t index, struct stack_source *source)
{
    if (source != NULL)
        stack_source_free(source);
    if (b->steer != NULL)
        steer_leave(b->steer, index);
    port_leave(b);
}

int bypass_open(struct bypass *b, struct leat_loop *loop, struct leat_error *error)
{
    uint32_t index = leat_core_now->index;
    struct stack_options options = {
        .port = b->port,
        .steer = b->steer,
        .core = index,
        .queue = index,
        .mtu_bytes = b->flags.mtu_bytes,
        .mss_bytes_max = b->flags.mss_bytes,
        .vlan = b->flags.vlan,
        .mac = b->flags.mac,
        .probe_addresses = b->flags.is_slaac, /* RFC 4862 5.4: before an address is used */
        .autoconfigure = b->flags.is_slaac,
    };
    memcpy(options.seed, b->seed, sizeof(options.seed));
    options.seed[2] += index; /* random numbers differ, hashes are the same on all cores */
    int result = port_enter(b, error);
    if (result < 0)
        return result;
    struct stack_source *source = NULL;
    if (b->steer != NULL)
        options.port = steer_join(b->steer, index, loop, &options.queue, error);
    if (options.port != NULL)
        source = stack_source_new(loop, &options, error);
    result = source != NULL ? addresses_add(b, stack_source_stack(source), error) : error->code;
    if (result == 0)
        result = bypass_lease_open(&b->lease, loop, stack_source_stack(source), index, error);
    if (result < 0) {
        bypass_lease_close(&b->lease, index);
        stack_leave(b, index, source);
        return result;
    }
    b->sources[index] = source;
    if (index == 0 && b->info.clock == NULL) /* a world's clock would go on for ever */
        bypass_link_watch(&b->link, loop, b->port, b->name);
    pthread_mutex_lock(&b->lock);
    b->stack_count++;
    pthread_mutex_unlock(&b->lock);
    return 0;
}

/* Returns when all loops that have a stack have come here. */
static void loops_meet(struct bypass *b)
{
    pthread_mutex_lock(&b->lock);
    unsigned meeting = b->meetings;
    if (++b->waiting_count == b->stack_count) {
        b->waiting_count = 0;
        b->meetings++;
        pthread_cond_broadcast(&b->changed);
    }
    while (b->meetings == meeting)
        pthread_cond_wait(&b->changed, &b->lock);
    pthread_mutex_unlock(&b->lock);
}

void bypass_shut(struct bypass *b)
{
    uint32_t index = leat_core_now->index;
    if (index >= LEAT_PORT_QUEUES_MAX || b->sources[index] == NULL)
        return;
    if (index == 0)
        bypass_link_unwatch(&b->link);
    bypass_lease_close(&b->lease, index);
    stack_source_shut(b->sources[index]);
}

void bypass_close(struct bypass *b)
{
    uint32_t index = leat_core_now->index;
    if (index >= LEAT_PORT_QUEUES_MAX || b->sources[index] == NULL)
        return;
    bypass_shut(b);
    if (b->steer != NULL) {
        stack_source_end(b->sources[index]);
        loops_meet(b);
        stack_source_settle(b->sources[index]);
        loops_meet(b);
    }
    stack_leave(b, index, b->sources[index]);
    b->sources[index] = NULL;
}

static void banner_append(char *text, size_t size, const char *words)
{
    size_t length = strlen(text);
    if (length < size)
        snprintf(text + length, size - length, "%s", words);
}

char *bypass_banner(struct bypass *b, char *text, size_t size)
{
    static const struct {
        uint32_t can;
        const char *name;
    } offloads[] = {
        {LEAT_PORT_CAN_RX_IP_CHECKSUM, " rx-ip-checksum"},
        {LEAT_PORT_CAN_RX_L4_CHECKSUM, " rx-checksum"},
        {LEAT_PORT_CAN_TX_IP_CHECKSUM, " tx-ip-checksum"},
        {LEAT_PORT_CAN_TX_L4_CHECKSUM, " tx-checksum"},
        {LEAT_PORT_CAN_TSO, " tso"},
        {LEAT_PORT_CAN_RSS, " rss"},
    };
    static const char *const wakes[] = {
        [LEAT_WAKE_NAP] = ", sleeps in naps of at most 1 ms",
        [LEAT_WAKE_DEVICE] = "",
        [LEAT_WAKE_INTERRUPT] = ", woken by interrupts (to be proven)",
    };
    static const struct mac_addr none;
    const uint8_t *mac =
        memcmp(&b->flags.mac, &none, sizeof(none)) != 0 ? b->flags.mac.b : b->info.mac;
    unsigned mtu = b->flags.mtu_bytes != 0        ? b->flags.mtu_bytes
                   : b->info.mtu_bytes_max < 1500 ? b->info.mtu_bytes_max
                                                  : 1500;
    snprintf(text, size,
             "net %s: driver %s, %02x:%02x:%02x:%02x:%02x:%02x, MTU %u, %u queue%s, claims:",
             b->name, b->info.driver, mac[0], mac[1], mac[2], mac[3], mac[4], mac[5], mtu,
             b->info.rx_queue_count, b->info.rx_queue_count == 1 ? "" : "s");
    bool has_any = false;
    for (unsigned i = 0; i < sizeof(offloads) / sizeof(offloads[0]); i++) {
        if (b->info.can & offloads[i].can)
            banner_append(text, size, offloads[i].name);
        has_any = has_any || (b->info.can & offloads[i].can) != 0;
    }
    banner_append(text, size, has_any ? "" : " none");
    if (b->info.refused != NULL && b->info.refused[0] != '\0') {
        banner_append(text, size, ", the driver refused: ");
        banner_append(text, size, b->info.refused);
    }
    banner_append(text, size, wakes[b->info.wake]);
    if (b->steer != NULL)
        banner_append(text, size,
                      b->steer->owners.is_hashed ? ", loops steered by RSS (to be proven)"
                                                 : ", loops steered in software");
    banner_append(text, size, ", addresses:");
    for (unsigned i = 0; i < b->flags.range_count; i++) {
        char range[128];
        banner_append(text, size, " ");
        banner_append(text, size, bypass_range_format(&b->flags.ranges[i], range, sizeof(range)));
    }
    char leased[160];
    banner_append(text, size, bypass_lease_format(&b->lease, leased, sizeof(leased)));
    return text;
}

static bool addr_is_loopback(const struct leat_addr *addr)
{
    static const uint8_t loopback[16] = {[15] = 1};
    return addr->family == LEAT_FAMILY_IPV4 ? addr->ip[0] == 127
                                            : memcmp(addr->ip, loopback, sizeof(loopback)) == 0;
}

bool bypass_reaches(const struct bypass *b, const struct leat_addr *listener)
{
    if (listener->family == LEAT_FAMILY_UNIX || listener->via == LEAT_VIA_SOCKETS)
        return false;
    if (leat_addr_is_wildcard(listener) || listener->via == LEAT_VIA_STACK)
        return true;
    struct ip_addr ip = udp_to_ip(listener);
    for (unsigned i = 0; i < b->flags.range_count; i++)
        for (unsigned k = 0; k < b->flags.ranges[i].count; k++) {
            struct ip_addr own = bypass_range_at(&b->flags.ranges[i], k);
            if (ip_addr_equal(&own, &ip))
                return true;
        }
    /* What the network gives may be meant, if it is none of this machine's alone. */
    return (b->flags.is_dhcp || b->flags.is_slaac) && !addr_is_loopback(listener);
}

const char *bypass_host(struct bypass *b, char *text, size_t size)
{
    static const struct ip_addr none;
    struct ip_addr ip = bypass_lease_address(&b->lease);
    char plain[INET6_ADDRSTRLEN];
    if (ip_addr_equal(&ip, &none))
        ip = b->flags.ranges[0].first;
    bool is_v4 = ip_addr_is_v4(&ip);
    inet_ntop(is_v4 ? AF_INET : AF_INET6, is_v4 ? ip.b + 12 : ip.b, plain, sizeof(plain));
    snprintf(text, size, is_v4 ? "%s" : "[%s]", plain);
    return text;
}
