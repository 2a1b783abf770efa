/* What the flags of a port say. */
#include "net/program/bypass_flags.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define IP_EXAMPLE "such as --ip 10.0.0.2/24, --ip fd00::2/64 or --ip dhcp"

/* A number of decimal digits and nothing else, at most max; -1: it is none. */
static long number_of(const char *text, long max)
{
    char *end;
    if (text[0] < '0' || text[0] > '9')
        return -1;
    errno = 0;
    long number = strtol(text, &end, 10);
    return *end == '\0' && errno == 0 && number <= max ? number : -1;
}

static bool ip_parse(const char *text, struct ip_addr *ip)
{
    be32 v4;
    if (inet_pton(AF_INET, text, &v4) == 1) {
        *ip = ip_addr_v4(v4);
        return true;
    }
    return inet_pton(AF_INET6, text, ip->b) == 1 && !ip_addr_is_v4(ip);
}

static char *ip_format(const struct ip_addr *ip, char text[INET6_ADDRSTRLEN])
{
    bool is_v4 = ip_addr_is_v4(ip);
    inet_ntop(is_v4 ? AF_INET : AF_INET6, is_v4 ? ip->b + 12 : ip->b, text, INET6_ADDRSTRLEN);
    return text;
}

struct ip_addr bypass_range_at(const struct bypass_range *range, unsigned index)
{
    struct ip_addr ip = range->first;
    ip.b[15] = (uint8_t)(ip.b[15] + index);
    return ip;
}

char *bypass_range_format(const struct bypass_range *range, char *text, size_t size)
{
    char first[INET6_ADDRSTRLEN], last[INET6_ADDRSTRLEN];
    struct ip_addr end = bypass_range_at(range, range->count - 1);
    ip_format(&range->first, first);
    if (range->count == 1)
        snprintf(text, size, "%s/%u", first, range->prefix_bits);
    else
        snprintf(text, size, "%s-%s/%u", first, ip_format(&end, last), range->prefix_bits);
    return text;
}

/* How many addresses "FIRST-LAST" are: they may differ in the last byte only. 0: they do not. */
static unsigned range_count(const struct ip_addr *first, const struct ip_addr *last)
{
    if (memcmp(first->b, last->b, 15) != 0 || last->b[15] < first->b[15])
        return 0;
    return (unsigned)last->b[15] - first->b[15] + 1;
}

static int range_check(const char *text, const struct bypass_range *range, struct leat_error *error)
{
    const struct ip_addr *ip = &range->first;
    if (ip_addr_is_any(ip) || ip_addr_is_multicast(ip))
        return leat_fail(error, -EINVAL,
                         "--ip %s is no address that a host can have: give one of its "
                         "own, " IP_EXAMPLE,
                         text);
    if (!ip_addr_is_v4(ip) || range->prefix_bits > 30)
        return 0;
    uint32_t host = UINT32_MAX >> range->prefix_bits;
    uint32_t from = be32_get(ip_addr_get_v4(ip)) & host;
    if (from == 0 || from + range->count - 1 >= host)
        return leat_fail(error, -EINVAL,
                         "--ip %s is the network or its broadcast address: give a host's address "
                         "in it",
                         text);
    return 0;
}

static int range_parse(const char *text, struct bypass_range *range, struct leat_error *error)
{
    char copy[2 * INET6_ADDRSTRLEN + 8];
    if (snprintf(copy, sizeof(copy), "%s", text) >= (int)sizeof(copy))
        return leat_fail(error, -EINVAL,
                         "--ip is too long: give an address and prefix length, " IP_EXAMPLE);
    char *slash = strchr(copy, '/');
    if (slash == NULL)
        return leat_fail(error, -EINVAL,
                         "--ip %s lacks the prefix length of its network: write "
                         "%s/%d",
                         text, text, strchr(text, ':') ? 64 : 24);
    *slash = '\0';
    char *dash = strchr(copy, '-');
    if (dash != NULL)
        *dash = '\0';
    struct ip_addr last;
    bool is_valid =
        ip_parse(copy, &range->first) && ip_parse(dash != NULL ? dash + 1 : copy, &last);
    range->count = is_valid ? range_count(&range->first, &last) : 0;
    if (range->count == 0)
        return leat_fail(error, -EINVAL,
                         dash != NULL && is_valid
                             ? "--ip %s is no range: its ends may differ in the last byte only"
                             : "--ip takes an address and prefix length, " IP_EXAMPLE
                               ", not \"%s\"",
                         text);
    long bits = number_of(slash + 1, ip_addr_is_v4(&range->first) ? 32 : 128);
    if (bits < 1)
        return leat_fail(error, -EINVAL, "--ip %s: the prefix length is 1 to %d", text,
                         ip_addr_is_v4(&range->first) ? 32 : 128);
    range->prefix_bits = (unsigned)bits;
    return range_check(text, range, error);
}

