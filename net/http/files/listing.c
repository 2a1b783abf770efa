/* A directory as an HTML page. */
#include "buffers/heap.h"
#include "net/http/files/files_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Writes to at while it fits, counts always: the page is measured first and then written. */
struct page {
    char *at;
    size_t length_bytes, size_bytes;
};

static void page_put(struct page *page, const char *text, size_t length)
{
    if (page->at != NULL && page->length_bytes + length <= page->size_bytes)
        memcpy(page->at + page->length_bytes, text, length);
    page->length_bytes += length;
}

static void page_put_text(struct page *page, const char *text)
{
    page_put(page, text, strlen(text));
}

static void page_put_escaped(struct page *page, const char *text)
{
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '&':
            page_put_text(page, "&amp;");
            break;
        case '<':
            page_put_text(page, "&lt;");
            break;
        case '>':
            page_put_text(page, "&gt;");
            break;
        case '"':
            page_put_text(page, "&quot;");
            break;
        case '\'':
            page_put_text(page, "&#39;");
            break;
        default:
            page_put(page, text, 1);
        }
    }
}

/* What is shown of a name. */
struct entry {
    char *name;             /* with a slash behind a directory's */
    uint64_t size_bytes;    /* of a file */
    int64_t modified_s;     /* since 1970 */
    bool is_file, is_known; /* a file of which the size, anything of which the date is known */
};

/* The first LEAT_FILES_LIST_MAX names in order, of all that there are: a heap with the last of them
 * on top until all have been seen, so that memory is bounded and nothing depends on the order in
 * which the directory gives them. */
struct names {
    struct entry entries[LEAT_FILES_LIST_MAX];
    unsigned count;
    uint64_t seen_count;
};

/* "./" keeps a name with a colon from being taken for a scheme: RFC 3986 4.2. */
static void page_put_name(struct page *page, const char *name)
{
    char href[3 * 256 + 4];
    files_path_encode(name, href, sizeof(href));
    page_put_text(page, "<td><a href=\"./");
    page_put_text(page, href);
    page_put_text(page, "\">");
    page_put_escaped(page, name);
    page_put_text(page, "</a></td>");
}

/* 1023 B, 1.0 KiB .. */
static void page_put_size(struct page *page, uint64_t bytes)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    char text[32];
    unsigned unit = 0;

    if (bytes < 1024) {
        snprintf(text, sizeof(text), "%u B", (unsigned)bytes);
    } else {
        for (; bytes >> 10 >= 1024; unit++)
            bytes >>= 10;
        snprintf(text, sizeof(text), "%u.%u %s", (unsigned)(bytes >> 10),
                 (unsigned)((bytes & 1023) * 10 >> 10), units[unit]);
    }
    page_put_text(page, text);
}

static void page_put_date(struct page *page, int64_t seconds)
{
    time_t time = seconds;
    struct tm date;
    char text[64];

    if (gmtime_r(&time, &date) == NULL)
        return;
    snprintf(text, sizeof(text), "%04d-%02d-%02d %02d:%02d", date.tm_year + 1900, date.tm_mon + 1,
             date.tm_mday, date.tm_hour, date.tm_min);
    page_put_text(page, text);
}

static void page_put_entry(struct page *page, const struct entry *entry)
{
    page_put_text(page, "<tr>");
    page_put_name(page, entry->name);
    page_put_text(page, "<td>");
    if (entry->is_file)
        page_put_size(page, entry->size_bytes);
    page_put_text(page, "</td><td>");
    if (entry->is_known)
        page_put_date(page, entry->modified_s);
    page_put_text(page, "</td></tr>\n");
}

static void page_put_cut(struct page *page, const struct names *names)
{
    char text[96];

    if (names->seen_count == names->count)
        return;
    snprintf(text, sizeof(text), "<p>These are the first %u of %llu names.</p>\n", names->count,
             (unsigned long long)names->seen_count);
    page_put_text(page, text);
}

static void page_write(struct page *page, const char *path, const struct names *names)
{
    page_put_text(page, "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">"
                        "<meta name=\"viewport\" content=\"width=device-width\">\n<title>");
    page_put_escaped(page, path);
    page_put_text(page, "</title>\n<style>body{font-family:system-ui,sans-serif}"
                        "td,th{padding:.1em 1em .1em 0;text-align:left;overflow-wrap:anywhere}"
                        "td+td{white-space:nowrap}</style></head>\n<body>\n<h1>");
    page_put_escaped(page, path);
    page_put_text(page, "</h1>\n");
    page_put_cut(page, names);
    page_put_text(page, "<table>\n<tr><th>Name</th><th>Size</th><th>Changed (UTC)</th></tr>\n");
    if (strcmp(path, "/") != 0)
        page_put_text(page, "<tr><td><a href=\"../\">../</a></td><td></td><td></td></tr>\n");
    for (unsigned i = 0; i < names->count; i++)
        page_put_entry(page, &names->entries[i]);
    page_put_text(page, "</table>\n");
    page_put_text(page, "</body>\n</html>\n");
}

