/* Who listens on a port of this machine. */
#include "runtime/os/holder.h"

#include <ctype.h>
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HOLDER_INODES_MAX 8 /* listeners on one port that are looked for */

struct inodes {
    unsigned long long items[HOLDER_INODES_MAX];
    unsigned count;
};

/* Adds the inodes of sockets in state LISTEN on port (proc_net_tcp in the kernel's documents). */
static void inodes_read(const char *path, uint16_t port, struct inodes *inodes)
{
    FILE *file = fopen(path, "re");
    char line[512];
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        unsigned local_port, state;
        unsigned long long inode;
        if (sscanf(line, " %*u: %*[0-9A-Fa-f]:%x %*s %x %*s %*s %*s %*s %*s %llu", &local_port,
                   &state, &inode) == 3 &&
            local_port == port && state == 0x0a && inode != 0 && inodes->count < HOLDER_INODES_MAX)
            inodes->items[inodes->count++] = inode;
    }
    if (file != NULL)
        fclose(file);
}

static bool has_inode(const char *pid, const struct inodes *inodes)
{
    char path[64 + NAME_MAX], link[64];
    snprintf(path, sizeof(path), "/proc/%s/fd", pid);
    DIR *directory = opendir(path);
    bool found = false;
    const struct dirent *entry;
    while (directory != NULL && !found && (entry = readdir(directory)) != NULL) {
        unsigned long long inode;
        ssize_t n = readlinkat(dirfd(directory), entry->d_name, link, sizeof(link) - 1);
        link[n > 0 ? n : 0] = '\0';
        if (sscanf(link, "socket:[%llu]", &inode) != 1)
            continue;
        for (unsigned i = 0; i < inodes->count; i++)
            found = found || inodes->items[i] == inode;
    }
    if (directory != NULL)
        closedir(directory);
    return found;
}

static void name_read(const char *pid, char name[32])
{
    char path[64 + NAME_MAX];
    snprintf(path, sizeof(path), "/proc/%s/comm", pid);
    FILE *file = fopen(path, "re");
    snprintf(name, 32, "a process");
    if (file != NULL) {
        if (fgets(name, 32, file) != NULL)
            name[strcspn(name, "\n")] = '\0';
        fclose(file);
    }
}

const char *holder_of_port(uint16_t port, char text[HOLDER_TEXT_BYTES_MAX])
{
    struct inodes inodes = {.count = 0};
    inodes_read("/proc/net/tcp", port, &inodes);
    inodes_read("/proc/net/tcp6", port, &inodes);
    snprintf(text, HOLDER_TEXT_BYTES_MAX, "another process");
    DIR *directory = inodes.count > 0 ? opendir("/proc") : NULL;
    const struct dirent *entry;
    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        if (isdigit((unsigned char)entry->d_name[0]) && has_inode(entry->d_name, &inodes)) {
            char name[32];
            name_read(entry->d_name, name);
            snprintf(text, HOLDER_TEXT_BYTES_MAX, "%s (pid %.12s%s)", name, entry->d_name,
                     atoi(entry->d_name) == getpid() ? ", this program itself" : "");
            break;
        }
    }
    if (directory != NULL)
        closedir(directory);
    return text;
}
