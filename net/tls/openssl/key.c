/* Keys out of PEM (RFC 7468): found, decoded, and told apart. */
#include "net/tls/openssl/openssl_internal.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#define LABEL_BYTES_MAX 64
static const char BEGIN[] = "-----BEGIN ", DASHES[] = "-----";

/* ---- Finding ---- */

/* The first block whose label ends so, from its first dash to the end of pem; empty: there is none.
 */
static struct crypto_bytes block_find(struct crypto_bytes pem, const char *label_end)
{
    size_t end_bytes = strlen(label_end);
    const uint8_t *end = pem.data + pem.length_bytes, *at = pem.data;
    while (at != NULL && (at = memmem(at, (size_t)(end - at), BEGIN, strlen(BEGIN))) != NULL) {
        const uint8_t *label = at + strlen(BEGIN);
        size_t rest = (size_t)(end - label);
        const uint8_t *label_last =
            memmem(label, rest < LABEL_BYTES_MAX ? rest : LABEL_BYTES_MAX, DASHES, strlen(DASHES));
        if (label_last != NULL && (size_t)(label_last - label) >= end_bytes &&
            memcmp(label_last - end_bytes, label_end, end_bytes) == 0)
            return (struct crypto_bytes){at, (size_t)(end - at)};
        at = label;
    }
    return (struct crypto_bytes){NULL, 0};
}

/* ---- Decoding ---- */

/* OpenSSL would ask at the terminal. */
static int passphrase_refuse(char *to, int to_bytes, int is_to_write, void *was_asked)
{
    *(bool *)was_asked = true;
    return -1;
}

static EVP_PKEY *private_decode(struct crypto_core *core, BIO *bio, bool *was_asked)
{
    return PEM_read_bio_PrivateKey_ex(bio, NULL, passphrase_refuse, was_asked, core->context, NULL);
}

static EVP_PKEY *public_decode(struct crypto_core *core, BIO *bio, bool *was_asked)
{
    return PEM_read_bio_PUBKEY_ex(bio, NULL, passphrase_refuse, was_asked, core->context, NULL);
}

static EVP_PKEY *certificate_decode(struct crypto_core *core, BIO *bio, bool *was_asked)
{
    X509 *certificate = X509_new_ex(core->context, NULL);
    EVP_PKEY *pkey = NULL;
    if (certificate != NULL &&
        PEM_read_bio_X509(bio, &certificate, passphrase_refuse, was_asked) != NULL)
        pkey = X509_get_pubkey(certificate);
    X509_free(certificate);
    return pkey;
}

/* In the order in which they are looked for. */
static const struct {
    const char *label_end;
    EVP_PKEY *(*decode)(struct crypto_core *core, BIO *bio, bool *was_asked);
    bool is_private;
} sources[] = {
    {"PRIVATE KEY", private_decode, true},
    {"PUBLIC KEY", public_decode, false},
    {"CERTIFICATE", certificate_decode, false},
};

static int key_decode(struct crypto_key *key, struct crypto_bytes pem, struct leat_error *error)
{
    for (unsigned i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
        struct crypto_bytes block = block_find(pem, sources[i].label_end);
        if (block.data == NULL)
            continue;
        bool was_asked = false;
        BIO *bio = BIO_new_mem_buf(block.data, (int)block.length_bytes);
        if (bio != NULL)
            key->pkey = sources[i].decode(key->core, bio, &was_asked);
        BIO_free(bio);
        key->is_private = sources[i].is_private;
        if (key->pkey != NULL)
            return 0;
        return was_asked ? openssl_fail(key->core, error, -EACCES,
                                        "the key is encrypted: store it without a passphrase "
                                        "(openssl pkey -in FILE -out PLAIN)")
                         : openssl_fail(key->core, error, -EINVAL,
                                        "the key cannot be decoded: is it a whole PEM file?");
    }
    return key->core->host->fail(error, -EINVAL,
                                 "there is no key in it: PEM begins with -----BEGIN PRIVATE "
                                 "KEY-----, PUBLIC KEY or CERTIFICATE");
}

/* ---- Telling apart ---- */

static int rsa_check(const struct crypto_key *key, struct leat_error *error)
{
    int bits = EVP_PKEY_get_bits(key->pkey);
    if (bits >= LEAT_RSA_BITS_MIN && bits <= LEAT_RSA_BITS_MAX)
        return 0;
    return key->core->host->fail(error, -EINVAL, "an RSA key has %d to %d bits, not %d",
                                 LEAT_RSA_BITS_MIN, LEAT_RSA_BITS_MAX, bits);
}

static int key_classify(struct crypto_key *key, struct leat_error *error)
{
    static const struct {
        const char *type, *group;
        enum key_type is;
    } types[] = {
        {"RSA", "", KEY_RSA},
        {"EC", "prime256v1", KEY_P256},
        {"EC", "secp384r1", KEY_P384},
        {"ED25519", "", KEY_ED25519},
    };
    char group[32] = "";
    if (EVP_PKEY_is_a(key->pkey, "EC") &&
        EVP_PKEY_get_group_name(key->pkey, group, sizeof(group), NULL) != 1)
        group[0] = '?';
    for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (!EVP_PKEY_is_a(key->pkey, types[i].type) || strcmp(group, types[i].group) != 0)
            continue;
        key->type = types[i].is;
        return key->type == KEY_RSA ? rsa_check(key, error) : 0;
    }
    return openssl_fail(key->core, error, -EINVAL,
                        "the key is of another kind than RSA, P-256, P-384 or Ed25519");
}

struct crypto_key *openssl_key_new(struct crypto_core *core, struct crypto_bytes pem,
                                   struct leat_error *error)
{
    struct crypto_key *key = calloc(1, sizeof(*key));
    if (key == NULL) {
        core->host->fail(error, -ENOMEM, "memory is out: no key");
        return NULL;
    }
    key->core = core;
    if (key_decode(key, pem, error) < 0 || key_classify(key, error) < 0) {
        openssl_key_free(key);
        return NULL;
    }
    ERR_clear_error();
    return key;
}

void openssl_key_free(struct crypto_key *key)
{
    EVP_PKEY_free(key->pkey);
    ERR_clear_error();
    free(key);
}
