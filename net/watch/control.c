/* The control socket: its clients, what they ask and what they are sent. */
#include "net/watch/control_internal.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/watch/counters_file.h"
#include "runtime/base/core.h"

static int socket_open(struct control *c, struct leat_error *error)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    char path[PATH_MAX];
    counters_path((int)getpid(), ".sock", path);
    if (strlen(path) >= sizeof(c->path))
        return leat_fail(error, -ENAMETOOLONG, "%s is too long for a socket", counters_folder());
    memcpy(c->path, path, strlen(path) + 1);
    memcpy(addr.sun_path, c->path, sizeof(addr.sun_path));
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (c->fd < 0)
        return leat_fail(error, -errno, "cannot open a socket: %s", strerror(errno));
    unlink(c->path); /* the name is ours: the counters of this process are locked */
    if (bind(c->fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0 || chmod(c->path, 0600) < 0 ||
        listen(c->fd, CONTROL_CLIENTS_MAX) < 0) {
        int result = leat_fail(error, -errno, "cannot listen on %s: %s", c->path, strerror(errno));
        close(c->fd);
        return result;
    }
    return 0;
}

struct control *control_new(const struct control_host *host, struct leat_error *error)
{
    struct control *c = calloc(1, sizeof(*c));
    struct control_chunk *chunks = calloc(host->cores_count, sizeof(*chunks));
    if (c == NULL || chunks == NULL) {
        leat_fail(error, -ENOMEM, "no memory for the control socket");
        goto free_memory;
    }
    c->host = *host;
    c->chunks = chunks;
    for (uint32_t i = 0; i < host->cores_count; i++) {
        chunks[i].host = &c->host;
        chunks[i].core = i;
    }
    for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++)
        c->clients[i].fd = -1;
    if (socket_open(c, error) == 0)
        return c;

free_memory:
    free(chunks);
    free(c);
    return NULL;
}

static void client_end(struct control *c, struct control_client *client)
{
    if (c->lister == client)
        c->lister = NULL;
    close(client->fd);
    client->fd = -1;
}

void control_unlink(struct control *c)
{
    if (c != NULL)
        unlink(c->path);
}

void control_free(struct control *c)
{
    if (c == NULL)
        return;
    for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++)
        if (c->clients[i].fd >= 0)
            client_end(c, &c->clients[i]);
    close(c->fd);
    unlink(c->path);
    free(c->chunks);
    free(c);
}

unsigned control_fds(const struct control *c, struct pollfd fds[CONTROL_FDS_MAX])
{
    unsigned count = 0;
    if (c == NULL)
        return 0;
    fds[count++] = (struct pollfd){c->fd, POLLIN, 0};
    for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        const struct control_client *client = &c->clients[i];
        short events = client->out_at < client->out_bytes ? POLLOUT : POLLIN;
        if (client->fd >= 0)
            fds[count++] = (struct pollfd){client->fd, events, 0};
    }
    return count;
}

bool control_is_busy(const struct control *c)
{
    for (unsigned i = 0; c != NULL && i < CONTROL_CLIENTS_MAX; i++)
        if (c->clients[i].fd >= 0)
            return true;
    return false;
}

void control_say(struct control_client *client, const char *format, ...)
{
    size_t room = sizeof(client->out) - client->out_bytes;
    va_list args;
    va_start(args, format);
    int length = vsnprintf(client->out + client->out_bytes, room, format, args);
    va_end(args);
    CHECK(length >= 0 && (size_t)length < room);
    client->out_bytes += (size_t)length;
}

static void accept_clients(struct control *c, uint64_t now_ns)
{
    int fd;
    while ((fd = accept4(c->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
        struct control_client *client = c->clients;
        while (client < c->clients + CONTROL_CLIENTS_MAX && client->fd >= 0)
            client++;
        if (client == c->clients + CONTROL_CLIENTS_MAX) {
            close(fd);
            continue;
        }
        memset(client, 0, offsetof(struct control_client, out));
        client->fd = fd;
        client->deadline_ns = now_ns + CONTROL_PATIENCE_NS;
    }
}

static void take_request(struct control_client *client)
{
    client->request[strcspn(client->request, "\r\n")] = '\0';
    if (strcmp(client->request, "connections") == 0) {
        client->is_listing = true;
        return;
    }
    control_say(client, "{\"error\": \"it does not know this request\"}\n");
    client->is_ending = true;
}

/* False: the client is gone. */
static bool client_read(struct control_client *client)
{
    size_t room = sizeof(client->request) - 1 - client->request_bytes;
    ssize_t got = room > 0 ? read(client->fd, client->request + client->request_bytes, room) : 0;
    if (got < 0)
        return errno == EAGAIN || errno == EINTR;
    if (got == 0)
        return false;
    client->request_bytes += (size_t)got;
    client->request[client->request_bytes] = '\0';
    if (strchr(client->request, '\n') != NULL)
        take_request(client);
    return true;
}

static bool client_write(struct control_client *client, uint64_t now_ns)
{
    ssize_t sent = send(client->fd, client->out + client->out_at,
                        client->out_bytes - client->out_at, MSG_NOSIGNAL);
    if (sent < 0)
        return errno == EAGAIN || errno == EINTR;
    client->out_at += (size_t)sent;
    client->deadline_ns = now_ns + CONTROL_PATIENCE_NS;
    if (client->out_at == client->out_bytes)
        client->out_at = client->out_bytes = 0;
    return true;
}

static bool client_serve(struct control *c, struct control_client *client, uint64_t now_ns)
{
    bool goes_on = true;
    if (!client->is_listing && !client->is_ending)
        goes_on = client_read(client);
    if (goes_on && client->is_listing && client->out_bytes == 0)
        control_list(c, client, now_ns);
    if (goes_on && client->out_bytes > 0)
        goes_on = client_write(client, now_ns);
    if (goes_on && client->is_listing && client->out_bytes == 0)
        control_list(c, client, now_ns); /* the next piece is asked for at once */
    if (client->is_ending && client->out_bytes == 0)
        return false;
    bool is_waiting = client->is_listing && client->out_bytes == 0; /* for a core, not for it */
    return goes_on && (is_waiting || now_ns < client->deadline_ns);
}

void control_turn(struct control *c, uint64_t now_ns)
{
    if (c == NULL)
        return;
    accept_clients(c, now_ns);
    for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++)
        if (c->clients[i].fd >= 0 && !client_serve(c, &c->clients[i], now_ns))
            client_end(c, &c->clients[i]);
}
