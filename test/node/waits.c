/* The programs of test/node/NAME.js about tasks, operations and buffers: `node-waits NAME` prints
 * the same words in the same order. */
#include <leat/codec.h>
#include <leat/fs.h>
#include <leat/future.h>
#include <leat/loop.h>
#include <leat/task.h>
#include <leat/timer.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct {
    struct leat_loop *loop;
    struct leat_future *settled, *later;
    const char *space;
} self;

static void say(const char *word)
{
    printf("%s%s", self.space, word);
    self.space = " ";
}

static void say_fn(void *word)
{
    say(word);
}

/* ---- await_rounds ---- */

static void await_say(struct leat_future *future, const char *word)
{
    struct leat_result result = leat_await(leat_future_ref(future));
    leat_result_drop(&result);
    say(word);
}

static struct leat_result one(void *arg)
{
    say("one");
    await_say(self.settled, "one-settled");
    await_say(self.later, "one-later");
    return leat_nothing();
}

static struct leat_result two(void *arg)
{
    say("two");
    await_say(self.later, "two-later");
    struct leat_result lost = leat_await(leat_settled(self.loop, leat_failure(-EIO, "%s", "lost")));
    char word[32];
    snprintf(word, sizeof(word), "two-%s", leat_result_sentence(&lost));
    leat_result_drop(&lost);
    say(word);
    return leat_nothing();
}

static struct leat_result three(void *arg)
{
    say("three");
    leat_settle(self.later, leat_nothing());
    leat_queue_microtask(self.loop, say_fn, (void *)"job");
    leat_next_tick(self.loop, say_fn, (void *)"tick");
    await_say(self.settled, "three-settled");
    return leat_nothing();
}

static void await_rounds(void)
{
    self.settled = leat_settled(self.loop, leat_nothing());
    self.later = leat_future_new(self.loop, NULL);
    leat_future_unref(leat_task_start(self.loop, one, NULL, 0));
    leat_future_unref(leat_task_start(self.loop, two, NULL, 0));
    leat_future_unref(leat_task_start(self.loop, three, NULL, 0));
    leat_set_immediate(self.loop, say_fn, (void *)"immediate");
}

/* ---- callback_in_poll ---- */

static void promise_say(void *arg, const struct leat_result *result)
{
    char word[64];
    snprintf(word, sizeof(word), "promise-%s", leat_errno_name(result->code));
    say(word);
}

static void lost_say(void *arg, const struct leat_result *result)
{
    say(leat_errno_name(result->code));
    struct leat_future *promise = leat_fs_read_file(self.loop, "/", 0);
    leat_on_settled(promise, promise_say, NULL);
    leat_future_unref(promise);
}

static void timer_say(struct leat_timer *timer, void *arg)
{
    say("timer");
    leat_call(leat_fs_stat(self.loop, "/none/of/this"), lost_say, NULL);
}

static void stat_say(void *arg, const struct leat_result *result)
{
    say("stat");
    leat_next_tick(self.loop, say_fn, (void *)"tick");
    leat_queue_microtask(self.loop, say_fn, (void *)"job");
    leat_set_timeout(self.loop, timer_say, NULL, 0);
    leat_set_immediate(self.loop, say_fn, (void *)"immediate");
}

static void callback_in_poll(void)
{
    leat_call(leat_fs_stat(self.loop, "/"), stat_say, NULL);
}

/* ---- buffers ---- */

static void say_number(int64_t number)
{
    char word[32];
    snprintf(word, sizeof(word), "%lld", (long long)number);
    say(word);
}

static void say_text(struct leat_buf buf, enum leat_encoding encoding)
{
    char text[128];
    int64_t length =
        leat_bytes_to_text(encoding, buf.data, buf.length_bytes, text, sizeof(text) - 1);
    text[length > 0 ? length : 0] = '\0';
    say(text);
}

static struct leat_buf buf_of(enum leat_encoding encoding, const char *text)
{
    return leat_buf_from_text(encoding, text, strlen(text), NULL);
}

