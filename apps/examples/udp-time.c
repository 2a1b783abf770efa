/* Answers each datagram with the time, as RFC 3339 writes it: `echo | nc -u -w1 127.0.0.1 8037`. */
#include <leat/leat.h>

#include <stdio.h>
#include <time.h>

static void answer(leat_udp udp, void *user, const struct leat_datagram *datagrams, unsigned count)
{
    char text[32];
    struct tm parts;
    time_t now = time(NULL);
    size_t length = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ\n", gmtime_r(&now, &parts));
    for (unsigned i = 0; i < count; i++) {
        struct leat_buf line = leat_buf_from_bytes(text, length);
        if (line.data != NULL && leat_udp_reply(udp, &datagrams[i], &line, 1) < 0)
            leat_buf_unref(line); /* the link is full: the peer asks again */
    }
}

static void on_close(leat_udp udp, void *user, enum leat_close_reason reason)
{
    if (reason != LEAT_CLOSE_SHUTDOWN)
        fprintf(stderr, "udp-time: %s\n", leat_close_reason_sentence(reason));
}

static const struct leat_udp_ops ops = {.on_datagrams = answer, .on_close = on_close};

static int start(struct leat_loop *loop) /* runs once on every core, and each binds the address */
{
    struct leat_error error = {0};
    struct leat_addr addr;
    leat_udp udp;
    const char *text = leat_run_listen_at(loop, 0);
    if (leat_addr_parse(&addr, text != NULL ? text : "127.0.0.1:8037", 8037, &error) < 0)
        return leat_run_fail(loop, error.code, "%s", error.sentence);
    int result = leat_udp_bind(loop, &addr, NULL, &ops, NULL, &udp);
    if (result < 0)
        return result;
    (void)leat_udp_local(udp, &addr);
    leat_run_listening(loop, "udp", &addr);
    return 0;
}

int main(int argc, char **argv)
{
    return leat_main(argc, argv, start);
}
