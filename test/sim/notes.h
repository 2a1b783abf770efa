/* A program for the simulator that uses what programs use: HTTP handlers as tasks, streams, files,
 * the pool, groups, timers. And its visitors, who know what each answer has to be. */
#ifndef TEST_SIM_NOTES_H
#define TEST_SIM_NOTES_H

#include <leat/leat.h>

#include "net/http/message/reader.h"
#include "net/sim/sim.h"
#include "net/sim/sim_disk.h"

/* ---- The program ----
 *
 *   PUT  /notes/:name   keeps the body for good: the old one or the new one, whatever happens
 *   GET  /notes/:name   the body
 *   PUT  /blobs/:name   writes the body as it comes, without a promise
 *   GET  /blobs/:name   gives it as it is read
 *   POST /blobs/:name   makes NAME.copy of it, packed and unpacked on the way
 *   GET  /sum/:n        1 + .. + n, from a thread of the pool, after n ms
 *   GET  /group/:n      how many of n tasks have ended, of a group
 *   GET  /later/:n      n, after n ms, by a callback */
struct leat_http *notes_program(struct leat_loop *loop, const struct leat_addr *at);

/* ---- The visitors ---- */

enum ask {
    ASK_PUT_NOTE,
    ASK_GET_NOTE,
    ASK_PUT_BLOB,
    ASK_GET_BLOB,
    ASK_COPY_BLOB,
    ASK_GET_COPY,
    ASK_SUM,
    ASK_GROUP,
    ASK_LATER,
    ASK_LOST,
    ASK_COUNT
};

#define VISITOR_PENDING_MAX 16

/* What a visitor knows of its files, by the numbers of their contents; 0: none. */
struct files_known {
    uint32_t acked;                        /* of the note: was promised */
    uint32_t pending[VISITOR_PENDING_MAX]; /* may have taken its place */
    unsigned pending_count;
    uint32_t blob, copy; /* are there whole */
    bool is_frozen;      /* a PUT may still be under way: nothing more is written */
};

struct visits;
struct visitor {
    struct visits *visits;
    unsigned number, to_ask, asked, attempts;
    struct files_known files;
    struct http_reader reader;
    enum ask ask;
    uint32_t content; /* that was put, or the number that was asked for */
    leat_conn conn;
    bool is_open, is_waiting, is_over;
    bool leaves;   /* aborts: no answer is no fault */
    bool in_order; /* asks each kind in turn, not a drawn one */
    bool looks;    /* asks for its note */
};

struct visits {
    struct sim *sim;
    struct sim_host *client;
    struct leat_addr to;
    bool has_faults; /* what a visitor asks may fail */
    struct http_reader_core reader;
    struct visitor *all;
    unsigned count, over_count;
    uint64_t answered_count, failed_count, cut_count;
    uint64_t trace; /* of all that was seen, and when */
};

/* Connects, asks, and comes again when it is cut off. Outside of every core. */
void visitor_begin(struct visitor *visitor);
/* Goes in the middle of what it does. Outside of every core. */
void visitor_leave(struct visitor *visitor);
/* The server has lost its power: what was not promised may be gone. */
void visitor_forget_blobs(struct visitor *visitor);

/* ---- Playing ---- */

/* What happens once, at every place there is. */
enum fault {
    FAULT_LEAVE,      /* the visitor goes: at every event of the world */
    FAULT_POWER,      /* the server loses its power: likewise */
    FAULT_ALLOCATION, /* the server's nth allocation fails */
    FAULT_CALL,       /* the nth call of the disk fails */
};

struct outcome {
    uint64_t trace, answered_count, failed_count, cut_count, disk_failed_count;
    bool has_happened; /* the one fault that was asked for */
    unsigned violation_count;
    char sentence[SIM_SENTENCE_BYTES];
};

/* A world of many visitors; wire, disk and visitors have faults that the seed draws. */
struct outcome notes_play_seed(uint64_t seed);
/* A world of one visitor, who asks each kind of question once, in order. */
struct outcome notes_play_place(enum fault fault, uint64_t nth);

#endif
