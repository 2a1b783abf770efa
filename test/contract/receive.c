/* C11 to C14: receiving. */
#include "contract.h"

void c11_data_comes_in_order_and_once(struct world *w)
{
    struct pair p = pair_open(w, NULL);
    struct leat_buf sent = pattern(1 << 20, 3);
    peer_send_all(w, p.peer, sent.data, sent.length_bytes);
    UNTIL(w, p.r->length == sent.length_bytes);
    assert_memory_equal(p.r->bytes, sent.data, sent.length_bytes);
    leat_buf_unref(sent);
    w->transport->peer_end(p.peer);
    UNTIL(w, p.r->ends == 1);
    struct leat_conn_info info;
    assert_int_equal(leat_conn_info(p.r->conn, &info), 0);
    assert_int_equal(info.received_bytes, 1 << 20);
    pair_free(&p);
}
