/* `leat echo --udp`: datagrams instead of a stream, on both sides. */
#include "apps/echo/echo_internal.h"

#include <errno.h>
#include <string.h>

#include "buffers/heap.h"

#define PATIENCE_NS LEAT_NS_PER_S /* without an echo for so long a datagram counts as lost */
#define POURED_MAX  64            /* datagrams at a time: a fast link never says that it is full */

/* ---- the server ---- */

/* What the link does not take at once is lost, as datagrams may be. */
static void send_back(leat_udp udp, const struct leat_datagram *datagram)
{
    struct leat_buf held = leat_udp_hold(udp, datagram->data), own = leat_buf_ref(held);
    if (held.data == NULL && datagram->data.length_bytes > 0)
        return;
    leat_udp_release(udp, held);
    if (leat_udp_reply(udp, datagram, &own, 1) < 0)
        leat_buf_unref(own);
}

static void on_asked(leat_udp udp, void *user, const struct leat_datagram *datagrams,
                     unsigned count)
{
    const struct echo *echo = user;
    for (unsigned i = 0; i < count && echo->mode == ECHO_BACK; i++)
        send_back(udp, &datagrams[i]);
}

static void close_socket(void *socket)
{
    leat_udp *udp = socket;
    (void)leat_udp_close(*udp);
}

static void on_server_closed(leat_udp udp, void *user, enum leat_close_reason reason)
{
}

static const struct leat_udp_ops server_ops = {.on_datagrams = on_asked,
                                               .on_close = on_server_closed};

int echo_udp_listen(struct leat_loop *loop, struct echo *echo, const struct leat_addr *addr)
{
    struct leat_addr bound;
    leat_udp *udp = leat_heap_alloc(sizeof(*udp)); /* the core's heap goes with the core */
    if (udp == NULL)
        return leat_run_fail(loop, -ENOMEM, "no memory for a socket");
    int result = leat_udp_bind(loop, addr, NULL, &server_ops, echo, udp);
    if (result < 0)
        goto free_udp;
    (void)leat_udp_local(*udp, &bound);
    leat_run_listening(loop, "udp", &bound);
    result = leat_run_on_drain(loop, close_socket, udp);
    if (result == 0)
        result = leat_run_on_end(loop, leat_heap_free, udp);
    if (result == 0)
        return 0;
    (void)leat_udp_close(*udp);
free_udp:
    leat_heap_free(udp);
    return result;
}

/* ---- the client ---- */

/* The number in front tells an echo that comes late from the one that is waited for. */
static struct leat_buf message_of(const struct echo_client *client)
{
    const struct echo *echo = client->core->echo;
    struct leat_buf message = leat_buf_from_bytes(echo->block, echo->bytes);
    if (message.data != NULL && echo->bytes >= sizeof(client->sequence))
        memcpy(message.data, &client->sequence, sizeof(client->sequence));
    return message;
}

static bool is_late(const struct echo_client *client, const struct leat_buf *data)
{
    return data->length_bytes == client->core->echo->bytes &&
           data->length_bytes >= sizeof(client->sequence) &&
           memcmp(data->data, &client->sequence, sizeof(client->sequence)) != 0;
}

static bool is_echo(const struct echo_client *client, const struct leat_buf *data)
{
    const struct echo *echo = client->core->echo;
    size_t skipped = echo->bytes >= sizeof(client->sequence) ? sizeof(client->sequence) : 0;
    return data->length_bytes == echo->bytes &&
           memcmp(data->data + skipped, echo->block + skipped, echo->bytes - skipped) == 0;
}

static void ask(struct echo_client *client)
{
    struct echo_core *core = client->core;
    leat_timer_stop(&client->patience);
    if (core->budget_count == 0) {
        echo_core_leave(core);
        return;
    }
    core->budget_count--;
    client->is_open = true;
    client->sequence++;
    client->sent_ns = leat_loop_clock(core->loop);
    struct leat_buf message = message_of(client);
    int result = message.data != NULL ? leat_udp_send(client->udp, NULL, &message, 1) : -ENOMEM;
    if (result < 0 && message.data != NULL)
        leat_buf_unref(message);
    if (result < 0 && result != -EAGAIN)
        echo_client_fail(client, result, "cannot send to", leat_errno_name(result));
    else
        leat_timer_start(&client->patience, PATIENCE_NS, 0);
}

