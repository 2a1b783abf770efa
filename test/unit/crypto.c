/* OpenSSL's module as programs see it: the figures of the RFCs, keys of each kind and of none,
 * bounds, what is cancelled, and what is left when a loop ends. OpenSSL's queue of errors is looked
 * at after each test, on the loop's thread and on the pool's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <leat/codec.h>
#include <leat/crypto.h>
#include <leat/pool.h>

#include "buffers/heap.h"
#include "crypto_keys.h"
#include "runtime/base/rng.h"
#include "runtime/os/op.h"

static struct leat_loop *loop;
static struct leat_result last; /* of what was waited for */
static bool is_heard;

/* ---- Helpers ---- */

static unsigned long (*openssl_peek)(void);

static struct leat_result pool_peek(void *arg)
{
    return leat_number((int64_t)openssl_peek());
}

static void hear(void *arg, const struct leat_result *result)
{
    is_heard = true;
    last = *result;
    if (result->code < 0)
        last = leat_failure(result->code, "%s", leat_result_sentence(result));
    else if (result->kind == LEAT_KIND_BUF)
        last.buf = leat_buf_ref(result->buf);
}

/* Its code; what it was is in last until the next. */
static int wait_for(struct leat_future *future)
{
    leat_result_drop(&last);
    is_heard = false;
    leat_call(future, hear, NULL);
    while (!is_heard)
        (void)leat_loop_turn(loop, LEAT_NS_PER_S);
    return last.code;
}

static int setup(void **state)
{
    setenv("LEAT_THREADPOOL_SIZE", "2", 1);
    last = leat_nothing();
    loop = leat_loop_new(NULL, NULL);
    return loop == NULL;
}

static int teardown(void **state)
{
    if (loop == NULL)
        return 0;
    void *library = dlopen("libcrypto.so.3", RTLD_NOLOAD | RTLD_LAZY);
    assert_non_null(library); /* the module has loaded it */
    void *symbol = dlsym(library, "ERR_peek_error");
    memcpy(&openssl_peek, &symbol, sizeof(symbol));
    assert_int_equal(openssl_peek(), 0);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(wait_for(leat_pool_run(loop, LEAT_LANE_CPU, pool_peek, NULL)), 0);
        assert_int_equal(leat_result_number(&last), 0);
    }
    dlclose(library);
    leat_result_drop(&last);
    leat_loop_free(loop);
    loop = NULL;
    return 0;
}

