/* A disk in memory, for the seam of files (runtime/os/fs_sys.h): a tree of directories, files and
 * links, faults by number and by chance, and power cuts. All from its seed: the same calls give the
 * same disk. A library for tests; one thread's at a time.
 *
 * What a power cut leaves:
 *   D1  The bytes of a file as they were at its last sync, if nothing was written since.
 *   D2  Of what was written since, any of its blocks of SIM_DISK_BLOCK_BYTES, and any length
 * between the old and the new. D3  Names as they were when a directory was last synced, and of what
 * was done to names since then a first part: if a later one is there, so are all that came before
 * it. D4  No open descriptor. So a name may lead to a file without its bytes (D3 without D1), and a
 * synced file may have no name (D1 without D3): both happen on real disks. */
#ifndef LEAT_SIM_DISK_H
#define LEAT_SIM_DISK_H

#include "runtime/base/rng.h"
#include "runtime/os/fs_sys.h"

#define SIM_DISK_BLOCK_BYTES 512u
#define SIM_DISK_FD_FIRST    (1 << 20) /* no number that the system gives */

struct sim_inode;
struct sim_disk_change;

struct sim_open {
    struct sim_inode *inode; /* NULL: free */
    uint64_t at;
    uint64_t flags; /* O_ */
};

struct sim_disk_faults {
    uint64_t fail_at;   /* this call from now on fails, once; 1: the next; 0: none */
    int fail_code;      /* with this; 0: -EIO */
    uint64_t bytes_max; /* of all files; more is -ENOSPC; 0: no limit */
    uint32_t short_ppm; /* of reads, writes and copies: fewer bytes than there might be */
    bool no_copy;       /* -EXDEV of each copy */
};

struct sim_disk {
    struct fs_sys sys; /* first: the seam */
    struct leat_rng rng;
    struct sim_disk_faults faults;
    struct sim_inode *root, *inodes; /* all that ever were */
    struct sim_open *opened;
    uint32_t opened_count; /* places, free ones counted */
    uint64_t inodes_count, clock, used_bytes;
    uint64_t calls_count, failed_count, short_count;
    struct sim_disk_change *changes, **changes_last; /* of names, since a directory was synced */
};

struct sim_disk *sim_disk_new(uint64_t seed);
void sim_disk_free(struct sim_disk *disk);
void sim_disk_power_cut(struct sim_disk *disk);
uint32_t sim_disk_open_count(const struct sim_disk *disk);

#endif
