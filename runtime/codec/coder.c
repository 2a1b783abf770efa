/* Coders of any library: their memory, their bounds, and streams that follow each other. */
#include "runtime/codec/coder_internal.h"

#include "buffers/heap.h"

#include <inttypes.h>
#include <stdatomic.h>

/* Before each block that a library asked for; as large as the strictest alignment. */
struct coder_block {
    _Alignas(16) struct coder_block *next; /* of those that wait to be freed on the core */
    size_t bytes : 63;
    size_t is_counted : 1; /* by the core's heap: not when a thread of the pool asked for it */
};
_Static_assert(sizeof(struct coder_block) == 16, "alignment of what follows");

/* Whether the account of the core has room; if so, it is charged. */
static bool account_charge(struct leat_core *core, size_t bytes)
{
    if (core == NULL)
        return true;
    uint64_t max = core->codec_bytes_max != 0 ? core->codec_bytes_max : LEAT_CODEC_MEMORY_BYTES;
    if (atomic_fetch_add(&core->codec_bytes, bytes) + bytes <= max)
        return true;
    atomic_fetch_sub(&core->codec_bytes, bytes);
    return false;
}

void *coder_alloc(struct leat_coder *coder, size_t bytes)
{
    struct leat_core *core = coder->core;
    size_t whole_bytes = bytes + sizeof(struct coder_block);
    coder->was_refused = !account_charge(core, whole_bytes);
    struct coder_block *block = coder->was_refused ? NULL : leat_heap_alloc(whole_bytes);
    if (block == NULL) {
        coder->has_no_memory = true;
        if (core != NULL && !coder->was_refused)
            atomic_fetch_sub(&core->codec_bytes, whole_bytes);
        return NULL;
    }
    block->bytes = whole_bytes & (SIZE_MAX >> 1);
    block->is_counted = leat_core_now != NULL;
    return block + 1;
}

/* The heap counts on the core that frees: what it has not counted is freed as by a thread without
 * a core. */
static void block_free(struct leat_core *owner, struct coder_block *block)
{
    struct leat_core *now = leat_core_now;
    if (owner != NULL)
        atomic_fetch_sub(&owner->codec_bytes, block->bytes);
    if (!block->is_counted)
        leat_core_now = NULL;
    leat_heap_free(block);
    leat_core_now = now;
}

void coder_release(struct leat_coder *coder, void *memory)
{
    if (memory == NULL)
        return;
    struct coder_block *block = (struct coder_block *)memory - 1;
    if (block->is_counted && leat_core_now == NULL && coder->core != NULL) {
        block->next = coder->released; /* until the coder is on its core again */
        coder->released = block;
        return;
    }
    block_free(coder->core, block);
}

static void released_free(struct leat_coder *coder)
{
    while (leat_core_now != NULL && coder->released != NULL) {
        struct coder_block *block = coder->released;
        coder->released = block->next;
        block_free(coder->core, block);
    }
}

static void memory_fail(struct leat_coder *coder)
{
    coder->code = coder->was_refused ? -EAGAIN : -ENOMEM;
    coder->sentence = coder->was_refused
                          ? "the codec memory of this core is used up: fewer streams at a time"
                          : "no memory for a coder";
}

int leat_coder_error(const struct leat_coder *coder, struct leat_error *error)
{
    if (coder->code == 0)
        return 0;
    return leat_fail(error, coder->code, "%s: %s, behind %" PRIu64 " bytes of input",
                     coder->ops->name, coder->sentence, coder->in_bytes);
}

static struct leat_coder *coder_new(const struct coder_ops *ops,
                                    const struct leat_coder_options *options, bool is_decoder,
                                    struct leat_error *error)
{
    struct leat_coder first = {.ops = ops,
                               .core = leat_core_now,
                               .options = *options,
                               .is_decoder = is_decoder};
    struct leat_coder *coder = coder_alloc(&first, sizeof(*coder));
    if (coder == NULL) {
        memory_fail(&first);
        leat_coder_error(&first, error);
        return NULL;
    }
    *coder = first;
    if (ops->begin(coder) != 0) {
        memory_fail(coder);
        leat_coder_error(coder, error);
        leat_coder_free(coder);
        return NULL;
    }
    return coder;
}

/* NULL: the library was not there, or there is no such coding. */
static const struct coder_ops *ops_find(enum leat_coding coding, bool is_decoder,
                                        struct leat_error *error)
{
    if ((unsigned)coding > LEAT_ZSTD) {
        leat_fail(error, -EINVAL, "there is no coding %d", (int)coding);
        return NULL;
    }
    const struct coding *found = &codings[coding];
    const struct coder_ops *ops = is_decoder ? found->decoder : found->encoder;
    if (ops == NULL)
        leat_fail(error, -ENOTSUP, "Leat was built without this coding: install %s, build again",
                  found->package);
    return ops;
}

struct leat_coder *leat_encoder_new(const struct leat_coder_options *options,
                                    struct leat_error *error)
{
    struct leat_coder_options own = *options;
    const struct coder_ops *ops = ops_find(options->coding, false, error);
    if (ops == NULL)
        return NULL;
    if (own.level == 0)
        own.level = ops->level_default;
    if (own.level < ops->level_least || own.level > ops->level_most) {
        leat_fail(error, -EINVAL, "%s has no level %d: levels are %d to %d", ops->name, own.level,
                  ops->level_least, ops->level_most);
        return NULL;
    }
    return coder_new(ops, &own, false, error);
}

