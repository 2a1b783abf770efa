/* What --ip, --gateway, --mac, --mtu, --mss and --vlan say, checked. Values; no memory is owned. */
#ifndef LEAT_BYPASS_FLAGS_H
#define LEAT_BYPASS_FLAGS_H

#include "net/program/open.h"
#include "net/stack/stack.h"

#define BYPASS_RANGES_MAX   LEAT_OPTION_LIST_MAX
#define BYPASS_GATEWAYS_MAX 2 /* one of each family */

/* Addresses from first on, the last byte counting up. */
struct bypass_range {
    struct ip_addr first;
    unsigned count, prefix_bits; /* of the family */
};

struct bypass_flags {
    struct bypass_range ranges[BYPASS_RANGES_MAX];
    unsigned range_count;
    struct ip_addr gateways[BYPASS_GATEWAYS_MAX];
    unsigned gateway_count;
    struct mac_addr mac; /* all zero: not given */
    unsigned mtu_bytes;  /* 0: not given */
    uint16_t mss_bytes;  /* 0: not given */
    uint16_t vlan;       /* 0: none */
    bool is_dhcp;        /* --ip dhcp */
    bool is_slaac;       /* --ip slaac */
};

/* Returns 0, or -EINVAL with a sentence. */
int bypass_flags_parse(struct bypass_flags *flags, const struct leat_net_options *options,
                       struct leat_error *error) LEAT_MUST_CHECK;

struct ip_addr bypass_range_at(const struct bypass_range *range, unsigned index);

/* "10.0.0.2/24", "10.0.0.2-9/24", "fd00::2/64". Returns text. */
char *bypass_range_format(const struct bypass_range *range, char *text, size_t size);

#endif
