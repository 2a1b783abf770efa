/* The tree of the disk in memory: inodes, names, and where paths lead. */
#include "net/sim/sim_disk_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define LINKS_MAX 40

struct sim_inode *sim_inode_new(struct sim_disk *disk, uint32_t mode)
{
    struct sim_inode *inode = calloc(1, sizeof(*inode));
    CHECK(inode != NULL);
    inode->next = disk->inodes;
    disk->inodes = inode;
    inode->number = ++disk->inodes_count;
    inode->mode = mode;
    inode->modified = ++disk->clock;
    return inode;
}

struct sim_name *sim_name_find(struct sim_name *names, const char *name)
{
    while (names != NULL && strcmp(names->name, name) != 0)
        names = names->next;
    return names;
}

void sim_name_set(struct sim_name **names, const char *name, struct sim_inode *inode)
{
    struct sim_name **at = names;
    uint64_t place = 0;
    for (; *at != NULL && strcmp((*at)->name, name) != 0; at = &(*at)->next)
        place = (*at)->place;
    if (inode == NULL && *at != NULL) {
        struct sim_name *gone = *at;
        *at = gone->next;
        free(gone);
    } else if (inode != NULL) {
        if (*at == NULL) {
            *at = calloc(1, sizeof(**at));
            CHECK(*at != NULL);
            strncpy((*at)->name, name, SIM_NAME_BYTES - 1);
            (*at)->place = place + 1;
        }
        (*at)->inode = inode;
    }
}

bool sim_bytes_resize(struct sim_bytes *bytes, size_t length)
{
    uint8_t *grown = realloc(bytes->bytes, length > 0 ? length : 1);
    if (grown == NULL)
        return false;
    if (length > bytes->length)
        memset(grown + bytes->length, 0, length - bytes->length);
    bytes->bytes = grown;
    bytes->length = length;
    return true;
}

struct sim_open *sim_open_of(struct sim_disk *disk, int fd)
{
    uint32_t at = (uint32_t)(fd - SIM_DISK_FD_FIRST);
    if (fd < SIM_DISK_FD_FIRST || at >= disk->opened_count || disk->opened[at].inode == NULL)
        return NULL;
    return &disk->opened[at];
}

/* A path that is being walked: what is left of it lies in text. */
struct walk {
    struct sim_disk *disk;
    struct sim_inode *at, *top; /* top: nothing above it may be reached */
    unsigned flags, links_count;
    char text[2 * PATH_MAX];
};

/* Cuts the next name off; false: there is none. */
static bool walk_name(struct walk *walk, char name[SIM_NAME_BYTES], bool *is_last)
{
    char *from = walk->text + strspn(walk->text, "/");
    size_t length = strcspn(from, "/");
    if (length == 0)
        return false;
    memcpy(name, from, length < SIM_NAME_BYTES ? length : SIM_NAME_BYTES - 1);
    name[length < SIM_NAME_BYTES ? length : SIM_NAME_BYTES - 1] = '\0';
    memmove(walk->text, from + length, strlen(from + length) + 1);
    *is_last = walk->text[strspn(walk->text, "/")] == '\0';
    return true;
}

/* The link's text comes before what is left. */
static int64_t walk_link(struct walk *walk, const struct sim_inode *link)
{
    char left[PATH_MAX];
    const char *target = (const char *)link->now.bytes;
    if (++walk->links_count > LINKS_MAX)
        return -ELOOP;
    if (strlen(walk->text) >= sizeof(left) || link->now.length >= PATH_MAX)
        return -ENAMETOOLONG;
    strcpy(left, walk->text);
    memcpy(walk->text, target, link->now.length);
    strcpy(walk->text + link->now.length, left);
    if (link->now.bytes[0] != '/')
        return 0;
    walk->at = walk->disk->root;
    return (walk->flags & SIM_BENEATH) != 0 ? -EXDEV : 0;
}

static int64_t walk_begin(struct walk *walk, int dir, const char *path)
{
    const struct sim_open *open = dir != AT_FDCWD ? sim_open_of(walk->disk, dir) : NULL;
    if (*path == '\0')
        return -ENOENT;
    if (strlen(path) >= PATH_MAX)
        return -ENAMETOOLONG;
    if (dir != AT_FDCWD && open == NULL && *path != '/')
        return -EBADF;
    if (*path == '/' && (walk->flags & SIM_BENEATH) != 0)
        return -EXDEV;
    walk->at = open != NULL && *path != '/' ? open->inode : walk->disk->root;
    walk->top = (walk->flags & SIM_BENEATH) != 0 ? walk->at : NULL;
    strcpy(walk->text, path);
    return 0;
}

/* One name further. */
static int64_t walk_step(struct walk *walk, const char *name, bool is_last, struct sim_found *found)
{
    if (!S_ISDIR(walk->at->mode))
        return -ENOTDIR;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
        if (name[1] == '.' && walk->at == walk->top)
            return -EXDEV;
        walk->at = name[1] == '.' ? walk->at->parent : walk->at;
        *found = (struct sim_found){.dir = walk->at, .inode = walk->at};
        return 0;
    }
    struct sim_name *there = sim_name_find(walk->at->names, name);
    bool has_slash = walk->text[0] == '/';
    if (there != NULL && S_ISLNK(there->inode->mode) &&
        (!is_last || (walk->flags & SIM_FOLLOW) != 0 || has_slash))
        return walk_link(walk, there->inode);
    found->dir = walk->at;
    found->inode = there != NULL ? there->inode : NULL;
    strcpy(found->name, name);
    if (is_last)
        return has_slash && there != NULL && !S_ISDIR(there->inode->mode) ? -ENOTDIR : 0;
    if (there == NULL)
        return -ENOENT;
    walk->at = there->inode;
    return 0;
}

int64_t sim_path_find(struct sim_disk *disk, int dir, const char *path, unsigned flags,
                      struct sim_found *found)
{
    struct walk walk = {.disk = disk, .flags = flags};
    char name[SIM_NAME_BYTES];
    bool is_last = false;
    int64_t result = walk_begin(&walk, dir, path);
    *found = (struct sim_found){.dir = walk.at, .inode = walk.at};
    while (result == 0 && walk_name(&walk, name, &is_last))
        result = walk_step(&walk, name, is_last, found);
    return result;
}
