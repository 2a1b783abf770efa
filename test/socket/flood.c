/* More completions at once than io_uring's queue has places for: the kernel keeps the rest. */
#include "socket.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    FLOOD = 4500, /* more than RING_CQ_COUNT of net/socket/ring.c */
    FLOOD_BYTES = 1000,
    FLOOD_BLOCK_BYTES = 256,
    FLOOD_BLOCKS = 16384,
    FLOOD_BACKLOG = 500
};

struct flooded {
    leat_conn conn;
    size_t length;
    uint64_t hash;
    unsigned closes;
};

struct flood {
    struct flooded conns[FLOOD];
    unsigned opens;
};

static void flooded_data(leat_conn conn, void *user, const struct leat_buf *slices, unsigned count)
{
    struct flooded *f = user;
    for (unsigned i = 0; i < count; i++) {
        f->hash = fnv(f->hash, slices[i].data, slices[i].length_bytes);
        f->length += slices[i].length_bytes;
    }
}

static void flooded_end(leat_conn conn, void *user)
{
    const struct flooded *f = user;
    assert_int_equal(leat_conn_send_bytes(conn, &f->hash, sizeof(f->hash)), 0);
    assert_int_equal(leat_conn_end(conn), 0);
}

static void flooded_close(leat_conn conn, void *user, enum leat_close_reason reason)
{
    struct flooded *f = user;
    assert_int_equal(reason, LEAT_CLOSE_DONE);
    f->closes++;
}

static const struct leat_conn_ops flooded_ops = {
    .on_data = flooded_data,
    .on_end = flooded_end,
    .on_close = flooded_close,
};

/* Nothing is received before all are told to go on. */
static void flood_open(leat_conn conn, void *user)
{
    struct flood *flood = user;
    assert_true(flood->opens < FLOOD);
    struct flooded *f = &flood->conns[flood->opens++];
    *f = (struct flooded){.conn = conn, .hash = FNV_START};
    assert_int_equal(leat_conn_set(conn, &flooded_ops, f), 0);
    assert_int_equal(leat_conn_pause(conn), 0);
}

static const struct leat_conn_ops flood_ops = {.on_open = flood_open, .on_close = flooded_close};

/* How many completions wait in the kernel because this process's queue has no place for them. */
static unsigned overflown_count(void)
{
    unsigned count = 0;
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        char path[300], text[64] = "", line[256];
        snprintf(path, sizeof(path), "/proc/self/fd/%s", entry->d_name);
        if (readlink(path, text, sizeof(text) - 1) < 0 || strstr(text, "[io_uring]") == NULL)
            continue;
        snprintf(path, sizeof(path), "/proc/self/fdinfo/%s", entry->d_name);
        FILE *file = fopen(path, "re");
        assert_non_null(file);
        bool is_overflow = false;
        while (fgets(line, sizeof(line), file) != NULL) {
            count += is_overflow && strstr(line, "user_data=") != NULL;
            is_overflow = is_overflow || strncmp(line, "CqOverflowList:", 15) == 0;
        }
        fclose(file);
    }
    closedir(folder);
    return count;
}

static void flood_connect(struct world *w, const struct flood *flood, const struct leat_addr *to,
                          int clients[FLOOD])
{
    for (unsigned i = 0; i < FLOOD; i++) {
        clients[i] = begin_connect(to);
        assert_true(clients[i] >= 0);
        if ((i + 1) % FLOOD_BACKLOG == 0)
            UNTIL(w, flood->opens == i + 1);
    }
}

static void flood_send(const int clients[FLOOD], uint64_t hashes[FLOOD])
{
    for (unsigned i = 0; i < FLOOD; i++) {
        struct leat_buf bytes = pattern(FLOOD_BYTES, i);
        hashes[i] = fnv(FNV_START, bytes.data, bytes.length_bytes);
        assert_int_equal(send(clients[i], bytes.data, bytes.length_bytes, 0), FLOOD_BYTES);
        assert_int_equal(shutdown(clients[i], SHUT_WR), 0);
        leat_buf_unref(bytes);
    }
}

void completions_beyond_the_queue_are_served(void **state)
{
    static struct flood flood;
    static int clients[FLOOD];
    static uint64_t hashes[FLOOD];
    const struct leat_sockets_options options = {.receive_block_bytes = FLOOD_BLOCK_BYTES,
                                                 .receive_block_count = FLOOD_BLOCKS};
    struct world *w = world_with(&options);
    struct leat_listener *listener = NULL;
    flood.opens = 0;
    assert_int_equal(leat_listen(w->loop, &w->any, NULL, &flood_ops, &flood, &listener), 0);
    flood_connect(w, &flood, leat_listener_addr(listener), clients);
    flood_send(clients, hashes);
    settle(w);
    for (unsigned i = 0; i < FLOOD; i++) { /* the sends complete at once, all */
        assert_int_equal(leat_conn_resume(flood.conns[i].conn), 0);
        assert_int_equal(leat_conn_send_bytes(flood.conns[i].conn, "go on", 5), 0);
    }
    leat_loop_turn(w->loop, 0);
    assert_true(overflown_count() > 0 || which_now() == LEAT_SOCKETS_EPOLL);
    for (unsigned i = 0; i < FLOOD; i++) {
        char said[64];
        UNTIL(w, flood.conns[i].closes == 1);
        assert_int_equal(flood.conns[i].length, FLOOD_BYTES);
        assert_int_equal(recv(clients[i], said, sizeof(said), 0), 5 + sizeof(hashes[i]));
        assert_memory_equal(said, "go on", 5);
        assert_memory_equal(said + 5, &hashes[i], sizeof(hashes[i]));
        close(clients[i]);
    }
    struct leat_sockets_stats stats;
    leat_sockets_stats(w->loop, &stats);
    assert_int_equal(stats.accepted_count, FLOOD);
    assert_int_equal(stats.live_count, 0);
    leat_listener_close(listener);
    world_free(w); /* checks that buffers are conserved */
}
