/* transfer --block FILE: moves bytes and compares every one of them. What is sent is the file's
 * contents, over and over. Who opens a connection says first, in two big-endian 64-bit numbers,
 * how many bytes it will give and how many it wants; both sides give at once, then end their half.
 * With --listen it serves any number of openers; with --connect, --give and --take it opens one
 * connection, and ends with it. Prints a line for each connection: "gave N took N: right", or what
 * is wrong, which ends the program. */
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <leat/leat.h>

#include "buffers/heap.h"

#define HEAD_BYTES  16
#define PIECE_BYTES 65536

struct transfer {
    const char *file, *connect;
    uint64_t give_bytes, take_bytes;
    uint8_t *block;
    uint64_t block_bytes;
    int code;
};

struct end {
    const struct transfer *transfer;
    uint8_t head[HEAD_BYTES];
    unsigned head_bytes; /* that have come, or were sent */
    uint64_t give_bytes, take_bytes, gave_bytes, took_bytes;
    bool is_wrong, has_ended;
};

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void give(struct end *e, leat_conn conn)
{
    const struct transfer *t = e->transfer;
    while (e->gave_bytes < e->give_bytes) {
        uint64_t at = e->gave_bytes % t->block_bytes;
        uint64_t length =
            least(least(PIECE_BYTES, t->block_bytes - at), e->give_bytes - e->gave_bytes);
        struct leat_buf piece = leat_buf_from_static(t->block + at, length);
        if (leat_conn_send(conn, &piece, 1) < 0)
            return;
        e->gave_bytes += length;
    }
    if (!e->has_ended && e->head_bytes == HEAD_BYTES) {
        e->has_ended = true;
        (void)leat_conn_end(conn);
    }
}

static void take(struct end *e, const uint8_t *bytes, uint64_t length)
{
    const struct transfer *t = e->transfer;
    while (length > 0) {
        uint64_t at = e->took_bytes % t->block_bytes;
        uint64_t part = least(length, t->block_bytes - at);
        e->is_wrong = e->is_wrong || memcmp(bytes, t->block + at, part) != 0;
        e->took_bytes += part;
        bytes += part;
        length -= part;
    }
}

static void head_read(struct end *e)
{
    uint64_t numbers[2];
    memcpy(numbers, e->head, sizeof(numbers));
    e->take_bytes = be64toh(numbers[0]);
    e->give_bytes = be64toh(numbers[1]);
}

static void on_data(leat_conn conn, void *user, const struct leat_buf *slices, unsigned count)
{
    struct end *e = user;
    for (unsigned i = 0; i < count; i++) {
        const uint8_t *bytes = slices[i].data;
        uint64_t length = slices[i].length_bytes;
        for (; e->head_bytes < HEAD_BYTES && length > 0; length--)
            e->head[e->head_bytes++] = *bytes++;
        if (e->head_bytes == HEAD_BYTES && e->take_bytes + e->give_bytes == 0)
            head_read(e);
        take(e, bytes, length);
    }
    give(e, conn);
}

static void on_writable(leat_conn conn, void *user)
{
    give(user, conn);
}

static void on_end(leat_conn conn, void *user)
{
    give(user, conn);
}

static void on_close(leat_conn conn, void *user, enum leat_close_reason reason)
{
    struct end *e = user;
    const struct transfer *t = e->transfer;
    bool is_right = !e->is_wrong && e->took_bytes == e->take_bytes && e->has_ended &&
                    e->gave_bytes == e->give_bytes && reason == LEAT_CLOSE_DONE;
    printf("gave %llu took %llu: %s\n", (unsigned long long)e->gave_bytes,
           (unsigned long long)e->took_bytes,
           is_right      ? "right"
           : e->is_wrong ? "other bytes"
                         : leat_close_reason_sentence(reason));
    fflush(stdout);
    if (!is_right)
        leat_run_end(leat_core_now->loop, 1);
    else if (t->connect != NULL)
        leat_run_unref(leat_core_now->loop);
    leat_heap_free(e);
}

