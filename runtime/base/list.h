/* Intrusive doubly-linked circular lists. A link that is in no list points to itself after
 * list_init or list_unlink, so that unlinking twice is harmless. Memory is the caller's. */
#ifndef LEAT_LIST_H
#define LEAT_LIST_H

#include <leat/defs.h>

#define container_of(pointer, type, member)                                                        \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

struct list {
    struct list *next, *prev;
};

static inline void list_init(struct list *list)
{
    list->next = list;
    list->prev = list;
}

static inline bool list_is_empty(const struct list *list)
{
    return list->next == list;
}

static inline void list_push(struct list *list, struct list *link)
{
    link->next = list;
    link->prev = list->prev;
    list->prev->next = link;
    list->prev = link;
}

static inline void list_unlink(struct list *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    list_init(link);
}

/* Takes the first link, or NULL. */
static inline struct list *list_pull(struct list *list)
{
    if (list_is_empty(list))
        return NULL;
    struct list *link = list->next;
    list_unlink(link);
    return link;
}

/* Appends all of from to list; from is empty afterwards. */
static inline void list_take(struct list *list, struct list *from)
{
    if (list_is_empty(from))
        return;
    from->next->prev = list->prev;
    list->prev->next = from->next;
    from->prev->next = list;
    list->prev = from->prev;
    list_init(from);
}

#endif
