/* What bench/floor.c does, on libuv: reads, counts ends of request heads, writes one fixed answer
 * for each, and closes if the answer says so. No HTTP beyond that, because libuv has none.
 *
 *   uv PORT RESPONSE_FILE */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define ANSWER_BYTES_MAX 4096
#define ANSWERS_MAX      256
#define READ_BYTES       65536

struct client {
    uv_tcp_t tcp; /* first */
    unsigned matched;
};

static char input[READ_BYTES], *answers;
static size_t answer_bytes;
static int is_closing; /* after an answer */

static void on_closed(uv_handle_t *handle)
{
    free(handle);
}

static void on_alloc(uv_handle_t *handle, size_t wanted_bytes, uv_buf_t *buf)
{
    (void)handle;
    (void)wanted_bytes;
    *buf = uv_buf_init(input, sizeof(input));
}

static unsigned count_heads(struct client *client, size_t length)
{
    static const char end[] = "\r\n\r\n";
    unsigned count = 0;
    for (size_t i = 0; i < length; i++) {
        if (client->matched == 0) {
            const char *at = memchr(input + i, '\r', length - i);
            if (at == NULL)
                break;
            i = (size_t)(at - input);
        }
        client->matched = input[i] == end[client->matched] ? client->matched + 1 : input[i] == '\r';
        if (client->matched == 4) {
            count++;
            client->matched = 0;
        }
    }
    return count;
}

static void on_read(uv_stream_t *stream, ssize_t length, const uv_buf_t *buf)
{
    struct client *client = (struct client *)stream;
    (void)buf;
    if (length == 0)
        return;
    unsigned count = length > 0 ? count_heads(client, (size_t)length) : 0;
    if (length > 0 && count <= ANSWERS_MAX) {
        uv_buf_t out = uv_buf_init(answers, (unsigned)(count * answer_bytes));
        if (count == 0 || (uv_try_write(stream, &out, 1) == (int)out.len && !is_closing))
            return;
    }
    uv_close((uv_handle_t *)stream, on_closed);
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct client *client = status == 0 ? calloc(1, sizeof(*client)) : NULL;
    if (client == NULL)
        return;
    uv_tcp_init(listener->loop, &client->tcp);
    if (uv_accept(listener, (uv_stream_t *)client) != 0) {
        uv_close((uv_handle_t *)client, on_closed);
        return;
    }
    uv_tcp_nodelay(&client->tcp, 1);
    uv_read_start((uv_stream_t *)client, on_alloc, on_read);
}

int main(int argc, char **argv)
{
    FILE *file = argc == 3 ? fopen(argv[2], "rb") : NULL;
    char text[ANSWER_BYTES_MAX];
    struct sockaddr_in addr;
    uv_tcp_t listener;
    if (file == NULL || (answer_bytes = fread(text, 1, sizeof(text), file)) == 0 ||
        (answers = malloc(ANSWERS_MAX * answer_bytes)) == NULL)
        return 2;
    fclose(file);
    is_closing = memmem(text, answer_bytes, "\nConnection: close\r", 19) != NULL;
    for (size_t i = 0; i < ANSWERS_MAX; i++)
        memcpy(answers + i * answer_bytes, text, answer_bytes);
    uv_ip4_addr("127.0.0.1", atoi(argv[1]), &addr);
    uv_tcp_init(uv_default_loop(), &listener);
    if (uv_tcp_bind(&listener, (const struct sockaddr *)&addr, 0) != 0 ||
        uv_listen((uv_stream_t *)&listener, 4096, on_connection) != 0)
        return 1;
    return uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}
