/* Runs the programs of promises that random.py wrote, as random.js does; prints a line of what each
 * said. */
#include <leat/future.h>
#include <leat/loop.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS         10
#define BODIES_MAX    1024
#define OPERATIONS    8192 /* of one program */
#define ORPHANS_MAX   65536
#define REJECTED_CODE 1000 /* "!N" is -(REJECTED_CODE + N) */

struct callback {
    int body; /* -1: none */
    char how; /* v: gives value, t: throws it, f: follows slot value */
    int value;
};

struct operation {
    char kind[12];
    int to, from[4], from_count, number, body;
    struct callback yes, no;
};

struct body {
    struct operation *operations;
    int count;
};

struct slot {
    struct leat_future *future; /* the consumer's reference */
    bool is_open;               /* and nobody has settled it */
    unsigned birth;
};

static struct {
    FILE *file;
    struct leat_loop *loop;
    struct body bodies[BODIES_MAX];
    struct operation operations[OPERATIONS];
    int operation_count;
    struct slot slots[SLOTS];
    struct leat_future *orphans[ORPHANS_MAX]; /* that nobody will settle */
    int orphan_count;
    unsigned born;
    bool is_over;
    const char *space;
} self;

/* What a derived future's callbacks know of themselves; freed with the program. */
struct closure {
    struct closure *next;
    struct operation *operation;
    unsigned birth;
};
static struct closure *closures;

static void words_fail(void)
{
    fprintf(stderr, "node-random: the file is no list of programs\n");
    exit(2);
}

static const char *word(void)
{
    static char text[64];
    if (fscanf(self.file, "%63s", text) != 1)
        words_fail();
    return text;
}

static int number(void)
{
    return atoi(word());
}

static void say(const char *text)
{
    if (self.is_over)
        return;
    printf("%s%s", self.space, text);
    self.space = " ";
}

/* ---- reading ---- */

static struct callback callback_read(void)
{
    struct callback callback;
    const char *body = word();
    callback.body = body[0] == '-' ? -1 : atoi(body);
    callback.how = word()[0];
    callback.value = number();
    return callback;
}

/* names: "|a|b|". */
static bool is_kind(const struct operation *o, const char *names)
{
    char wanted[16];
    snprintf(wanted, sizeof(wanted), "|%s|", o->kind);
    return strstr(names, wanted) != NULL;
}

static void operation_read(struct operation *o)
{
    const char *kind = word();
    size_t length = strlen(kind);
    if (length >= sizeof(o->kind))
        words_fail();
    memcpy(o->kind, kind, length + 1);
    if (is_kind(o, "|tick|job|immediate|")) {
        o->body = number();
        return;
    }
    if (is_kind(o, "|all|settled|race|any|")) {
        o->to = number();
        o->from_count = number();
        for (int i = 0; i < o->from_count; i++)
            o->from[i] = number();
        return;
    }
    o->from[0] = number();
    if (is_kind(o, "|resolve|reject|follow|then|catch|finally|"))
        o->to = o->number = number();
    if (is_kind(o, "|then|"))
        o->yes = callback_read();
    if (is_kind(o, "|then|catch|finally|"))
        o->no = callback_read();
}

static void program_read(void)
{
    (void)word(); /* the seed */
    int body_count = number();
    self.operation_count = 0;
    for (int i = 0; i < body_count; i++) {
        (void)word();
        (void)word();
        struct body *body = &self.bodies[i];
        body->count = number();
        body->operations = &self.operations[self.operation_count];
        self.operation_count += body->count;
        if (self.operation_count > OPERATIONS || body_count > BODIES_MAX)
            words_fail();
        for (int k = 0; k < body->count; k++) {
            body->operations[k] = (struct operation){.yes.body = -1};
            operation_read(&body->operations[k]);
        }
    }
}

/* ---- values as words ---- */

