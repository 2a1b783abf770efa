/* Host names in --listen: resolved once, before the loops start. */
#include "net/program/listen_names.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/api/resolve.h"

/* Whether the kernel has the address: a name of this machine may stand for ::1 where there is no
 * IPv6. */
static bool addr_is_here(const struct leat_addr *addr)
{
    bool is_v4 = addr->family == LEAT_FAMILY_IPV4;
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_scope_id = addr->scope};
    memcpy(&in.sin_addr, addr->ip, sizeof(in.sin_addr));
    memcpy(&in6.sin6_addr, addr->ip, sizeof(in6.sin6_addr));
    int fd = socket(is_v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_here = fd >= 0 && (is_v4 ? bind(fd, (struct sockaddr *)&in, sizeof(in))
                                     : bind(fd, (struct sockaddr *)&in6, sizeof(in6))) == 0;
    if (fd >= 0)
        close(fd);
    return is_here;
}

/* The addresses that are here in front; returns how many are to be listened on. */
static int addrs_choose(struct leat_addr *addrs, int count)
{
    int kept = 0;
    for (int i = 0; i < count; i++)
        if (addrs[i].via != LEAT_VIA_STACK && addr_is_here(&addrs[i]))
            addrs[kept++] = addrs[i];
    return kept > 0 ? kept : addrs[0].via == LEAT_VIA_STACK ? count : 1;
}

/* As the user wrote it, with the address in place of the name: without a port when none was
 * written, so that the program's own holds. */
static void text_write(char text[LEAT_ADDR_TEXT_BYTES_MAX], const struct leat_addr *addr,
                       bool has_port)
{
    static const char *const prefixes[] =
        {[LEAT_VIA_ANY] = "", [LEAT_VIA_SOCKETS] = "sock:", [LEAT_VIA_STACK] = "net:"};
    char plain[LEAT_ADDR_TEXT_BYTES_MAX];
    leat_addr_format(addr, plain);
    if (!has_port)
        *strrchr(plain, ':') = '\0';
    snprintf(text, LEAT_ADDR_TEXT_BYTES_MAX, "%s%.100s", prefixes[addr->via], plain);
}

static int name_replace(struct listen_names *names, struct leat_option_list *to, const char *name,
                        struct leat_error *error)
{
    struct leat_addr addrs[RESOLVED_MAX], unused[RESOLVED_MAX];
    int count = addr_resolve(addrs, name, 0, error);
    if (count < 0)
        return count;
    /* Port 0 may be written, or be what stands for none: another default tells. */
    bool has_port = addr_resolve(unused, name, 1, error) > 0 && unused[0].port == addrs[0].port;
    count = addrs_choose(addrs, count);
    for (int i = 0; i < count; i++) {
        if (to->count == LEAT_OPTION_LIST_MAX || names->count == LEAT_OPTION_LIST_MAX)
            return leat_fail(error, -EINVAL,
                             "--listen %.80s: at most %d addresses can be listened on", name,
                             LEAT_OPTION_LIST_MAX);
        text_write(names->texts[names->count], &addrs[i], has_port);
        to->items[to->count++] = names->texts[names->count++];
    }
    return 0;
}

int listen_names_resolve(struct listen_names *names, struct leat_option_list *list,
                         struct leat_error *error)
{
    const struct leat_option_list from = *list;
    struct leat_addr addr;
    list->count = 0;
    names->count = 0;
    for (unsigned i = 0; i < from.count; i++) {
        int result = 0;
        if (leat_addr_parse(&addr, from.items[i], 0, NULL) < 0)
            result = name_replace(names, list, from.items[i], error);
        else if (list->count < LEAT_OPTION_LIST_MAX)
            list->items[list->count++] = from.items[i];
        if (result < 0)
            return result;
    }
    return 0;
}
