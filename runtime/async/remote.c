/* Futures that other threads settle: the future is never touched there, a message goes to its
 * core. */
#include <errno.h>

#include "buffers/heap.h"
#include "runtime/async/async_internal.h"

struct remote_message {
    struct async_node node; /* first */
    struct leat_future *future;
    struct leat_result result;
};

struct leat_remote leat_future_remote(struct leat_future *future)
{
    LEAT_CHECK(future_is_here(future) && !async_is_out_of_memory(future));
    struct leat_loop *loop = leat_loop_current();
    leat_loop_ref(loop); /* until it is settled */
    return (struct leat_remote){loop, future};
}

static void remote_run(struct async_node *node)
{
    struct remote_message *message = container_of(node, struct remote_message, node);
    leat_loop_unref(leat_loop_current());
    leat_settle(message->future, message->result);
    leat_heap_free(message);
}

int leat_remote_settle(struct leat_remote remote, struct leat_result result)
{
    struct remote_message *message = leat_heap_alloc(sizeof(*message));
    if (message == NULL)
        return -ENOMEM;
    *message =
        (struct remote_message){.node.run = remote_run, .future = remote.future, .result = result};
    async_tell(remote.loop, &message->node);
    return 0;
}
