/* What the library and OpenSSL's module (net/tls/openssl/) know of each other: its digest half. How
 * it is loaded: runtime/os/module.h. Internal: not installed.
 *
 * Each core has a struct crypto_core, a library context of OpenSSL's, made and freed on its own
 * thread; nothing that OpenSSL counts crosses cores. Functions marked "pool" run on any thread of
 * the pool, several at a time with one key or core, which live until all of them have returned.
 *
 * OpenSSL's queue of errors belongs to the thread: each function leaves it empty. */
#ifndef LEAT_CRYPTO_MODULE_H
#define LEAT_CRYPTO_MODULE_H

#include <leat/crypto.h>
#include <leat/error.h>

#define CRYPTO_MODULE_ABI 1

struct crypto_core; /* the module's own, all three */
struct crypto_hash;
struct crypto_key;

struct crypto_host {
    int (*fail)(struct leat_error *error, int code, const char *format, ...) LEAT_PRINTF(3, 4);
};

struct crypto_bytes {
    const uint8_t *data;
    size_t length_bytes;
};

struct crypto_module {
    uint32_t abi;
    /* The host must live as long as the process. */
    struct crypto_core *(*core_new)(const struct crypto_host *host, struct leat_error *error);
    void (*core_free)(struct crypto_core *core);
    struct crypto_hash *(*hash_new)(struct crypto_core *core, enum leat_digest_kind kind,
                                    const void *key, size_t key_bytes, struct leat_error *error);
    void (*hash_update)(struct crypto_hash *hash, const void *bytes, size_t length_bytes);
    int (*hash_finish)(struct crypto_hash *hash, uint8_t *to);
    void (*hash_free)(struct crypto_hash *hash);
    struct crypto_key *(*key_new)(struct crypto_core *core, struct crypto_bytes pem,
                                  struct leat_error *error);
    void (*key_free)(struct crypto_key *key);
    /* What a signature takes at most; or -EINVAL: the key does not sign so. */
    int64_t (*signature_bytes)(const struct crypto_key *key, enum leat_scheme scheme,
                               bool is_to_sign, struct leat_error *error);
    /* Pool. Its length, or -errno; to has room for signature_bytes. */
    int64_t (*sign)(const struct crypto_key *key, enum leat_scheme scheme, struct crypto_bytes data,
                    uint8_t *to, struct leat_error *error);
    /* Pool. 0, -EBADMSG or another -errno. */
    int (*verify)(const struct crypto_key *key, enum leat_scheme scheme, struct crypto_bytes data,
                  struct crypto_bytes signature, struct leat_error *error);
    /* Pool. options are complete and within their bounds. */
    int (*derive)(struct crypto_core *core, const struct leat_derive_options *options, uint8_t *to,
                  struct leat_error *error);
};

#endif
