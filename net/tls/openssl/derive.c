/* Keys out of passwords and of other keys, on threads of the pool. */
#include "net/tls/openssl/openssl_internal.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#define PARAMS_MAX 8

struct params {
    OSSL_PARAM list[PARAMS_MAX];
    unsigned count;
};

static void params_bytes(struct params *params, const char *name, const void *bytes, size_t length)
{
    params->list[params->count++] =
        OSSL_PARAM_construct_octet_string(name, (void *)(uintptr_t)bytes, length);
}

/* The number must live as long as params. */
static void params_number(struct params *params, const char *name, uint64_t *number)
{
    params->list[params->count++] = OSSL_PARAM_construct_uint64(name, number);
}

static void params_digest(struct params *params, enum leat_digest_kind kind)
{
    char *name = (char *)(uintptr_t)openssl_digest_names[kind];
    params->list[params->count++] =
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, name, 0);
}

int openssl_derive(struct crypto_core *core, const struct leat_derive_options *options, uint8_t *to,
                   struct leat_error *error)
{
    uint64_t cost = options->cost, block = options->block, lanes = options->lanes;
    uint64_t rounds = options->rounds, memory = 2 * LEAT_SCRYPT_BYTES_MAX;
    struct params params = {.count = 0};
    bool is_hkdf = options->how == LEAT_HKDF;
    params_bytes(&params, is_hkdf ? OSSL_KDF_PARAM_KEY : OSSL_KDF_PARAM_PASSWORD, options->secret,
                 options->secret_bytes);
    params_bytes(&params, OSSL_KDF_PARAM_SALT, options->salt, options->salt_bytes);
    if (is_hkdf)
        params_bytes(&params, OSSL_KDF_PARAM_INFO, options->info, options->info_bytes);
    if (options->how != LEAT_SCRYPT)
        params_digest(&params, options->digest);
    if (options->how == LEAT_PBKDF2)
        params_number(&params, OSSL_KDF_PARAM_ITER, &rounds);
    if (options->how == LEAT_SCRYPT) {
        params_number(&params, OSSL_KDF_PARAM_SCRYPT_N, &cost);
        params_number(&params, OSSL_KDF_PARAM_SCRYPT_R, &block);
        params_number(&params, OSSL_KDF_PARAM_SCRYPT_P, &lanes);
        params_number(&params, OSSL_KDF_PARAM_SCRYPT_MAXMEM, &memory);
    }
    params.list[params.count] = OSSL_PARAM_construct_end();
    EVP_KDF_CTX *context = EVP_KDF_CTX_new(core->derivations[options->how]);
    int result = 0;
    if (context == NULL || EVP_KDF_derive(context, to, options->length_bytes, params.list) != 1)
        result = openssl_fail(core, error, -EINVAL, "OpenSSL does not derive with these options");
    EVP_KDF_CTX_free(context);
    openssl_job_end(core);
    return result;
}
