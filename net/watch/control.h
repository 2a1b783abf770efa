/* The control socket of a running program, FOLDER/leat.PID.sock (folder: counters.h): tools ask it
 * for what counters do not hold. Only the program's own user, and root, may connect.
 *
 * A request is a line, the answer lines of JSON, the last of them {"end": true}:
 *
 *   connections   each listener, handshake and connection of the stack, core by core
 *
 * It is served by the thread that waits for signals, which is no loop: a core is asked with a post
 * for CONTROL_ROWS rows at a time, so that one with a million connections goes on serving, and one
 * that is overloaded answers between two turns. A core that does not answer within
 * CONTROL_SILENCE_NS (a callback holds it) is reported as silent, and the next one is asked.
 *
 * Bounds: CONTROL_CLIENTS_MAX at a time, others are turned away; a client that neither asks nor
 * reads for CONTROL_PATIENCE_NS is left. Internal: not installed. */
#ifndef LEAT_CONTROL_H
#define LEAT_CONTROL_H

#include <leat/defs.h>
#include <leat/error.h>
#include <leat/loop.h>

#include <poll.h>

#define CONTROL_CLIENTS_MAX 4
#define CONTROL_FDS_MAX     (CONTROL_CLIENTS_MAX + 1)
#define CONTROL_ROWS        96
#define CONTROL_SILENCE_NS  LEAT_NS_PER_S
#define CONTROL_PATIENCE_NS (5 * LEAT_NS_PER_S)

struct control;

/* The program, as the control socket sees it. */
struct control_host {
    void *arg;
    uint32_t cores_count;
    /* Runs fn(fn_arg) on a core's loop; false: the core has no loop now. Any thread. */
    bool (*post)(void *arg, uint32_t core, leat_callback *fn, void *fn_arg);
    /* A core has answered: control_turn is due. Any thread. */
    void (*wake)(void *arg);
};

/* NULL with error filled: run without. */
struct control *control_new(const struct control_host *host, struct leat_error *error);
/* Removes the socket's name, while cores still answer. NULL: no effect. */
void control_unlink(struct control *control);
/* After all cores have ended. NULL: no effect. */
void control_free(struct control *control);

/* What to poll; returns how many. */
unsigned control_fds(const struct control *control, struct pollfd fds[CONTROL_FDS_MAX]);
/* After each poll, whatever was ready; never blocks. */
void control_turn(struct control *control, uint64_t now_ns);
/* Someone is being served: call control_turn every 100 ms at least. */
bool control_is_busy(const struct control *control);

#endif
