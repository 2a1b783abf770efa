/* The counters' files: their names, mapping one, and removing what was left behind. */
#include "net/watch/counters_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

const char *counters_folder(void)
{
    const char *named = secure_getenv("LEAT_RUN_DIR");
    return named != NULL && named[0] != '\0' ? named : COUNTERS_FOLDER;
}

void counters_path(int pid, const char *ending, char path[PATH_MAX])
{
    snprintf(path, PATH_MAX, "%s/" COUNTERS_PREFIX "%d%s", counters_folder(), pid, ending);
}

/* What can be locked belongs to nobody. */
static bool is_held(int fd)
{
    if (flock(fd, LOCK_SH | LOCK_NB) < 0)
        return true;
    flock(fd, LOCK_UN);
    return false;
}

/* The lock is taken for as long as the removal takes, so that a new program of that number, which
 * removes it too, is not meant. */
static void remove_stale(int fd, int pid)
{
    char path[PATH_MAX];
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return;
    counters_path(pid, ".sock", path);
    unlink(path);
    counters_path(pid, "", path);
    unlink(path);
}

static bool header_fits(const struct counters_header *h, uint64_t bytes)
{
    return memcmp(h->magic, COUNTERS_MAGIC, sizeof(h->magic)) == 0 &&
           h->version == COUNTERS_VERSION && h->name_bytes == sizeof(struct counters_name) &&
           h->names_offset % 8 == 0 && h->cores_offset % 8 == 0 && h->core_bytes % 8 == 0 &&
           h->names_offset + (uint64_t)COUNTERS_NAMES_MAX * h->name_bytes <= bytes &&
           h->core_bytes >= COUNTERS_NAMES_MAX * sizeof(uint64_t) &&
           h->cores_offset + (uint64_t)h->core_count * h->core_bytes <= bytes;
}

int counters_view_map(struct counters_view *view, int pid)
{
    char path[PATH_MAX];
    struct stat status;
    counters_path(pid, "", path);
    view->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (view->fd < 0)
        return errno == EACCES ? -EACCES : -ESRCH;
    int result = -EPROTO;
    if (!is_held(view->fd)) {
        remove_stale(view->fd, pid);
        result = -ESRCH;
        goto close_file;
    }
    if (fstat(view->fd, &status) < 0 || !S_ISREG(status.st_mode) ||
        (size_t)status.st_size < sizeof(struct counters_header))
        goto close_file;
    view->bytes = (size_t)status.st_size;
    void *memory = mmap(NULL, view->bytes, PROT_READ, MAP_SHARED, view->fd, 0);
    if (memory == MAP_FAILED)
        goto close_file;
    view->header = memory;
    if (header_fits(view->header, view->bytes))
        return 0;
    munmap(memory, view->bytes);

close_file:
    close(view->fd);
    view->fd = -1;
    return result;
}

void counters_view_close(struct counters_view *view)
{
    munmap((void *)(uintptr_t)view->header, view->bytes);
    close(view->fd);
    *view = (struct counters_view){.fd = -1};
}

bool counters_view_is_alive(const struct counters_view *view)
{
    return is_held(view->fd);
}

int counters_file_pid(const char *name)
{
    char *end;
    size_t prefix = strlen(COUNTERS_PREFIX);
    if (strncmp(name, COUNTERS_PREFIX, prefix) != 0)
        return 0;
    long pid = strtol(name + prefix, &end, 10);
    return *end == '\0' && end != name + prefix && pid > 0 && pid <= INT_MAX ? (int)pid : 0;
}

/* A number that no process has here: one of another name space, whose file is held, has one too. */
static bool is_gone(int pid)
{
    return kill(pid, 0) < 0 && errno == ESRCH;
}

void counters_sweep(void)
{
    DIR *folder = opendir(counters_folder());
    unsigned count = 0;
    for (struct dirent *entry;
         folder != NULL && count < COUNTERS_SWEEP_MAX && (entry = readdir(folder)) != NULL;) {
        struct counters_view view;
        int pid = counters_file_pid(entry->d_name);
        if (pid == 0 || !is_gone(pid))
            continue;
        count++;
        if (counters_view_map(&view, pid) == 0)
            counters_view_close(&view);
    }
    if (folder != NULL)
        closedir(folder);
}
