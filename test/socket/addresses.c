/* Unix paths, IPv6, ports in use, and kernels that refuse. */
#include "socket.h"

#include "runtime/base/core.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

static int raw_unix_listener(const char *path)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
    assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
    assert_int_equal(listen(fd, 1), 0);
    return fd;
}

static int listen_fails(struct world *w, const char *text)
{
    struct leat_addr addr;
    struct leat_listener *listener;
    static struct records s;
    assert_int_equal(leat_addr_parse(&addr, text, 0, NULL), 0);
    int result = leat_listen(w->loop, &addr, NULL, &records_ops, &s, &listener);
    assert_true(result < 0);
    return result;
}

/* A connection of ours to a listener of ours: bytes both ways, then both end. */
static void talk(struct world *w, struct records *s, const struct leat_addr *to)
{
    struct record r = {.w = w};
    unsigned at = s->count;
    assert_int_equal(leat_connect(w->loop, to, NULL, NULL, &record_ops, &r, &r.conn), 0);
    assert_int_equal(leat_conn_send_bytes(r.conn, "ping", 4), 0);
    UNTIL(w, r.opens == 1 && s->count == at + 1);
    struct record *accepted = &s->record[at];
    UNTIL(w, accepted->length == 4);
    assert_int_equal(leat_conn_send_bytes(accepted->conn, "pong!", 5), 0);
    assert_int_equal(leat_conn_end(accepted->conn), 0);
    UNTIL(w, r.length == 5 && r.ends == 1);
    assert_int_equal(leat_conn_end(r.conn), 0);
    UNTIL(w, r.closes == 1 && accepted->closes == 1);
    assert_int_equal(r.reason, LEAT_CLOSE_DONE);
    assert_int_equal(accepted->reason, LEAT_CLOSE_DONE);
    assert_string_equal(r.order, "ODEC");
    record_fini(&r);
}

void unix_sockets_carry_and_clean_up(void **state)
{
    char folder[] = "/tmp/leat-socket-XXXXXX", path[64], text[80];
    struct stat status;
    struct world *w = world_with(NULL);
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/s", folder);
    snprintf(text, sizeof(text), "unix:%s", path);
    close(raw_unix_listener(path)); /* a crash left it behind */
    assert_int_equal(leat_addr_parse(&w->any, text, 0, NULL), 0);
    struct leat_listen_options options = {.unix_mode = 0600};
    struct records *s = serve(w, &options);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    talk(w, s, &w->any);
    talk(w, s, &w->any);
    assert_int_equal(listen_fails(w, text), -EADDRINUSE);
    records_free(s);
    assert_int_equal(stat(path, &status), -1); /* removed */

    int other = raw_unix_listener(path); /* somebody else's, alive */
    assert_int_equal(listen_fails(w, text), -EADDRINUSE);
    assert_non_null(strstr(leat_loop_error(w->loop)->sentence, "in use by another program"));
    assert_int_equal(stat(path, &status), 0);
    close(other);
    unlink(path);
    FILE *file = fopen(path, "w"); /* no socket at all */
    fputs("precious", file);
    fclose(file);
    assert_int_equal(listen_fails(w, text), -EADDRINUSE);
    assert_int_equal(stat(path, &status), 0);
    assert_non_null(strstr(leat_loop_error(w->loop)->sentence, "no socket"));
    assert_int_equal(status.st_size, 8);
    unlink(path);
    rmdir(folder);
    assert_int_equal(listen_fails(w, text), -ENOENT);
    assert_non_null(strstr(leat_loop_error(w->loop)->sentence, "folder"));

    struct record r = {.w = w}; /* nobody there */
    struct leat_addr addr;
    assert_int_equal(leat_addr_parse(&addr, text, 0, NULL), 0);
    assert_int_equal(leat_connect(w->loop, &addr, NULL, NULL, &record_ops, &r, &r.conn), 0);
    UNTIL(w, r.closes == 1);
    assert_int_equal(r.reason, LEAT_CLOSE_REFUSED);

    snprintf(text, sizeof(text), "unix:@leat-test-%d", (int)getpid());
    assert_int_equal(leat_addr_parse(&w->any, text, 0, NULL), 0);
    s = serve(w, NULL);
    talk(w, s, &w->any);
    records_free(s);
    world_free(w);
}

