/* What lasts longer than the server's limits, as a program: the server on LASTING_LISTEN, or its
 * clients when LASTING_TO names it; each limit is LASTING_LIMIT_MS. Run by lasting.py. */
#include "test/http/lasting.h"

#include <stdio.h>
#include <stdlib.h>

#define LIMIT_MS   500
#define SLOW_BYTES 32000000 /* a second: a kernel opens a window again in steps of up to 2 MB */

static struct lasting *lasting;

static void on_over(void *arg)
{
    const char *sentence = lasting_sentence(lasting);
    if (sentence != NULL)
        fprintf(stderr, "%s\n", sentence);
    leat_run_end(arg, sentence != NULL);
}

static void on_end(void *arg)
{
    lasting_free(arg);
}

static uint64_t limit_ns(void)
{
    const char *text = getenv("LASTING_LIMIT_MS");
    return (text != NULL ? strtoull(text, NULL, 10) : LIMIT_MS) * LEAT_NS_PER_MS;
}

static int start_clients(struct leat_loop *loop, const char *address)
{
    struct leat_addr to;
    const struct leat_http_options limits = {.header_ns = limit_ns(),
                                             .body_ns = limit_ns(),
                                             .keepalive_ns = limit_ns(),
                                             .write_ns = limit_ns()};
    if (leat_addr_parse(&to, address, 0, NULL) < 0)
        return leat_run_fail(loop, -1, "no address: %s", address);
    lasting = lasting_new(loop, &to, &limits, SLOW_BYTES);
    if (lasting == NULL)
        return leat_run_fail(loop, -1, "no memory");
    lasting_on_over(lasting, on_over, loop);
    return leat_run_on_end(loop, on_end, lasting);
}

static int start(struct leat_loop *loop)
{
    const char *to = getenv("LASTING_TO");
    if (to != NULL)
        return start_clients(loop, to);
    struct leat_http *http = leat_http_new(loop);
    lasting_serve(http, limit_ns());
    return leat_http_listen(http, getenv("LASTING_LISTEN"));
}

int main(int argc, char **argv)
{
    return leat_main(argc, argv, start);
}
