/* Asking the cores for their connections. */
#include "net/watch/control_internal.h"

#include "net/api/transport.h"
#include "net/stack/tcp/tcp.h"
#include "net/watch/connections.h"

/* On the core: a piece of its list. */
static void chunk_answer(void *arg)
{
    struct control_chunk *chunk = arg;
    struct stack_tcp *t = tcp_of(NULL);
    chunk->count = 0;
    if (t == NULL)
        chunk->cursor.is_end = true;
    else
        chunk->count = tcp_list(t, &chunk->cursor, chunk->rows, CONTROL_ROWS);
    atomic_store_explicit(&chunk->state, CHUNK_ANSWERED, memory_order_release);
    chunk->host->wake(chunk->host->arg);
}

static bool chunk_ask(struct control_chunk *chunk)
{
    const struct control_host *host = chunk->host;
    atomic_store_explicit(&chunk->state, CHUNK_ASKED, memory_order_relaxed);
    bool was_posted = host->post(host->arg, chunk->core, chunk_answer, chunk);
    if (!was_posted)
        atomic_store_explicit(&chunk->state, CHUNK_IDLE, memory_order_relaxed);
    return was_posted;
}

static int chunk_state(const struct control *c, const struct control_client *client)
{
    return atomic_load_explicit(&c->chunks[client->core].state, memory_order_acquire);
}

static void say_row(struct control_client *client, uint32_t core, const struct tcp_row *tcp)
{
    const struct connection_row row = {.core = core, .tcp = *tcp};
    char text[CONNECTION_JSON_BYTES_MAX];
    size_t length = view_json(&connection_view, &row, text, sizeof(text));
    CHECK(length > 0);
    control_say(client, "%s\n", text);
}

static void next_core(struct control *c, struct control_client *client)
{
    client->has_begun = client->has_asked = false;
    client->silence_ns = 0;
    if (++client->core < c->host.cores_count)
        return;
    client->is_listing = false;
    client->is_ending = true;
    c->lister = NULL;
    control_say(client, "{\"end\": true}\n");
}

static void take_answer(struct control *c, struct control_client *client,
                        struct control_chunk *chunk)
{
    for (unsigned i = 0; i < chunk->count; i++)
        say_row(client, chunk->core, &chunk->rows[i]);
    client->has_asked = false;
    client->silence_ns = 0;
    if (chunk->cursor.is_end)
        next_core(c, client);
}

/* The cores' rows have one place each: one client at a time lists, the others wait. A core that did
 * not answer an earlier one may do so late, or still be at it. */
void control_list(struct control *c, struct control_client *client, uint64_t now_ns)
{
    if (c->lister == NULL)
        c->lister = client;
    if (c->lister != client)
        return;
    if (client->has_asked && chunk_state(c, client) == CHUNK_ANSWERED)
        take_answer(c, client, &c->chunks[client->core]);
    if (!client->is_listing || client->out_bytes > 0)
        return;
    if (client->silence_ns == 0)
        client->silence_ns = now_ns + CONTROL_SILENCE_NS;
    struct control_chunk *chunk = &c->chunks[client->core];
    if (!client->has_asked && chunk_state(c, client) != CHUNK_ASKED) {
        if (!client->has_begun)
            chunk->cursor = (struct tcp_cursor){0};
        client->has_begun = true;
        client->has_asked = chunk_ask(chunk);
    }
    if (now_ns < client->silence_ns)
        return;
    control_say(client, "{\"core\": %u, \"silent\": true}\n", client->core);
    next_core(c, client);
}