void ipv6_alone_dual_and_with_zones(void **state)
{
    struct world *w = world_with(NULL);
    struct leat_addr addr, peer;
    assert_int_equal(leat_addr_parse(&w->any, "[::1]:0", 0, NULL), 0);
    struct records *s = serve(w, NULL);
    assert_int_equal(s->addr.family, LEAT_FAMILY_IPV6);
    talk(w, s, &s->addr);
    records_free(s);

    assert_int_equal(leat_addr_parse(&w->any, "*:0", 0, NULL), 0);
    s = serve(w, NULL);
    assert_int_equal(leat_addr_parse(&addr, "127.0.0.1", s->addr.port, NULL), 0);
    talk(w, s, &addr);
    struct peer *client = peer_connect(w, &addr);
    UNTIL(w, s->count == 2);
    assert_int_equal(leat_conn_peer(s->record[1].conn, &peer), 0);
    assert_int_equal(peer.family, LEAT_FAMILY_IPV4); /* not ::ffff:127.0.0.1 */
    assert_memory_equal(peer.ip, addr.ip, 4);
    w->transport->peer_reset(client);
    UNTIL(w, s->record[1].closes == 1);
    assert_int_equal(leat_addr_parse(&addr, "[::1]", s->addr.port, NULL), 0);
    talk(w, s, &addr);
    records_free(s);

    struct leat_listen_options only = {.ipv6_only = true};
    s = serve(w, &only);
    assert_int_equal(leat_addr_parse(&addr, "127.0.0.1", s->addr.port, NULL), 0);
    assert_null(w->transport->peer_connect(w, &addr));
    records_free(s);

    assert_int_equal(listen_fails(w, "[fe80::1234]:0"), -EINVAL);
    assert_non_null(strstr(leat_loop_error(w->loop)->sentence, "zone"));
    assert_int_equal(listen_fails(w, "[fe80::1234%lo]:0"), -EADDRNOTAVAIL);
    world_free(w);
}

void a_port_in_use_is_found_out_despite_reuseport(void **state)
{
    struct world *w = world_with(NULL);
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(in);
    char text[LEAT_ADDR_TEXT_BYTES_MAX];
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&in, length), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &length), 0);
    snprintf(text, sizeof(text), "127.0.0.1:%u", ntohs(in.sin_port));
    assert_int_equal(listen_fails(w, text), -EADDRINUSE);
    close(fd);

    /* Nor does another group of cores share it unasked: that would be a second server. */
    struct records *s = serve(w, NULL);
    struct world *other = world_with(NULL);
    leat_addr_format(&s->addr, text);
    assert_int_equal(listen_fails(other, text), -EADDRINUSE);
    world_free(other);
    world_enter(w);
    records_free(s);
    world_free(w);
}

static void listen_without_privilege(void)
{
    struct leat_addr addr;
    struct leat_listener *listener;
    static struct records s;
    FILE *file = fopen("/proc/sys/net/ipv4/ip_unprivileged_port_start", "r");
    int first = 1024;
    CHILD_CHECK(file != NULL && fscanf(file, "%d", &first) == 1);
    if (first <= 1)
        return; /* nothing is privileged here */
    CHILD_CHECK(geteuid() != 0 || setuid(65534) == 0);
    struct world *w = world_with(NULL);
    CHILD_CHECK(leat_addr_parse(&addr, "127.0.0.1:1", 0, NULL) == 0);
    CHILD_CHECK(leat_listen(w->loop, &addr, NULL, &records_ops, &s, &listener) == -EACCES);
    CHILD_CHECK(strstr(leat_loop_error(w->loop)->sentence, "cap_net_bind_service") != NULL);
}

