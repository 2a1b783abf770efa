/* What `leat doctor` knows of a machine, and what it finds in it.
 *
 * struct machine is the answers of the kernel to questions that need a system call, and a folder
 * that stands before every path: machine_probe fills it for the machine that this runs on, a test
 * for one that it has made up. A check reads it and the files below root, and nothing else: it is a
 * pure function that prints nothing. Printing is doctor.c's alone.
 *
 *   machine.c  asking the kernel, reading files below root
 *   finding.c  what a check returns
 *   checks.c   sockets, cores, memory, limits: what every program needs
 *   ports.c    what each kind of --net needs
 *   doctor.c   the list of checks, printing, flags */
#ifndef LEAT_MACHINE_H
#define LEAT_MACHINE_H

#include <leat/error.h>

#include "runtime/base/topology.h"

#define FINDING_FACT_BYTES_MAX LEAT_SENTENCE_BYTES_MAX
#define FINDING_MEND_BYTES_MAX 256

/* Of what stands in /sys, when there is none. */
#define MACHINE_NO_SYS      "cannot be told without /sys"
#define MACHINE_NO_SYS_MEND "see \"sys\""

struct machine {
    const char *root;       /* before "/sys", "/proc", "/dev" and "/usr"; "": this machine */
    const char *run_folder; /* where a program's counters lie, without root */
    char kernel[256];       /* "Linux 6.1.0 on x86_64"; "": it does not say */
    struct leat_topology topology;
    struct leat_error topology_error; /* code 0: topology holds */
    /* What the kernel said to each: 0 or an errno value. */
    int uring, listen, ipv6, raw_frames, xdp, run_write;
    bool is_uring_built;
    bool is_root;
    uint64_t open_files_max, locked_bytes_max; /* soft limits of this process */
    struct leat_error dpdk;                    /* code 0: the module and DPDK are there */
};

enum finding_mark {
    FINDING_NONE, /* the check has nothing to say here: not shown */
    FINDING_OK,   /* as good as it gets */
    FINDING_NOTE, /* works, could be better */
    FINDING_FAIL, /* keeps Leat from serving */
};

struct finding {
    enum finding_mark mark;
    char fact[FINDING_FACT_BYTES_MAX];
    char mend[FINDING_MEND_BYTES_MAX]; /* the command that mends it; "": there is none */
};

struct doctor_check {
    const char *name;
    struct finding (*check)(const struct machine *machine);
};

extern const struct doctor_check doctor_checks[];
extern const unsigned doctor_checks_count;

/* NULL: memory was out. free() it. */
struct machine *machine_probe(void);

/* A path below root, cut at PATH_MAX; returns path. */
char *machine_path(const struct machine *machine, const char *name, char *path);
bool machine_has(const struct machine *machine, const char *name);
/* The first number in a file, -1 without one. */
long long machine_number(const struct machine *machine, const char *name);
/* The first line of a file, without its end; "" without one. Returns line. */
char *machine_line(const struct machine *machine, const char *name, char *line, size_t size);
/* Whether a folder has an entry. */
bool machine_folder_is_filled(const struct machine *machine, const char *name);
/* Whether a path with wildcards is met. */
bool machine_has_like(const struct machine *machine, const char *pattern);

/* mend: NULL for none. */
struct finding finding_of(enum finding_mark mark, const char *mend, const char *format, ...)
    LEAT_PRINTF(3, 4);
#define finding_ok(...)         finding_of(FINDING_OK, NULL, __VA_ARGS__)
#define finding_note(mend, ...) finding_of(FINDING_NOTE, mend, __VA_ARGS__)
#define finding_fail(mend, ...) finding_of(FINDING_FAIL, mend, __VA_ARGS__)

/* checks.c */
struct finding check_kernel(const struct machine *machine);
struct finding check_proc(const struct machine *machine);
struct finding check_sys(const struct machine *machine);
struct finding check_cores(const struct machine *machine);
struct finding check_quota(const struct machine *machine);
struct finding check_sockets(const struct machine *machine);
struct finding check_ipv6(const struct machine *machine);
struct finding check_backlog(const struct machine *machine);
struct finding check_uring(const struct machine *machine);
struct finding check_files(const struct machine *machine);
struct finding check_hugepages(const struct machine *machine);
struct finding check_locked_memory(const struct machine *machine);
struct finding check_counters(const struct machine *machine);

/* ports.c */
struct finding check_tun(const struct machine *machine);
struct finding check_dpdk(const struct machine *machine);
struct finding check_memif(const struct machine *machine);
struct finding check_packet(const struct machine *machine);
struct finding check_xdp(const struct machine *machine);
struct finding check_tap(const struct machine *machine);
struct finding check_pci(const struct machine *machine);
struct finding check_cards(const struct machine *machine);
struct finding check_vfio(const struct machine *machine);
struct finding check_iommu(const struct machine *machine);

#endif
