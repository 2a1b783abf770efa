/* Reading a directory: the names that one system call gives, as one block. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/os/fs_internal.h"

#define ENTRIES_BYTES 16384 /* of what the kernel is asked for at a time */

static const struct type_row {
    unsigned char kernel;
    enum leat_entry_type type;
} type_rows[] = {
    {DT_REG, LEAT_ENTRY_FILE},   {DT_DIR, LEAT_ENTRY_DIRECTORY}, {DT_LNK, LEAT_ENTRY_LINK},
    {DT_FIFO, LEAT_ENTRY_FIFO},  {DT_SOCK, LEAT_ENTRY_SOCKET},   {DT_CHR, LEAT_ENTRY_DEVICE},
    {DT_BLK, LEAT_ENTRY_DEVICE},
};

static enum leat_entry_type type_of_kernel(unsigned char kernel)
{
    for (size_t i = 0; i < sizeof(type_rows) / sizeof(type_rows[0]); i++)
        if (type_rows[i].kernel == kernel)
            return type_rows[i].type;
    return LEAT_ENTRY_UNKNOWN;
}

static bool is_dots(const char *name)
{
    return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

static const struct dirent64 *entry_at(const char *bytes, int64_t at)
{
    return (const void *)(bytes + at);
}

/* How many names there are, and the bytes of all of them. */
static uint32_t entries_count(const char *bytes, int64_t length, size_t *name_bytes)
{
    uint32_t count = 0;
    *name_bytes = 0;
    for (int64_t at = 0; at < length; at += entry_at(bytes, at)->d_reclen) {
        const char *name = entry_at(bytes, at)->d_name;
        if (is_dots(name))
            continue;
        count++;
        *name_bytes += strlen(name) + 1;
    }
    return count;
}

static void entries_fill(struct leat_entries *entries, uint32_t count, const char *bytes,
                         int64_t length)
{
    char *name = (char *)&entries->items[count];
    entries->count = 0;
    for (int64_t at = 0; at < length; at += entry_at(bytes, at)->d_reclen) {
        const struct dirent64 *from = entry_at(bytes, at);
        if (is_dots(from->d_name))
            continue;
        entries->items[entries->count++] =
            (struct leat_entry){.name = name, .type = type_of_kernel(from->d_type)};
        name = stpcpy(name, from->d_name) + 1;
    }
}

/* Asks again where only dots came: a count of 0 is the end. */
static void fs_readdir_run(struct op *op)
{
    struct fs_op *fs = fs_op_of(op);
    _Alignas(struct dirent64) char bytes[ENTRIES_BYTES];
    size_t name_bytes = 0;
    uint32_t count = 0;
    int64_t length;
    do {
        length = op->sys->entries(op->sys, leat_file_fd(fs->args.file), bytes, sizeof(bytes));
        if (length > 0)
            count = entries_count(bytes, length, &name_bytes);
    } while (length > 0 && count == 0);
    op->value = length;
    if (length < 0)
        return;
    size_t total_bytes =
        sizeof(struct leat_entries) + count * sizeof(struct leat_entry) + name_bytes;
    op->value = op->sys->memory(op->sys, &fs->memory, total_bytes);
    if (op->value == 0)
        entries_fill(fs->memory, count, bytes, length);
}

static struct leat_result result_entries(struct op *op)
{
    struct fs_op *fs = fs_op_of(op);
    if (op->value < 0)
        return fs_failure(op);
    void *memory = fs->memory;
    fs->memory = NULL;
    return leat_pointer(memory, LEAT_KIND_ENTRIES, free);
}

FS_OP(readdir, result_entries, NULL, leat_loop_current(), (struct leat_file * dir), .file = dir)
