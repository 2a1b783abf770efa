/* The files that standard output and error are, opened again by their names: whoever rotates logs
 * renames a file and sends SIGHUP. */
#include "runtime/base/log_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The name is read now: after a rename the descriptor would tell the new one. */
void log_file_init(struct log_file *file, int fd)
{
    char link[64], path[PATH_MAX];
    struct stat info, named;
    *file = (struct log_file){.fd = fd, .own_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3)};
    if (file->own_fd < 0)
        file->own_fd = fd;
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    if (fstat(fd, &info) < 0 || !S_ISREG(info.st_mode) || info.st_nlink == 0)
        return;
    ssize_t n = readlink(link, path, sizeof(path) - 1);
    path[n > 0 ? n : 0] = '\0';
    if (path[0] != '/' || lstat(path, &named) < 0 || named.st_ino != info.st_ino ||
        named.st_dev != info.st_dev)
        return; /* of another root, or without a name */
    file->path = strdup(path);
    file->device = info.st_dev;
    file->inode = info.st_ino;
}

void log_file_fini(struct log_file *file)
{
    free(file->path);
    file->path = NULL;
    if (file->own_fd != file->fd)
        close(file->own_fd);
    file->own_fd = file->fd;
}

/* O_NOFOLLOW: the path is one that links had been resolved in. */
int log_file_reopen(struct log_file *file)
{
    struct stat info;
    if (file->path == NULL)
        return 0;
    int flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK;
    unsigned mode = fstat(file->fd, &info) == 0 ? info.st_mode & 0777 : 0644;
    int fd = open(file->path, flags, mode);
    if (fd < 0)
        return -errno;
    int result = 0;
    if (fstat(fd, &info) < 0 || !S_ISREG(info.st_mode))
        result = -EBADF;
    else if (info.st_ino != file->inode || info.st_dev != file->device)
        result = dup2(fd, file->fd) < 0 ? -errno : 1;
    if (result == 1 && file->own_fd != file->fd && dup3(fd, file->own_fd, O_CLOEXEC) < 0)
        result = -errno;
    if (result == 1) {
        file->device = info.st_dev;
        file->inode = info.st_ino;
    }
    close(fd);
    return result;
}
