/* C15 to C19: sending. */
#include "contract.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

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
            assert_int_equal(result, info.queued_bytes < 10000 ? 1 : -EAGAIN); /* full now */
            if (result >= 0) {
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
    settle(w);
    assert_int_equal(leat_conn_send(p.r->conn, NULL, 0), 0); /* of nothing: well */
    pair_free(&p);
}

static uint64_t info_sum(struct record *r, uint64_t *sent_bytes)
{
    struct leat_conn_info info;
    assert_int_equal(leat_conn_info(r->conn, &info), 0);
    assert_true(info.sent_bytes >= *sent_bytes); /* never less than it was */
    *sent_bytes = info.sent_bytes;
    return info.sent_bytes + info.queued_bytes;
}

void c30_sent_and_queued_are_what_was_accepted(struct world *w)
{
    enum { PIECE = 8000000 }; /* three of them are more than the kernel takes in for a peer */
    struct leat_conn_options options = {.send_high_bytes = UINT32_MAX};
    struct pair p = pair_open(w, &options);
    char name[] = "/tmp/leat-contract-XXXXXX";
    int fd = mkstemp(name);
    assert_true(fd >= 0 && unlink(name) == 0 && ftruncate(fd, PIECE) == 0);
    struct leat_file *file = leat_file_new(fd);
    struct leat_buf buf = pattern(PIECE, 1);
    uint64_t accepted = 0, sent = 0;
    for (unsigned i = 0; i < 3; i++) {
        struct leat_buf piece = leat_buf_ref(buf);
        if (i != 1) {
            assert_int_equal(leat_conn_send(p.r->conn, &piece, 1), 0);
        } else {
            assert_int_equal(leat_conn_send_file(p.r->conn, file, 0, PIECE), 0);
            leat_buf_unref(piece);
        }
        accepted += PIECE;
        assert_int_equal(info_sum(p.r, &sent), accepted);
        w->transport->step(w, 0);
        assert_int_equal(info_sum(p.r, &sent), accepted);
    }
    settle(w);
    assert_true(sent < accepted); /* the peer reads nothing: no progress is pretended */
    uint64_t stuck = sent;
    settle(w);
    assert_int_equal(info_sum(p.r, &sent), accepted);
    assert_int_equal(sent, stuck);
    uint8_t *room = malloc(PIECE);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(peer_receive_all(w, p.peer, room, PIECE), PIECE);
        assert_int_equal(info_sum(p.r, &sent), accepted);
        assert_true(sent > stuck);
        stuck = sent - 1;
    }
    UNTIL(w, info_sum(p.r, &sent) == accepted && sent == accepted);
    free(room);
    leat_buf_unref(buf);
    leat_file_unref(file);
    pair_free(&p);
}

static void check_low(struct record *r)
{
    struct leat_conn_info info;
    assert_int_equal(leat_conn_info(r->conn, &info), 0);
    assert_true(info.queued_bytes < 5000);
}

void c16_writable_comes_when_owed_and_only_then(struct world *w)
{
    struct leat_conn_options options = {.send_high_bytes = 20000, .send_low_bytes = 5000};
    struct pair p = pair_open(w, &options);
    p.r->on_writable = check_low;
    assert_int_equal(leat_conn_send_bytes(p.r->conn, "hello", 5), 0);
    settle(w);
    assert_int_equal(p.r->writables, 0);
    struct leat_buf big = pattern(20000000, 1);
    assert_int_equal(leat_conn_send(p.r->conn, &big, 1), 1); /* accepted, and full */
    assert_int_equal(leat_conn_send_bytes(p.r->conn, "x", 1), -EAGAIN);
    assert_int_equal(leat_conn_send_bytes(p.r->conn, "x", 1), -EAGAIN);
    settle(w);
    assert_int_equal(p.r->writables, 0); /* the peer has not read */
    uint8_t *received = malloc(20000005);
    assert_int_equal(peer_receive_all(w, p.peer, received, 20000005), 20000005);
    free(received);
    UNTIL(w, p.r->writables == 1);
    settle(w);
    assert_int_equal(p.r->writables, 1);
    assert_int_equal(leat_conn_want_writable(p.r->conn), 0);
    assert_int_equal(leat_conn_want_writable(p.r->conn), 0);
    assert_int_equal(p.r->writables, 1);
    UNTIL(w, p.r->writables == 2);
    settle(w);
    assert_int_equal(p.r->writables, 2);
    pair_free(&p);

    struct leat_addr addr; /* asked for while it is not established yet */
    struct peer *listener = w->transport->peer_listen(w, &addr);
    struct record r = {.w = w};
    assert_int_equal(leat_connect(w->loop, &addr, NULL, NULL, &record_ops, &r, &r.conn), 0);
    assert_int_equal(leat_conn_want_writable(r.conn), 0);
    UNTIL(w, r.writables == 1);
    assert_string_equal(r.order, "OW");
    assert_int_equal(leat_conn_abort(r.conn), 0);
    UNTIL(w, r.closes == 1);
    w->transport->peer_close(listener);
}

static struct leat_file *file_of(size_t length, unsigned seed)
{
    int fd = memfd_create("contract", MFD_CLOEXEC);
    assert_true(fd >= 0);
    uint8_t *bytes = malloc(length);
    for (size_t i = 0; i < length; i++)
        bytes[i] = pattern_byte(i, seed);
    assert_int_equal(pwrite(fd, bytes, length, 0), length);
    free(bytes);
    struct leat_file *file = leat_file_new(fd);
    assert_non_null(file);
    assert_int_equal(leat_file_fd(file), fd);
    return file;
}

