/* Multicast groups that this core listens to, and telling routers and switches of them: IGMP for
 * IPv4 (RFC 3376, 2236, 1112), MLD for IPv6 (RFC 3810, 2710).
 *
 * A group is kept for each that a socket has joined, and on the first core for the solicited-node
 * group of each address; the groups of all nodes are never announced (RFC 3376 6, RFC 3810 6). A
 * join and a leave are said as often as the network's robustness says, a query is answered within
 * the time that it gives. Where a querier of an older version was heard, its version is spoken. On
 * a link without Ethernet nothing is said: there is nobody on it who would filter.
 *
 * Sources are not chosen: a query for some sources of a group is answered as one for the group. */
#ifndef LEAT_STACK_GROUP_H
#define LEAT_STACK_GROUP_H

#include "net/stack/wire.h"
#include "runtime/base/error.h"

#define GROUPS_MAX 1024 /* of a core; further joins are refused */

struct rx_packet;
struct stack;

struct group {
    struct ip_addr ip;
    uint32_t user_count;  /* sockets and addresses; 0: it was left, which is still being said */
    uint8_t changes_left; /* reports of the join or the leave to come */
    uint64_t change_ns, answer_ns; /* when each is due; STACK_NEVER: not at all */
};

/* What was heard of queriers of one family. */
struct group_querier {
    uint8_t robustness;           /* how often a change is said */
    uint64_t oldest_ns, older_ns; /* until when IGMPv1, and IGMPv2 or MLDv1, is spoken */
    uint64_t all_ns;              /* when all groups are reported; STACK_NEVER */
};

struct group_table {
    struct group entries[GROUPS_MAX];
    uint32_t count;
    uint64_t next_ns;
    struct group_querier queriers[2]; /* IPv4, IPv6 */
};

void group_init(struct stack *s);
/* Each join takes one leave. Returns 0 or -ENOSPC. */
int group_join(struct stack *s, const struct ip_addr *ip) LEAT_MUST_CHECK;
void group_leave(struct stack *s, const struct ip_addr *ip);
/* All groups of the family are said anew, as if they had just been joined. */
void group_announce_all(struct stack *s, bool is_v4);
uint64_t group_tick(struct stack *s);

void igmp_input(struct stack *s, struct rx_packet *p);
/* An ICMPv6 message of type MLD_QUERY or MLD_REPORT. */
void mld_input(struct stack *s, struct rx_packet *p);

/* The solicited-node group of an address (RFC 4291 2.7.1). */
struct ip_addr group_solicited(const struct ip_addr *ip);

/* ---- group_message.c ---- */

enum group_version { GROUP_OLDEST, GROUP_OLDER, GROUP_NEWEST };

enum group_record { /* RFC 3376 4.2.12, RFC 3810 5.2.12 */
                    GROUP_IS_EXCLUDE = 2,
                    GROUP_TO_INCLUDE = 3, /* left */
                    GROUP_TO_EXCLUDE = 4, /* joined */
};

struct group_query {
    struct ip_addr ip; /* all zero, or IPv4's zero: of all groups */
    enum group_version version;
    uint8_t robustness; /* 0: not said */
    uint64_t answer_ns_max;
};

enum group_heard { GROUP_HEARD_QUERY, GROUP_HEARD_REPORT, GROUP_HEARD_NOTHING, GROUP_MALFORMED };

/* p->data is an IGMP or MLD message whose checksum is right. A report of an older version fills
 * query->ip. */
enum group_heard group_message_read(const struct rx_packet *p,
                                    struct group_query *query) LEAT_MUST_CHECK;

/* A report of the newest version that is being written: full or done, it is sent. */
struct group_report {
    uint8_t bytes[256];
    unsigned length, record_count;
    bool is_v4;
};

void group_report_add(struct stack *s, struct group_report *r, const struct ip_addr *ip,
                      enum group_record record);
void group_report_send(struct stack *s, struct group_report *r);
/* A report or a leave in an older version. */
void group_say_older(struct stack *s, const struct ip_addr *ip, enum group_version version,
                     enum group_record record);

#endif
