/* Digests and HMAC, a piece at a time. */
#include "net/tls/openssl/openssl_internal.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <stdlib.h>

/* One of mac and digest is there. mac holds the key; freeing it cleanses. */
struct crypto_hash {
    const struct crypto_core *core;
    enum leat_digest_kind kind;
    EVP_MAC_CTX *mac;
    EVP_MD_CTX *digest;
    bool has_failed; /* since it began: what it would give is not of all that came */
};

static bool hash_key(struct crypto_hash *hash, const void *key, size_t key_bytes)
{
    char *name = (char *)(uintptr_t)openssl_digest_names[hash->kind];
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0),
        OSSL_PARAM_construct_end(),
    };
    hash->mac = EVP_MAC_CTX_new(hash->core->hmac);
    return hash->mac != NULL && EVP_MAC_init(hash->mac, key, key_bytes, params) == 1;
}

static bool hash_begin(struct crypto_hash *hash)
{
    if (hash->mac != NULL)
        return EVP_MAC_init(hash->mac, NULL, 0, NULL) == 1;
    return EVP_DigestInit_ex2(hash->digest, hash->core->digests[hash->kind], NULL) == 1;
}

struct crypto_hash *openssl_hash_new(struct crypto_core *core, enum leat_digest_kind kind,
                                     const void *key, size_t key_bytes, struct leat_error *error)
{
    struct crypto_hash *hash = calloc(1, sizeof(*hash));
    bool is_made = false;
    if (hash != NULL) {
        hash->core = core;
        hash->kind = kind;
        if (key != NULL)
            is_made = hash_key(hash, key, key_bytes);
        else
            is_made = (hash->digest = EVP_MD_CTX_new()) != NULL && hash_begin(hash);
    }
    if (!is_made) {
        openssl_fail(core, error, -ENOMEM, "memory is out: no hash");
        openssl_hash_free(hash);
        return NULL;
    }
    return hash;
}

void openssl_hash_update(struct crypto_hash *hash, const void *bytes, size_t length_bytes)
{
    int is_done = hash->mac != NULL ? EVP_MAC_update(hash->mac, bytes, length_bytes)
                                    : EVP_DigestUpdate(hash->digest, bytes, length_bytes);
    if (is_done == 1)
        return;
    hash->has_failed = true;
    ERR_clear_error();
}

int openssl_hash_finish(struct crypto_hash *hash, uint8_t *to)
{
    uint8_t code[LEAT_HASH_BYTES_MAX];
    size_t length = 0;
    unsigned length_of_digest = 0;
    int is_done = hash->mac != NULL ? EVP_MAC_final(hash->mac, code, &length, sizeof(code))
                                    : EVP_DigestFinal_ex(hash->digest, code, &length_of_digest);
    bool is_whole = is_done == 1 && !hash->has_failed;
    length += length_of_digest;
    if (is_whole)
        __builtin_memcpy(to, code, length);
    OPENSSL_cleanse(code, sizeof(code));
    hash->has_failed = !hash_begin(hash);
    ERR_clear_error();
    return is_whole ? (int)length : -ENOMEM;
}

void openssl_hash_free(struct crypto_hash *hash)
{
    if (hash == NULL)
        return;
    EVP_MAC_CTX_free(hash->mac);
    EVP_MD_CTX_free(hash->digest);
    ERR_clear_error();
    free(hash);
}