static void say_encodings(struct leat_buf bytes)
{
    say_text(bytes, LEAT_BASE64);
    say_text(bytes, LEAT_BASE64URL);
    struct leat_buf again = buf_of(LEAT_BASE64, "SGVsbG//AMM=");
    struct leat_buf wide = buf_of(LEAT_UTF16LE, "ü€"), utf8 = buf_of(LEAT_UTF8, "ü€");
    say_text(again, LEAT_HEX);
    say_text(wide, LEAT_HEX);
    say_text(utf8, LEAT_HEX);
    leat_buf_unref(again);
    leat_buf_unref(wide);
    leat_buf_unref(utf8);
}

static void say_numbers(struct leat_buf *numbers)
{
    int64_t signed_number = 0;
    uint64_t number = 0;
    bool is_fine = leat_buf_write_uint(numbers, 0, LEAT_BE(4), 0xdeadbeef) == 0 &&
                   leat_buf_write_int(numbers, 4, LEAT_LE(2), -2) == 0 &&
                   leat_buf_write_float(numbers, 6, LEAT_LE(8), 1.5) == 0;
    say_text(*numbers, LEAT_HEX);
    is_fine &= leat_buf_read_int(numbers, 0, LEAT_BE(4), &signed_number) == 0;
    say_number(signed_number);
    is_fine &= leat_buf_read_uint(numbers, 4, LEAT_LE(2), &number) == 0;
    say_number((int64_t)number);
    is_fine &= leat_buf_read_uint(numbers, 0, LEAT_BE(6), &number) == 0;
    say_number((int64_t)number);
    if (!is_fine)
        say("refused");
}

static void say_views(struct leat_buf bytes, const struct leat_buf *numbers)
{
    struct leat_buf view = leat_buf_slice(*numbers, 4, 2), part = leat_buf_slice(*numbers, 2, 6);
    struct leat_buf pair[] = {view, bytes};
    uint64_t number;
    if (leat_buf_fill(view, 0, 2, "ab", 2) != 0)
        say("refused");
    say_text(part, LEAT_HEX);
    say_number((int64_t)leat_buf_index_of(bytes, "lo", 2, 0));
    say(leat_buf_index_of(bytes, "none", 4, 0) == LEAT_NOT_FOUND ? "-1" : "found");
    struct leat_buf ab = leat_buf_from_static("ab", 2), abc = leat_buf_from_static("abc", 3);
    say_number(leat_buf_compare(ab, abc) < 0 ? -1 : 1);
    struct leat_buf both = leat_buf_concat(pair, 2);
    say_number((int64_t)both.length_bytes);
    say(leat_buf_read_uint(numbers, 13, LEAT_BE(4), &number) == -ERANGE ? "out-of-range" : "read");
    leat_buf_unref(both);
    leat_buf_unref(view);
    leat_buf_unref(part);
}

static void buffers(void)
{
    struct leat_buf bytes = buf_of(LEAT_HEX, "48656c6c6fff00c3"), numbers = leat_buf_alloc(16);
    say_encodings(bytes);
    say_numbers(&numbers);
    say_views(bytes, &numbers);
    leat_buf_unref(bytes);
    leat_buf_unref(numbers);
}

static const struct {
    const char *name;
    void (*start)(void);
} scenarios[] = {{"await_rounds", await_rounds},
                 {"callback_in_poll", callback_in_poll},
                 {"buffers", buffers}};

int main(int argc, char **argv)
{
    self.space = "";
    self.loop = leat_loop_new(NULL, NULL);
    for (size_t i = 0; argc > 1 && i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
        if (strcmp(scenarios[i].name, argv[1]) != 0)
            continue;
        scenarios[i].start();
        int code = leat_loop_run(self.loop);
        printf("\n");
        if (self.settled != NULL) {
            leat_future_unref(self.settled);
            leat_future_unref(self.later);
        }
        leat_loop_free(self.loop);
        return code;
    }
    fprintf(stderr, "usage: node-waits NAME\n");
    return 2;
}
