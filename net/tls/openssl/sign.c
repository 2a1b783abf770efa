/* Signatures, made and verified on threads of the pool: a row for each scheme. */
#include "net/tls/openssl/openssl_internal.h"

#include <errno.h>
#include <openssl/ec.h>
#include <openssl/rsa.h>

#define DER_BYTES_MAX 128 /* of two numbers of 48 bytes */

static const struct scheme {
    const char *name;
    enum key_type type;
    uint8_t half_bytes;           /* of r and s side by side; 0: as OpenSSL has it */
    int padding;                  /* of RSA */
    enum leat_digest_kind digest; /* not of Ed25519, which has its own */
} schemes[] = {
    [LEAT_RSA_PKCS1_SHA256] = {"RSA PKCS#1", KEY_RSA, 0, RSA_PKCS1_PADDING, LEAT_SHA256},
    [LEAT_RSA_PKCS1_SHA384] = {"RSA PKCS#1", KEY_RSA, 0, RSA_PKCS1_PADDING, LEAT_SHA384},
    [LEAT_RSA_PKCS1_SHA512] = {"RSA PKCS#1", KEY_RSA, 0, RSA_PKCS1_PADDING, LEAT_SHA512},
    [LEAT_RSA_PSS_SHA256] = {"RSA PSS", KEY_RSA, 0, RSA_PKCS1_PSS_PADDING, LEAT_SHA256},
    [LEAT_RSA_PSS_SHA384] = {"RSA PSS", KEY_RSA, 0, RSA_PKCS1_PSS_PADDING, LEAT_SHA384},
    [LEAT_RSA_PSS_SHA512] = {"RSA PSS", KEY_RSA, 0, RSA_PKCS1_PSS_PADDING, LEAT_SHA512},
    [LEAT_ECDSA_P256_SHA256] = {"ECDSA P-256", KEY_P256, 0, 0, LEAT_SHA256},
    [LEAT_ECDSA_P384_SHA384] = {"ECDSA P-384", KEY_P384, 0, 0, LEAT_SHA384},
    [LEAT_ES256] = {"ECDSA P-256", KEY_P256, 32, 0, LEAT_SHA256},
    [LEAT_ES384] = {"ECDSA P-384", KEY_P384, 48, 0, LEAT_SHA384},
    [LEAT_ED25519] = {"Ed25519", KEY_ED25519, 0, 0, LEAT_SHA512},
};

int64_t openssl_signature_bytes(const struct crypto_key *key, enum leat_scheme scheme,
                                bool is_to_sign, struct leat_error *error)
{
    const struct crypto_host *host = key->core->host;
    if ((unsigned)scheme >= sizeof(schemes) / sizeof(schemes[0]))
        return host->fail(error, -EINVAL, "there is no scheme of number %u", (unsigned)scheme);
    const struct scheme *row = &schemes[scheme];
    if (key->type != row->type)
        return host->fail(error, -EINVAL, "the key is not one for %s", row->name);
    if (is_to_sign && !key->is_private)
        return host->fail(error, -EINVAL, "a public key only verifies: sign with the private one");
    return row->half_bytes != 0 ? 2 * row->half_bytes : EVP_PKEY_get_size(key->pkey);
}

/* ---- Beginning ---- */

typedef int signing_init(EVP_MD_CTX *md, EVP_PKEY_CTX **context, const char *digest,
                         OSSL_LIB_CTX *library, const char *properties, EVP_PKEY *pkey,
                         const OSSL_PARAM params[]);

