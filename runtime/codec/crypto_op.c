/* What runs on the pool: signatures, and keys out of passwords and other keys. */
#include "runtime/codec/crypto_internal.h"

#include <errno.h>
#include <string.h>

#include "runtime/os/op.h"

#define ROUNDS_DEFAULT 600000u /* of PBKDF2 with SHA-256, as OWASP's cheat sheet of 2023 has it */
#define COST_DEFAULT   16384u
#define BLOCK_DEFAULT  8u
#define LANES_MAX      16u
#define LENGTH_DEFAULT 32u

/* in and other are what the job reads; of a derivation the copies of secret, salt and info lie
 * behind the struct. */
struct crypto_op {
    struct op op; /* first */
    struct crypto_part *part;
    struct leat_key *key; /* NULL: of a derivation */
    struct leat_buf in, other, made;
    struct leat_derive_options derive;
    enum leat_scheme scheme;
    size_t copied_bytes; /* behind the struct: to be cleansed */
    struct leat_error error;
    uint8_t copied[];
};

static struct crypto_op *crypto_op_of(struct op *op)
{
    return container_of(op, struct crypto_op, op);
}

static struct crypto_bytes bytes_of(const struct leat_buf *buf)
{
    return (struct crypto_bytes){buf->data, buf->length_bytes};
}

/* ---- Results ---- */

static void crypto_op_drop(struct leat_future *future)
{
    struct crypto_op *crypto = crypto_op_of(container_of(future, struct op, future));
    explicit_bzero(crypto->copied, crypto->copied_bytes);
    if (crypto->made.data != NULL) /* nobody got it */
        explicit_bzero(crypto->made.data, crypto->made.length_bytes);
    leat_buf_unref(crypto->in);
    leat_buf_unref(crypto->other);
    leat_buf_unref(crypto->made);
    if (crypto->key != NULL)
        crypto_key_unref(crypto->key);
    if (crypto->part != NULL)
        crypto_part_unref(crypto->part);
}

static struct leat_result crypto_failure(struct crypto_op *crypto)
{
    return leat_failure((int)crypto->op.value, "%s", crypto->error.sentence);
}

static struct leat_result crypto_result_nothing(struct op *op)
{
    return op->value < 0 ? crypto_failure(crypto_op_of(op)) : leat_nothing();
}

static struct leat_result crypto_result_made(struct op *op)
{
    struct crypto_op *crypto = crypto_op_of(op);
    if (op->value < 0)
        return crypto_failure(crypto);
    if (op->is_cancelled) /* what was made stays here, to be cleansed */
        return leat_failure(-ECANCELED, NULL);
    struct leat_buf made = crypto->made;
    crypto->made = (struct leat_buf){NULL, 0, NULL};
    made.length_bytes = (size_t)op->value;
    return leat_bytes(made);
}

/* ---- Jobs ---- */

static void sign_run(struct op *op)
{
    struct crypto_op *crypto = crypto_op_of(op);
    op->value = crypto->part->module->sign(crypto->key->of, crypto->scheme, bytes_of(&crypto->in),
                                           crypto->made.data, &crypto->error);
}

static void verify_run(struct op *op)
{
    struct crypto_op *crypto = crypto_op_of(op);
    op->value = crypto->part->module->verify(crypto->key->of, crypto->scheme, bytes_of(&crypto->in),
                                             bytes_of(&crypto->other), &crypto->error);
}

static void derive_run(struct op *op)
{
    struct crypto_op *crypto = crypto_op_of(op);
    int code = crypto->part->module->derive(crypto->part->core, &crypto->derive, crypto->made.data,
                                            &crypto->error);
    explicit_bzero(crypto->copied, crypto->copied_bytes);
    op->value = code < 0 ? code : (int64_t)crypto->derive.length_bytes;
}

