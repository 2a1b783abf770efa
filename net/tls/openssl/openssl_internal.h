/* What the files of OpenSSL's module share. Public API of OpenSSL 3.0 only. */
#ifndef LEAT_OPENSSL_INTERNAL_H
#define LEAT_OPENSSL_INTERNAL_H

#include "runtime/codec/crypto_module.h"

#include <openssl/evp.h>

#define OPENSSL_DIGESTS     4
#define OPENSSL_DERIVATIONS 3

/* A core's library context, and what is fetched from it once. Fetched things are not written to
 * after that; the pool's threads read them. */
struct crypto_core {
    const struct crypto_host *host;
    OSSL_LIB_CTX *context;
    EVP_MD *digests[OPENSSL_DIGESTS]; /* by enum leat_digest_kind */
    EVP_MAC *hmac;
    EVP_KDF *derivations[OPENSSL_DERIVATIONS]; /* by enum leat_derivation */
};

enum key_type { KEY_RSA, KEY_P256, KEY_P384, KEY_ED25519 };

struct crypto_key {
    struct crypto_core *core;
    EVP_PKEY *pkey;
    enum key_type type;
    bool is_private;
};

/* core.c */
extern const char *const openssl_digest_names[OPENSSL_DIGESTS];
/* Fills error with what and OpenSSL's reason, empties its queue, and returns code, or -ENOMEM if
 * memory was the reason. */
int openssl_fail(const struct crypto_core *core, struct leat_error *error, int code,
                 const char *what);
/* The end of a job on a thread of the pool: what OpenSSL keeps for this thread in core's context,
 * which may go before the thread does, is given back; the queue of errors is emptied. */
void openssl_job_end(const struct crypto_core *core);

/* hash.c */
struct crypto_hash *openssl_hash_new(struct crypto_core *core, enum leat_digest_kind kind,
                                     const void *key, size_t key_bytes, struct leat_error *error);
void openssl_hash_update(struct crypto_hash *hash, const void *bytes, size_t length_bytes);
int openssl_hash_finish(struct crypto_hash *hash, uint8_t *to);
void openssl_hash_free(struct crypto_hash *hash);

/* key.c */
struct crypto_key *openssl_key_new(struct crypto_core *core, struct crypto_bytes pem,
                                   struct leat_error *error);
void openssl_key_free(struct crypto_key *key);

/* sign.c */
int64_t openssl_signature_bytes(const struct crypto_key *key, enum leat_scheme scheme,
                                bool is_to_sign, struct leat_error *error);
int64_t openssl_sign(const struct crypto_key *key, enum leat_scheme scheme,
                     struct crypto_bytes data, uint8_t *to, struct leat_error *error);
int openssl_verify(const struct crypto_key *key, enum leat_scheme scheme, struct crypto_bytes data,
                   struct crypto_bytes signature, struct leat_error *error);

/* derive.c */
int openssl_derive(struct crypto_core *core, const struct leat_derive_options *options, uint8_t *to,
                   struct leat_error *error);

#endif
