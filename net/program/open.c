/* The transports that a --net means, opened on a loop and closed. */
#include "net/program/open.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "net/program/bypass.h"
#include "net/socket/sockets.h"

struct leat_net {
    struct leat_sockets_options options;
    struct bypass *bypass; /* NULL: kernel sockets only */
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
    return leat_fail(error, -EINVAL,
                     "--net takes auto, uring or epoll for kernel sockets, or a port such as "
                     "tun:leat0, not \"%s\"",
                     name);
}

/* Flags of the stack are meant for one: without it they would be ignored in silence. */
static int check_unused(const struct leat_net_options *o, struct leat_error *error)
{
    const char *flag = o->ips.count > 0        ? "ip"
                       : o->gateways.count > 0 ? "gateway"
                       : o->mac != NULL        ? "mac"
                       : o->mtu_bytes != 0     ? "mtu"
                       : o->mss_bytes != 0     ? "mss"
                       : o->vlan != 0          ? "vlan"
                       : o->queue_count != 0   ? "queues"
                       : o->faults != NULL     ? "net-faults"
                                               : NULL;
    if (flag == NULL)
        return 0;
    return leat_fail(error, -EINVAL,
                     "--%s is for Leat's own stack: name its port too, as in --net tun:leat0",
                     flag);
}

struct leat_net *leat_net_new(const struct leat_net_options *options, struct leat_error *error)
{
    enum leat_sockets_which which = LEAT_SOCKETS_AUTO;
    bool is_bypass = options->net != NULL && bypass_is_meant(options->net);
    if (!is_bypass && ((options->net != NULL && which_of(options->net, &which, error) < 0) ||
                       check_unused(options, error) < 0))
        return NULL;
    struct leat_net *net = calloc(1, sizeof(*net));
    if (net != NULL) {
        net->options.which = which;
        net->options.shared = leat_sockets_shared_new();
    }
    if (net == NULL || net->options.shared == NULL) {
        leat_net_free(net);
        leat_fail(error, -ENOMEM, "cannot prepare the transports: out of memory");
        return NULL;
    }
    if (is_bypass) {
        net->bypass = bypass_new(options, error);
        if (net->bypass == NULL) {
            leat_net_free(net);
            return NULL;
        }
    }
    return net;
}

void leat_net_free(struct leat_net *net)
{
    if (net != NULL) {
        bypass_free(net->bypass);
        leat_sockets_shared_free(net->options.shared);
        free(net);
    }
}

uint32_t leat_net_cores_default(const char *name)
{
    return name != NULL && bypass_is_meant(name) ? 1 : 0;
}

int leat_net_open(struct leat_net *net, struct leat_loop *loop, struct leat_error *error)
{
    int result = leat_sockets_open(loop, &net->options, error);
    return result < 0 || net->bypass == NULL ? result : bypass_open(net->bypass, loop, error);
}

void leat_net_shut(struct leat_net *net, struct leat_loop *loop)
{
    if (net->bypass != NULL)
        bypass_shut(net->bypass);
    leat_sockets_shut(loop);
}

void leat_net_close(struct leat_net *net, struct leat_loop *loop)
{
    if (net->bypass != NULL)
        bypass_close(net->bypass);
    leat_sockets_close(loop);
}

const struct leat_clock *leat_net_clock(const struct leat_net *net)
{
    return net->bypass != NULL ? bypass_clock(net->bypass) : NULL;
}

uint64_t leat_net_seed(const struct leat_net *net)
{
    return net->bypass != NULL ? bypass_seed(net->bypass) : 0;
}

bool leat_net_spares_hugepages(const struct leat_net *net)
{
    return net->bypass != NULL && bypass_spares_hugepages(net->bypass);
}

bool leat_net_is_sound(const struct leat_net *net)
{
    return net->bypass == NULL || bypass_is_sound(net->bypass);
}

const char *leat_net_name(struct leat_loop *loop)
{
    const char *name = leat_sockets_name(loop);
    return name != NULL ? name : "";
}

const char *leat_net_banner(const struct leat_net *net, char *text, size_t size)
{
    return net->bypass != NULL ? bypass_banner(net->bypass, text, size) : NULL;
}

const char *leat_net_host(const struct leat_net *net, char *text, size_t size)
{
    return net->bypass != NULL ? bypass_host(net->bypass, text, size) : "localhost";
}

bool leat_net_reaches(const struct leat_net *net, const struct leat_addr *listener)
{
    return net->bypass == NULL || bypass_reaches(net->bypass, listener);
}
