/* A cache that is bounded: what was used longest ago goes first. */
#include <leat/leat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct page {
    struct leat_lru_entry entry; /* first */
    const char *path, *text;
};

static void page_drop(struct leat_lru_entry *entry)
{
    struct page *page = (struct page *)entry;
    printf("%s goes\n", page->path);
    free(page);
}

static int put(struct leat_lru *pages, const char *path, const char *text)
{
    struct page *page = malloc(sizeof(*page));
    if (page == NULL)
        return -1;
    *page = (struct page){.entry = {.key = path, .key_bytes = (uint32_t)strlen(path)}, path, text};
    return leat_lru_put(pages, &page->entry);
}

static void show(struct leat_lru *pages, const char *path)
{
    struct page *page = (struct page *)leat_lru_find(pages, path, strlen(path));
    if (page == NULL)
        printf("%s: not there\n", path);
    else
        printf("%s: %s\n", path, page->text);
}

static int start(struct leat_loop *loop)
{
    const struct leat_lru_options options = {.count_max = 2, .drop = page_drop};
    struct leat_lru *pages = leat_lru_new(loop, &options);
    if (pages == NULL)
        return leat_loop_error(loop)->code;
    int result = put(pages, "/", "welcome");
    result |= put(pages, "/news", "it rains");
    show(pages, "/");
    result |= put(pages, "/about", "who we are");
    show(pages, "/news");
    show(pages, "/about");
    leat_lru_free(pages);
    return result < 0 ? leat_run_fail(loop, -1, "memory is out") : 0;
}

int main(int argc, char **argv)
{
    return leat_main(argc, argv, start);
}
