/* What leat/crypto.h makes of each line of standard input, for crypto_beside.js. Words are split by
 * spaces, bytes are hex, "-" is none:
 *
 *   hash KIND KEY DATA      derive HOW KIND SECRET SALT INFO ROUNDS COST BLOCK LANES LENGTH
 *   sign SCHEME PEM DATA    verify SCHEME PEM DATA SIGNATURE */
#include <leat/leat.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_MAX 12

static struct leat_loop *loop;
static char *words[WORDS_MAX];

static unsigned number(unsigned i)
{
    return (unsigned)strtoul(words[i], NULL, 10);
}

static struct leat_buf bytes(unsigned i)
{
    size_t length = strlen(words[i]);
    if (strcmp(words[i], "-") == 0 || length == 0)
        return leat_buf_from_static("", 0);
    return leat_buf_from_text(LEAT_HEX, words[i], length, NULL);
}

static void bytes_say(const uint8_t *data, size_t length)
{
    for (size_t i = 0; i < length; i++)
        printf("%02x", data[i]);
    putchar('\n');
}

static void hear(void *is_heard, const struct leat_result *result)
{
    *(bool *)is_heard = true;
    if (result->code < 0)
        puts(leat_errno_name(result->code));
    else if (result->kind == LEAT_KIND_BUF)
        bytes_say(result->buf.data, result->buf.length_bytes);
    else
        puts("good");
}

static void future_say(struct leat_future *future)
{
    bool is_heard = false;
    leat_call(future, hear, &is_heard);
    while (!is_heard)
        (void)leat_loop_turn(loop, LEAT_NS_PER_S);
}

static void hash_say(void)
{
    uint8_t code[LEAT_HASH_BYTES_MAX];
    struct leat_buf key = bytes(2), data = bytes(3);
    bool has_key = strcmp(words[2], "-") != 0;
    struct leat_hash *hash =
        leat_hash_new(loop, number(1), has_key ? key.data : NULL, key.length_bytes);
    size_t half = data.length_bytes / 3;
    leat_hash_update(hash, data.data, half);
    leat_hash_update(hash, data.data + half, data.length_bytes - half);
    int length = leat_hash_finish(hash, code);
    bytes_say(code, length < 0 ? 0 : (size_t)length);
    leat_hash_free(hash);
    leat_buf_unref(key);
    leat_buf_unref(data);
}

static void derive_say(void)
{
    struct leat_buf secret = bytes(3), salt = bytes(4), info = bytes(5);
    future_say(leat_derive(loop, &(struct leat_derive_options){.how = number(1),
                                                               .digest = number(2),
                                                               .secret = secret.data,
                                                               .secret_bytes = secret.length_bytes,
                                                               .salt = salt.data,
                                                               .salt_bytes = salt.length_bytes,
                                                               .info = info.data,
                                                               .info_bytes = info.length_bytes,
                                                               .rounds = number(6),
                                                               .cost = number(7),
                                                               .block = number(8),
                                                               .lanes = number(9),
                                                               .length_bytes = number(10)}));
    leat_buf_unref(secret);
    leat_buf_unref(salt);
    leat_buf_unref(info);
}

static void signature_say(void)
{
    struct leat_buf pem = bytes(2);
    struct leat_key *key = leat_key_new(loop, pem.data, pem.length_bytes);
    leat_buf_unref(pem);
    if (key == NULL)
        puts(leat_errno_name(leat_loop_error(loop)->code));
    else if (strcmp(words[0], "sign") == 0)
        future_say(leat_key_sign(key, number(1), bytes(3)));
    else
        future_say(leat_key_verify(key, number(1), bytes(3), bytes(4)));
    leat_key_free(key);
}

int main(void)
{
    char *line = NULL;
    size_t room = 0;
    loop = leat_loop_new(NULL, NULL);
    for (ssize_t length; (length = getline(&line, &room, stdin)) > 0;) {
        line[length - 1] = '\0';
        char *rest = line;
        for (unsigned i = 0; i < WORDS_MAX; i++)
            words[i] = rest != NULL ? strsep(&rest, " ") : (char *)(uintptr_t) "";
        if (strcmp(words[0], "hash") == 0)
            hash_say();
        else if (strcmp(words[0], "derive") == 0)
            derive_say();
        else
            signature_say();
    }
    free(line);
    leat_loop_free(loop);
    return ferror(stdout);
}
