/* A directory as an HTML page. */
#include "buffers/heap.h"
#include "net/http/files/files_internal.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
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

/* "./" keeps a name with a colon from being taken for a scheme: RFC 3986 4.2. */
static void page_put_entry(struct page *page, const char *name)
{
    char href[3 * 256 + 4];
    files_path_encode(name, href, sizeof(href));
    page_put_text(page, "<li><a href=\"./");
    page_put_text(page, href);
    page_put_text(page, "\">");
    page_put_escaped(page, name);
    page_put_text(page, "</a></li>\n");
}

struct names {
    char *names[LEAT_FILES_LIST_MAX];
    unsigned count;
    bool is_cut;
};

static void page_write(struct page *page, const char *path, const struct names *names)
{
    page_put_text(page, "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">"
                        "<meta name=\"viewport\" content=\"width=device-width\">\n<title>");
    page_put_escaped(page, path);
    page_put_text(page, "</title></head>\n<body>\n<h1>");
    page_put_escaped(page, path);
    page_put_text(page, "</h1>\n<ul>\n");
    if (strcmp(path, "/") != 0)
        page_put_text(page, "<li><a href=\"../\">../</a></li>\n");
    for (unsigned i = 0; i < names->count; i++)
        page_put_entry(page, names->names[i]);
    page_put_text(page, names->is_cut ? "</ul>\n<p>There are more.</p>\n</body>\n</html>\n"
                                      : "</ul>\n</body>\n</html>\n");
}

/* A heap copy of the name, with a slash behind a directory's. */
static char *entry_name(const struct dirent *entry)
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

static int names_compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool names_read(DIR *directory, bool serve_hidden, struct names *names)
{
    const struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) {
        bool is_dots = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
        bool is_shown = entry->d_type == DT_REG || entry->d_type == DT_DIR ||
                        entry->d_type == DT_LNK || entry->d_type == DT_UNKNOWN;
        if (is_dots || !is_shown || (entry->d_name[0] == '.' && !serve_hidden))
            continue;
        if (names->count == LEAT_FILES_LIST_MAX) {
            names->is_cut = true;
            return true;
        }
        char *name = entry_name(entry);
        if (name == NULL)
            return false;
        names->names[names->count++] = name;
    }
    return true;
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
    if (names != NULL && names_read(directory, serve_hidden, names)) {
        qsort(names->names, names->count, sizeof(names->names[0]), names_compare);
        buf = page_make(path, names);
    }
    for (unsigned i = 0; names != NULL && i < names->count; i++)
        leat_heap_free(names->names[i]);
    leat_heap_free(names);
    closedir(directory);
    return buf;
}
