/* Host names in --listen. Internal: not installed. */
#ifndef LEAT_LISTEN_NAMES_H
#define LEAT_LISTEN_NAMES_H

#include <leat/addr.h>
#include <leat/options.h>

/* The texts that took the place of names; lives as long as the list. */
struct listen_names {
    char texts[LEAT_OPTION_LIST_MAX][LEAT_ADDR_TEXT_BYTES_MAX];
    unsigned count;
};

/* Puts in place of each name, "localhost:8080", the addresses it stands for, without those that
 * this machine does not have as long as it has one of them. Waits for the resolver: before the
 * loops start. 0, or -errno with a sentence. */
int listen_names_resolve(struct listen_names *names, struct leat_option_list *list,
                         struct leat_error *error) LEAT_MUST_CHECK;

#endif
