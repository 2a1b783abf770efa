/* Why the stack drops what it drops: one table of reason, counter name and sentence. A dropped
 * packet is counted under exactly one of them. Errors of the first kind: the peer, the wire or an
 * overload did it; never asserted, never logged per packet. */
#ifndef LEAT_STACK_DROPS_H
#define LEAT_STACK_DROPS_H

#define STACK_DROPS(X)                                                                             \
    X(LINK_SHORT, "link_short", "the frame is shorter than its link header")                       \
    X(LINK_OTHER_HOST, "link_other_host", "the frame is addressed to another MAC")                 \
    X(LINK_VLAN, "link_vlan", "the frame carries a VLAN tag that is not ours")                     \
    X(LINK_PROTOCOL, "link_protocol", "the frame carries neither IP nor ARP")                      \
    X(LINK_SCATTER, "link_scatter", "a frame in several buffers is broken or too long")            \
    X(ARP_MALFORMED, "arp_malformed", "the ARP packet is not Ethernet and IPv4, or too short")     \
    X(ARP_SENDER, "arp_sender", "the ARP sender is no unicast address")                            \
    X(ARP_CONFLICT, "arp_conflict", "another host uses our address")                               \
    X(IP_SHORT, "ip_short", "the packet is shorter than its IP header or its length says")         \
    X(IP_VERSION, "ip_version", "the IP version does not fit the link type")                       \
    X(IP_HEADER, "ip_header", "the IP header length is impossible")                                \
    X(IP_CHECKSUM, "ip_checksum", "the IPv4 header checksum is wrong")                             \
    X(IP_SOURCE, "ip_source", "the source address is no unicast address of another host")          \
    X(IP_NOT_OURS, "ip_not_ours", "the destination address is not ours")                           \
    X(IP_SOURCE_ROUTE, "ip_source_route", "the packet is source-routed")                           \
    X(IP_OPTIONS, "ip_options", "an option or extension header is malformed or forbids use")       \
    X(IP_PROTOCOL, "ip_protocol", "nothing here speaks the packet's protocol")                     \
    X(IP_NO_NEXT, "ip_no_next", "the packet ends after its IPv6 headers")                          \
    X(IP_TRUNCATED_BURST, "ip_truncated_burst", "a burst held more packets than it may")           \
    X(FRAGMENT_MALFORMED, "fragment_malformed", "a fragment is empty, uneven or too far out")      \
    X(FRAGMENT_OVERLAP, "fragment_overlap", "fragments overlap, all of the datagram is dropped")   \
    X(FRAGMENT_TIMEOUT, "fragment_timeout", "a fragment of the datagram did not come in time")     \
    X(FRAGMENT_LIMIT, "fragment_limit", "reassembly is at its limit, the oldest is dropped")       \
    X(FRAGMENT_MEMORY, "fragment_memory", "no memory to put fragments together")                   \
    X(ICMP_SHORT, "icmp_short", "the ICMP message is too short")                                   \
    X(ICMP_CHECKSUM, "icmp_checksum", "the ICMP checksum is wrong")                                \
    X(ICMP_TYPE, "icmp_type", "the ICMP type is not for a host, or unknown")                       \
    X(ICMP_BROADCAST, "icmp_broadcast", "an echo request to a broadcast or multicast address")     \
    X(ICMP_QUOTE, "icmp_quote", "the packet that an ICMP error quotes is not in flight")           \
    X(ICMP_RATE, "icmp_rate", "an ICMP error was not sent because of the rate limit")              \
    X(ND_MALFORMED, "nd_malformed", "the neighbour discovery message is malformed")                \
    X(ND_HOP_LIMIT, "nd_hop_limit", "the neighbour discovery message came through a router")       \
    X(ND_CONFLICT, "nd_conflict", "another host uses our address")                                 \
    X(GROUP_MALFORMED, "group_malformed",                                                          \
      "the IGMP or MLD message is malformed or not of the link")                                   \
    X(ND_LIMIT, "nd_limit", "more routers, prefixes or addresses are advertised than are kept")    \
    X(NEIGHBOUR_QUEUE, "neighbour_queue", "too many packets wait for a neighbour's address")       \
    X(NEIGHBOUR_FAILED, "neighbour_failed", "the neighbour does not answer")                       \
    X(NEIGHBOUR_LIMIT, "neighbour_limit", "the neighbour table is full of entries in use")         \
    X(ROUTE_NONE, "route_none", "no route to the destination")                                     \
    X(TX_BACKLOG, "tx_backlog", "the port does not take packets and the backlog is full")          \
    X(TX_MEMORY, "tx_memory", "no buffer for a packet to send")                                    \
    X(TX_TOO_BIG, "tx_too_big", "the datagram is longer than IP allows")                           \
    X(LOOP_FULL, "loop_full", "too many packets wait on the loopback path")                        \
    X(STEER_FULL, "steer_full", "the ring to the packet's core is full, or the core has ended")    \
    X(STEER_LENT, "steer_lent", "too many buffers of this core wait at another")                   \
    X(STEER_NEWS, "steer_news", "no room to tell another core of a neighbour or an address")       \
    X(UDP_SHORT, "udp_short", "the UDP datagram is shorter than its header says")                  \
    X(UDP_CHECKSUM, "udp_checksum", "the UDP checksum is wrong or missing where it must be")       \
    X(DHCP_MALFORMED, "dhcp_malformed", "the DHCP message is malformed or no reply of a server")   \
    X(DHCP_OTHER, "dhcp_other", "the DHCP reply is not for this client or its last request")       \
    X(UDP_QUEUE, "udp_queue", "the UDP socket takes nothing now and as much as it may waits")      \
    X(UDP_NO_PORT, "udp_no_port", "nobody listens on the UDP port")                                \
    X(TCP_SHORT, "tcp_short", "the segment is shorter than its TCP header says")                   \
    X(TCP_CHECKSUM, "tcp_checksum", "the TCP checksum is wrong")                                   \
    X(TCP_BROADCAST, "tcp_broadcast", "the segment was sent to a broadcast or multicast address")  \
    X(TCP_OPTIONS, "tcp_options", "the TCP options are malformed")                                 \
    X(TCP_NO_PORT, "tcp_no_port", "nobody listens on the TCP port")                                \
    X(TCP_NO_CONN, "tcp_no_conn", "the segment belongs to no connection")                          \
    X(TCP_FLAGS, "tcp_flags", "the combination of flags makes no sense in this state")             \
    X(TCP_WINDOW, "tcp_window", "the segment lies outside of the receive window")                  \
    X(TCP_PAWS, "tcp_paws", "the timestamp is older than what was received (PAWS)")                \
    X(TCP_NO_TIMESTAMP, "tcp_no_timestamp", "timestamps were agreed and the segment has none")     \
    X(TCP_ACK_RANGE, "tcp_ack_range", "the ACK is for what was never sent, or far too old")        \
    X(TCP_RST_INEXACT, "tcp_rst_inexact", "an RST in the window but not at its edge")              \
    X(TCP_SYN_IN_WINDOW, "tcp_syn_in_window", "a SYN on a synchronised connection")                \
    X(TCP_DUPLICATE, "tcp_duplicate", "all of the segment's data was received before")             \
    X(TCP_AFTER_FIN, "tcp_after_fin", "data beyond the peer's FIN")                                \
    X(TCP_AFTER_CLOSE, "tcp_after_close", "data for a connection whose user is gone")              \
    X(TCP_OOO_LIMIT, "tcp_ooo_limit", "out-of-order data past the limits of the connection")       \
    X(TCP_MEMORY, "tcp_memory", "no memory for what was received")                                 \
    X(TCP_BACKLOG, "tcp_backlog", "the listener has too many connections that are not taken")      \
    X(TCP_CONNS, "tcp_conns", "as many connections as are allowed exist")                          \
    X(TCP_PRESSURE, "tcp_pressure", "memory is nearly used up, nobody new is let in")              \
    X(TCP_PEER_LIMIT, "tcp_peer_limit", "the address has its share of connections already")        \
    X(TCP_COOKIE, "tcp_cookie", "an ACK whose SYN cookie is wrong or too old")                     \
    X(TCP_EMBRYO_TIMEOUT, "tcp_embryo_timeout", "a handshake was not finished in time")            \
    X(TCP_RST_RATE, "tcp_rst_rate", "an RST was not sent because of the rate limit")               \
    X(TCP_TIME_WAIT, "tcp_time_wait", "a segment for a connection in TIME_WAIT")

enum stack_drop {
#define LEAT_X(name, counter, sentence) STACK_DROP_##name,
    STACK_DROPS(LEAT_X)
#undef LEAT_X
        STACK_DROP_COUNT
};

/* "tcp_paws", and its sentence; static. */
const char *stack_drop_name(enum stack_drop drop);
const char *stack_drop_sentence(enum stack_drop drop);

#endif
