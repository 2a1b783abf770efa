/* Addresses that the network gives: waiting for them, and telling the other cores. */
#include "net/program/bypass_lease.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "net/program/run_internal.h"

#define POST_RETRY_NS (10 * LEAT_NS_PER_MS)
#define WAIT_STEP_NS  (20 * LEAT_NS_PER_MS)

/* ---- to the other cores ---- */

/* On the core itself: what it has becomes what core 0 has. */
static void lease_catch_up(struct bypass_lease_core *c)
{
    struct bypass_lease *l = c->all;
    pthread_mutex_lock(&l->lock);
    bool is_open = c->loop != NULL, is_granted = l->is_granted;
    struct dhcp_lease granted = l->granted;
    c->is_posted = false;
    pthread_mutex_unlock(&l->lock);
    if (!is_open)
        return;
    bool is_same = c->has_lease && is_granted && be32_equal(c->lease.ip, granted.ip) &&
                   c->lease.prefix_bits == granted.prefix_bits &&
                   c->lease.route_count == granted.route_count &&
                   memcmp(c->lease.routes, granted.routes,
                          granted.route_count * sizeof(granted.routes[0])) == 0;
    if (c->has_lease && !is_same)
        dhcp_lease_remove(c->stack, &c->lease);
    c->has_lease = is_granted && dhcp_lease_apply(c->stack, &granted) == 0;
    c->lease = granted;
}

static void on_lease_posted(void *arg)
{
    struct bypass_lease_core *c = arg;
    lease_catch_up(c);
}

static void lease_tell_others(struct bypass_lease *l)
{
    bool has_failed = false;
    pthread_mutex_lock(&l->lock);
    for (uint32_t i = 1; i < LEAT_PORT_QUEUES_MAX; i++) {
        struct bypass_lease_core *c = &l->cores[i];
        if (c->loop == NULL || c->is_posted)
            continue;
        c->is_posted = leat_loop_post(c->loop, on_lease_posted, c) == 0;
        has_failed |= !c->is_posted;
    }
    pthread_mutex_unlock(&l->lock);
    if (has_failed)
        leat_timer_start(&l->retry, POST_RETRY_NS, 0);
}

static void on_lease_retry(struct leat_timer *timer, void *arg)
{
    (void)timer;
    lease_tell_others(arg);
}

static void on_lease_change(void *arg, const struct dhcp_lease *lease)
{
    struct bypass_lease *l = arg;
    pthread_mutex_lock(&l->lock);
    l->is_granted = lease != NULL;
    if (lease != NULL)
        l->granted = *lease;
    pthread_mutex_unlock(&l->lock);
    lease_tell_others(l);
}

/* ---- the start ---- */

static bool prefix_is_announced(struct bypass_lease *l, const struct stack *s)
{
    for (uint32_t i = 0; i < s->addr_count; i++) {
        if (!s->addrs[i].automatic || s->addrs[i].state != ADDR_VALID)
            continue;
        pthread_mutex_lock(&l->lock);
        l->announced = s->addrs[i].ip;
        pthread_mutex_unlock(&l->lock);
        return true;
    }
    return false;
}

static int lease_wait(struct bypass_lease *l, struct leat_loop *loop, const struct stack *s,
                      struct leat_error *error)
{
    uint64_t end_ns = leat_loop_clock(loop) + BYPASS_LEASE_WAIT_NS;
    for (;;) {
        bool has_lease = !l->flags->is_dhcp || l->is_granted;
        if (has_lease && (!l->flags->is_slaac || prefix_is_announced(l, s)))
            return 0;
        if (run_is_end_asked())
            return leat_fail(error, -ECANCELED, "ended while waiting for an address on %s", l->net);
        if (leat_loop_clock(loop) >= end_ns)
            return leat_fail(error, -ETIMEDOUT,
                             has_lease ? "no router announced a prefix on %s within %d seconds: "
                                         "look at the link, or give an address with --ip"
                                       : "no DHCP server gave an address on %s within %d seconds: "
                                         "look at the link, or give an address with --ip",
                             l->net, (int)(BYPASS_LEASE_WAIT_NS / LEAT_NS_PER_S));
        leat_loop_turn(loop, WAIT_STEP_NS);
    }
}