static void describe(const struct leat_result *result, char *to, size_t to_bytes)
{
    size_t length = strlen(to);
    to += length;
    to_bytes -= length;
    if (result->kind == LEAT_KIND_RESULTS && result->code >= 0) {
        const struct leat_results *results = leat_result_pointer(result, LEAT_KIND_RESULTS);
        char all[512] = "[";
        for (uint32_t i = 0; i < results->count; i++) {
            if (i > 0)
                strncat(all, ",", sizeof(all) - strlen(all) - 1);
            describe(&results->items[i], all, sizeof(all));
        }
        snprintf(to, to_bytes, "%s]", all);
    } else if (result->code == -ECANCELED) {
        snprintf(to, to_bytes, "!A");
    } else if (result->code < 0) {
        snprintf(to, to_bytes, "!%d", -result->code - REJECTED_CODE);
    } else if (result->kind == LEAT_KIND_NUMBER) {
        snprintf(to, to_bytes, "%d", (int)leat_result_number(result));
    } else {
        snprintf(to, to_bytes, "_");
    }
}

static void say_given(const char *head, const struct leat_result *given)
{
    char text[640];
    snprintf(text, sizeof(text), "%s", head);
    if (given != NULL)
        describe(given, text, sizeof(text));
    else
        strncat(text, "_", sizeof(text) - strlen(text) - 1);
    say(text);
}

/* ---- running ---- */

static void body_run(int body);

static struct leat_result callback_run(struct callback callback, unsigned birth,
                                       const struct leat_result *given)
{
    char head[16];
    snprintf(head, sizeof(head), "%d:", callback.body);
    say_given(head, given);
    body_run(callback.body);
    if (callback.how == 't')
        return leat_failure(-(REJECTED_CODE + callback.value), NULL);
    if (callback.how == 'f') {
        struct slot *slot = &self.slots[callback.value];
        if (slot->future != NULL && slot->birth < birth)
            return leat_follow(leat_future_ref(slot->future));
    }
    return leat_number(callback.value);
}

static struct leat_result yes_run(void *arg, const struct leat_result *result)
{
    struct closure *closure = arg;
    return callback_run(closure->operation->yes, closure->birth, result);
}

static struct leat_result no_run(void *arg, const struct leat_result *result)
{
    struct closure *closure = arg;
    return callback_run(closure->operation->no, closure->birth, result);
}

static struct leat_result finally_run(void *arg, const struct leat_result *result)
{
    struct closure *closure = arg;
    return callback_run(closure->operation->no, closure->birth, NULL);
}

static void slot_put(int to, struct leat_future *future, unsigned birth, bool is_open)
{
    struct slot *slot = &self.slots[to];
    if (slot->is_open)
        self.orphans[self.orphan_count++] = slot->future;
    if (slot->future != NULL)
        leat_future_unref(slot->future);
    *slot = (struct slot){future, is_open, birth};
}

static struct leat_future *derive(struct operation *o, struct leat_future *source, unsigned birth)
{
    struct closure *closure = malloc(sizeof(*closure));
    *closure = (struct closure){closures, o, birth};
    closures = closure;
    leat_then_fn *no = o->no.body >= 0 ? no_run : NULL;
    if (is_kind(o, "|then|"))
        return leat_then(source, o->yes.body >= 0 ? yes_run : NULL, no, closure);
    return is_kind(o, "|catch|") ? leat_catch(source, no, closure)
                                 : leat_finally(source, finally_run, closure);
}

static void derived_run(struct operation *o)
{
    unsigned birth = ++self.born;
    struct leat_future *source = self.slots[o->from[0]].future;
    if (source != NULL)
        slot_put(o->to, derive(o, source, birth), birth, false);
}

static struct leat_future *combined(struct operation *o, struct leat_future **futures)
{
    uint32_t count = (uint32_t)o->from_count;
    switch (o->kind[1]) {
    case 'l':
        return leat_all(self.loop, futures, count);
    case 'e':
        return leat_all_settled(self.loop, futures, count);
    case 'a':
        return leat_race(self.loop, futures, count);
    default:
        return leat_any(self.loop, futures, count);
    }
}