/* A heap copy of the name, with a slash behind a directory's. */
static char *name_copy(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);
    char *name = leat_heap_alloc(length + 2);
    if (name != NULL) {
        memcpy(name, entry->d_name, length + 1);
        if (entry->d_type == DT_DIR)
            memcpy(name + length, "/", 2);
    }
    return name;
}

static int entries_compare(const void *a, const void *b)
{
    return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

static void entries_swap(struct entry *a, struct entry *b)
{
    struct entry kept = *a;

    *a = *b;
    *b = kept;
}

/* The heap is right but for its top. */
static void names_sink(struct names *names)
{
    for (unsigned at = 0, child; (child = 2 * at + 1) < names->count; at = child) {
        if (child + 1 < names->count &&
            entries_compare(&names->entries[child], &names->entries[child + 1]) < 0)
            child++;
        if (entries_compare(&names->entries[at], &names->entries[child]) >= 0)
            return;
        entries_swap(&names->entries[at], &names->entries[child]);
    }
}

static void names_rise(struct names *names, unsigned at)
{
    for (; at > 0; at = (at - 1) / 2) {
        if (entries_compare(&names->entries[at], &names->entries[(at - 1) / 2]) <= 0)
            return;
        entries_swap(&names->entries[at], &names->entries[(at - 1) / 2]);
    }
}

static void names_add(struct names *names, char *name)
{
    names->seen_count++;
    if (names->count < LEAT_FILES_LIST_MAX) {
        names->entries[names->count] = (struct entry){.name = name};
        names_rise(names, names->count++);
    } else if (strcmp(name, names->entries[0].name) < 0) {
        leat_heap_free(names->entries[0].name);
        names->entries[0] = (struct entry){.name = name};
        names_sink(names);
    } else {
        leat_heap_free(name);
    }
}

static bool entry_is_shown(const struct dirent *entry, bool serve_hidden)
{
    bool is_dots = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;

    return !is_dots && (entry->d_name[0] != '.' || serve_hidden) &&
           (entry->d_type == DT_REG || entry->d_type == DT_DIR || entry->d_type == DT_LNK ||
            entry->d_type == DT_UNKNOWN);
}

/* 0, or -ENOMEM. */
static int names_read(DIR *directory, bool serve_hidden, struct names *names)
{
    const struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) {
        if (!entry_is_shown(entry, serve_hidden))
            continue;
        char *name = name_copy(entry);
        if (name == NULL)
            return -ENOMEM;
        names_add(names, name);
    }
    return 0;
}

/* A link says nothing of what it leads to, which may be outside. */
static void entry_look(struct entry *entry, int fd)
{
    struct stat status;

    if (fstatat(fd, entry->name, &status, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) < 0)
        return;
    entry->is_known = !S_ISLNK(status.st_mode);
    entry->is_file = S_ISREG(status.st_mode);
    entry->size_bytes = (uint64_t)status.st_size;
    entry->modified_s = status.st_mtim.tv_sec;
}

static struct leat_buf page_make(const char *path, const struct names *names)
{
    struct page page = {0};
    page_write(&page, path, names);
    struct leat_buf buf = leat_buf_alloc_unsafe(page.length_bytes);
    if (buf.data != NULL) {
        page = (struct page){(char *)buf.data, 0, buf.length_bytes};
        page_write(&page, path, names);
    }
    return buf;
}

struct leat_buf files_list(int fd, const char *path, bool serve_hidden)
{
    struct leat_buf buf = {0};
    DIR *directory = fdopendir(fd);
    if (directory == NULL) {
        close(fd);
        return buf;
    }
    struct names *names = leat_heap_calloc(1, sizeof(*names));
    if (names != NULL && names_read(directory, serve_hidden, names) == 0) {
        qsort(names->entries, names->count, sizeof(names->entries[0]), entries_compare);
        for (unsigned i = 0; i < names->count; i++)
            entry_look(&names->entries[i], fd);
        buf = page_make(path, names);
    }
    for (unsigned i = 0; names != NULL && i < names->count; i++)
        leat_heap_free(names->entries[i].name);
    leat_heap_free(names);
    closedir(directory);
    return buf;
}
