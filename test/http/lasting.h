/* What lasts longer than the server's limits: downloads and uploads of ten times each limit, at
 * full speed and slowly, beside clients that do stop and must be ended. A server, and the clients
 * for it, on any transport: lasting_simulated.c plays them in virtual time over the stack,
 * lasting.py for real over sockets, tun and memif. */
#ifndef TEST_HTTP_LASTING_H
#define TEST_HTTP_LASTING_H

#include <leat/leat.h>

#define LASTING_TIMES          10 /* so many times its limit a flow lasts */
#define LASTING_SENTENCE_BYTES 256

/* Routes and options of http: /memory and /file (endless bodies), POST /up, /, /slow (holds the
 * loop for 2.5 s) and /errors (what timed out, as text). limit_ns is every limit; 0: the defaults.
 */
void lasting_serve(struct leat_http *http, uint64_t limit_ns);

struct lasting;

/* Starts all flows from loop to the server at to, whose limits options holds with every default
 * filled in. slow_bytes: a second, of clients that take their time. */
struct lasting *lasting_new(struct leat_loop *loop, const struct leat_addr *to,
                            const struct leat_http_options *options, uint64_t slow_bytes);
bool lasting_is_over(const struct lasting *lasting);
/* NULL: all went as it should; else what did not. */
const char *lasting_sentence(const struct lasting *lasting);
void lasting_on_over(struct lasting *lasting, leat_callback *fn, void *arg);
void lasting_free(struct lasting *lasting);

#endif
