/* The table of files that are kept open. */
#include "net/http/files/files_internal.h"

#include "buffers/heap.h"
#include "runtime/base/core.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define SWEEP_NS (UINT64_C(10) * LEAT_NS_PER_S)

struct files_entry {
    struct leat_file *file; /* NULL: free */
    dev_t device;
    ino_t inode;
    struct timespec changed;  /* st_ctim: it was written, or who may read it was changed */
    struct timespec modified; /* st_mtim, and the size below: two changes within a clock's tick */
    struct files_version version;
    bool was_used; /* since the last sweep */
    char name[FILES_TABLE_NAME_BYTES];
};

static void entry_drop(struct files_entry *entry)
{
    if (entry->file != NULL)
        leat_file_unref(entry->file);
    entry->file = NULL;
}

/* What nobody asked for during a whole period is closed, so that a file which was deleted does not
 * keep its place on the disk for long. */
static void table_sweep(struct leat_timer *timer, void *arg)
{
    struct files_table *table = arg;
    for (unsigned i = 0; i < FILES_TABLE_COUNT; i++) {
        struct files_entry *entry = &table->entries[i];
        if (!entry->was_used)
            entry_drop(entry);
        entry->was_used = false;
    }
}

void files_table_fini(struct files_table *table)
{
    if (table->entries == NULL)
        return;
    leat_timer_stop(&table->timer);
    for (unsigned i = 0; i < FILES_TABLE_COUNT; i++)
        entry_drop(&table->entries[i]);
    leat_heap_free(table->entries);
    table->entries = NULL;
}

static bool table_start(struct files_table *table)
{
    struct leat_loop *loop = leat_core_now->loop;
    if (table->entries == NULL && loop != NULL) {
        table->entries = leat_heap_calloc(FILES_TABLE_COUNT, sizeof(*table->entries));
        if (table->entries == NULL)
            return false;
        leat_timer_init(&table->timer, loop, table_sweep, table);
        leat_timer_unref(&table->timer);
        leat_timer_start(&table->timer, SWEEP_NS, SWEEP_NS);
    }
    return table->entries != NULL;
}

static uint32_t name_hash(const char *name, size_t length) /* FNV-1a */
{
    uint32_t hash = 2166136261;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (uint8_t)name[i]) * 16777619;
    return hash;
}

/* The place for that name, whoever has it now; NULL: it is not kept. */
static struct files_entry *entry_place(struct files_table *table, const char *name, size_t length)
{
    if (length >= FILES_TABLE_NAME_BYTES || !table_start(table))
        return NULL;
    return &table->entries[name_hash(name, length) % FILES_TABLE_COUNT];
}

/* Whether opening the name again would give the very same file. */
static bool entry_is_still(const struct files_entry *entry, const struct stat *status)
{
    return entry->inode == status->st_ino && entry->device == status->st_dev &&
           entry->changed.tv_sec == status->st_ctim.tv_sec &&
           entry->changed.tv_nsec == status->st_ctim.tv_nsec &&
           entry->modified.tv_sec == status->st_mtim.tv_sec &&
           entry->modified.tv_nsec == status->st_mtim.tv_nsec &&
           entry->version.size_bytes == (uint64_t)status->st_size;
}

/* Descriptors that are only kept make way for one that is needed. */
static int name_open_anyway(struct files_table *table, const struct files_root *root,
                            const char *name, int flags)
{
    int fd = files_open(root, name, flags);
    if ((fd == -EMFILE || fd == -ENFILE) && table->entries != NULL) {
        for (unsigned i = 0; i < FILES_TABLE_COUNT; i++)
            entry_drop(&table->entries[i]);
        fd = files_open(root, name, flags);
    }
    return fd;
}

static int file_open_anyway(struct files_table *table, const struct files_root *root,
                            const char *name, struct files_found *found)
{
    int fd = name_open_anyway(table, root, name, 0);
    if (fd < 0)
        return fd;
    int code = fstat(fd, &found->status) == 0 ? 0 : -errno;
    found->file = code == 0 ? leat_file_new(fd) : NULL;
    if (found->file == NULL) {
        close(fd);
        return code != 0 ? code : -ENOMEM;
    }
    if (S_ISREG(found->status.st_mode))
        files_version_of(&found->version, &found->status);
    return 0;
}

static void entry_keep(struct files_entry *entry, const char *name, const struct files_found *found)
{
    entry_drop(entry);
    *entry = (struct files_entry){.file = leat_file_ref(found->file),
                                  .device = found->status.st_dev,
                                  .inode = found->status.st_ino,
                                  .changed = found->status.st_ctim,
                                  .modified = found->status.st_mtim,
                                  .version = found->version,
                                  .was_used = true};
    strcpy(entry->name, name);
}

int files_table_open(struct files_table *table, const struct files_root *root, const char *name,
                     struct files_found *found)
{
    struct files_entry *entry = entry_place(table, name, strlen(name));
    if (entry != NULL && entry->file != NULL && strcmp(entry->name, name) == 0) {
        if (fstatat(root->fd, name, &found->status, AT_NO_AUTOMOUNT) == 0 &&
            entry_is_still(entry, &found->status)) {
            entry->was_used = true;
            found->file = leat_file_ref(entry->file);
            found->version = entry->version;
            return 0;
        }
        entry_drop(entry);
    }
    int code = file_open_anyway(table, root, name, found);
    if (code == 0 && entry != NULL && S_ISREG(found->status.st_mode))
        entry_keep(entry, name, found);
    return code;
}

int files_table_open_list(struct files_table *table, const struct files_root *root,
                          const char *name)
{
    return name_open_anyway(table, root, name, O_DIRECTORY);
}
