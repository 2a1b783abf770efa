/* What of the disk in memory outlives a loss of power: D1 to D4 of sim_disk.h. */
#include "net/sim/sim_disk_internal.h"

#include <stdlib.h>
#include <string.h>

struct sim_disk_change *sim_change_new(struct sim_disk *disk)
{
    struct sim_disk_change *change = calloc(1, sizeof(*change));
    CHECK(change != NULL);
    *disk->changes_last = change;
    disk->changes_last = &change->next;
    return change;
}

void sim_change_add(struct sim_disk_change *change, struct sim_inode *dir, const char *name,
                    struct sim_inode *inode)
{
    struct sim_name *before = sim_name_find(dir->names, name);
    if (before != NULL)
        before->inode->links--;
    if (inode != NULL)
        inode->links++;
    sim_name_set(&dir->names, name, inode);
    CHECK(change->parts_count < 2);
    change->parts[change->parts_count].dir = dir;
    change->parts[change->parts_count].inode = inode;
    strncpy(change->parts[change->parts_count++].name, name, SIM_NAME_BYTES - 1);
}

/* The first count changes reach the disk; the others are forgotten. */
static void changes_keep(struct sim_disk *disk, uint64_t count)
{
    struct sim_disk_change *change;
    while ((change = disk->changes) != NULL) {
        disk->changes = change->next;
        for (unsigned i = 0; count > 0 && i < change->parts_count; i++)
            sim_name_set(&change->parts[i].dir->names_synced, change->parts[i].name,
                         change->parts[i].inode);
        count -= count > 0;
        free(change);
    }
    disk->changes_last = &disk->changes;
}

void sim_changes_sync(struct sim_disk *disk)
{
    changes_keep(disk, UINT64_MAX);
}

void sim_file_sync(struct sim_inode *inode)
{
    CHECK(sim_bytes_resize(&inode->synced, inode->now.length));
    if (inode->now.length > 0)
        memcpy(inode->synced.bytes, inode->now.bytes, inode->now.length);
}

static bool is_synced(const struct sim_inode *inode)
{
    return inode->now.length == inode->synced.length &&
           (inode->now.length == 0 ||
            memcmp(inode->now.bytes, inode->synced.bytes, inode->now.length) == 0);
}

/* D2: blocks of either, and a length between both. */
static void file_cut(struct sim_disk *disk, struct sim_inode *inode)
{
    struct sim_bytes *now = &inode->now, *synced = &inode->synced;
    if (is_synced(inode))
        return;
    size_t least = now->length < synced->length ? now->length : synced->length;
    size_t most = now->length < synced->length ? synced->length : now->length;
    size_t length = least + rng_below(&disk->rng, most - least + 1);
    CHECK(sim_bytes_resize(synced, length));
    for (size_t at = 0; at < length && at < now->length; at += SIM_DISK_BLOCK_BYTES) {
        size_t end = at + SIM_DISK_BLOCK_BYTES < length ? at + SIM_DISK_BLOCK_BYTES : length;
        end = end < now->length ? end : now->length;
        if (rng_below(&disk->rng, 2) != 0)
            memcpy(synced->bytes + at, now->bytes + at, end - at);
    }
    CHECK(sim_bytes_resize(now, length));
    if (length > 0)
        memcpy(now->bytes, synced->bytes, length);
}

static void names_restore(struct sim_inode *dir)
{
    struct sim_name *name;
    while ((name = dir->names) != NULL) {
        dir->names = name->next;
        free(name);
    }
    for (name = dir->names_synced; name != NULL; name = name->next) {
        sim_name_set(&dir->names, name->name, name->inode);
        name->inode->links++;
        if (S_ISDIR(name->inode->mode))
            name->inode->parent = dir;
    }
}

void sim_disk_power_cut(struct sim_disk *disk)
{
    uint64_t count = 0;
    for (struct sim_disk_change *change = disk->changes; change != NULL; change = change->next)
        count++;
    changes_keep(disk, rng_below(&disk->rng, count + 1));
    for (struct sim_inode *inode = disk->inodes; inode != NULL; inode = inode->next)
        inode->links = 0;
    disk->used_bytes = 0;
    for (struct sim_inode *inode = disk->inodes; inode != NULL; inode = inode->next) {
        if (S_ISREG(inode->mode))
            file_cut(disk, inode);
        if (S_ISDIR(inode->mode))
            names_restore(inode);
    }
    for (struct sim_inode *inode = disk->inodes; inode != NULL; inode = inode->next)
        disk->used_bytes += inode->links > 0 ? inode->now.length : 0;
    for (uint32_t i = 0; i < disk->opened_count; i++)
        disk->opened[i].inode = NULL;
}
