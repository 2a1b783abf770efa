/* The floor under every HTTP server on epoll: accepts, reads, counts ends of request heads, and
 * writes one fixed answer for each, as one write per read. No parser, no timeouts, no limits, one
 * thread. What a server costs beyond this is what its HTTP costs. An answer that says "Connection:
 * close" is a connection's last one.
 *
 *   floor [PORT [RESPONSE_FILE]]     prints where it listens; ends by a signal */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    ANSWERS_PER_WRITE_MAX = 256,
    ANSWER_BYTES_MAX = 4096,
    EVENTS_PER_WAIT = 256,
    READ_BYTES = 65536,
    DESCRIPTORS_MAX = 65536,
};

static const char answer_default[] = "HTTP/1.1 200 OK\r\n"
                                     "Server: floor\r\n"
                                     "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
                                     "Content-Type: text/plain\r\n"
                                     "Content-Length: 13\r\n"
                                     "\r\n"
                                     "Hello, World!";

struct floor {
    int epoll, listener;
    size_t answer_bytes;
    bool is_closing;                /* after an answer */
    char *answers;                  /* ANSWERS_PER_WRITE_MAX times the same */
    char input[READ_BYTES];         /* of whichever connection is being read */
    uint8_t begun[DESCRIPTORS_MAX]; /* bytes of "\r\n\r\n" that ended a connection's last read */
};

/* Ends of heads in what was read, also those that began in the read before. */
static unsigned count_heads(struct floor *floor, int fd, size_t length)
{
    static const char end[] = "\r\n\r\n";
    const char *at = floor->input;
    const char *stop = at + length;
    unsigned count = 0;
    unsigned matched = floor->begun[fd];
    for (; matched != 0 && at < stop; at++) {
        matched = *at == end[matched] ? matched + 1 : *at == '\r';
        if (matched == 4) {
            count++;
            matched = 0;
        }
    }
    while ((at = memmem(at, (size_t)(stop - at), end, 4)) != NULL) {
        count++;
        at += 4;
        if (at == stop) {
            floor->begun[fd] = 0;
            return count;
        }
    }
    for (matched = length < 3 ? (unsigned)length : 3; matched > 0; matched--)
        if (memcmp(stop - matched, end, matched) == 0)
            break;
    floor->begun[fd] = (uint8_t)matched;
    return count;
}

static void answer(struct floor *floor, int fd)
{
    ssize_t length = recv(fd, floor->input, sizeof(floor->input), 0);
    if (length > 0) {
        unsigned count = count_heads(floor, fd, (size_t)length);
        bool is_last = floor->is_closing && count > 0;
        while (count > 0) {
            unsigned now = count < ANSWERS_PER_WRITE_MAX ? count : ANSWERS_PER_WRITE_MAX;
            size_t bytes = now * floor->answer_bytes;
            /* A client that does not read its answers is none of ours: it is dropped. */
            if (send(fd, floor->answers, bytes, MSG_NOSIGNAL) != (ssize_t)bytes)
                break;
            count -= now;
        }
        if (count == 0 && !is_last)
            return;
    } else if (length < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    close(fd);
}

static void accept_one(struct floor *floor)
{
    int fd = accept4(floor->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (fd >= DESCRIPTORS_MAX || epoll_ctl(floor->epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
        close(fd);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    floor->begun[fd] = 0;
}

static int listen_on(struct floor *floor, uint16_t port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_port = htons(port),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t addr_bytes = sizeof(addr);
    floor->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    floor->epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = floor->listener};
    setsockopt(floor->listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (floor->listener < 0 || bind(floor->listener, (struct sockaddr *)&addr, addr_bytes) != 0 ||
        listen(floor->listener, 4096) != 0 ||
        epoll_ctl(floor->epoll, EPOLL_CTL_ADD, floor->listener, &event) != 0 ||
        getsockname(floor->listener, (struct sockaddr *)&addr, &addr_bytes) != 0) {
        perror("floor: cannot listen");
        return -1;
    }
    printf("listening on http://127.0.0.1:%u\n", ntohs(addr.sin_port));
    fflush(stdout);
    return 0;
}

static int make_answers(struct floor *floor, const char *path)
{
    char text[ANSWER_BYTES_MAX];
    floor->answer_bytes = sizeof(answer_default) - 1;
    memcpy(text, answer_default, floor->answer_bytes);
    if (path != NULL) {
        FILE *file = fopen(path, "rb");
        if (file == NULL) {
            perror(path);
            return -1;
        }
        floor->answer_bytes = fread(text, 1, sizeof(text), file);
        fclose(file);
    }
    floor->is_closing = memmem(text, floor->answer_bytes, "\nConnection: close\r", 19) != NULL;
    floor->answers = malloc(ANSWERS_PER_WRITE_MAX * floor->answer_bytes);
    if (floor->answers == NULL)
        return -1;
    for (size_t i = 0; i < ANSWERS_PER_WRITE_MAX; i++)
        memcpy(floor->answers + i * floor->answer_bytes, text, floor->answer_bytes);
    return 0;
}

int main(int argc, char **argv)
{
    struct floor *floor = calloc(1, sizeof(*floor));
    unsigned long port = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
    if (floor == NULL || port > UINT16_MAX || make_answers(floor, argc > 2 ? argv[2] : NULL) != 0 ||
        listen_on(floor, (uint16_t)port) != 0) {
        free(floor);
        return 1;
    }
    struct epoll_event events[EVENTS_PER_WAIT];
    for (;;) {
        int count = epoll_wait(floor->epoll, events, EVENTS_PER_WAIT, -1);
        for (int i = 0; i < count; i++)
            if (events[i].data.fd == floor->listener)
                accept_one(floor);
            else
                answer(floor, events[i].data.fd);
    }
}
