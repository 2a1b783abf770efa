/* Much to send, little room, and files. */
#include "socket.h"

#include "net/socket/socket_internal.h"
#include "runtime/base/core.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static int descriptor_of(leat_conn conn)
{
    struct leat_transport *base = leat_core_now->transports[LEAT_TRANSPORT_SOCKETS];
    struct sock_transport *t = container_of(base, struct sock_transport, base);
    struct sock_conn *c = slots_find(&t->slots, conn.id);
    assert_non_null(c);
    return c->fd;
}

static int memory_file(size_t length, unsigned seed)
{
    int fd = memfd_create("socket", MFD_CLOEXEC);
    uint8_t *bytes = malloc(length);
    for (size_t i = 0; i < length; i++)
        bytes[i] = pattern_byte(i, seed);
    assert_int_equal(pwrite(fd, bytes, length, 0), length);
    free(bytes);
    return fd;
}

void tiny_send_buffers_deliver_everything(void **state)
{
    enum { PIECES = 200, PIECE = 3001, FILE_BYTES = 100000 };
    struct leat_conn_options options = {.send_high_bytes = 1 << 30};
    struct world *w = world_with(NULL);
    struct pair p = pair_open(w, &options);
    int smallest = 1;
    assert_int_equal(setsockopt(descriptor_of(p.r->conn), SOL_SOCKET, SO_SNDBUF, &smallest,
                                sizeof(smallest)),
                     0);
    struct leat_file *file = leat_file_new(memory_file(FILE_BYTES, 77));
    for (unsigned i = 0; i < PIECES; i++) {
        struct leat_buf piece = pattern(PIECE, i);
        assert_true(leat_conn_send(p.r->conn, &piece, 1) >= 0);
    }
    assert_true(leat_conn_send_file(p.r->conn, file, 0, FILE_BYTES) >= 0);
    assert_true(leat_conn_send_bytes(p.r->conn, "end", 3) >= 0);
    leat_file_unref(file);
    assert_int_equal(leat_conn_end(p.r->conn), 0);
    size_t total = PIECES * PIECE + FILE_BYTES + 3;
    uint8_t *received = malloc(total + 1);
    assert_int_equal(peer_receive_all(w, p.peer, received, total + 1), total);
    for (unsigned i = 0; i < PIECES; i++)
        for (size_t k = 0; k < PIECE; k++)
            assert_int_equal(received[i * PIECE + k], pattern_byte(k, i));
    for (size_t k = 0; k < FILE_BYTES; k++)
        assert_int_equal(received[PIECES * PIECE + k], pattern_byte(k, 77));
    assert_memory_equal(received + total - 3, "end", 3);
    free(received);
    pair_free(&p);
    world_free(w);
}

void sixty_four_mebibytes_to_slow_readers(void **state)
{
    enum { READERS = 3, BYTES = 64 << 20, PART = 1 << 20 };
    struct world *w = world_with(NULL);
    struct records *s = serve(w, NULL);
    struct peer *peers[READERS];
    uint64_t wanted = FNV_START, hashes[READERS];
    size_t lengths[READERS] = {0};
    static uint8_t room[100000];
    struct leat_buf part = pattern(PART, 21);
    for (unsigned i = 0; i < READERS; i++) {
        peers[i] = peer_connect(w, &s->addr);
        hashes[i] = FNV_START;
    }
    for (unsigned i = 0; i < BYTES / PART; i++)
        wanted = fnv(wanted, part.data, PART);
    UNTIL(w, s->count == READERS);
    for (unsigned i = 0; i < READERS; i++) { /* all of it in one call */
        struct leat_buf parts[BYTES / PART];
        for (unsigned k = 0; k < BYTES / PART; k++)
            parts[k] = leat_buf_ref(part);
        assert_true(leat_conn_send(s->record[i].conn, parts, BYTES / PART) >= 0);
        assert_int_equal(leat_conn_close(s->record[i].conn), 0);
    }
    leat_buf_unref(part);
    for (unsigned open = READERS, turn = 0; open > 0; turn++) {
        for (unsigned i = 0; i < READERS; i++) {
            size_t most = sizeof(room) / (i + 1); /* each slower than the one before */
            long got =
                peers[i] != NULL ? w->transport->peer_receive(peers[i], room, most) : -EAGAIN;
            assert_true(got >= 0 || got == -EAGAIN);
            if (got > 0) {
                hashes[i] = fnv(hashes[i], room, (size_t)got);
                lengths[i] += (size_t)got;
            } else if (got == 0) {
                w->transport->peer_close(peers[i]);
                peers[i] = NULL;
                open--;
            }
        }
        w->transport->step(w, turn % 64 == 0 ? LEAT_NS_PER_MS : 0);
    }
    struct leat_sockets_stats stats;
    leat_sockets_stats(w->loop, &stats);
    if (which_now() == LEAT_SOCKETS_URING) { /* lent until the kernel says that it copies */
        assert_true(stats.lent_count >= 1);  /* one where the kernel does not say (before 6.2) */
        assert_true(stats.lent_count <= READERS);
    }
    for (unsigned i = 0; i < READERS; i++) {
        assert_int_equal(lengths[i], BYTES);
        assert_true(hashes[i] == wanted);
        UNTIL(w, s->record[i].closes == 1);
        assert_int_equal(s->record[i].reason, LEAT_CLOSE_DONE);
    }
    records_free(s);
    world_free(w);
}