/* NULL: OpenSSL's queue says why. */
static EVP_MD_CTX *signing_begin(const struct crypto_key *key, const struct scheme *row,
                                 signing_init *init)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    EVP_PKEY_CTX *context = NULL; /* md's */
    const char *digest = row->type != KEY_ED25519 ? openssl_digest_names[row->digest] : NULL;
    bool is_begun =
        md != NULL && init(md, &context, digest, key->core->context, NULL, key->pkey, NULL) == 1;
    if (is_begun && row->padding != 0)
        is_begun = EVP_PKEY_CTX_set_rsa_padding(context, row->padding) == 1;
    if (is_begun && row->padding == RSA_PKCS1_PSS_PADDING)
        is_begun = EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST) == 1;
    if (is_begun)
        return md;
    EVP_MD_CTX_free(md);
    return NULL;
}

/* ---- r and s side by side (RFC 7518 3.4) ---- */

static bool raw_of_der(const uint8_t *der, size_t der_bytes, uint8_t *to, int half_bytes)
{
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &der, (long)der_bytes);
    bool is_written =
        pair != NULL && BN_bn2binpad(ECDSA_SIG_get0_r(pair), to, half_bytes) == half_bytes &&
        BN_bn2binpad(ECDSA_SIG_get0_s(pair), to + half_bytes, half_bytes) == half_bytes;
    ECDSA_SIG_free(pair);
    return is_written;
}

/* Its length, or 0. */
static size_t der_of_raw(struct crypto_bytes raw, int half_bytes, uint8_t to[DER_BYTES_MAX])
{
    if (raw.length_bytes != 2 * (size_t)half_bytes)
        return 0;
    ECDSA_SIG *pair = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(raw.data, half_bytes, NULL);
    BIGNUM *s = BN_bin2bn(raw.data + half_bytes, half_bytes, NULL);
    int length = -1;
    if (pair != NULL && r != NULL && s != NULL && ECDSA_SIG_set0(pair, r, s) == 1) {
        r = s = NULL; /* the pair's now */
        length = i2d_ECDSA_SIG(pair, &to);
    }
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(pair);
    return length > 0 ? (size_t)length : 0;
}

/* ---- The two ---- */

int64_t openssl_sign(const struct crypto_key *key, enum leat_scheme scheme,
                     struct crypto_bytes data, uint8_t *to, struct leat_error *error)
{
    const struct scheme *row = &schemes[scheme];
    uint8_t der[DER_BYTES_MAX];
    bool is_raw = row->half_bytes != 0;
    size_t length = is_raw ? sizeof(der) : (size_t)EVP_PKEY_get_size(key->pkey);
    int64_t result = 0;
    EVP_MD_CTX *md = signing_begin(key, row, EVP_DigestSignInit_ex);
    if (md == NULL ||
        EVP_DigestSign(md, is_raw ? der : to, &length, data.data, data.length_bytes) != 1 ||
        (is_raw && !raw_of_der(der, length, to, row->half_bytes)))
        result = openssl_fail(key->core, error, -EINVAL, "the key does not sign");
    else
        result = is_raw ? 2 * row->half_bytes : (int64_t)length;
    EVP_MD_CTX_free(md);
    openssl_job_end(key->core);
    return result;
}

int openssl_verify(const struct crypto_key *key, enum leat_scheme scheme, struct crypto_bytes data,
                   struct crypto_bytes signature, struct leat_error *error)
{
    const struct scheme *row = &schemes[scheme];
    uint8_t der[DER_BYTES_MAX];
    int result = 0;
    EVP_MD_CTX *md = signing_begin(key, row, EVP_DigestVerifyInit_ex);
    if (md != NULL && row->half_bytes != 0)
        signature = (struct crypto_bytes){der, der_of_raw(signature, row->half_bytes, der)};
    if (md == NULL)
        result = openssl_fail(key->core, error, -EINVAL, "the key does not verify");
    else if (signature.length_bytes == 0 ||
             EVP_DigestVerify(md, signature.data, signature.length_bytes, data.data,
                              data.length_bytes) != 1)
        result = openssl_fail(key->core, error, -EBADMSG, "the signature is not of these bytes");
    EVP_MD_CTX_free(md);
    openssl_job_end(key->core);
    return result;
}
