/* The link of a port, looked at every BYPASS_LINK_NS on core 0: changes are said once, in the log
 * and in port->link_seen, which leat top shows. Internal: not installed. */
#ifndef LEAT_BYPASS_LINK_H
#define LEAT_BYPASS_LINK_H

#include <leat/loop.h>
#include <leat/timer.h>

#include "net/port/port.h"

#define BYPASS_LINK_NS LEAT_NS_PER_S

struct bypass_link {
    const char *net; /* as written */
    struct leat_port *port;
    struct leat_timer timer;
    bool is_watched, was_up;
};

/* On the loop that polls queue 0; it does not keep the loop alive. */
void bypass_link_watch(struct bypass_link *link, struct leat_loop *loop, struct leat_port *port,
                       const char *net);
/* Before the port is left; also when it was never watched. */
void bypass_link_unwatch(struct bypass_link *link);

#endif