#define CRYPTO_CLASS(name_, result_)                                                               \
    static const struct op_class name_##_class = {.future = {.name = #name_,                       \
                                                             .length_bytes =                       \
                                                                 sizeof(struct crypto_op),         \
                                                             .cancel = op_cancel,                  \
                                                             .drop = crypto_op_drop},              \
                                                  .lane = LEAT_LANE_CPU,                           \
                                                  .run = name_##_run,                              \
                                                  .result = result_};
CRYPTO_CLASS(sign, crypto_result_made)
CRYPTO_CLASS(verify, crypto_result_nothing)
CRYPTO_CLASS(derive, crypto_result_made)

/* With a reference on part; NULL: memory is out. */
static struct crypto_op *crypto_op_new(struct leat_loop *loop, struct crypto_part *part,
                                       const struct op_class *of, size_t copied_bytes,
                                       const void *site)
{
    struct op *op = op_new(loop, of, copied_bytes, site);
    if (op == NULL)
        return NULL;
    struct crypto_op *crypto = crypto_op_of(op);
    crypto->copied_bytes = copied_bytes;
    crypto->part = part;
    part->refs++;
    return crypto;
}

/* ---- Signatures ---- */

struct signing {
    enum leat_scheme scheme;
    struct leat_buf in, other; /* taken */
    const void *site;
};

static struct leat_future *signing_start(struct leat_key *key, const struct op_class *of,
                                         const struct signing *signing)
{
    CHECK(leat_core_now != NULL && leat_core_now->loop == key->loop);
    struct crypto_op *crypto = crypto_op_new(key->loop, key->part, of, 0, signing->site);
    if (crypto == NULL) {
        leat_buf_unref(signing->in);
        leat_buf_unref(signing->other);
        return op_failed(key->loop, -ENOMEM, NULL, signing->site);
    }
    crypto->in = signing->in;
    crypto->other = signing->other;
    crypto->scheme = signing->scheme;
    crypto->key = key;
    key->refs++;
    bool is_to_sign = of == &sign_class;
    int64_t room =
        key->part->module->signature_bytes(key->of, signing->scheme, is_to_sign, &crypto->error);
    if (room < 0)
        return op_refuse(&crypto->op, (int)room, crypto->error.sentence);
    if (is_to_sign)
        crypto->made = leat_buf_alloc_unsafe((size_t)room);
    if (is_to_sign && crypto->made.data == NULL)
        return op_refuse(&crypto->op, -ENOMEM, NULL);
    return op_start(&crypto->op);
}

struct leat_future *leat_key_sign(struct leat_key *key, enum leat_scheme scheme,
                                  struct leat_buf data)
{
    const struct signing signing = {.scheme = scheme,
                                    .in = data,
                                    .site = __builtin_return_address(0)};
    return signing_start(key, &sign_class, &signing);
}

struct leat_future *leat_key_verify(struct leat_key *key, enum leat_scheme scheme,
                                    struct leat_buf data, struct leat_buf signature)
{
    const struct signing signing = {.scheme = scheme,
                                    .in = data,
                                    .other = signature,
                                    .site = __builtin_return_address(0)};
    return signing_start(key, &verify_class, &signing);
}

/* ---- Derivations ---- */

static void derive_complete(struct leat_derive_options *options)
{
    options->rounds = options->rounds != 0 ? options->rounds : ROUNDS_DEFAULT;
    options->cost = options->cost != 0 ? options->cost : COST_DEFAULT;
    options->block = options->block != 0 ? options->block : BLOCK_DEFAULT;
    options->lanes = options->lanes != 0 ? options->lanes : 1;
    options->length_bytes = options->length_bytes != 0 ? options->length_bytes : LENGTH_DEFAULT;
}

/* V, B and the two blocks of work of RFC 7914 5 and 6. */
static uint64_t scrypt_bytes(const struct leat_derive_options *options)
{
    return UINT64_C(128) * options->block * ((uint64_t)options->cost + options->lanes + 2);
}

