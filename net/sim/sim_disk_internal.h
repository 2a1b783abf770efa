/* The parts of the disk in memory, for its files. */
#ifndef LEAT_SIM_DISK_INTERNAL_H
#define LEAT_SIM_DISK_INTERNAL_H

#include "net/sim/sim_disk.h"
#include "runtime/base/core.h"
#include "runtime/base/list.h"

#define SIM_NAME_BYTES 256

struct sim_bytes {
    uint8_t *bytes;
    size_t length;
};

struct sim_name {
    struct sim_name *next;
    struct sim_inode *inode;
    uint64_t place; /* later names have higher ones */
    char name[SIM_NAME_BYTES];
};

struct sim_inode {
    struct sim_inode *next; /* of all */
    uint64_t number, modified;
    uint32_t mode, links;                  /* with S_IFMT */
    struct sim_bytes now, synced;          /* of a file; of a link, where it leads */
    struct sim_name *names, *names_synced; /* of a directory */
    struct sim_inode *parent;
};

/* One thing done to names: at most two of them change, at once. */
struct sim_disk_change {
    struct sim_disk_change *next;
    struct {
        struct sim_inode *dir, *inode; /* inode NULL: the name goes */
        char name[SIM_NAME_BYTES];
    } parts[2];
    unsigned parts_count;
};

/* sim_disk_tree.c */
struct sim_inode *sim_inode_new(struct sim_disk *disk, uint32_t mode);
struct sim_name *sim_name_find(struct sim_name *names, const char *name);
void sim_name_set(struct sim_name **names, const char *name, struct sim_inode *inode);
bool sim_bytes_resize(struct sim_bytes *bytes, size_t length);

/* What a path leads to: the directory that its last name is in, and what is there; NULL: nothing.
 */
struct sim_found {
    struct sim_inode *dir, *inode;
    char name[SIM_NAME_BYTES]; /* empty: the path is dir itself */
};
enum { SIM_FOLLOW = 1, SIM_BENEATH = 2 };
int64_t sim_path_find(struct sim_disk *disk, int dir, const char *path, unsigned flags,
                      struct sim_found *found);
struct sim_open *sim_open_of(struct sim_disk *disk, int fd); /* NULL: no such descriptor */

/* sim_disk_power.c */
struct sim_disk_change *sim_change_new(struct sim_disk *disk);
/* Changes the name now, and on the disk when a directory is synced. */
void sim_change_add(struct sim_disk_change *change, struct sim_inode *dir, const char *name,
                    struct sim_inode *inode);
void sim_changes_sync(struct sim_disk *disk);
void sim_file_sync(struct sim_inode *inode);

#endif
