/* A limit on how often something is done: so many in a burst, so many a second. */
#ifndef LEAT_STACK_TOKEN_BUCKET_H
#define LEAT_STACK_TOKEN_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

struct token_bucket {
    uint64_t updated_ns;
    uint32_t tokens, tokens_max;
    uint32_t per_second;
};

/* True when a token was there. */
bool token_take(struct token_bucket *bucket, uint64_t now_ns);

#endif
