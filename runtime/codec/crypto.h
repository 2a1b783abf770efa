/* What needs keys: HMAC and long digests, signatures, keys out of passwords.
 *
 *     struct leat_hash *mac = leat_hash_new(loop, LEAT_SHA256, secret, secret_bytes);
 *     leat_hash_update(mac, body.data, body.length_bytes);
 *     int length = leat_hash_finish(mac, code);           (and again, with the same key)
 *
 * It is OpenSSL's, which a module brings (leat-tls.so); the first call on a core loads it, and
 * takes milliseconds: make keys when the program starts. Where it was not built or OpenSSL is not
 * installed everything here is -ENOTSUP, with a sentence that names the package. Two things need no
 * module: digests of public data (leat/digest.h), and comparing what is secret, in a time that says
 * nothing of it (leat_buf_is_equal_secret in leat/codec.h).
 *
 * What takes long runs on the pool (LEAT_LANE_CPU) and is a future: signatures, and all of
 * leat_derive. Cancelling one that runs gives up its result, not its work.
 *
 * Secrets. Copies that Leat makes are cleansed before their memory is given back. What a function
 * returns is the caller's to cleanse (explicit_bzero), as is what it was given.
 *
 * Cores. A hash, a key and their futures belong to the core that made them. What is left of them
 * when its loop is freed is freed with it. */
#ifndef LEAT_CRYPTO_H
#define LEAT_CRYPTO_H

#include <leat/buf.h>
#include <leat/defs.h>
#include <leat/digest.h>
#include <leat/future.h>
#include <leat/loop.h>

LEAT_BEGIN

#define LEAT_HASH_BYTES_MAX      64
#define LEAT_KEY_PEM_BYTES_MAX   65536
#define LEAT_RSA_BITS_MIN        2048
#define LEAT_RSA_BITS_MAX        8192
#define LEAT_DERIVED_BYTES_MAX   1024
#define LEAT_DERIVE_IN_BYTES_MAX 65536                /* of secret, salt and info together */
#define LEAT_SCRYPT_BYTES_MAX    (UINT64_C(64) << 20) /* of memory for one; the pool runs few */
#define LEAT_PBKDF2_ROUNDS_MAX   10000000

/* ---- Digests and HMAC (RFC 2104): Node's createHash and createHmac ---- */

struct leat_hash;

/* key NULL: a digest without one. NULL: -ENOTSUP, -EINVAL or -ENOMEM, with a sentence in
 * leat_loop_error. The key is copied. */
LEAT_API struct leat_hash *leat_hash_new(struct leat_loop *loop, enum leat_digest_kind kind,
                                         const void *key, size_t key_bytes) LEAT_MUST_CHECK;
/* A failure, which only memory can cause, is told by leat_hash_finish. */
LEAT_API void leat_hash_update(struct leat_hash *hash, const void *bytes, size_t length_bytes);
/* Writes the code to to, which has room for LEAT_HASH_BYTES_MAX, and returns its length: 20, 32, 48
 * or 64. Or -ENOMEM: to is not written. The hash begins anew, with the same key. */
LEAT_API int leat_hash_finish(struct leat_hash *hash, uint8_t *to) LEAT_MUST_CHECK;
LEAT_API void leat_hash_free(struct leat_hash *hash); /* NULL: no effect */

/* ---- Signatures ---- */

struct leat_key;

/* A private or public key, or that of a certificate, out of PEM (RFC 7468): RSA, P-256, P-384 or
 * Ed25519. Where there are several the first private one counts, else the first public one, else
 * the first certificate. It decodes on the spot: when a program starts, not in a request. NULL,
 * with a sentence in leat_loop_error: -EINVAL (no such thing in it, or RSA of too few or too many
 * bits), -EACCES (it is encrypted: passphrases are not asked for), -ENOTSUP, -EMSGSIZE, -ENOMEM. */
LEAT_API struct leat_key *leat_key_new(struct leat_loop *loop, const void *pem,
                                       size_t pem_bytes) LEAT_MUST_CHECK;
LEAT_API void leat_key_free(struct leat_key *key); /* NULL: no effect; what it signs goes on */

/* A scheme names all of it, so that nobody's message chooses what it is checked by. */
enum leat_scheme {
    LEAT_RSA_PKCS1_SHA256, /* RFC 8017 8.2 */
    LEAT_RSA_PKCS1_SHA384,
    LEAT_RSA_PKCS1_SHA512,
    LEAT_RSA_PSS_SHA256, /* RFC 8017 8.1, MGF1 with the same digest, salt as long as it */
    LEAT_RSA_PSS_SHA384,
    LEAT_RSA_PSS_SHA512,
    LEAT_ECDSA_P256_SHA256, /* as DER, as TLS and certificates have it (RFC 3279 2.2.3) */
    LEAT_ECDSA_P384_SHA384,
    LEAT_ES256, /* the same two as r and s side by side, as JSON Web Tokens have it (RFC 7518) */
    LEAT_ES384,
    LEAT_ED25519, /* RFC 8032 */
};

/* Signs data, whose reference is taken. Fulfilled with the signature, LEAT_KIND_BUF. Rejected:
 * -EINVAL (the key is of another kind, or public), -EAGAIN (the pool is full), -ENOMEM. */
LEAT_API struct leat_future *leat_key_sign(struct leat_key *key, enum leat_scheme scheme,
                                           struct leat_buf data) LEAT_MUST_CHECK;
/* Takes both references. Fulfilled with nothing if it is the signature of data; rejected with
 * -EBADMSG if it is not, whatever is wrong with it, else as leat_key_sign. */
LEAT_API struct leat_future *leat_key_verify(struct leat_key *key, enum leat_scheme scheme,
                                             struct leat_buf data,
                                             struct leat_buf signature) LEAT_MUST_CHECK;

/* ---- Keys out of passwords and of other keys ---- */

enum leat_derivation {
    LEAT_SCRYPT, /* RFC 7914: for passwords */
    LEAT_PBKDF2, /* RFC 8018 5.2: for passwords, where scrypt is not known */
    LEAT_HKDF,   /* RFC 5869: of a key that is one already, never of a password */
};

struct leat_derive_options { /* 0: the default in brackets */
    enum leat_derivation how;
    enum leat_digest_kind digest;     /* of PBKDF2, HKDF; 0 is SHA-1: name a longer one */
    const void *secret, *salt, *info; /* info: of HKDF */
    size_t secret_bytes, salt_bytes, info_bytes;
    uint32_t rounds;       /* of PBKDF2 [600,000] */
    uint32_t cost;         /* N of scrypt [16,384, Node's]: a power of 2, at least 2 */
    uint32_t block, lanes; /* r and p of scrypt [8], [1]; lanes is at most 16 */
    size_t length_bytes;   /* of what is made [32] */
};

/* What is given is copied. Fulfilled with the bytes, LEAT_KIND_BUF. Rejected: -EINVAL (a bound of
 * above, or what the function does not allow), -ENOTSUP, -EAGAIN (the pool is full), -ENOMEM. */
LEAT_API struct leat_future *leat_derive(struct leat_loop *loop,
                                         const struct leat_derive_options *options) LEAT_MUST_CHECK;

LEAT_END
#endif
