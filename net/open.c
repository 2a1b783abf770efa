#include "net/open.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "net/socket/sockets.h"

struct leat_net {
    struct leat_sockets_options options;
};

static int which_of(const char *name, enum leat_sockets_which *which, struct leat_error *error)
{
    static const char *const names[] = {"auto", "uring", "epoll"};
    for (unsigned i = 0; i < 3; i++) {
        if (strcmp(name, names[i]) == 0) {
            *which = (enum leat_sockets_which)((unsigned)LEAT_SOCKETS_AUTO + i);
            return 0;
        }
    }
    size_t prefix = strcspn(name, ":");
    if ((prefix == 3 && memcmp(name, "pci", 3) == 0) ||
        (prefix == 3 && memcmp(name, "tap", 3) == 0)) {
        return leat_fail(error, -EINVAL,
                         "--net %s: this build has no transport of its own for network cards: "
                         "choose auto, uring or epoll",
                         name);
    }
    return leat_fail(error, -EINVAL, "--net takes auto, uring or epoll, not \"%s\"", name);
}

struct leat_net *leat_net_new(const char *name, struct leat_error *error)
{
    enum leat_sockets_which which = LEAT_SOCKETS_AUTO;
    if (name != NULL && which_of(name, &which, error) < 0) {
        return NULL;
    }
    struct leat_net *net = calloc(1, sizeof(*net));
    if (net == NULL) {
        leat_fail(error, -ENOMEM, "cannot prepare the transports: out of memory");
        return NULL;
    }
    net->options.which = which;
    net->options.shared = leat_sockets_shared_new();
    if (net->options.shared == NULL) {
        free(net);
        leat_fail(error, -ENOMEM, "cannot prepare the transports: out of memory");
        return NULL;
    }
    return net;
}

void leat_net_free(struct leat_net *net)
{
    if (net != NULL) {
        leat_sockets_shared_free(net->options.shared);
        free(net);
    }
}

int leat_net_open(struct leat_net *net, struct leat_loop *loop, struct leat_error *error)
{
    return leat_sockets_open(loop, &net->options, error);
}

void leat_net_close(struct leat_loop *loop)
{
    leat_sockets_close(loop);
}

const char *leat_net_name(struct leat_loop *loop)
{
    const char *name = leat_sockets_name(loop);
    return name != NULL ? name : "";
}