static void assert_hex(const uint8_t *bytes, size_t length, const char *hex)
{
    char text[2 * LEAT_DERIVED_BYTES_MAX + 1] = "";
    for (size_t i = 0; i < length; i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    assert_string_equal(text, hex);
}

static void assert_made(struct leat_future *future, const char *hex)
{
    assert_int_equal(wait_for(future), 0);
    struct leat_buf made = leat_result_buf(&last);
    assert_hex(made.data, made.length_bytes, hex);
}

static struct leat_key *key_of(const char *pem)
{
    return leat_key_new(loop, pem, strlen(pem));
}

static struct leat_buf text(const char *string)
{
    return leat_buf_from_string(string);
}

/* ---- Hashes ---- */

static void assert_hash(enum leat_digest_kind kind, const char *key, const char *data,
                        const char *hex)
{
    uint8_t code[LEAT_HASH_BYTES_MAX];
    struct leat_hash *hash = leat_hash_new(loop, kind, key, key != NULL ? strlen(key) : 0);
    assert_non_null(hash);
    for (unsigned round = 0; round < 3; round++) { /* whole; byte by byte; whole again */
        for (size_t i = 0; round == 1 && data[i] != '\0'; i++)
            leat_hash_update(hash, data + i, 1);
        if (round != 1)
            leat_hash_update(hash, data, strlen(data));
        int length = leat_hash_finish(hash, code);
        assert_int_equal(2 * (size_t)length, strlen(hex));
        assert_hex(code, (size_t)length, hex);
    }
    leat_hash_free(hash);
}

static void hashes_are_those_of_the_rfcs(void **state)
{
    const char *jefe = "what do ya want for nothing?"; /* RFC 2202 3, RFC 4231 4.3 */
    assert_hash(LEAT_SHA1, "Jefe", jefe, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
    assert_hash(LEAT_SHA256, "Jefe", jefe,
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    assert_hash(LEAT_SHA384, "Jefe", jefe,
                "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e"
                "8e2240ca5e69e2c78b3239ecfab21649");
    assert_hash(LEAT_SHA512, "Jefe", jefe,
                "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
                "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737");
    assert_hash(LEAT_SHA256, "", "",
                "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
    /* FIPS 180-4's "abc", by digests without a key */
    assert_hash(LEAT_SHA1, NULL, "abc", "a9993e364706816aba3e25717850c26c9cd0d89d");
    assert_hash(LEAT_SHA256, NULL, "abc",
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_hash(LEAT_SHA384, NULL, "abc",
                "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed"
                "8086072ba1e7cc2358baeca134c825a7");
    assert_hash(LEAT_SHA512, NULL, "abc",
                "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
                "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
}

static void a_hash_of_no_kind_is_refused(void **state)
{
    assert_null(leat_hash_new(loop, (enum leat_digest_kind)4, "k", 1));
    assert_int_equal(leat_loop_error(loop)->code, -EINVAL);
    leat_hash_free(NULL);
}

/* ---- Keys ---- */

static void keys_of_each_kind_are_known(void **state)
{
    static const char *const good[] = {
        PEM_P256_PRIVATE,
        PEM_P256_SEC1,
        PEM_P256_PUBLIC,
        PEM_ED25519_PRIVATE,
        PEM_ED25519_PUBLIC,
        PEM_RSA_PRIVATE,
        PEM_RSA_PUBLIC,
        PEM_RSA_PUBLIC_PKCS1,
        PEM_P384_PRIVATE,
        PEM_CERTIFICATE,
        PEM_PARAMETERS PEM_P256_SEC1,
        "words before\r\n" PEM_CERTIFICATE "between" PEM_P256_PRIVATE,
    };
    for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct leat_key *key = key_of(good[i]);
        if (key == NULL)
            print_message("%u: %s\n", i, leat_loop_error(loop)->sentence);
        assert_non_null(key);
        leat_key_free(key);
    }
    leat_key_free(NULL);
}

static void what_is_no_key_is_refused(void **state)
{
    static const struct {
        const char *pem;
        int code;
        const char *word;
    } bad[] = {
        {"", -EINVAL, "no key in it"},
        {"-----BEGIN ", -EINVAL, "no key in it"},
        {"-----BEGIN PRIVATE KEY-----", -EINVAL, "cannot be decoded"},
        {"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", -EINVAL, "decoded"},
        {PEM_PARAMETERS, -EINVAL, "no key in it"},
        {PEM_RSA_1024, -EINVAL, "2048 to 8192 bits, not 1024"},
        {PEM_K1_PUBLIC, -EINVAL, "another kind"},
        {PEM_ENCRYPTED, -EACCES, "encrypted"},
        {PEM_ENCRYPTED_SEC1, -EACCES, "encrypted"},
    };
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_null(key_of(bad[i].pem));
        if (strstr(leat_loop_error(loop)->sentence, bad[i].word) == NULL)
            print_message("%u: %s\n", i, leat_loop_error(loop)->sentence);
        assert_int_equal(leat_loop_error(loop)->code, bad[i].code);
        assert_non_null(strstr(leat_loop_error(loop)->sentence, bad[i].word));
    }
    char *large = calloc(1, LEAT_KEY_PEM_BYTES_MAX + 1);
    assert_null(leat_key_new(loop, large, LEAT_KEY_PEM_BYTES_MAX + 1));
    assert_int_equal(leat_loop_error(loop)->code, -EMSGSIZE);
    assert_null(leat_key_new(loop, large, LEAT_KEY_PEM_BYTES_MAX));
    assert_int_equal(leat_loop_error(loop)->code, -EINVAL);
    free(large);
}

/* Bytes changed, left out, doubled, cut off. Any outcome but a crash will do. */
static void rubbish_is_a_key_or_a_sentence(void **state)
{
    static const char *const seeds[] = {PEM_P256_SEC1,   PEM_ED25519_PRIVATE,
                                        PEM_RSA_PUBLIC,  PEM_ENCRYPTED,
                                        PEM_CERTIFICATE, PEM_PARAMETERS PEM_P256_SEC1};
    struct leat_rng rng;
    unsigned keys = 0, refused = 0;
    rng_init(&rng, 12);
    for (unsigned round = 0; round < 600; round++) {
        const char *seed = seeds[round % (sizeof(seeds) / sizeof(seeds[0]))];
        size_t length = strlen(seed);
        char *pem = malloc(2 * length);
        memcpy(pem, seed, length);
        for (uint64_t left = 1 + rng_next(&rng) % 3; left > 0; left--) {
            size_t at = rng_next(&rng) % length;
            switch (rng_next(&rng) % 4) {
            case 0:
                pem[at] = (char)rng_next(&rng);
                break;
            case 1:
                memmove(pem + at, pem + at + 1, --length - at);
                break;
            case 2:
                length = at + 1;
                break;
            default:
                pem[at] = pem[rng_next(&rng) % length];
                break;
            }
        }
        pem = realloc(pem, length); /* what is read behind its end is seen by sanitizers */
        struct leat_key *key = leat_key_new(loop, pem, length);
        keys += key != NULL;
        refused += key == NULL && leat_loop_error(loop)->sentence[0] != '\0';
        leat_key_free(key);
        free(pem);
    }
    assert_int_equal(keys + refused, 600);
    assert_in_range(refused, 300, 599);
}

/* ---- Signatures ---- */

static void ed25519_is_that_of_rfc_8032(void **state)
{
    struct leat_key *key = key_of(PEM_ED25519_PRIVATE);
    assert_made(leat_key_sign(key, LEAT_ED25519, text("")),
                "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc6"
                "1e"
                "39701cf9b46bd25bf5f0595bbe24655141438e7a100b");
    leat_key_free(key);
}

static struct leat_buf bytes_of_base64url(const char *string)
{
    return leat_buf_from_text(LEAT_BASE64URL, string, strlen(string), NULL);
}

static void es256_is_that_of_rfc_7515(void **state)
{
    const char *input = "eyJhbGciOiJFUzI1NiJ9."
                        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt"
                        "cGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    const char *signature =
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    static const char *const pems[] = {PEM_P256_PUBLIC, PEM_P256_PRIVATE, PEM_CERTIFICATE};
    for (unsigned i = 0; i < 3; i++) {
        struct leat_key *key = key_of(pems[i]);
        assert_int_equal(wait_for(leat_key_verify(key, LEAT_ES256, text(input),
                                                  bytes_of_base64url(signature))),
                         0);
        struct leat_buf wrong = bytes_of_base64url(signature);
        wrong.data[40] ^= 1;
        assert_int_equal(wait_for(leat_key_verify(key, LEAT_ES256, text(input), wrong)), -EBADMSG);
        leat_key_free(key);
    }
}

static const struct {
    enum leat_scheme scheme;
    const char *private_pem, *other_pem; /* a key of another kind */
    size_t length_bytes;                 /* of its signatures; 0: it varies */
} signers[] = {
    {LEAT_RSA_PKCS1_SHA256, PEM_RSA_PRIVATE, PEM_P256_PRIVATE, 256},
    {LEAT_RSA_PKCS1_SHA384, PEM_RSA_PRIVATE, PEM_P384_PRIVATE, 256},
    {LEAT_RSA_PKCS1_SHA512, PEM_RSA_PRIVATE, PEM_ED25519_PRIVATE, 256},
    {LEAT_RSA_PSS_SHA256, PEM_RSA_PRIVATE, PEM_P256_PRIVATE, 256},
    {LEAT_RSA_PSS_SHA384, PEM_RSA_PRIVATE, PEM_P256_PRIVATE, 256},
    {LEAT_RSA_PSS_SHA512, PEM_RSA_PRIVATE, PEM_P256_PRIVATE, 256},
    {LEAT_ECDSA_P256_SHA256, PEM_P256_PRIVATE, PEM_P384_PRIVATE, 0},
    {LEAT_ECDSA_P384_SHA384, PEM_P384_PRIVATE, PEM_P256_PRIVATE, 0},
    {LEAT_ES256, PEM_P256_SEC1, PEM_P384_PRIVATE, 64},
    {LEAT_ES384, PEM_P384_PRIVATE, PEM_RSA_PRIVATE, 96},
    {LEAT_ED25519, PEM_ED25519_PRIVATE, PEM_RSA_PRIVATE, 64},
};
#define SIGNERS (sizeof(signers) / sizeof(signers[0]))

static struct leat_buf signature_made(struct leat_key *key, enum leat_scheme scheme)
{
    assert_int_equal(wait_for(leat_key_sign(key, scheme, text("a message"))), 0);
    return leat_buf_ref(leat_result_buf(&last));
}

static void each_scheme_verifies_what_it_signs(void **state)
{
    for (unsigned i = 0; i < SIGNERS; i++) {
        enum leat_scheme scheme = signers[i].scheme;
        struct leat_key *key = key_of(signers[i].private_pem);
        struct leat_buf made = signature_made(key, scheme);
        if (signers[i].length_bytes != 0)
            assert_int_equal(made.length_bytes, signers[i].length_bytes);
        assert_int_equal(wait_for(
                             leat_key_verify(key, scheme, text("a message"), leat_buf_ref(made))),
                         0);
        assert_int_equal(wait_for(
                             leat_key_verify(key, scheme, text("a messagf"), leat_buf_ref(made))),
                         -EBADMSG);
        for (size_t length = 0; length < made.length_bytes; length += 1 + length / 4)
            assert_int_equal(wait_for(leat_key_verify(key, scheme, text("a message"),
                                                      leat_buf_slice(made, 0, length))),
                             -EBADMSG);
        made.data[made.length_bytes - 1] ^= 1;
        assert_int_equal(wait_for(leat_key_verify(key, scheme, text("a message"), made)), -EBADMSG);
        leat_key_free(key);
    }
}

/* Of the same key: what one scheme made no other takes. */
static void schemes_do_not_take_each_others(void **state)
{
    struct leat_key *key = key_of(PEM_RSA_PRIVATE);
    struct leat_buf made = signature_made(key, LEAT_RSA_PKCS1_SHA256);
    for (unsigned scheme = LEAT_RSA_PKCS1_SHA384; scheme <= LEAT_RSA_PSS_SHA512; scheme++)
        assert_int_equal(wait_for(
                             leat_key_verify(key, scheme, text("a message"), leat_buf_ref(made))),
                         -EBADMSG);
    leat_buf_unref(made);
    leat_key_free(key);
}

static void keys_sign_only_what_they_are_for(void **state)
{
    for (unsigned i = 0; i < SIGNERS; i++) {
        struct leat_key *other = key_of(signers[i].other_pem);
        assert_int_equal(wait_for(leat_key_sign(other, signers[i].scheme, text("m"))), -EINVAL);
        assert_int_equal(wait_for(leat_key_verify(other, signers[i].scheme, text("m"), text("s"))),
                         -EINVAL);
        leat_key_free(other);
    }
    struct leat_key *public_key = key_of(PEM_P256_PUBLIC);
    assert_int_equal(wait_for(leat_key_sign(public_key, LEAT_ES256, text("m"))), -EINVAL);
    assert_non_null(strstr(leat_result_sentence(&last), "public key"));
    assert_int_equal(wait_for(leat_key_sign(public_key, (enum leat_scheme)99, text("m"))), -EINVAL);
    leat_key_free(public_key);
}

/* ---- Derivations ---- */

static struct leat_derive_options derivation(enum leat_derivation how, const char *secret,
                                             const char *salt)
{
    return (struct leat_derive_options){.how = how,
                                        .secret = secret,
                                        .secret_bytes = strlen(secret),
                                        .salt = salt,
                                        .salt_bytes = strlen(salt),
                                        .length_bytes = 64};
}

static void scrypt_is_that_of_rfc_7914(void **state)
{
    struct leat_derive_options options = derivation(LEAT_SCRYPT, "", "");
    options.cost = 16;
    options.block = 1;
    assert_made(leat_derive(loop, &options),
                "77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442"
                "fcd0069ded0948f8326a753a0fc81f17e8d3e0fb2e0d3628cf35e20c38d18906");
    options = derivation(LEAT_SCRYPT, "password", "NaCl");
    options.cost = 1024;
    options.lanes = 16;
    assert_made(leat_derive(loop, &options),
                "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162"
                "2eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640");
    options = derivation(LEAT_SCRYPT, "pleaseletmein", "SodiumChloride"); /* the default's cost */
    assert_made(leat_derive(loop, &options),
                "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
                "d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887");
}

static void pbkdf2_is_that_of_rfcs_6070_and_7914(void **state)
{
    struct leat_derive_options options = derivation(LEAT_PBKDF2, "passwd", "salt");
    options.digest = LEAT_SHA256;
    options.rounds = 1;
    assert_made(leat_derive(loop, &options),
                "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc"
                "49ca9cccf179b645991664b39d77ef317c71b845b1e30bd509112041d3a19783");
    options =
        derivation(LEAT_PBKDF2, "passwordPASSWORDpassword", "saltSALTsaltSALTsaltSALTsaltSALTsalt");
    options.digest = LEAT_SHA1;
    options.rounds = 4096;
    options.length_bytes = 25;
    assert_made(leat_derive(loop, &options), "3d2eec4fe41c849b80c8d83662c0e44a8b291a964cf2f07038");
}

static void hkdf_is_that_of_rfc_5869(void **state)
{
    uint8_t salt[13], info[10];
    for (uint8_t i = 0; i < 13; i++)
        salt[i] = i;
    for (uint8_t i = 0; i < 10; i++)
        info[i] = (uint8_t)(0xf0 + i);
    char secret[23];
    memset(secret, 0x0b, 22);
    secret[22] = '\0';
    struct leat_derive_options options = derivation(LEAT_HKDF, secret, "");
    options.digest = LEAT_SHA256;
    options.length_bytes = 42;
    assert_made(leat_derive(loop, &options),
                "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
                "9d201395faa4b61a96c8");
    options.salt = salt;
    options.salt_bytes = sizeof(salt);
    options.info = info;
    options.info_bytes = sizeof(info);
    assert_made(leat_derive(loop, &options),
                "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
                "34007208d5b887185865");
}

static void derivations_have_bounds(void **state)
{
    static const char zeros[LEAT_DERIVE_IN_BYTES_MAX] = "";
    const struct leat_derive_options bad[] = {
        {.how = (enum leat_derivation)3},
        {.digest = (enum leat_digest_kind)4},
        {.cost = 3},
        {.cost = 1},
        {.lanes = 17},
        {.cost = 1u << 16},             /* 64 MiB, and a little */
        {.block = 1u << 31},            /* wraps in 32 bits */
        {.cost = 1u << 16, .block = 1}, /* not below 2^(128 r / 8): OpenSSL's own word */
        {.how = LEAT_PBKDF2, .rounds = LEAT_PBKDF2_ROUNDS_MAX + 1},
        {.how = LEAT_HKDF},
        {.length_bytes = LEAT_DERIVED_BYTES_MAX + 1},
        {.secret = zeros, .secret_bytes = sizeof(zeros), .salt = zeros, .salt_bytes = 1},
        {.secret = zeros, .secret_bytes = SIZE_MAX, .salt = zeros, .salt_bytes = 2},
        {.secret = zeros, .secret_bytes = 1, .info = zeros, .info_bytes = SIZE_MAX},
    };
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int code = wait_for(leat_derive(loop, &bad[i]));
        if (code != -EINVAL || leat_result_sentence(&last)[0] == '\0')
            print_message("%u: %s\n", i, leat_result_sentence(&last));
        assert_int_equal(code, -EINVAL);
    }
    const struct leat_derive_options most = {.how = LEAT_PBKDF2,
                                             .rounds = 1,
                                             .secret = zeros,
                                             .secret_bytes = sizeof(zeros),
                                             .length_bytes = LEAT_DERIVED_BYTES_MAX};
    assert_int_equal(wait_for(leat_derive(loop, &most)), 0);
    assert_int_equal(leat_result_buf(&last).length_bytes, LEAT_DERIVED_BYTES_MAX);
}

/* ---- Ends ---- */

static void what_is_cancelled_gives_nothing(void **state)
{
    struct leat_key *key = key_of(PEM_RSA_PRIVATE);
    struct leat_future *futures[8];
    for (unsigned i = 0; i < 8; i++) {
        futures[i] = leat_key_sign(key, LEAT_RSA_PSS_SHA256, text("m"));
        leat_future_ignore(futures[i]);
        if (i == 3)
            (void)leat_loop_turn(loop, 0); /* some may run now */
    }
    leat_key_free(key); /* what it signs goes on */
    for (unsigned i = 0; i < 8; i += 2)
        leat_future_cancel(futures[i]);
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(wait_for(futures[i]), i % 2 == 0 ? -ECANCELED : 0);
}

/* The bytes that it made are not where the next buffer of that size is found. */
static void what_is_cancelled_late_is_cleansed(void **state)
{
    struct leat_derive_options options = derivation(LEAT_PBKDF2, "passwd", "salt");
    options.digest = LEAT_SHA256;
    options.rounds = 1;
    struct leat_future *future = leat_derive(loop, &options);
    struct op *op = container_of(future, struct op, future);
    (void)leat_loop_turn(loop, 0);
    while (atomic_load(&op->state) == OP_QUEUED)
        sched_yield();
    leat_future_ignore(future);
    leat_future_cancel(future);
    leat_future_unref(future);
    (void)leat_loop_run(loop);
    static const uint8_t made[] = {0x55, 0xac, 0x04, 0x6e, 0x56, 0xe3, 0x08, 0x9f};
    struct leat_buf found[8];
    for (unsigned i = 0; i < 8; i++) {
        found[i] = leat_buf_alloc_unsafe(options.length_bytes);
        assert_memory_not_equal(found[i].data, made, sizeof(made));
    }
    for (unsigned i = 0; i < 8; i++)
        leat_buf_unref(found[i]);
}

static void abandon(struct leat_future *future)
{
    leat_future_ignore(future);
    leat_future_unref(future);
}

static void what_is_left_goes_with_its_loop(void **state)
{
    for (unsigned round = 0; round < 2; round++) {
        if (round == 1) /* the pool is there first: it ends after the keys */
            assert_int_equal(wait_for(leat_pool_run(loop, LEAT_LANE_CPU, pool_peek, NULL)), 0);
        struct leat_key *key = key_of(PEM_RSA_PRIVATE);
        assert_non_null(leat_hash_new(loop, LEAT_SHA256, "k", 1));
        assert_non_null(key);
        struct leat_derive_options options = derivation(LEAT_SCRYPT, "secret", "salt");
        for (unsigned i = 0; i < 6; i++) {
            abandon(leat_key_sign(key, LEAT_RSA_PKCS1_SHA256, text("m")));
            abandon(leat_derive(loop, &options));
        }
        (void)leat_loop_turn(loop, 0);
        leat_result_drop(&last);
        leat_loop_free(loop);
        loop = leat_loop_new(NULL, NULL);
        assert_non_null(loop);
    }
    assert_null(key_of("")); /* it begins anew */
}

/* A core of its own, which signs with a key of its own. */
static void *core_sign(void *index)
{
    struct leat_loop *own =
        leat_loop_new(&(struct leat_loop_options){.index = *(uint32_t *)index}, NULL);
    struct leat_key *key = leat_key_new(own, PEM_P256_PRIVATE, strlen(PEM_P256_PRIVATE));
    struct leat_future *futures[8];
    intptr_t good = 0;
    for (unsigned i = 0; i < 8; i++)
        futures[i] = leat_key_sign(key, LEAT_ES256, text("m"));
    (void)leat_loop_run(own);
    for (unsigned i = 0; i < 8; i++) {
        good += leat_future_result(futures[i])->code == 0;
        leat_future_unref(futures[i]);
    }
    leat_loop_free(own);
    return (void *)good;
}

static void cores_load_and_sign_at_once(void **state)
{
    pthread_t threads[3];
    uint32_t indexes[3] = {1, 2, 3};
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, core_sign, &indexes[i]), 0);
    for (unsigned i = 0; i < 3; i++) {
        void *good;
        assert_int_equal(pthread_join(threads[i], &good), 0);
        assert_int_equal((intptr_t)good, 8);
    }
    assert_null(key_of("")); /* what teardown looks at is there */
}

static int everything(void)
{
    uint8_t code[LEAT_HASH_BYTES_MAX];
    struct leat_key *key = key_of(PEM_P256_PRIVATE);
    struct leat_hash *hash = leat_hash_new(loop, LEAT_SHA256, "k", 1);
    struct leat_derive_options options = derivation(LEAT_PBKDF2, "p", "s");
    options.rounds = 1;
    int failed = key == NULL || hash == NULL || leat_hash_finish(hash, code) != 32;
    if (key != NULL) {
        failed |= wait_for(leat_key_sign(key, LEAT_ES256, text("m"))) < 0;
        failed |= wait_for(leat_key_verify(key, LEAT_ES256, text("m"), text("s"))) == -ENOMEM;
    }
    failed |= wait_for(leat_derive(loop, &options)) < 0;
    leat_key_free(key);
    leat_hash_free(hash);
    return failed;
}

/* Leat's own allocations: OpenSSL's are its own. */
static void memory_that_is_out_is_told(void **state)
{
    unsigned failures = 0;
    for (uint64_t nth = 1; nth <= 40; nth++) { /* far beyond the last of them */
        leat_result_drop(&last);
        leat_loop_free(loop);
        loop = leat_loop_new(NULL, NULL);
        /* What futures and the pool need is there: their own tests have it fail. */
        assert_int_equal(wait_for(leat_pool_run(loop, LEAT_LANE_CPU, pool_peek, NULL)), 0);
        leat_heap_fail_at(leat_core_now, nth);
        int failed = everything();
        leat_heap_fail_at(leat_core_now, 0);
        failures += failed != 0;
        if (nth == 40)
            assert_int_equal(failed, 0);
    }
    assert_in_range(failures, 5, 39);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(hashes_are_those_of_the_rfcs),    TEST(a_hash_of_no_kind_is_refused),
        TEST(keys_of_each_kind_are_known),     TEST(what_is_no_key_is_refused),
        TEST(rubbish_is_a_key_or_a_sentence),  TEST(ed25519_is_that_of_rfc_8032),
        TEST(es256_is_that_of_rfc_7515),       TEST(each_scheme_verifies_what_it_signs),
        TEST(schemes_do_not_take_each_others), TEST(keys_sign_only_what_they_are_for),
        TEST(scrypt_is_that_of_rfc_7914),      TEST(pbkdf2_is_that_of_rfcs_6070_and_7914),
        TEST(hkdf_is_that_of_rfc_5869),        TEST(derivations_have_bounds),
        TEST(what_is_cancelled_gives_nothing), TEST(what_is_cancelled_late_is_cleansed),
        TEST(what_is_left_goes_with_its_loop), TEST(cores_load_and_sign_at_once),
        TEST(memory_that_is_out_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
