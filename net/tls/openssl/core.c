/* A core's part of OpenSSL: its library context, and how failures are told. */
#include "net/tls/openssl/openssl_internal.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/kdf.h>
#include <stdlib.h>

const char *const openssl_digest_names[OPENSSL_DIGESTS] = {
    [LEAT_SHA1] = "SHA1",
    [LEAT_SHA256] = "SHA256",
    [LEAT_SHA384] = "SHA384",
    [LEAT_SHA512] = "SHA512",
};

static const char *const derivation_names[OPENSSL_DERIVATIONS] = {
    [LEAT_SCRYPT] = "SCRYPT",
    [LEAT_PBKDF2] = "PBKDF2",
    [LEAT_HKDF] = "HKDF",
};

int openssl_fail(const struct crypto_core *core, struct leat_error *error, int code,
                 const char *what)
{
    unsigned long last = ERR_peek_last_error();
    const char *reason = ERR_reason_error_string(last);
    if (ERR_GET_REASON(last) == ERR_R_MALLOC_FAILURE)
        code = -ENOMEM;
    core->host->fail(error, code, reason != NULL ? "%s (%s)" : "%s", what, reason);
    ERR_clear_error();
    return code;
}

void openssl_job_end(const struct crypto_core *core)
{
    ERR_clear_error();
    OPENSSL_thread_stop_ex(core->context);
}

static void core_free(struct crypto_core *core)
{
    for (unsigned i = 0; i < OPENSSL_DIGESTS; i++)
        EVP_MD_free(core->digests[i]);
    for (unsigned i = 0; i < OPENSSL_DERIVATIONS; i++)
        EVP_KDF_free(core->derivations[i]);
    EVP_MAC_free(core->hmac);
    OSSL_LIB_CTX_free(core->context);
    ERR_clear_error();
    free(core);
}

static bool core_fetch(struct crypto_core *core)
{
    bool has_all = (core->hmac = EVP_MAC_fetch(core->context, "HMAC", NULL)) != NULL;
    for (unsigned i = 0; i < OPENSSL_DIGESTS; i++) {
        core->digests[i] = EVP_MD_fetch(core->context, openssl_digest_names[i], NULL);
        has_all = has_all && core->digests[i] != NULL;
    }
    for (unsigned i = 0; i < OPENSSL_DERIVATIONS; i++) {
        core->derivations[i] = EVP_KDF_fetch(core->context, derivation_names[i], NULL);
        has_all = has_all && core->derivations[i] != NULL;
    }
    return has_all;
}

/* OpenSSL's own handler at exit would take its locks and tables from under threads that still run:
 * the kernel frees them as well. Its configuration file is of the default context, which is not
 * used here. */
static struct crypto_core *core_new(const struct crypto_host *host, struct leat_error *error)
{
    struct crypto_core *core = calloc(1, sizeof(*core));
    if (core == NULL) {
        host->fail(error, -ENOMEM, "memory is out: no OpenSSL on this core");
        return NULL;
    }
    core->host = host;
    if (OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT | OPENSSL_INIT_NO_LOAD_CONFIG, NULL) == 1 &&
        (core->context = OSSL_LIB_CTX_new()) != NULL && core_fetch(core)) {
        ERR_clear_error();
        return core;
    }
    openssl_fail(core, error, -ENOTSUP, "OpenSSL does not start: is libssl3 installed whole?");
    core_free(core);
    return NULL;
}

LEAT_API const struct crypto_module leat_crypto_module = {
    .abi = CRYPTO_MODULE_ABI,
    .core_new = core_new,
    .core_free = core_free,
    .hash_new = openssl_hash_new,
    .hash_update = openssl_hash_update,
    .hash_finish = openssl_hash_finish,
    .hash_free = openssl_hash_free,
    .key_new = openssl_key_new,
    .key_free = openssl_key_free,
    .signature_bytes = openssl_signature_bytes,
    .sign = openssl_sign,
    .verify = openssl_verify,
    .derive = openssl_derive,
};
