/* Why a connection was not made. */
#include "apps/why.h"

#include <errno.h>
#include <sys/stat.h>

/* Transports know ports; for a unix socket nobody listens on a path, or there is none. */
static const char *why_no_unix(const char *path)
{
    struct stat info;
    if (path[0] == '@') /* the abstract name space */
        return "nobody listens on it";
    if (lstat(path, &info) < 0)
        return errno == ENOENT ? "there is no such socket" : "its path cannot be reached";
    return S_ISSOCK(info.st_mode) ? "nobody listens on it" : "it is no socket";
}

const char *why_not_connected(const struct leat_addr *to, enum leat_close_reason reason)
{
    if (to->family == LEAT_FAMILY_UNIX && reason == LEAT_CLOSE_REFUSED)
        return why_no_unix(to->path);
    if (to->family == LEAT_FAMILY_UNIX && reason == LEAT_CLOSE_UNREACHABLE)
        return "this user may not connect to it";
    return leat_close_reason_sentence(reason);
}