void c17_bytes_go_in_order_at_the_end_of_the_turn(struct world *w)
{
    enum { FILE_BYTES = 700000, ROUNDS = 5, ROUND = 10 + 300000 + FILE_BYTES + 3 };
    struct leat_conn_options options = {.send_high_bytes = 1 << 30};
    struct pair p = pair_open(w, &options);
    uint8_t *received = malloc(ROUNDS * ROUND);
    assert_int_equal(leat_conn_send_bytes(p.r->conn, "at once", 7), 0);
    w->transport->step(w, 0);
    assert_int_equal(w->transport->peer_receive(p.peer, received, 7), 7);

    struct leat_file *file = file_of(FILE_BYTES, 4);
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct leat_buf memory = pattern(300000, i);
        assert_int_equal(leat_conn_send_bytes(p.r->conn, "0123456789", 10), 0);
        assert_int_equal(leat_conn_send(p.r->conn, &memory, 1), 0);
        assert_int_equal(leat_conn_send_file(p.r->conn, file, 0, FILE_BYTES), 0);
        assert_int_equal(leat_conn_send_bytes(p.r->conn, "end", 3), 0);
    }
    leat_file_unref(file);
    assert_int_equal(peer_receive_all(w, p.peer, received, ROUNDS * ROUND), ROUNDS * ROUND);
    for (unsigned i = 0; i < ROUNDS; i++) {
        const uint8_t *at = received + i * ROUND;
        assert_memory_equal(at, "0123456789", 10);
        for (size_t k = 0; k < 300000; k++)
            assert_int_equal(at[10 + k], pattern_byte(k, i));
        for (size_t k = 0; k < FILE_BYTES; k++)
            assert_int_equal(at[300010 + k], pattern_byte(k, 4));
        assert_memory_equal(at + ROUND - 3, "end", 3);
    }
    free(received);
    pair_free(&p);
}

static void count_free(void *arg)
{
    ++*(unsigned *)arg;
}

void c18_memory_is_freed_once_after_it_was_sent(struct world *w)
{
    enum { BYTES = 20000000 };
    static uint8_t memory[BYTES];
    struct pair p = pair_open(w, NULL);
    unsigned freed = 0;
    for (size_t i = 0; i < BYTES; i++)
        memory[i] = pattern_byte(i, 2);
    struct leat_buf wrapped = leat_buf_wrap(memory, BYTES, count_free, &freed);
    assert_non_null(wrapped.data);
    assert_int_equal(leat_conn_send(p.r->conn, &wrapped, 1), 1);
    settle(w);
    assert_int_equal(freed, 0); /* the peer has not read */
    uint8_t *received = malloc(BYTES);
    assert_int_equal(peer_receive_all(w, p.peer, received, BYTES), BYTES);
    assert_memory_equal(received, memory, BYTES);
    free(received);
    UNTIL(w, freed == 1);

    /* Freed as well, once, when the connection ends before. */
    wrapped = leat_buf_wrap(memory, BYTES, count_free, &freed);
    assert_int_equal(leat_conn_send(p.r->conn, &wrapped, 1), 1);
    settle(w);
    assert_int_equal(freed, 1);
    assert_int_equal(leat_conn_abort(p.r->conn), 0);
    UNTIL(w, freed == 2);
    UNTIL(w, p.r->closes == 1);
    settle(w);
    assert_int_equal(freed, 2);
    pair_free(&p);
}

void c19_a_file_is_sent(struct world *w)
{
    enum { BYTES = 9000000, FROM = 12345, LENGTH = 8000000 };
    struct leat_conn_options options = {.send_high_bytes = 1 << 30};
    struct pair p = pair_open(w, &options);
    struct leat_file *file = file_of(BYTES, 3);
    assert_int_equal(leat_conn_send_file(p.r->conn, file, UINT64_MAX, 1), -EINVAL);
    assert_int_equal(leat_conn_send_file(p.r->conn, file, 0, 0), 0);
    assert_int_equal(leat_conn_send_file(p.r->conn, file, FROM, LENGTH), 0);
    assert_int_equal(leat_conn_send_file(p.r->conn, file, BYTES - 1, 1), 0);
    leat_file_unref(file);
    assert_int_equal(leat_conn_end(p.r->conn), 0);
    uint8_t *received = malloc(LENGTH + 2);
    assert_int_equal(peer_receive_all(w, p.peer, received, LENGTH + 2), LENGTH + 1);
    for (size_t i = 0; i < LENGTH; i++)
        assert_int_equal(received[i], pattern_byte(FROM + i, 3));
    assert_int_equal(received[LENGTH], pattern_byte(BYTES - 1, 3));
    free(received);
    pair_free(&p);
}

void c19_a_file_that_ends_early_aborts(struct world *w)
{
    enum { BYTES = 100000 };
    struct pair p = pair_open(w, NULL);
    struct leat_file *file = file_of(BYTES, 3);
    assert_int_equal(leat_conn_send_file(p.r->conn, file, 0, BYTES + 1), 0);
    leat_file_unref(file);
    UNTIL(w, p.r->closes == 1);
    assert_int_equal(p.r->reason, LEAT_CLOSE_FILE);
    assert_int_equal(peer_end_of(w, p.peer), -ECONNRESET);
    pair_free(&p);
}