static int lease_open_first(struct bypass_lease *l, struct leat_loop *loop, struct stack *stack,
                            struct leat_error *error)
{
    leat_timer_init(&l->retry, loop, on_lease_retry, l);
    leat_timer_unref(&l->retry);
    int result = l->flags->is_dhcp ? dhcp_start(stack, on_lease_change, l, error) : 0;
    /* The answer may come to the queue of a core that is not there yet. */
    stack->stands_in_count = stack->port->info.rx_queue_count - 1;
    if (result == 0)
        result = lease_wait(l, loop, stack, error);
    stack->stands_in_count = 0;
    return result;
}

void bypass_lease_init(struct bypass_lease *l, const char *net, const struct bypass_flags *flags)
{
    *l = (struct bypass_lease){.net = net, .flags = flags};
    pthread_mutex_init(&l->lock, NULL);
}

void bypass_lease_fini(struct bypass_lease *l)
{
    pthread_mutex_destroy(&l->lock);
}

int bypass_lease_open(struct bypass_lease *l, struct leat_loop *loop, struct stack *stack,
                      uint32_t core, struct leat_error *error)
{
    struct bypass_lease_core *c = &l->cores[core];
    if (!l->flags->is_dhcp && !l->flags->is_slaac)
        return 0;
    pthread_mutex_lock(&l->lock);
    *c = (struct bypass_lease_core){.all = l, .loop = loop, .stack = stack};
    pthread_mutex_unlock(&l->lock);
    if (core == 0)
        return lease_open_first(l, loop, stack, error);
    lease_catch_up(c);
    return 0;
}

void bypass_lease_close(struct bypass_lease *l, uint32_t core)
{
    pthread_mutex_lock(&l->lock);
    bool was_open = l->cores[core].loop != NULL;
    l->cores[core].loop = NULL;
    pthread_mutex_unlock(&l->lock);
    if (was_open && core == 0)
        leat_timer_stop(&l->retry);
}

/* ---- what is shown ---- */

static char *format_ip(be32 ip, char text[INET_ADDRSTRLEN])
{
    inet_ntop(AF_INET, &ip, text, INET_ADDRSTRLEN);
    return text;
}

char *bypass_lease_format(struct bypass_lease *l, char *text, size_t size)
{
    char ip[INET_ADDRSTRLEN], server[INET_ADDRSTRLEN], announced[INET6_ADDRSTRLEN];
    static const struct ip_addr none;
    int length = 0;
    text[0] = '\0';
    pthread_mutex_lock(&l->lock);
    if (l->is_granted && l->granted.lease_s == UINT32_MAX)
        length =
            snprintf(text, size, " %s/%u (leased from %s for ever)", format_ip(l->granted.ip, ip),
                     l->granted.prefix_bits, format_ip(l->granted.server, server));
    else if (l->is_granted)
        length = snprintf(text, size, " %s/%u (leased from %s for %u s)",
                          format_ip(l->granted.ip, ip), l->granted.prefix_bits,
                          format_ip(l->granted.server, server), l->granted.lease_s);
    if (!ip_addr_equal(&l->announced, &none) && (size_t)length < size) {
        inet_ntop(AF_INET6, l->announced.b, announced, sizeof(announced));
        snprintf(text + length, size - (size_t)length, " %s/64 (announced by a router)", announced);
    }
    pthread_mutex_unlock(&l->lock);
    return text;
}

struct ip_addr bypass_lease_address(struct bypass_lease *l)
{
    pthread_mutex_lock(&l->lock);
    struct ip_addr ip = l->is_granted ? ip_addr_v4(l->granted.ip) : l->announced;
    pthread_mutex_unlock(&l->lock);
    return ip;
}