static int scrypt_check(const struct leat_derive_options *options, struct leat_error *error)
{
    if (options->cost < 2 || (options->cost & (options->cost - 1)) != 0)
        return leat_fail(error, -EINVAL, "the cost of scrypt is a power of 2, not %u",
                         options->cost);
    if (options->lanes > LANES_MAX)
        return leat_fail(error, -EINVAL, "scrypt has at most %u lanes here, not %u", LANES_MAX,
                         options->lanes);
    if (scrypt_bytes(options) > LEAT_SCRYPT_BYTES_MAX)
        return leat_fail(error, -EINVAL,
                         "scrypt would take %llu MiB, more than the %llu MiB that it may: lower "
                         "the cost or the block",
                         (unsigned long long)(scrypt_bytes(options) >> 20),
                         (unsigned long long)(LEAT_SCRYPT_BYTES_MAX >> 20));
    return 0;
}

static int derive_check(const struct leat_derive_options *options, struct leat_error *error)
{
    if ((unsigned)options->how > LEAT_HKDF || (unsigned)options->digest > LEAT_SHA512)
        return leat_fail(error, -EINVAL, "there is no such derivation, or no such digest");
    if (options->length_bytes > LEAT_DERIVED_BYTES_MAX)
        return leat_fail(error, -EINVAL, "at most %d bytes are derived at once, not %zu",
                         LEAT_DERIVED_BYTES_MAX, options->length_bytes);
    if (options->secret_bytes > LEAT_DERIVE_IN_BYTES_MAX ||
        options->salt_bytes > LEAT_DERIVE_IN_BYTES_MAX - options->secret_bytes ||
        options->info_bytes >
            LEAT_DERIVE_IN_BYTES_MAX - options->secret_bytes - options->salt_bytes)
        return leat_fail(error, -EINVAL, "secret, salt and info have at most %d bytes together",
                         LEAT_DERIVE_IN_BYTES_MAX);
    if (options->how == LEAT_PBKDF2 && options->rounds > LEAT_PBKDF2_ROUNDS_MAX)
        return leat_fail(error, -EINVAL, "PBKDF2 makes at most %d rounds here, not %u",
                         LEAT_PBKDF2_ROUNDS_MAX, options->rounds);
    if (options->how == LEAT_HKDF && options->secret_bytes == 0)
        return leat_fail(error, -EINVAL, "HKDF needs a key to derive from");
    return options->how == LEAT_SCRYPT ? scrypt_check(options, error) : 0;
}

static const void *input_copy(uint8_t **to, const void *from, size_t bytes)
{
    uint8_t *at = *to;
    if (bytes > 0)
        memcpy(at, from, bytes);
    *to += bytes;
    return at;
}

static void inputs_copy(struct crypto_op *crypto)
{
    struct leat_derive_options *derive = &crypto->derive;
    uint8_t *to = crypto->copied;
    derive->secret = input_copy(&to, derive->secret, derive->secret_bytes);
    derive->salt = input_copy(&to, derive->salt, derive->salt_bytes);
    derive->info = input_copy(&to, derive->info, derive->info_bytes);
}

struct leat_future *leat_derive(struct leat_loop *loop, const struct leat_derive_options *options)
{
    const void *site = __builtin_return_address(0);
    struct crypto_part *part = crypto_part_of(loop);
    struct leat_error *error = &leat_core_now->error;
    struct leat_derive_options complete = *options;
    derive_complete(&complete);
    if (part == NULL || derive_check(&complete, error) < 0)
        return op_failed(loop, error->code, error->sentence, site);
    struct crypto_op *crypto =
        crypto_op_new(loop, part, &derive_class,
                      complete.secret_bytes + complete.salt_bytes + complete.info_bytes, site);
    if (crypto == NULL)
        return op_failed(loop, -ENOMEM, NULL, site);
    crypto->derive = complete;
    inputs_copy(crypto);
    crypto->made = leat_buf_alloc_unsafe(complete.length_bytes);
    return crypto->made.data != NULL ? op_start(&crypto->op)
                                     : op_refuse(&crypto->op, -ENOMEM, NULL);
}