void a_privileged_port_is_refused_with_the_remedy(void **state)
{
    in_child(listen_without_privilege);
}

enum { THREADS = 4 };
struct thread {
    pthread_t id;
    uint32_t core_index;
    struct leat_sockets_shared *shared;
    pthread_barrier_t *barrier;
    uint16_t ports[2];
};

static void *listen_twice(void *arg)
{
    struct thread *thread = arg;
    struct leat_loop_options loop_options = {.index = thread->core_index};
    struct leat_sockets_options options = {.which = which_now(), .shared = thread->shared};
    struct leat_loop *loop = leat_loop_new(&loop_options, NULL);
    static struct records s; /* nobody connects */
    struct leat_addr addr;
    pthread_barrier_wait(thread->barrier);
    if (loop == NULL || leat_sockets_open(loop, &options, NULL) != 0 ||
        leat_addr_parse(&addr, "127.0.0.1:0", 0, NULL) != 0)
        return NULL;
    for (unsigned i = 0; i < 2; i++) {
        struct leat_listener *listener;
        if (leat_listen(loop, &addr, NULL, &records_ops, &s, &listener) == 0)
            thread->ports[i] = leat_listener_addr(listener)->port;
    }
    pthread_barrier_wait(thread->barrier); /* all listen before the first closes */
    leat_sockets_close(loop);
    leat_loop_free(loop);
    return NULL;
}

void threads_agree_on_a_free_port(void **state)
{
    struct thread threads[THREADS];
    pthread_barrier_t barrier;
    struct leat_sockets_shared *shared = leat_sockets_shared_new();
    assert_non_null(shared);
    pthread_barrier_init(&barrier, NULL, THREADS);
    for (unsigned i = 0; i < THREADS; i++) {
        threads[i] = (struct thread){.core_index = i, .shared = shared, .barrier = &barrier};
        assert_int_equal(pthread_create(&threads[i].id, NULL, listen_twice, &threads[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i].id, NULL), 0);
        assert_true(threads[i].ports[0] != 0 && threads[i].ports[1] != 0);
        assert_int_equal(threads[i].ports[0], threads[0].ports[0]);
        assert_int_equal(threads[i].ports[1], threads[0].ports[1]);
    }
    pthread_barrier_destroy(&barrier);
    leat_sockets_shared_free(shared);
}

static void open_where_refused(unsigned syscall_number)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, syscall_number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof(filter) / sizeof(filter[0]), .filter = filter};
    CHILD_CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    CHILD_CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
    struct leat_error error = {0};
    struct leat_sockets_options options = {.which = LEAT_SOCKETS_URING};
    struct leat_loop *loop = leat_loop_new(NULL, &error);
    CHILD_CHECK(loop != NULL);
    CHILD_CHECK(leat_sockets_open(loop, &options, &error) < 0);
    CHILD_CHECK(strstr(error.sentence, "io_uring") != NULL);
    CHILD_CHECK(leat_sockets_name(loop) == NULL);
    options.which = LEAT_SOCKETS_AUTO;
    CHILD_CHECK(leat_sockets_open(loop, &options, &error) == 0);
    CHILD_CHECK(strcmp(leat_sockets_name(loop), "epoll") == 0);
    leat_sockets_close(loop);
    leat_loop_free(loop);
}

static void open_where_io_uring_is_refused(void)
{
    open_where_refused(SYS_io_uring_setup);
}

static void open_where_io_uring_may_only_be_set_up(void)
{
    open_where_refused(SYS_io_uring_enter);
}

void a_kernel_that_refuses_io_uring_gives_epoll(void **state)
{
    in_child(open_where_io_uring_is_refused);
    in_child(open_where_io_uring_may_only_be_set_up);
}
