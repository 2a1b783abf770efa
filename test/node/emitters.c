/* Plays programs of emitters on Leat; emitters.js plays the same under Node, emitters.py compares.
 * The language stands in emitters.js. */
#include <leat/emitter.h>
#include <leat/loop.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_MAX   16
#define LINES_MAX   8
#define WORDS_MAX   4
#define PROGRAM_MAX (1 << 20)

struct line {
    int count;
    char *words[WORDS_MAX];
};

struct listener {
    char *name;
    int line_count;
    struct line lines[LINES_MAX];
};

static LEAT_EVENT(x);
static LEAT_EVENT(y);

static struct {
    struct leat_emitter emitter;
    struct listener listeners[NAMES_MAX];
    int listener_count;
    int64_t emitted;
    const char *space;
} self;

static void line_run(const struct line *line);

static struct listener *listener_of(char *name)
{
    for (int i = 0; i < self.listener_count; i++)
        if (strcmp(self.listeners[i].name, name) == 0)
            return &self.listeners[i];
    struct listener *made = &self.listeners[self.listener_count++];
    *made = (struct listener){.name = name};
    return made;
}

static void heard(void *arg, const struct leat_result *value)
{
    struct listener *listener = arg, own = *listener;
    listener->line_count = 0;
    printf("%s%s(%d)", self.space, own.name, (int)leat_result_number(value));
    self.space = " ";
    for (int i = 0; i < own.line_count; i++)
        line_run(&own.lines[i]);
}

static void line_run(const struct line *line)
{
    const char *op = line->words[0];
    const struct leat_event *event = strcmp(line->words[1], "x") == 0 ? &x : &y;
    struct listener *listener = line->count > 2 ? listener_of(line->words[2]) : NULL;
    if (strcmp(op, "on") == 0) {
        (void)!leat_on(&self.emitter, event, heard, listener);
    } else if (strcmp(op, "once") == 0) {
        (void)!leat_once(&self.emitter, event, heard, listener);
    } else if (strcmp(op, "prepend") == 0) {
        (void)!leat_prepend(&self.emitter, event, heard, listener);
    } else if (strcmp(op, "off") == 0) {
        leat_off(&self.emitter, event, heard, listener);
    } else if (strcmp(op, "emit") == 0) {
        struct leat_result value = leat_number(++self.emitted);
        bool is_heard = leat_emit(&self.emitter, event, &value);
        printf("%s%s", self.space, is_heard ? "heard" : "unheard");
        self.space = " ";
    } else {
        printf("%s%u", self.space, leat_emitter_count(&self.emitter, event));
        self.space = " ";
    }
}

static void line_play(char *text)
{
    struct line line = {0};
    char *rest = NULL, *word = strtok_r(text, " ", &rest);
    bool is_body = word != NULL && strcmp(word, ":") == 0;
    struct listener *listener = is_body ? listener_of(strtok_r(NULL, " ", &rest)) : NULL;
    for (word = is_body ? strtok_r(NULL, " ", &rest) : word; word != NULL && line.count < WORDS_MAX;
         word = strtok_r(NULL, " ", &rest))
        line.words[line.count++] = word;
    if (listener != NULL)
        listener->lines[listener->line_count++] = line;
    else if (line.count > 0)
        line_run(&line);
}

static void program_play(char *text)
{
    char *rest = NULL;
    self.listener_count = 0;
    self.emitted = 0;
    self.space = "";
    for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest))
        line_play(line);
    printf("\n");
    leat_emitter_fini(&self.emitter);
}

int main(void)
{
    static char input[PROGRAM_MAX];
    input[fread(input, 1, sizeof(input) - 1, stdin)] = '\0';
    struct leat_loop *loop = leat_loop_new(NULL, NULL);
    for (char *program = input, *next; program != NULL; program = next) {
        next = strstr(program, "\n--\n");
        if (next != NULL) {
            *next = '\0';
            next += 4;
        }
        program_play(program);
    }
    leat_loop_free(loop);
    return 0;
}
