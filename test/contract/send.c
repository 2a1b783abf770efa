/* C15 to C19: sending. */
#include "contract.h"

#include <stdlib.h>

void c15_a_send_is_taken_whole_or_not_at_all(struct world *w)
{
    struct leat_conn_options options = {.send_high_bytes = 10000};
    struct pair p = pair_open(w, &options);
    size_t sent = 0;
    unsigned refused = 0;
    for (unsigned turn = 0; turn < 200 && refused == 0; turn++) {
        for (unsigned i = 0; i < 8; i++) {
            struct leat_conn_info info;
            struct leat_buf bufs[2] = {pattern(100000, 1), pattern(50000, 2)};
            assert_int_equal(leat_conn_info(p.r->conn, &info), 0);
            int result = leat_conn_send(p.r->conn, bufs, 2);
            assert_int_equal(result, info.queued_bytes < 10000 ? 0 : -EAGAIN);
            if (result == 0) {
                sent += 150000;
            } else {
                refused++;
                leat_buf_unref(bufs[0]); /* nothing was taken */
                leat_buf_unref(bufs[1]);
            }
        }
        w->transport->step(w, 0);
    }
    assert_true(refused > 0);
    uint8_t *received = malloc(sent);
    assert_int_equal(peer_receive_all(w, p.peer, received, sent), sent);
    for (size_t i = 0; i < sent; i++) {
        size_t at = i % 150000;
        assert_int_equal(received[i],
                         at < 100000 ? pattern_byte(at, 1) : pattern_byte(at - 100000, 2));
    }
    free(received);
    pair_free(&p);
}
