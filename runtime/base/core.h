/* The current core: the one thread-local variable of Leat.
 *
 * A struct leat_core is what every floor may know of the core it runs on. The loop creates one and
 * sets leat_core_now while it runs; a simulator that plays many cores in one thread swaps the
 * pointer. A thread that is no loop's (thread pool, set-up) has NULL. Each floor owns the field
 * named after it, and higher floors reach lower ones' state only through that floor's functions.
 *
 * Internal to the library: not installed. */
#ifndef LEAT_CORE_H
#define LEAT_CORE_H

#include <leat/check.h>
#include <leat/defs.h>
#include <leat/error.h>

#define CHECK(condition)  LEAT_CHECK(condition)
#define DCHECK(condition) LEAT_DCHECK(condition)
#define likely(x)         __builtin_expect(!!(x), 1)
#define unlikely(x)       __builtin_expect(!!(x), 0)
#define LEAT_CORES_MAX    1024 /* the handle of a connection has ten bits for it */

struct async_core;
struct crypto_part;
struct fd_stream;
struct http_core;
struct pool_core;
struct leat_clock;
struct leat_heap;
struct counters_core;
struct leat_log;
struct leat_loop;
struct leat_pools;
struct leat_transport;
struct leat_udp_transport;
struct leat_rng;
struct leat_run_core;
struct profile;
struct tasks;

struct leat_core {
    struct leat_loop *loop;
    struct leat_pools *pools; /* buffers/: this core's packet and byte buffers */
    struct leat_heap *heap;   /* buffers/: everything else, on mimalloc */
    struct leat_rng *rng;     /* runtime/base: this core's random numbers */
    struct leat_log *log;
    struct async_core *async;              /* runtime/async: NULL until the first future */
    struct pool_core *pool;                /* runtime/os: NULL until the first operation */
    struct crypto_part *crypto;            /* runtime/codec: NULL until the first key or hash */
    struct fd_stream *stdio;               /* runtime/os: streams of descriptors 0, 1 and 2 */
    struct tasks *tasks;                   /* runtime/async: NULL until the first task */
    struct profile *profile;               /* runtime/loop: set in a turn that is sampled */
    struct leat_run_core *run;             /* net/program: NULL outside leat_run */
    struct counters_core *counters;        /* net/watch: NULL where nothing is counted */
    struct leat_transport *transports[16]; /* net/api: by the handle's transport bits */
    struct leat_udp_transport *udp_sockets, *udp_stack; /* net/api: of datagrams */
    _Atomic uint64_t codec_bytes; /* runtime/codec: memory of this core's coders, which pool threads
                                     run, too; and its bound, 0: the default */
    uint64_t codec_bytes_max;
    struct http_core *http; /* net/http: request objects, Date, counters */
    const char *phase;      /* static string, for dumps: "poll", "timers", ... */
    /* Static string: what runs now and may not await ("a listener of an emitter"), or NULL. */
    const char *awaits_forbidden;
    /* Says in a report of a crash what a higher floor knows of it: address is where a fault was, sp
     * where the stack was then; or NULL. Returns a place in the code to be named behind the
     * backtrace, or NULL. Signal-safe. */
    const void *(*note_crash)(int fd, const void *address, const void *sp);
    /* Writes into to which task it is that the microtask fn(arg) resumes; false: none; or NULL. */
    bool (*name_microtask)(void (*fn)(void *arg), void *arg, char *to, size_t to_bytes);
    uint32_t index; /* 0 .. LEAT_CORES_MAX - 1, unique in the process */
    uint32_t numa_node;
    bool logs_errors_only;       /* runtime/base: while log is NULL */
    void (*on_fatal)(void *arg); /* runtime/base: called once, after the report of a crash */
    void *on_fatal_arg;
    struct leat_error error; /* the last failure of a synchronous call on this core */
};

extern __thread struct leat_core *leat_core_now;

#endif
