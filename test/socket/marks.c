/* What the kernel does not say twice: places at which one read stops although more has come, and
 * what it says in passing to a loop that seldom asks. */
#include "socket.h"

#include "runtime/loop/loop_internal.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int raw_connect(const struct leat_addr *to)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(to->port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    memcpy(&in.sin_addr, to->ip, 4);
    assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
    assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)), 0);
    return fd;
}

/* All three pieces are in the socket before the loop looks. RFC 6093: the byte is in line. */
void urgent_bytes_are_in_line_and_hide_nothing(void **state)
{
    struct world *w = world_with(NULL);
    struct records *s = serve(w, NULL);
    int fd = raw_connect(&s->addr);
    UNTIL(w, s->count == 1);
    struct record *r = &s->record[0];
    assert_int_equal(send(fd, "before", 6, 0), 6);
    assert_int_equal(send(fd, "!", 1, MSG_OOB), 1);
    assert_int_equal(send(fd, "behind", 6, 0), 6);
    UNTIL(w, r->length == 13);
    assert_memory_equal(r->bytes, "before!behind", 13);
    assert_int_equal(send(fd, "and on", 6, 0), 6); /* an ordinary read again */
    UNTIL(w, r->length == 19);
    close(fd);
    UNTIL(w, r->ends == 1);
    assert_int_equal(leat_conn_end(r->conn), 0);
    UNTIL(w, r->closes == 1);
    records_free(s);
    world_free(w);
}

/* Linux ends a read of a unix stream where the sender's credentials change. */
static void send_as(int fd, uid_t uid, const char *text)
{
    union {
        char bytes[CMSG_SPACE(sizeof(struct ucred))];
        struct cmsghdr align;
    } control = {0};
    struct iovec iov = {(void *)(uintptr_t)text, strlen(text)};
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    struct ucred credentials = {.pid = getpid(), .uid = uid, .gid = getgid()};
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_CREDENTIALS;
    header->cmsg_len = CMSG_LEN(sizeof(credentials));
    memcpy(CMSG_DATA(header), &credentials, sizeof(credentials));
    assert_int_equal(sendmsg(fd, &message, 0), (ssize_t)strlen(text));
}

/* Descriptors that are sent along end a read as well, and need no rights. */
static void send_with_descriptor(int fd, const char *text)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    struct iovec iov = {(void *)(uintptr_t)text, strlen(text)};
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &fd, sizeof(fd));
    assert_int_equal(sendmsg(fd, &message, 0), (ssize_t)strlen(text));
}

void pieces_of_unix_streams_hide_nothing(void **state)
{
    char folder[] = "/tmp/leat-marks-XXXXXX", text[80];
    struct world *w = world_with(NULL);
    assert_non_null(mkdtemp(folder));
    snprintf(text, sizeof(text), "unix:%s/s", folder);
    assert_int_equal(leat_addr_parse(&w->any, text, 0, NULL), 0);
    struct records *s = serve(w, NULL);
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    snprintf(un.sun_path, sizeof(un.sun_path), "%s/s", folder);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&un, sizeof(un)), 0);
    UNTIL(w, s->count == 1);
    struct record *r = &s->record[0];
    send_with_descriptor(fd, "one");
    send_with_descriptor(fd, "two");
    send_as(fd, getuid(), "three");
    if (geteuid() == 0)
        send_as(fd, 12345, "four!");
    size_t length = geteuid() == 0 ? 16 : 11;
    UNTIL(w, r->length == length);
    assert_memory_equal(r->bytes, "onetwothreefour!", length);
    close(fd);
    UNTIL(w, r->ends == 1);
    assert_int_equal(leat_conn_end(r->conn), 0);
    UNTIL(w, r->closes == 1);
    records_free(s);
    world_free(w);
    assert_int_equal(rmdir(folder), 0);
}

static uint64_t frozen_now(const struct leat_clock *clock)
{
    return LEAT_NS_PER_S;
}

/* Time stands still: were the kernel not looked at when it has something, it never would be. */
void a_loop_that_polls_hears_of_its_sockets(void **state)
{
    static const struct leat_source_ops polled_ops = {.name = "polled", .is_polled = true};
    static const struct leat_clock frozen = {frozen_now};
    struct leat_source polled = {.ops = &polled_ops};
    struct world *w = world_with(NULL);
    struct records *s = serve(w, NULL);
    int fd = raw_connect(&s->addr);
    UNTIL(w, s->count == 1);
    settle(w);
    assert_int_equal(leat_source_add(w->loop, &polled), 0);
    if (which_now() == LEAT_SOCKETS_URING)
        w->loop->clock = &frozen;
    w->loop->busy_poll = true;
    for (unsigned i = 1; i <= 3; i++) {
        uint64_t end_ns = clock_monotonic() + CONTRACT_PATIENCE_NS;
        assert_int_equal(send(fd, "bytes", 5, 0), 5);
        while (s->record[0].length < i * 5 && clock_monotonic() < end_ns)
            leat_loop_turn(w->loop, 0);
        assert_int_equal(s->record[0].length, i * 5);
    }
    w->loop->clock = NULL;
    leat_source_remove(&polled);
    close(fd);
    UNTIL(w, s->record[0].ends == 1);
    assert_int_equal(leat_conn_end(s->record[0].conn), 0);
    UNTIL(w, s->record[0].closes == 1);
    records_free(s);
    world_free(w);
}