/* What is locked counts per user, and root may lock without a limit: a user that nobody else is. */
static void lock_at_most(rlim_t bytes)
{
    uid_t user = 100000 + (uid_t)getpid();
    CHILD_CHECK(geteuid() != 0 || setresuid(user, user, user) == 0);
    CHILD_CHECK(setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){bytes, bytes}) == 0);
}

static unsigned lines_with(int fd, const char *text)
{
    static char said[65536];
    unsigned count = 0;
    ssize_t length = pread(fd, said, sizeof(said) - 1, 0);
    said[length > 0 ? length : 0] = '\0';
    for (const char *at = said; (at = strstr(at, text)) != NULL; at++)
        count++;
    return count;
}

static void send_much(struct world *w, unsigned seed)
{
    enum { BYTES = 1 << 20 };
    static uint8_t received[BYTES + 1];
    struct pair p = pair_open(w, NULL);
    struct leat_buf bytes = pattern(BYTES, seed);
    CHILD_CHECK(leat_conn_send(p.r->conn, &bytes, 1) == 1); /* and full */
    CHILD_CHECK(leat_conn_end(p.r->conn) == 0);
    CHILD_CHECK(peer_receive_all(w, p.peer, received, sizeof(received)) == BYTES);
    for (unsigned i = 0; i < BYTES; i++)
        CHILD_CHECK(received[i] == pattern_byte(i, seed));
    w->transport->peer_end(p.peer);
    UNTIL(w, p.r->closes == 1);
    CHILD_CHECK(p.r->reason == LEAT_CLOSE_DONE);
    pair_free(&p);
}

/* Some kernels count the rings themselves as locked memory, and all what is lent to them. */
static void send_where_little_may_be_locked(rlim_t bytes)
{
    enum { PEERS = 3 };
    struct leat_sockets_options options = {
        .which = which_now() == LEAT_SOCKETS_URING ? LEAT_SOCKETS_AUTO : LEAT_SOCKETS_EPOLL};
    int log = memfd_create("log", MFD_CLOEXEC), standard_error = dup(STDERR_FILENO);
    lock_at_most(bytes);
    CHILD_CHECK(dup2(log, STDERR_FILENO) >= 0);
    struct world *w = world_as(&options);
    bool is_uring = strcmp(leat_sockets_name(w->loop), "uring") == 0;
    for (unsigned i = 0; i < PEERS; i++)
        send_much(w, i);
    struct leat_sockets_stats stats;
    leat_sockets_stats(w->loop, &stats);
    world_free(w); /* checks that buffers are conserved */
    CHILD_CHECK(dup2(standard_error, STDERR_FILENO) >= 0);
    CHILD_CHECK(stats.accepted_count == PEERS && stats.closed_count == PEERS);
    bool is_lending = is_uring && stats.lent_count != 1; /* before 6.2 it does without */
    CHILD_CHECK(stats.lent_count == (is_lending ? PEERS : is_uring));
    bool is_told = which_now() == LEAT_SOCKETS_URING && (is_lending || !is_uring);
    CHILD_CHECK(lines_with(log, "\n") == is_told);
    CHILD_CHECK(lines_with(log, "locked memory (ulimit -l)") == is_told);
}