static void pour(struct echo_client *client)
{
    struct echo_core *core = client->core;
    struct leat_buf piece = leat_buf_from_static(core->echo->block, core->echo->bytes);
    for (unsigned i = 0; i < POURED_MAX; i++)
        if (leat_udp_send(client->udp, NULL, &piece, 1) < 0)
            return; /* on_writable follows */
    leat_timer_start(&client->patience, 0, 0);
}

static void on_patience(struct leat_timer *timer, void *arg)
{
    struct echo_client *client = arg;
    if (client->core->echo->mode == ECHO_SOURCE) {
        pour(client);
        return;
    }
    client->core->lost_count++;
    ask(client);
}

static void on_echo(leat_udp udp, void *user, const struct leat_datagram *datagrams, unsigned count)
{
    struct echo_client *client = user;
    struct echo_core *core = client->core;
    for (unsigned i = 0; i < count && !core->is_over && core->echo->mode == ECHO_BACK; i++) {
        const struct leat_buf *data = &datagrams[i].data;
        if (!client->is_open || is_late(client, data))
            continue;
        if (!is_echo(client, data)) {
            echo_client_fail(client, -EPROTO, "no echo came from",
                             "the bytes are not those that were sent");
            return;
        }
        client->is_open = false;
        core->bytes += data->length_bytes;
        histogram_record(&core->trips, leat_loop_clock(core->loop) - client->sent_ns);
        ask(client);
    }
}

static void on_writable(leat_udp udp, void *user)
{
    struct echo_client *client = user;
    if (client->core->echo->mode == ECHO_SOURCE && !client->core->is_over)
        pour(client);
}

static int client_open(struct echo_client *client);

/* Nothing has come from this address of a name: the next one is asked. False: there is none. */
static bool client_moves_on(struct echo_client *client)
{
    struct echo_core *core = client->core;
    leat_udp old = client->udp;
    if (core->bytes > 0 || client->addr_at + 1 >= core->echo->addrs_count)
        return false;
    leat_timer_stop(&client->patience);
    client->addr_at++;
    int result = client_open(client);
    (void)leat_udp_close(old);
    if (result < 0)
        return false;
    if (core->echo->mode == ECHO_SOURCE) {
        pour(client);
        return true;
    }
    core->budget_count++;
    ask(client);
    return true;
}

static void on_error(leat_udp udp, void *user, const struct leat_addr *peer,
                     enum leat_close_reason reason)
{
    struct echo_client *client = user;
    if (!client->core->is_over && udp.id == client->udp.id && !client_moves_on(client))
        echo_client_fail(client, -ECONNREFUSED, "cannot reach", leat_close_reason_sentence(reason));
}

static void on_close(leat_udp udp, void *user, enum leat_close_reason reason)
{
    struct echo_client *client = user;
    if (!client->core->is_over && udp.id == client->udp.id)
        echo_client_fail(client, -ECONNABORTED, "the socket ended to",
                         leat_close_reason_sentence(reason));
}

static const struct leat_udp_ops client_ops = {on_echo, on_writable, on_error, on_close};

static int client_open(struct echo_client *client)
{
    struct echo_core *core = client->core;
    return leat_udp_connect(core->loop, &core->echo->addrs[client->addr_at], NULL, NULL,
                            &client_ops, client, &client->udp);
}

void echo_udp_close(struct echo_client *client)
{
    struct leat_udp_info info;
    struct echo_core *core = client->core;
    if (core == NULL)
        return; /* it was not opened */
    leat_timer_stop(&client->patience);
    if (core->echo->mode == ECHO_SOURCE && leat_udp_info(client->udp, &info) == 0)
        core->bytes += info.sent_bytes;
    (void)leat_udp_close(client->udp);
}

int echo_udp_clients_start(struct echo_core *core)
{
    echo_core_begin(core);
    for (uint32_t i = 0; i < core->clients_count; i++) {
        struct echo_client *client = &core->clients[i];
        leat_timer_init(&client->patience, core->loop, on_patience, client);
        client->core = core;
        int result = client_open(client);
        if (result < 0) {
            client->core = NULL;
            return result;
        }
        if (core->echo->mode == ECHO_BACK)
            ask(client);
        else
            pour(client);
    }
    return 0;
}
