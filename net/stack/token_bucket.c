/* A bucket of tokens. */
#include "net/stack/token_bucket.h"

#include "runtime/base/core.h"

bool token_take(struct token_bucket *b, uint64_t now_ns)
{
    uint64_t passed_ns = now_ns > b->updated_ns ? now_ns - b->updated_ns : 0;
    uint64_t earned = passed_ns * b->per_second / LEAT_NS_PER_S;
    if (earned > 0) {
        b->tokens =
            earned < b->tokens_max - b->tokens ? b->tokens + (uint32_t)earned : b->tokens_max;
        b->updated_ns = now_ns;
    }
    if (b->tokens == 0)
        return false;
    b->tokens--;
    return true;
}