static void send_where_nothing_may_be_locked(void)
{
    send_where_little_may_be_locked(0);
}

static void send_where_only_the_rings_may_be_locked(void)
{
    send_where_little_may_be_locked(UINT32_C(512) << 10);
}

void too_little_locked_memory_is_done_without(void **state)
{
    in_child(send_where_nothing_may_be_locked);
    in_child(send_where_only_the_rings_may_be_locked);
}

void a_file_truncated_while_it_is_sent_aborts(void **state)
{
    enum { BYTES = 40000000 };
    struct world *w = world_with(NULL);
    struct pair p = pair_open(w, NULL);
    int fd = memory_file(BYTES, 5);
    struct leat_file *file = leat_file_new(fd);
    uint8_t *received = malloc(BYTES);
    assert_true(leat_conn_send_bytes(p.r->conn, "head", 4) >= 0);
    assert_true(leat_conn_send_file(p.r->conn, file, 0, BYTES) >= 0);
    assert_int_equal(peer_receive_all(w, p.peer, received, 1000000), 1000000);
    assert_int_equal(ftruncate(fd, 1000), 0);
    leat_file_unref(file);
    size_t length = 1000000;
    long got;
    uint64_t end_ns = leat_loop_clock(w->loop) + CONTRACT_PATIENCE_NS;
    while ((got = w->transport->peer_receive(p.peer, received + length, BYTES - length)) > 0 ||
           got == -EAGAIN) {
        length += got > 0 ? (size_t)got : 0;
        assert_true(leat_loop_clock(w->loop) < end_ns);
        w->transport->step(w, LEAT_NS_PER_MS);
    }
    assert_int_equal(got, -ECONNRESET); /* never an end that looks complete */
    assert_true(length < BYTES);
    UNTIL(w, p.r->closes == 1);
    assert_int_equal(p.r->reason, LEAT_CLOSE_FILE);
    free(received);
    pair_free(&p);
    world_free(w);
}

void a_file_that_refuses_sendfile_is_copied(void **state)
{
    char wanted[512], received[512];
    struct world *w = world_with(NULL);
    struct pair p = pair_open(w, NULL);
    int fd = open("/proc/self/auxv", O_RDONLY | O_CLOEXEC);
    ssize_t length = pread(fd, wanted, sizeof(wanted), 0);
    assert_true(length > 10);
    struct leat_file *file = leat_file_new(fd);
    assert_true(leat_conn_send_file(p.r->conn, file, 0, (uint64_t)length) >= 0);
    assert_true(leat_conn_send_bytes(p.r->conn, "end", 3) >= 0);
    leat_file_unref(file);
    assert_int_equal(peer_receive_all(w, p.peer, received, (size_t)length + 3), length + 3);
    assert_memory_equal(received, wanted, (size_t)length);
    assert_memory_equal(received + length, "end", 3);
    pair_free(&p);
    world_free(w);
}

void few_receive_blocks_starve_nobody(void **state)
{
    enum { PEERS = 40, BYTES = 50000 };
    struct leat_sockets_options options = {.receive_block_bytes = 1024, .receive_block_count = 2};
    struct world *w = world_with(&options);
    struct records *s = serve(w, NULL);
    struct peer *peers[PEERS];
    struct leat_buf sent = pattern(BYTES, 9);
    for (unsigned i = 0; i < PEERS; i++)
        peers[i] = peer_connect(w, &s->addr);
    UNTIL(w, s->count == PEERS);
    for (unsigned i = 0; i < PEERS; i++) {
        peer_send_all(w, peers[i], sent.data, BYTES);
        w->transport->peer_end(peers[i]);
    }
    for (unsigned i = 0; i < PEERS; i++) {
        struct record *r = &s->record[i];
        UNTIL(w, r->ends == 1);
        assert_int_equal(r->length, BYTES);
        assert_memory_equal(r->bytes, sent.data, BYTES);
        assert_int_equal(leat_conn_end(r->conn), 0);
        w->transport->peer_close(peers[i]);
        UNTIL(w, r->closes == 1);
    }
    struct leat_sockets_stats stats;
    leat_sockets_stats(w->loop, &stats);
    assert_true(which_now() == LEAT_SOCKETS_EPOLL || stats.starved_count > 0);
    leat_buf_unref(sent);
    records_free(s);
    world_free(w);
}
