/* The columns of the view of connections. */
#include "net/watch/connections.h"

#define AT(member) offsetof(struct connection_row, member)

static const struct view_column columns[] = {
    {"state", "state", -12, VIEW_TEXT, AT(tcp.state), 0, "as in RFC 9293 3.3.2"},
    {"receive_queue", "recv-q", 8, VIEW_U32, AT(tcp.receive_queued_bytes), 0,
     "bytes that arrived and were not delivered; of a listener: handshakes"},
    {"send_queue", "send-q", 8, VIEW_U32, AT(tcp.send_queued_bytes), 0,
     "bytes accepted from the application and not acknowledged"},
    {"local", "local", -28, VIEW_ADDR, AT(tcp.local), 0, "this side's address"},
    {"peer", "peer", -28, VIEW_ADDR, AT(tcp.remote), 0, "the other side's address"},
    {"rtt_us", "rtt ms", 8, VIEW_U32, AT(tcp.rtt_us), 3, "smoothed round trip; 0: not measured"},
    {"cwnd", "cwnd", 8, VIEW_U32, AT(tcp.cwnd_bytes), 0, "congestion window, bytes"},
    {"resent", "resent", 6, VIEW_U32, AT(tcp.resent_count), 0,
     "segments sent again since it was last idle"},
    {"core", "core", 4, VIEW_U32, AT(core), 0, "the core that owns it"},
    {"held", NULL, 0, VIEW_U32, AT(tcp.held_bytes), 0,
     "bytes delivered and kept by the application"},
    {"out_of_order", NULL, 0, VIEW_U32, AT(tcp.ooo_bytes), 0, "bytes that arrived behind a hole"},
    {"in_flight", NULL, 0, VIEW_U32, AT(tcp.flight_bytes), 0,
     "bytes of the send queue that are under way"},
    {"lost", NULL, 0, VIEW_U32, AT(tcp.lost_bytes), 0, "of these, bytes deemed lost"},
    {"rtt_variance_us", NULL, 0, VIEW_U32, AT(tcp.rtt_variance_us), 0,
     "mean deviation of the round trip"},
    {"rto_us", NULL, 0, VIEW_U32, AT(tcp.rto_us), 0, "retransmission timeout"},
    {"ssthresh", NULL, 0, VIEW_U32, AT(tcp.ssthresh_bytes), 0, "slow start threshold, bytes"},
    {"mss", NULL, 0, VIEW_U32, AT(tcp.mss_bytes), 0, "largest segment that is sent, bytes"},
    {"send_window", NULL, 0, VIEW_U32, AT(tcp.send_window_bytes), 0,
     "bytes that the peer's window allows"},
    {"receive_window", NULL, 0, VIEW_U32, AT(tcp.receive_window_bytes), 0,
     "bytes that our window allows"},
    {"backoff", NULL, 0, VIEW_U32, AT(tcp.backoff), 0, "retransmission timeouts in a row"},
    {"idle_ms", NULL, 0, VIEW_U32, AT(tcp.idle_ms), 0, "since a byte moved"},
    {"received", NULL, 0, VIEW_U64, AT(tcp.received_bytes), 0, "bytes in all"},
    {"sent", NULL, 0, VIEW_U64, AT(tcp.sent_bytes), 0, "bytes in all"},
};

const struct view connection_view = {columns, sizeof(columns) / sizeof(columns[0])};
