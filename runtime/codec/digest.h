/* Digests of public data: SHA-1 (RFC 3174) and SHA-256 (RFC 6234), a piece at a time.
 *
 * For what is no secret: ETags, the handshake of WebSocket, names in a cache. Longer and keyed
 * digests, passwords and signatures come from OpenSSL's module (leat/crypto.h). SHA-1 is broken for
 * signatures and certificates; it is here for protocols that name it.
 *
 * Pure: no allocation, any thread. A digest of a large body takes its time (ask for it in pieces,
 * or on a thread of the pool). */
#ifndef LEAT_DIGEST_H
#define LEAT_DIGEST_H

#include <leat/defs.h>

LEAT_BEGIN

#define LEAT_DIGEST_BYTES_MAX 32

enum leat_digest_kind {
    LEAT_SHA1,   /* 20 bytes */
    LEAT_SHA256, /* 32 bytes */
    LEAT_SHA384, /* these two: leat_hash alone (leat/crypto.h) */
    LEAT_SHA512,
};

struct leat_digest { /* fields are the digest's own */
    uint32_t words[8];
    uint64_t length_bytes;
    uint8_t block[64];
    enum leat_digest_kind kind;
};

LEAT_API void leat_digest_init(struct leat_digest *digest, enum leat_digest_kind kind);
LEAT_API void leat_digest_update(struct leat_digest *digest, const void *bytes,
                                 size_t length_bytes);
/* Writes the digest to to, which has room for LEAT_DIGEST_BYTES_MAX, and returns its length. The
 * digest begins anew, of the same kind. */
LEAT_API size_t leat_digest_finish(struct leat_digest *digest, uint8_t *to);

LEAT_END
#endif
