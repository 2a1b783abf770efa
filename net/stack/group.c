/* Membership in multicast groups: who listens, when it is said, when it is asked for. */
#include "net/stack/group.h"

#include <errno.h>

#include "net/stack/steer.h"

#define ROBUSTNESS      2 /* RFC 3376 8.1, RFC 3810 9.1 */
#define ROBUSTNESS_MAX  7
#define CHANGE_NS       LEAT_NS_PER_S        /* RFC 3376 8.11, RFC 3810 9.11 */
#define OLDER_CHANGE_NS (10 * LEAT_NS_PER_S) /* RFC 2236 8.10, RFC 2710 7.10 */
#define OLDER_QUERIER_NS                                                                           \
    (260 * LEAT_NS_PER_S) /* RFC 3376 8.12, RFC 3810 9.12, by their defaults                       \
                           */

static struct group_querier *querier_of(struct stack *s, bool is_v4)
{
    return &s->groups.queriers[is_v4 ? 0 : 1];
}

static enum group_version version_of(struct stack *s, bool is_v4)
{
    const struct group_querier *q = querier_of(s, is_v4);
    if (q->oldest_ns > s->now_ns)
        return GROUP_OLDEST;
    return q->older_ns > s->now_ns ? GROUP_OLDER : GROUP_NEWEST;
}

static struct group *group_find(struct stack *s, const struct ip_addr *ip)
{
    for (uint32_t i = 0; i < s->groups.count; i++)
        if (ip_addr_equal(&s->groups.entries[i].ip, ip))
            return &s->groups.entries[i];
    return NULL;
}

struct ip_addr group_solicited(const struct ip_addr *ip)
{
    struct ip_addr group = {{0xff, 0x02, [11] = 1, [12] = 0xff}};
    memcpy(group.b + 13, ip->b + 13, 3);
    return group;
}

/* All nodes, and what never leaves this host (RFC 3376 6, RFC 3810 6). */
static bool is_announced(const struct stack *s, const struct ip_addr *ip)
{
    static const struct ip_addr all_nodes = {{0xff, 0x02, [15] = 1}};
    if (s->link_kind != LEAT_LINK_ETHERNET)
        return false;
    if (ip_addr_is_v4(ip))
        return be32_get(ip_addr_get_v4(ip)) != UINT32_C(0xe0000001);
    return (ip->b[1] & 15) > 1 && !ip_addr_equal(ip, &all_nodes);
}

static void groups_due(struct stack *s, uint64_t at_ns)
{
    if (at_ns < s->groups.next_ns)
        s->groups.next_ns = at_ns;
    if (at_ns < s->slow_next_ns)
        s->slow_next_ns = at_ns;
}

/* The first report goes at once. */
static void change_begin(struct stack *s, struct group *g)
{
    g->changes_left = querier_of(s, ip_addr_is_v4(&g->ip))->robustness;
    g->change_ns = s->now_ns;
    groups_due(s, s->now_ns);
}

void group_init(struct stack *s)
{
    s->groups.next_ns = STACK_NEVER;
    for (unsigned i = 0; i < 2; i++)
        s->groups.queriers[i] =
            (struct group_querier){.robustness = ROBUSTNESS, .all_ns = STACK_NEVER};
}

int group_join(struct stack *s, const struct ip_addr *ip)
{
    if (!is_announced(s, ip))
        return 0;
    struct group *g = group_find(s, ip);
    if (g == NULL) {
        if (s->groups.count == GROUPS_MAX)
            return -ENOSPC;
        g = &s->groups.entries[s->groups.count++];
        *g = (struct group){.ip = *ip, .change_ns = STACK_NEVER, .answer_ns = STACK_NEVER};
    }
    if (g->user_count++ == 0)
        change_begin(s, g);
    return 0;
}

void group_leave(struct stack *s, const struct ip_addr *ip)
{
    struct group *g = is_announced(s, ip) ? group_find(s, ip) : NULL;
    if (g == NULL || g->user_count == 0 || --g->user_count > 0)
        return;
    g->answer_ns = STACK_NEVER;
    change_begin(s, g);
}

void group_announce_all(struct stack *s, bool is_v4)
{
    for (uint32_t i = 0; i < s->groups.count; i++) {
        struct group *g = &s->groups.entries[i];
        if (ip_addr_is_v4(&g->ip) == is_v4 && g->user_count > 0)
            change_begin(s, g);
    }
}

/* ---- what is due ---- */

struct reports {
    struct group_report v4, v6;
};

static void group_say(struct stack *s, struct reports *reports, const struct group *g,
                      enum group_record record)
{
    bool is_v4 = ip_addr_is_v4(&g->ip);
    enum group_version version = version_of(s, is_v4);
    if (version == GROUP_NEWEST)
        group_report_add(s, is_v4 ? &reports->v4 : &reports->v6, &g->ip, record);
    else
        group_say_older(s, &g->ip, version, record);
}

static void change_step(struct stack *s, struct reports *reports, struct group *g)
{
    bool is_left = g->user_count == 0;
    bool is_newest = version_of(s, ip_addr_is_v4(&g->ip)) == GROUP_NEWEST;
    group_say(s, reports, g, is_left ? GROUP_TO_INCLUDE : GROUP_TO_EXCLUDE);
    g->changes_left = is_left && !is_newest ? 0 : (uint8_t)(g->changes_left - 1);
    g->change_ns = STACK_NEVER;
    if (g->changes_left > 0) /* RFC 3376 5.1: at a random time within the interval */
        g->change_ns = s->now_ns + 1 + stack_random(s) % (is_newest ? CHANGE_NS : OLDER_CHANGE_NS);
}

