/* What a core has of OpenSSL's module, for crypto.c and crypto_op.c. */
#ifndef LEAT_CRYPTO_INTERNAL_H
#define LEAT_CRYPTO_INTERNAL_H

#include "runtime/base/core.h"
#include "runtime/base/list.h"
#include "runtime/codec/crypto_module.h"
#include "runtime/loop/part.h"

/* refs: one of the loop, until it ends, and one of each key and operation: operations of the pool
 * may end after this part has, whichever of the two was there first. */
struct crypto_part {
    struct loop_part part;
    const struct crypto_module *module;
    struct crypto_core *core;
    struct list hashes, keys; /* that the program has not freed */
    uint32_t refs;
};

/* refs: one of the program, and one of each operation. */
struct leat_key {
    struct list link;
    struct crypto_part *part;
    struct leat_loop *loop;
    struct crypto_key *of;
    uint32_t refs;
};

/* The core's, which is made now if there is none. NULL: the core's error says why. */
struct crypto_part *crypto_part_of(struct leat_loop *loop);
void crypto_part_unref(struct crypto_part *part);
void crypto_key_unref(struct leat_key *key);

#endif