static int ranges_parse(struct bypass_flags *flags, const struct leat_option_list *ips,
                        struct leat_error *error)
{
    unsigned total = 0;
    for (unsigned i = 0; i < ips->count; i++) {
        bool *given = strcmp(ips->items[i], "dhcp") == 0    ? &flags->is_dhcp
                      : strcmp(ips->items[i], "slaac") == 0 ? &flags->is_slaac
                                                            : NULL;
        if (given != NULL) {
            *given = true;
            continue;
        }
        struct bypass_range *range = &flags->ranges[flags->range_count++];
        int result = range_parse(ips->items[i], range, error);
        if (result < 0)
            return result;
        total += range->count;
    }
    if (flags->is_slaac && flags->mtu_bytes != 0 && flags->mtu_bytes < 1280)
        return leat_fail(error, -EINVAL, "--mtu %u is too small for --ip slaac: give at least 1280",
                         flags->mtu_bytes);
    for (unsigned i = 0; i < flags->range_count && flags->mtu_bytes != 0; i++)
        if (flags->mtu_bytes < 1280 && !ip_addr_is_v4(&flags->ranges[i].first))
            return leat_fail(error, -EINVAL,
                             "--mtu %u is too small for IPv6: give at least 1280, or IPv4 "
                             "addresses only",
                             flags->mtu_bytes);
    if (total > STACK_ADDRS_MAX - 1) /* one is kept for the link-local address */
        return leat_fail(error, -EINVAL, "--ip gives %u addresses: at most %d are possible", total,
                         STACK_ADDRS_MAX - 1);
    return 0;
}

/* In the network of an address, or beside one that stands alone (/32, /128): what is given in
 * clouds and on point-to-point links, where the gateway is on the link all the same. */
static bool is_reachable(const struct bypass_flags *flags, const struct ip_addr *gateway)
{
    for (unsigned i = 0; i < flags->range_count; i++) {
        const struct bypass_range *range = &flags->ranges[i];
        bool is_v4 = ip_addr_is_v4(&range->first);
        bool is_alone = range->prefix_bits == (is_v4 ? 32 : 128);
        if (is_v4 == ip_addr_is_v4(gateway) &&
            (is_alone || ip_addr_in(gateway, &range->first, range->prefix_bits + (is_v4 ? 96 : 0))))
            return true;
    }
    /* what DHCP gives is not known yet */
    return ip_addr_is_link_local(gateway) || (flags->is_dhcp && ip_addr_is_v4(gateway));
}

static int gateways_parse(struct bypass_flags *flags, const struct leat_option_list *gateways,
                          struct leat_error *error)
{
    for (unsigned i = 0; i < gateways->count; i++) {
        const char *text = gateways->items[i];
        struct ip_addr ip;
        if (!ip_parse(text, &ip) || ip_addr_is_any(&ip) || ip_addr_is_multicast(&ip))
            return leat_fail(error, -EINVAL,
                             "--gateway takes an address such as 10.0.0.1 or fd00::1, not \"%s\"",
                             text);
        if (!is_reachable(flags, &ip))
            return leat_fail(error, -EINVAL,
                             "--gateway %s lies in none of the networks that --ip gives", text);
        for (unsigned k = 0; k < flags->gateway_count; k++)
            if (ip_addr_is_v4(&flags->gateways[k]) == ip_addr_is_v4(&ip))
                return leat_fail(error, -EINVAL,
                                 "--gateway %s is the second of its family: give one for IPv4 and "
                                 "one for IPv6 at most",
                                 text);
        flags->gateways[flags->gateway_count++] = ip;
    }
    return 0;
}

static int mac_parse(const char *text, struct mac_addr *mac, struct leat_error *error)
{
    unsigned b[6];
    int end = -1;
    if (text == NULL)
        return 0;
    int fields =
        sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5], &end);
    if (fields != 6 || text[end] != '\0')
        return leat_fail(error, -EINVAL,
                         "--mac takes six bytes, such as 02:00:00:00:00:01, not "
                         "\"%s\"",
                         text);
    for (unsigned i = 0; i < 6; i++)
        mac->b[i] = (uint8_t)b[i];
    if ((mac->b[0] & 1) != 0 || (b[0] | b[1] | b[2] | b[3] | b[4] | b[5]) == 0)
        return leat_fail(error, -EINVAL,
                         "--mac %s is no address of a card: the first byte must be even, as in "
                         "02:00:00:00:00:01",
                         text);
    return 0;
}

int bypass_flags_parse(struct bypass_flags *flags, const struct leat_net_options *options,
                       struct leat_error *error)
{
    *flags = (struct bypass_flags){.mtu_bytes = (unsigned)options->mtu_bytes,
                                   .mss_bytes = (uint16_t)options->mss_bytes,
                                   .vlan = (uint16_t)options->vlan};
    if (options->ips.count == 0)
        return leat_fail(error, -EINVAL, "--net %s needs an address of its own, " IP_EXAMPLE,
                         options->net);
    int result = ranges_parse(flags, &options->ips, error);
    if (result == 0)
        result = gateways_parse(flags, &options->gateways, error);
    return result < 0 ? result : mac_parse(options->mac, &flags->mac, error);
}
