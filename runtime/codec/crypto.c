/* Hashes and keys, and the module that they come from: loaded once on each core. */
#include "runtime/codec/crypto_internal.h"

#include <errno.h>

#include "buffers/heap.h"
#include "runtime/os/module.h"

static const struct module_kind crypto_kind = {
    .file = "leat-tls.so",
    .symbol = "leat_crypto_module",
    .abi = CRYPTO_MODULE_ABI,
    .code = -ENOTSUP,
    .missing = "this Leat was built without OpenSSL: install libssl-dev and build again "
               "(./dev deps build && ./dev build)",
    .broken = "OpenSSL is not installed: sudo apt install libssl3",
};

struct leat_hash {
    struct list link;
    struct crypto_part *part;
    struct crypto_hash *of;
};

/* ---- A core's part ---- */

void crypto_part_unref(struct crypto_part *part)
{
    if (--part->refs > 0)
        return;
    part->module->core_free(part->core);
    leat_heap_free(part);
}

static void crypto_part_fini(struct loop_part *ending)
{
    struct crypto_part *part = container_of(ending, struct crypto_part, part);
    while (!list_is_empty(&part->hashes))
        leat_hash_free(container_of(part->hashes.next, struct leat_hash, link));
    while (!list_is_empty(&part->keys))
        leat_key_free(container_of(part->keys.next, struct leat_key, link));
    leat_core_now->crypto = NULL;
    crypto_part_unref(part);
}

static struct crypto_part *crypto_part_new(struct leat_loop *loop, struct leat_error *error)
{
    static const struct crypto_host host = {.fail = leat_fail};
    const struct crypto_module *module = module_load(&crypto_kind, error);
    struct crypto_core *core = module != NULL ? module->core_new(&host, error) : NULL;
    if (core == NULL)
        return NULL;
    struct crypto_part *part = leat_heap_calloc(1, sizeof(*part));
    if (part == NULL) {
        module->core_free(core);
        leat_fail(error, -ENOMEM, "memory is out: no keys and codes on this core");
        return NULL;
    }
    part->module = module;
    part->core = core;
    part->refs = 1;
    list_init(&part->hashes);
    list_init(&part->keys);
    part->part.fini = crypto_part_fini;
    loop_part_add(loop, &part->part);
    return part;
}

struct crypto_part *crypto_part_of(struct leat_loop *loop)
{
    struct leat_core *core = leat_core_now;
    CHECK(core != NULL && core->loop == loop);
    if (core->crypto == NULL)
        core->crypto = crypto_part_new(loop, &core->error);
    return core->crypto;
}

/* ---- Hashes ---- */

static int hash_check(enum leat_digest_kind kind, struct leat_error *error)
{
    if ((unsigned)kind <= LEAT_SHA512)
        return 0;
    return leat_fail(error, -EINVAL, "there is no digest of number %u", (unsigned)kind);
}

struct leat_hash *leat_hash_new(struct leat_loop *loop, enum leat_digest_kind kind, const void *key,
                                size_t key_bytes)
{
    struct crypto_part *part = crypto_part_of(loop);
    if (part == NULL || hash_check(kind, &leat_core_now->error) < 0)
        return NULL;
    struct leat_hash *hash = leat_heap_calloc(1, sizeof(*hash));
    if (hash == NULL) {
        leat_fail(&leat_core_now->error, -ENOMEM, "memory is out: no hash");
        return NULL;
    }
    hash->of = part->module->hash_new(part->core, kind, key, key_bytes, &leat_core_now->error);
    if (hash->of == NULL) {
        leat_heap_free(hash);
        return NULL;
    }
    hash->part = part;
    list_push(&part->hashes, &hash->link);
    return hash;
}

void leat_hash_update(struct leat_hash *hash, const void *bytes, size_t length_bytes)
{
    hash->part->module->hash_update(hash->of, bytes, length_bytes);
}

int leat_hash_finish(struct leat_hash *hash, uint8_t *to)
{
    return hash->part->module->hash_finish(hash->of, to);
}

void leat_hash_free(struct leat_hash *hash)
{
    if (hash == NULL)
        return;
    hash->part->module->hash_free(hash->of);
    list_unlink(&hash->link);
    leat_heap_free(hash);
}

/* ---- Keys ---- */

struct leat_key *leat_key_new(struct leat_loop *loop, const void *pem, size_t pem_bytes)
{
    struct crypto_part *part = crypto_part_of(loop);
    struct leat_error *error = &leat_core_now->error;
    if (part == NULL)
        return NULL;
    if (pem_bytes > LEAT_KEY_PEM_BYTES_MAX) {
        leat_fail(error, -EMSGSIZE, "a key takes at most %d bytes of PEM, not %zu",
                  LEAT_KEY_PEM_BYTES_MAX, pem_bytes);
        return NULL;
    }
    struct leat_key *key = leat_heap_calloc(1, sizeof(*key));
    if (key == NULL) {
        leat_fail(error, -ENOMEM, "memory is out: no key");
        return NULL;
    }
    key->of = part->module->key_new(part->core, (struct crypto_bytes){pem, pem_bytes}, error);
    if (key->of == NULL) {
        leat_heap_free(key);
        return NULL;
    }
    key->part = part;
    key->loop = loop;
    key->refs = 1;
    part->refs++;
    list_push(&part->keys, &key->link);
    return key;
}

void crypto_key_unref(struct leat_key *key)
{
    if (--key->refs > 0)
        return;
    key->part->module->key_free(key->of);
    crypto_part_unref(key->part);
    leat_heap_free(key);
}

void leat_key_free(struct leat_key *key)
{
    if (key == NULL)
        return;
    list_unlink(&key->link);
    crypto_key_unref(key);
}
