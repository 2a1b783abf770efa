/* What the loops of a mesh have in common, and which CPUs they are pinned to. */
#include "runtime/loop/mesh.h"

#include <string.h>

#include "runtime/loop/loop_internal.h"

void loop_common_init(struct loop_common *common)
{
    memset(common, 0, sizeof(*common));
    pthread_mutex_init(&common->lock, NULL);
}

void loop_common_fini(struct loop_common *common)
{
    CHECK(common->pool == NULL);
    pthread_mutex_destroy(&common->lock);
}

struct loop_common *loop_common(struct leat_loop *loop)
{
    return loop->mesh != NULL ? &loop->mesh->common : &loop->own_common;
}

void loop_common_join(struct leat_loop *loop)
{
    struct loop_common *common = loop_common(loop);
    if (loop->mesh == NULL)
        loop_common_init(common);
    pthread_mutex_lock(&common->lock);
    if (leat_topology_note_pinned(&common->pinned_cpus))
        atomic_fetch_add(&common->pinned_count, 1);
    pthread_mutex_unlock(&common->lock);
}

void loop_common_leave(struct leat_loop *loop)
{
    if (loop->mesh == NULL)
        loop_common_fini(&loop->own_common);
}