static void combine_run(struct operation *o)
{
    unsigned birth = ++self.born;
    struct leat_future *futures[4];
    for (int i = 0; i < o->from_count; i++)
        if (self.slots[o->from[i]].future == NULL)
            return;
    for (int i = 0; i < o->from_count; i++)
        futures[i] = leat_future_ref(self.slots[o->from[i]].future);
    slot_put(o->to, combined(o, futures), birth, false);
}

static void settle_run(struct operation *o)
{
    struct slot *slot = &self.slots[o->from[0]];
    if (!slot->is_open)
        return;
    struct leat_result result;
    if (is_kind(o, "|follow|")) {
        struct slot *inner = &self.slots[o->to];
        if (inner->future == NULL || inner->birth >= slot->birth)
            return;
        result = leat_follow(leat_future_ref(inner->future));
    } else {
        result = is_kind(o, "|resolve|") ? leat_number(o->number)
                                         : leat_failure(-(REJECTED_CODE + o->number), NULL);
    }
    slot->is_open = false;
    leat_settle(slot->future, result);
}

static void later_run(void *arg)
{
    struct operation *o = arg;
    char text[16];
    snprintf(text, sizeof(text), "%d", o->body);
    say(text);
    body_run(o->body);
}

static void operation_run(struct operation *o)
{
    if (is_kind(o, "|new|"))
        slot_put(o->from[0], leat_future_new(self.loop, NULL), ++self.born, true);
    else if (is_kind(o, "|resolve|reject|follow|"))
        settle_run(o);
    else if (is_kind(o, "|then|catch|finally|"))
        derived_run(o);
    else if (is_kind(o, "|all|settled|race|any|"))
        combine_run(o);
    else if (is_kind(o, "|tick|"))
        (void)leat_next_tick(self.loop, later_run, o);
    else if (is_kind(o, "|job|"))
        (void)leat_queue_microtask(self.loop, later_run, o);
    else
        (void)leat_set_immediate(self.loop, later_run, o);
}

static void body_run(int body)
{
    for (int i = 0; i < self.bodies[body].count; i++)
        operation_run(&self.bodies[body].operations[i]);
}

static void unhandled(void *arg, struct leat_future *future)
{
    say_given("u:", leat_future_result(future));
}

static void handled(void *arg, struct leat_future *future)
{
    say("h");
}

/* What nobody settled is settled now, unheard. */
static void program_end(void)
{
    printf("\n");
    self.is_over = true;
    for (int i = 0; i < SLOTS; i++)
        slot_put(i, NULL, 0, false);
    for (int i = 0; i < BODIES_MAX; i++)
        self.bodies[i].count = 0;
    for (int i = 0; i < self.orphan_count; i++)
        leat_settle(self.orphans[i], leat_number(0));
}

static void program_run(void)
{
    self.space = "";
    self.is_over = false;
    self.born = 0;
    self.orphan_count = 0;
    self.loop = leat_loop_new(NULL, NULL);
    leat_loop_on_unhandled(self.loop, unhandled, NULL);
    leat_loop_on_rejection_handled(self.loop, handled, NULL);
    body_run(0);
    (void)leat_loop_run(self.loop);
    program_end();
    (void)leat_loop_run(self.loop);
    leat_loop_free(self.loop);
    while (closures != NULL) {
        struct closure *next = closures->next;
        free(closures);
        closures = next;
    }
}

int main(int argc, char **argv)
{
    self.file = argc == 2 ? fopen(argv[1], "r") : NULL;
    if (self.file == NULL) {
        fprintf(stderr, "usage: node-random FILE\n");
        return 2;
    }
    char text[64];
    while (fscanf(self.file, "%63s", text) == 1) {
        program_read();
        program_run();
    }
    fclose(self.file);
    return 0;
}
