/* The link of a port: up, down, or gone for good. */
#include "net/program/bypass_link.h"

#include <leat/log.h>

static enum port_link link_state(struct leat_port *port)
{
    struct leat_link link = {0};
    port->ops->link(port, &link);
    if (link.is_gone)
        return PORT_LINK_GONE;
    return link.up ? PORT_LINK_UP : PORT_LINK_DOWN;
}

/* A link that has not been up yet is no news: cards and peers take their time. */
static void link_say(struct bypass_link *l, enum port_link now)
{
    if (now == PORT_LINK_GONE)
        LEAT_LOG_ERROR("--net %s: the device is gone: nothing comes or goes there any more, and "
                       "other listeners live on; start the program again when there is a new one",
                       l->net);
    else if (now == PORT_LINK_UP && l->was_up)
        LEAT_LOG_INFO("--net %s: the link is up again", l->net);
    else if (now == PORT_LINK_DOWN && l->was_up)
        LEAT_LOG_WARN("--net %s: the link is down", l->net);
    l->was_up = l->was_up || now == PORT_LINK_UP;
}

static void on_look(struct leat_timer *timer, void *arg)
{
    struct bypass_link *l = arg;
    enum port_link now = link_state(l->port);
    if (now != atomic_load_explicit(&l->port->link_seen, memory_order_relaxed)) {
        atomic_store_explicit(&l->port->link_seen, (uint8_t)now, memory_order_relaxed);
        link_say(l, now);
    }
    if (now == PORT_LINK_GONE)
        return;
    leat_timer_start(timer, BYPASS_LINK_NS, 0);
    leat_timer_unref(timer);
}

void bypass_link_watch(struct bypass_link *l, struct leat_loop *loop, struct leat_port *port,
                       const char *net)
{
    *l = (struct bypass_link){.net = net, .port = port, .is_watched = true};
    leat_timer_init(&l->timer, loop, on_look, l);
    on_look(&l->timer, l);
}

void bypass_link_unwatch(struct bypass_link *l)
{
    if (l->is_watched)
        leat_timer_stop(&l->timer);
    l->is_watched = false;
}