static struct end *end_new(const struct transfer *t)
{
    struct end *e = leat_heap_alloc(sizeof(*e));
    if (e == NULL)
        abort();
    *e = (struct end){.transfer = t};
    return e;
}

static void on_accepted(leat_conn conn, void *user)
{
    if (leat_conn_set(conn, NULL, end_new(user)) < 0)
        abort();
}

static void on_connected(leat_conn conn, void *user)
{
    struct end *e = user;
    uint64_t numbers[2] = {htobe64(e->give_bytes), htobe64(e->take_bytes)};
    struct leat_buf head = leat_buf_from_bytes(numbers, sizeof(numbers));
    if (leat_conn_send(conn, &head, 1) < 0)
        abort();
    e->head_bytes = HEAD_BYTES;
    give(e, conn);
}

static const struct leat_conn_ops accepted_ops = {on_accepted, on_data, on_writable, on_end,
                                                  on_close};
static const struct leat_conn_ops connected_ops = {on_connected, on_data, on_writable, on_end,
                                                   on_close};

static int start_client(struct leat_loop *loop, struct transfer *t)
{
    struct leat_error error = {0};
    struct leat_addr to;
    leat_conn conn;
    struct end *e = end_new(t);
    e->give_bytes = t->give_bytes;
    e->take_bytes = t->take_bytes;
    if (leat_addr_parse(&to, t->connect, 0, &error) < 0)
        return leat_run_fail(loop, error.code, "%s", error.sentence);
    leat_run_ref(loop);
    const struct leat_conn_options options = {0};
    return leat_connect(loop, &to, NULL, &options, &connected_ops, e, &conn);
}

static int start(struct leat_loop *loop)
{
    struct transfer *t = leat_run_user(loop);
    const struct leat_listen_options options = {0};
    struct leat_error error = {0};
    struct leat_addr at;
    struct leat_listener *listener;
    const char *text;
    if (t->connect != NULL)
        return start_client(loop, t);
    for (unsigned i = 0; (text = leat_run_listen_at(loop, i)) != NULL; i++) {
        if (leat_addr_parse(&at, text, 0, &error) < 0)
            return leat_run_fail(loop, error.code, "%s", error.sentence);
        int result = leat_listen(loop, &at, &options, &accepted_ops, t, &listener);
        if (result < 0)
            return result;
        leat_run_listening(loop, "tcp", leat_listener_addr(listener));
    }
    return 0;
}

static int read_block(const struct leat_command_line *line, const struct leat_run_options *options,
                      void *user)
{
    struct transfer *t = user;
    FILE *file = t->file != NULL ? fopen(t->file, "rb") : NULL;
    t->block = malloc(1 << 22);
    if (file == NULL || t->block == NULL) {
        fprintf(stderr, "transfer: --block names a file of at most 4 MiB\n");
        return 2;
    }
    t->block_bytes = fread(t->block, 1, 1 << 22, file);
    fclose(file);
    return t->block_bytes > 0 ? 0 : 2;
}

int main(int argc, char **argv)
{
    struct transfer t = {0};
    const struct leat_option options[] = {
        {"block", LEAT_OPTION_TEXT, &t.file, "FILE", "what is sent, over and over", 0, 0},
        {"connect", LEAT_OPTION_TEXT, &t.connect, "ADDR:PORT", "open one connection", 0, 0},
        {"give", LEAT_OPTION_COUNT, &t.give_bytes, "N", "bytes to give", 0, 0},
        {"take", LEAT_OPTION_COUNT, &t.take_bytes, "N", "bytes to take", 0, 0},
    };
    const struct leat_program program = {
        .name = "transfer",
        .summary = "Moves bytes and compares every one.",
        .options = options,
        .option_count = sizeof(options) / sizeof(options[0]),
        .check = read_block,
        .start = start,
        .user = &t,
        .cores = "1",
    };
    int code = leat_program_main(&program, argc, argv);
    free(t.block);
    return code;
}
