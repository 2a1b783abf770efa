/* Opening a name beneath a directory, never beside it. */
#include "buffers/heap.h"
#include "net/http/files/files_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define OPEN_FLAGS   (O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY)
#define RENAME_TRIES 8 /* RESOLVE_BENEATH gives EAGAIN when a rename came in between */

static int open_resolved(const struct files_root *root, const char *name, int flags)
{
    struct open_how how = {.flags = (unsigned)(OPEN_FLAGS | flags),
                           .resolve = RESOLVE_NO_MAGICLINKS};
    if (root->symlinks != LEAT_SYMLINKS_ALL)
        how.resolve |= RESOLVE_BENEATH;
    if (root->symlinks == LEAT_SYMLINKS_NONE)
        how.resolve |= RESOLVE_NO_SYMLINKS;
    int fd = -1;
    for (int i = 0; i < RENAME_TRIES; i++) {
        fd = (int)syscall(SYS_openat2, root->fd, name, &how, sizeof(how));
        if (fd >= 0 || errno != EAGAIN)
            break;
    }
    return fd >= 0 ? fd : -errno;
}

/* The walk: directories that were opened on the way down, and the path still to go. */
struct walk {
    int fds[FILES_DEPTH_MAX];
    int depth; /* fds[0] is the root's */
    int links;
    char rest[LEAT_FILES_PATH_BYTES_MAX * 2];
};

static void walk_up(struct walk *walk)
{
    close(walk->fds[walk->depth--]);
}

/* Puts the link's target before the rest of the path. */
static int walk_link(struct walk *walk, enum leat_symlinks symlinks, const char *segment,
                     const char *rest, bool has_slash)
{
    char target[LEAT_FILES_PATH_BYTES_MAX];
    ssize_t length = readlinkat(walk->fds[walk->depth], segment, target, sizeof(target));
    if (length < 0)
        return errno == EINVAL ? -ENOTDIR : -errno; /* it is no link after all */
    if (symlinks == LEAT_SYMLINKS_NONE || ++walk->links > FILES_LINKS_MAX)
        return -ELOOP;
    if (length == 0 || target[0] == '/')
        return -EXDEV;
    size_t rest_bytes = strlen(rest);
    if ((size_t)length + 1 + rest_bytes >= sizeof(walk->rest))
        return -ENAMETOOLONG;
    memmove(walk->rest + length + has_slash, rest, rest_bytes + 1);
    memcpy(walk->rest, target, (size_t)length);
    if (has_slash)
        walk->rest[length] = '/';
    return 0;
}

/* One segment; returns a descriptor when it was the last, -errno, or -EAGAIN to go on. */
static int walk_step(struct walk *walk, enum leat_symlinks symlinks, int flags)
{
    char *segment = walk->rest + strspn(walk->rest, "/");
    size_t length = strcspn(segment, "/");
    char *rest = segment + length;
    bool is_last = rest[strspn(rest, "/")] == '\0';
    bool has_slash = *rest == '/';
    if (*rest != '\0')
        *rest++ = '\0';
    if (length == 2 && memcmp(segment, "..", 2) == 0) {
        if (walk->depth == 0)
            return -EXDEV;
        walk_up(walk);
        memmove(walk->rest, is_last ? "." : rest, is_last ? 2 : strlen(rest) + 1);
        return -EAGAIN;
    }
    bool is_here = length == 0 || (length == 1 && *segment == '.');
    int open_flags = is_last ? OPEN_FLAGS | flags | (has_slash ? O_DIRECTORY : 0)
                             : O_PATH | O_DIRECTORY | O_CLOEXEC;
    if (is_here && !is_last) {
        memmove(walk->rest, rest, strlen(rest) + 1);
        return -EAGAIN;
    }
    int fd = openat(walk->fds[walk->depth], is_here ? "." : segment, open_flags | O_NOFOLLOW);
    if (fd < 0 && (errno == ELOOP || errno == ENOTDIR)) {
        int rc = walk_link(walk, symlinks, segment, rest, has_slash);
        return rc == 0 ? -EAGAIN : rc;
    }
    if (fd < 0 || is_last)
        return fd >= 0 ? fd : -errno;
    if (walk->depth + 1 == FILES_DEPTH_MAX) {
        close(fd);
        return -ENAMETOOLONG;
    }
    walk->fds[++walk->depth] = fd;
    memmove(walk->rest, rest, strlen(rest) + 1);
    return -EAGAIN;
}

static int open_walking(const struct files_root *root, const char *name, int flags)
{
    struct walk walk;
    walk.fds[0] = root->fd;
    walk.depth = walk.links = 0;
    snprintf(walk.rest, sizeof(walk.rest), "%s", name);
    int result = -EAGAIN;
    while (result == -EAGAIN)
        result = walk_step(&walk, root->symlinks, flags);
    while (walk.depth > 0)
        walk_up(&walk);
    return result;
}

int files_open(const struct files_root *root, const char *name, int flags)
{
    if (root->has_openat2)
        return open_resolved(root, name, flags);
    if (root->symlinks == LEAT_SYMLINKS_ALL) {
        int fd = openat(root->fd, name, OPEN_FLAGS | flags);
        if (fd < 0)
            return -errno;
        return fd;
    }
    return open_walking(root, name, flags);
}

static int root_fail(const char *directory, int code, struct leat_error *error)
{
    const char *remedy = code == -ENOENT    ? "there is no such directory"
                         : code == -ENOTDIR ? "it is not a directory"
                         : code == -EACCES  ? "this user may not enter it"
                                            : strerror(-code);

    return leat_fail(error, code, "cannot serve files from %s: %s", directory, remedy);
}

/* Takes the place of fd when name leads to another directory now. */
static int root_enter(struct files_root *root)
{
    struct stat status;
    int fd = open(root->directory, O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    if (fstat(fd, &status) < 0) {
        close(fd);
        return -errno;
    }
    if (root->fd >= 0)
        close(root->fd);
    root->fd = fd;
    root->device = status.st_dev;
    root->inode = status.st_ino;
    return 0;
}

int files_root_open(struct files_root *root, const char *directory, enum leat_symlinks symlinks,
                    struct leat_error *error)
{
    size_t bytes = strlen(directory) + 1;

    *root = (struct files_root){.fd = -1, .symlinks = symlinks};
    root->directory = leat_heap_alloc(bytes);
    if (root->directory == NULL)
        return leat_fail(error, -ENOMEM, "no memory for the file handler");
    memcpy(root->directory, directory, bytes);
    int code = root_enter(root);
    if (code < 0) {
        files_root_close(root);
        return root_fail(directory, code, error);
    }
    int fd = open_resolved(root, ".", O_DIRECTORY);
    if (fd == -EACCES) {
        files_root_close(root);
        return leat_fail(error, fd, "cannot serve files from %s: this user may not read it",
                         directory);
    }
    root->has_openat2 = fd >= 0;
    if (fd >= 0)
        close(fd);
    return 0;
}

void files_root_close(struct files_root *root)
{
    if (root->fd >= 0)
        close(root->fd);
    root->fd = -1;
    leat_heap_free(root->directory);
    root->directory = NULL;
}

void files_root_refresh(struct files_root *root, uint64_t now_ns)
{
    struct stat status;

    if (now_ns - root->looked_ns < FILES_ROOT_LOOK_NS)
        return;
    root->looked_ns = now_ns;
    if (stat(root->directory, &status) == 0 &&
        (status.st_ino != root->inode || status.st_dev != root->device))
        (void)root_enter(root);
}