/* Nothing is left to be said of a group that was left. */
static bool is_over(const struct group *g)
{
    return g->user_count == 0 && g->changes_left == 0;
}

static void group_step(struct stack *s, struct reports *reports, struct group *g)
{
    bool is_v4 = ip_addr_is_v4(&g->ip);
    uint64_t now = s->now_ns;
    bool is_asked = g->answer_ns <= now || querier_of(s, is_v4)->all_ns <= now;
    if (g->change_ns <= now)
        change_step(s, reports, g);
    if (is_asked && g->user_count > 0) {
        group_say(s, reports, g, GROUP_IS_EXCLUDE);
        g->answer_ns = STACK_NEVER;
    }
}

static uint64_t group_next(const struct group *g)
{
    return g->change_ns < g->answer_ns ? g->change_ns : g->answer_ns;
}

uint64_t group_tick(struct stack *s)
{
    struct group_table *t = &s->groups;
    struct reports reports = {.v4.is_v4 = true};
    if (s->now_ns < t->next_ns)
        return t->next_ns;
    t->next_ns = STACK_NEVER;
    for (uint32_t i = t->count; i-- > 0;) {
        struct group *g = &t->entries[i];
        group_step(s, &reports, g);
        if (is_over(g))
            *g = t->entries[--t->count];
        else if (group_next(g) < t->next_ns)
            t->next_ns = group_next(g);
    }
    group_report_send(s, &reports.v4);
    group_report_send(s, &reports.v6);
    for (unsigned i = 0; i < 2; i++) {
        if (t->queriers[i].all_ns <= s->now_ns)
            t->queriers[i].all_ns = STACK_NEVER;
        if (t->queriers[i].all_ns < t->next_ns)
            t->next_ns = t->queriers[i].all_ns;
    }
    return t->next_ns;
}

/* ---- queries ---- */

/* RFC 3376 7.2.1, RFC 3810 8.2.1: who hears an older querier speaks as it does. */
static void querier_heard(struct stack *s, struct group_querier *q, bool is_v4,
                          const struct group_query *query)
{
    enum group_version before = version_of(s, is_v4);
    if (query->version == GROUP_OLDEST)
        q->oldest_ns = s->now_ns + OLDER_QUERIER_NS;
    else if (query->version == GROUP_OLDER)
        q->older_ns = s->now_ns + OLDER_QUERIER_NS;
    if (query->robustness != 0)
        q->robustness = query->robustness < ROBUSTNESS_MAX ? query->robustness : ROBUSTNESS_MAX;
    if (version_of(s, is_v4) == before)
        return;
    q->all_ns = STACK_NEVER; /* what is owed in the other version */
    for (uint32_t i = 0; i < s->groups.count; i++)
        if (ip_addr_is_v4(&s->groups.entries[i].ip) == is_v4)
            s->groups.entries[i].answer_ns = STACK_NEVER;
}

static void answer_at(struct stack *s, uint64_t *at_ns, uint64_t answer_ns_max)
{
    uint64_t due = s->now_ns + stack_random(s) % (answer_ns_max + 1);
    if (due < *at_ns)
        *at_ns = due;
    groups_due(s, *at_ns);
}

/* RFC 3376 5.2, RFC 3810 6.2: all groups in one report, or in older versions each at its own time.
 */
static void query_answer(struct stack *s, struct group_querier *q, bool is_v4,
                         const struct group_query *query)
{
    bool is_general = ip_addr_is_any(&query->ip);
    if (is_general && version_of(s, is_v4) == GROUP_NEWEST) {
        answer_at(s, &q->all_ns, query->answer_ns_max);
        return;
    }
    for (uint32_t i = 0; i < s->groups.count; i++) {
        struct group *g = &s->groups.entries[i];
        bool is_meant =
            is_general ? ip_addr_is_v4(&g->ip) == is_v4 : ip_addr_equal(&g->ip, &query->ip);
        if (is_meant && g->user_count > 0)
            answer_at(s, &g->answer_ns, query->answer_ns_max);
    }
}

static void message_input(struct stack *s, const struct rx_packet *p, bool is_v4)
{
    struct group_query query;
    enum group_heard heard = group_message_read(p, &query);
    if (heard == GROUP_MALFORMED) {
        stack_drop(s, STACK_DROP_GROUP_MALFORMED);
    } else if (heard == GROUP_HEARD_QUERY) {
        querier_heard(s, querier_of(s, is_v4), is_v4, &query);
        query_answer(s, querier_of(s, is_v4), is_v4, &query);
    } else if (heard == GROUP_HEARD_REPORT && version_of(s, is_v4) != GROUP_NEWEST) {
        struct group *g = group_find(s, &query.ip); /* RFC 2236 3: one answer is enough */
        if (g != NULL)
            g->answer_ns = STACK_NEVER;
    }
}

void igmp_input(struct stack *s, struct rx_packet *p)
{
    if (p->length_bytes < 8 ||
        csum_finish(csum_add(CSUM_ZERO, p->data, p->length_bytes)).raw != 0) {
        stack_drop(s, STACK_DROP_GROUP_MALFORMED);
        return;
    }
    if (unlikely(s->steer != NULL) && !(p->flags & RX_STEERED))
        steer_copy(s, p, IP_IGMP); /* its listeners may be any core's */
    message_input(s, p, true);
}

void mld_input(struct stack *s, struct rx_packet *p)
{
    if (unlikely(s->steer != NULL) && !(p->flags & RX_STEERED))
        steer_copy(s, p, IP_ICMPV6);
    message_input(s, p, false);
}