struct leat_coder *leat_decoder_new(const struct leat_coder_options *options,
                                    struct leat_error *error)
{
    struct leat_coder_options own = *options;
    const struct coder_ops *ops = ops_find(options->coding, true, error);
    if (own.bytes_max == 0)
        own.bytes_max = LEAT_CODER_BYTES_MAX;
    if (own.ratio_max == 0)
        own.ratio_max = LEAT_CODER_RATIO_MAX;
    return ops == NULL ? NULL : coder_new(ops, &own, true, error);
}

void leat_coder_free(struct leat_coder *coder)
{
    if (coder == NULL)
        return;
    coder->ops->end(coder);
    released_free(coder);
    struct leat_coder last = *coder;
    coder_release(&last, coder);
}

void leat_coder_reset(struct leat_coder *coder)
{
    coder->in_bytes = coder->out_bytes = coder->stream_at = 0;
    coder->code = 0;
    coder->is_done = coder->is_between = false;
    coder->has_no_memory = coder->was_refused = false;
    released_free(coder);
    coder->ops->reset(coder);
}

static enum leat_coder_step coder_fail(struct leat_coder *coder, int code, const char *sentence)
{
    coder->code = code;
    coder->sentence = sentence;
    return LEAT_CODER_WRONG;
}

static enum coder_result coder_run_counted(struct leat_coder *coder, struct leat_coder_io *io)
{
    size_t in_before = io->in_bytes, out_before = io->out_bytes;
    enum coder_result result = coder->ops->run(coder, io);
    coder->in_bytes += in_before - io->in_bytes;
    coder->out_bytes += out_before - io->out_bytes;
    return result;
}

static enum leat_coder_step step_of_failure(struct leat_coder *coder, enum coder_result result)
{
    if (result != CODER_MEMORY)
        return coder_fail(coder, -EBADMSG, "this is not of that coding, or is damaged");
    memory_fail(coder);
    return LEAT_CODER_WRONG;
}

static enum leat_coder_step encoder_run(struct leat_coder *coder, struct leat_coder_io *io)
{
    enum coder_result result = coder_run_counted(coder, io);
    switch (result) {
    case CODER_USED:
        return LEAT_CODER_IN;
    case CODER_FULL:
        return LEAT_CODER_OUT;
    case CODER_ENDED:
        coder->is_done = true;
        return LEAT_CODER_DONE;
    case CODER_BROKEN:
    case CODER_MEMORY:
        break;
    }
    return step_of_failure(coder, result);
}

static bool is_beyond_ratio(const struct leat_coder *coder)
{
    return coder->out_bytes > LEAT_CODER_RATIO_FREE_BYTES &&
           coder->out_bytes / coder->options.ratio_max > coder->in_bytes;
}

/* A stream has ended: does another follow? WRONG never comes out of here; IN: nobody knows. */
static enum leat_coder_step decoder_between(struct leat_coder *coder,
                                            const struct leat_coder_io *io)
{
    if (io->in_bytes == 0 && io->mode != LEAT_CODER_FINISH)
        return LEAT_CODER_IN;
    if (io->in_bytes == 0 || io->in[0] != coder->ops->first_byte) {
        coder->is_done = true;
        return LEAT_CODER_DONE;
    }
    coder->ops->reset(coder);
    coder->stream_at = coder->in_bytes;
    coder->is_between = false;
    return LEAT_CODER_OUT; /* go on */
}

static enum leat_coder_step decoder_run(struct leat_coder *coder, struct leat_coder_io *io)
{
    for (;;) {
        if (coder->is_between) {
            enum leat_coder_step step = decoder_between(coder, io);
            if (step != LEAT_CODER_OUT)
                return step;
        }
        enum coder_result result = coder_run_counted(coder, io);
        if (result == CODER_BROKEN || result == CODER_MEMORY)
            return step_of_failure(coder, result);
        if (coder->out_bytes > coder->options.bytes_max)
            return coder_fail(coder, -EMSGSIZE, "it becomes larger than may be");
        if (is_beyond_ratio(coder))
            return coder_fail(coder, -EMSGSIZE, "it grows by more than may be");
        if (result == CODER_FULL)
            return LEAT_CODER_OUT;
        if (result == CODER_USED && io->mode == LEAT_CODER_FINISH)
            return coder_fail(coder, -EBADMSG, "it is cut off");
        if (result == CODER_USED)
            return LEAT_CODER_IN;
        coder->is_between = coder->ops->first_byte >= 0;
        if (!coder->is_between) {
            coder->is_done = true;
            return LEAT_CODER_DONE;
        }
    }
}

enum leat_coder_step leat_coder_run(struct leat_coder *coder, struct leat_coder_io *io)
{
    released_free(coder);
    if (coder->code != 0)
        return LEAT_CODER_WRONG;
    if (coder->is_done)
        return LEAT_CODER_DONE;
    return coder->is_decoder ? decoder_run(coder, io) : encoder_run(coder, io);
}
