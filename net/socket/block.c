/* The block that a call receives into: kept for the next, unless somebody holds what is in it. */
#include "net/socket/socket_internal.h"

bool sock_block_ready(struct sock_transport *t)
{
    if (t->block.data == NULL)
        t->block = leat_buf_alloc_unsafe(t->receive_block_bytes);
    return t->block.data != NULL;
}

/* What the callback left in nobody's hands is received into again. */
void sock_block_recycle(struct sock_transport *t)
{
    if (t->block.data != NULL && !leat_buf_resize(&t->block, t->block.length_bytes)) {
        leat_buf_unref(t->block);
        t->block = (struct leat_buf){0};
    }
}
