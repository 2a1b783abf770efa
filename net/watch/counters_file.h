/* The file in which a running program keeps its counters: FOLDER/leat.PID, mapped by the program
 * and by whoever looks (counters.h writes, counters_read.h reads).
 *
 *   struct counters_header
 *   at names_offset: name_count names of name_bytes each
 *   at cores_offset: core_count cores of core_bytes each: one uint64_t for each name, in their
 * order
 *
 * Names are only ever added, and a reader finds a value by its name: a tool of another version
 * reads what it knows. A layout that it could not follow has another version.
 *
 * The program holds a lock (flock) on the file for as long as it lives, so that a file that can be
 * locked was left behind by one that was killed: anybody may remove it. Internal: not installed. */
#ifndef LEAT_COUNTERS_FILE_H
#define LEAT_COUNTERS_FILE_H

#include <leat/defs.h>

#include <limits.h>

#define COUNTERS_MAGIC      "LeatCnt" /* and its NUL */
#define COUNTERS_VERSION    1
#define COUNTERS_FOLDER     "/dev/shm" /* LEAT_RUN_DIR names another */
#define COUNTERS_PREFIX     "leat."
#define COUNTERS_NAMES_MAX  384 /* what is registered beyond is not counted */
#define COUNTERS_TEXT_BYTES 64

enum counters_kind {
    COUNTERS_TOTAL, /* only grows */
    COUNTERS_GAUGE,
};

struct counters_name {
    char text[39]; /* "drop.tcp_paws" */
    uint8_t kind;  /* enum counters_kind */
};

struct counters_header {
    char magic[8];
    uint32_t version;
    uint32_t names_offset, name_bytes;
    uint32_t cores_offset, core_bytes, core_count;
    uint32_t name_count; /* grows: stored after the names */
    uint32_t pid;
    uint32_t is_listening; /* a server, not a client */
    uint32_t unused;
    uint64_t started_ns; /* CLOCK_MONOTONIC, as all times here */
    char program[COUNTERS_TEXT_BYTES], net[COUNTERS_TEXT_BYTES];
};

/* The first names, which are written each turn; all others are written when something happened, at
 * most once in COUNTERS_PUBLISH_NS. */
enum counters_fixed {
    COUNTERS_TURN,      /* loop.turn_ns: the time of the last turn that ended */
    COUNTERS_ASLEEP,    /* loop.asleep_ns: since when the loop sleeps, 0: it does not */
    COUNTERS_PUBLISHED, /* loop.published_ns: when the others were written */
    COUNTERS_FIXED,
};

/* The folder of the files: LEAT_RUN_DIR, or COUNTERS_FOLDER. */
const char *counters_folder(void);
/* FOLDER/leat.PID and ending: "", or ".sock" for the control socket. */
void counters_path(int pid, const char *ending, char path[PATH_MAX]);
/* The process that a file's name means; 0: another file. */
int counters_file_pid(const char *name);

#define COUNTERS_SWEEP_MAX 64

/* Removes what programs that were killed have left, COUNTERS_SWEEP_MAX of them at a time: each
 * program does so when it starts. */
void counters_sweep(void);

/* A file that is looked at. */
struct counters_view {
    const struct counters_header *header;
    size_t bytes;
    int fd;
};

/* The file of a program that runs: 0, -ESRCH (none, or left behind), -EACCES, -EPROTO. */
int counters_view_map(struct counters_view *view, int pid) LEAT_MUST_CHECK;
void counters_view_close(struct counters_view *view);
/* Its program has not ended. */
bool counters_view_is_alive(const struct counters_view *view);

#endif
