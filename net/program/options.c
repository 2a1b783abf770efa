#include <leat/options.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define NEAREST_BYTES_MAX 64 /* words longer than this are near to nothing */
#define HELP_COLUMN       30

static char option_letter(const struct leat_option *option)
{
    return option->name[0] != '\0' && option->name[1] == '|' ? option->name[0] : '\0';
}

static const char *option_name(const struct leat_option *option)
{
    return option_letter(option) != '\0' ? option->name + 2 : option->name;
}

/* By its name, or by a letter when letter is not 0. */
static const struct leat_option *option_find(const struct leat_command_line *line, char letter,
                                             const char *name, size_t length)
{
    for (unsigned t = 0; t < sizeof(line->tables) / sizeof(line->tables[0]); t++) {
        for (unsigned i = 0; i < line->table_counts[t]; i++) {
            const struct leat_option *option = &line->tables[t][i];
            const char *own = option_name(option);
            if (letter != '\0' ? option_letter(option) == letter
                               : strlen(own) == length && memcmp(own, name, length) == 0)
                return option;
        }
    }
    return NULL;
}

/* Edits (insert, delete, replace) that turn a into b, by rows of the Wagner-Fischer table. */
static unsigned edits_between(const char *a, const char *b)
{
    size_t length = strlen(b);
    unsigned row[NEAREST_BYTES_MAX + 1];
    for (unsigned j = 0; j <= length; j++)
        row[j] = j;
    for (unsigned i = 1; a[i - 1] != '\0'; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= length; j++) {
            unsigned best = diagonal + (a[i - 1] != b[j - 1]);
            best = row[j] + 1 < best ? row[j] + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[length];
}

const char *leat_nearest(const char *word, const char *const *candidates, unsigned count)
{
    if (strlen(word) > NEAREST_BYTES_MAX)
        return NULL;
    const char *nearest = NULL;
    unsigned nearest_edits = (unsigned)strlen(word) / 3 + 1;
    for (unsigned i = 0; i < count; i++) {
        if (strlen(candidates[i]) > NEAREST_BYTES_MAX)
            continue;
        unsigned edits = edits_between(word, candidates[i]);
        if (edits < nearest_edits || (edits == nearest_edits && nearest == NULL)) {
            nearest = candidates[i];
            nearest_edits = edits;
        }
    }
    return nearest;
}

static int fail_unknown(const struct leat_command_line *line, const char *word,
                        struct leat_error *error)
{
    const char *names[128] = {"help", "version"};
    unsigned count = 2;
    for (unsigned t = 0; t < sizeof(line->tables) / sizeof(line->tables[0]); t++)
        for (unsigned i = 0; i < line->table_counts[t] && count < 128; i++)
            names[count++] = option_name(&line->tables[t][i]);
    char name[NEAREST_BYTES_MAX + 1];
    const char *start = word + strspn(word, "-");
    snprintf(name, sizeof(name), "%.*s", (int)strcspn(start, "="), start);
    const char *nearest = leat_nearest(name, names, count);
    if (nearest != NULL) {
        return leat_fail(error, -EINVAL, "unknown flag %s: did you mean --%s? See %s --help", word,
                         nearest, line->name);
    }
    return leat_fail(error, -EINVAL, "unknown flag %s: see %s --help", word, line->name);
}

/* Decimal digits; returns what is behind them, NULL when there are none or too many. */
static const char *digits(const char *text, uint64_t *number)
{
    const char *at = text;
    uint64_t n = 0;
    for (; *at >= '0' && *at <= '9'; at++)
        if (__builtin_mul_overflow(n, 10, &n) ||
            __builtin_add_overflow(n, (uint64_t)(*at - '0'), &n))
            return NULL;
    *number = n;
    return at == text ? NULL : at;
}

#define UNITS_COUNT 5

struct unit {
    const char *suffix;
    uint64_t factor;
};
static const struct unit bytes_units[] = {{"", 1},
                                          {"k", UINT64_C(1) << 10},
                                          {"K", UINT64_C(1) << 10},
                                          {"M", UINT64_C(1) << 20},
                                          {"G", UINT64_C(1) << 30}};
static const struct unit time_units[] = {{"", LEAT_NS_PER_S},
                                         {"ms", LEAT_NS_PER_MS},
                                         {"s", LEAT_NS_PER_S},
                                         {"m", 60 * LEAT_NS_PER_S},
                                         {"h", 3600 * LEAT_NS_PER_S}};

/* A bound in the largest unit that tells it exactly. */
static void bound_format(char *text, size_t size, const struct leat_option *option, uint64_t bound)
{
    const struct unit *units = option->kind == LEAT_OPTION_DURATION ? time_units : bytes_units;
    const struct unit *best = NULL;
    for (unsigned i = 0; option->kind != LEAT_OPTION_COUNT && i < UNITS_COUNT; i++) {
        bool is_exact = bound != 0 && bound % units[i].factor == 0 && units[i].suffix[0] != '\0';
        best = is_exact && (best == NULL || units[i].factor > best->factor) ? &units[i] : best;
    }
    snprintf(text, size, "%llu%s", (unsigned long long)(best ? bound / best->factor : bound),
             best ? best->suffix : "");
}

static int fail_range(const struct leat_option *option, const char *text, struct leat_error *error)
{
    char least[32], most[32];
    bound_format(least, sizeof(least), option, option->min);
    if (option->max == 0) {
        return leat_fail(error, -EINVAL, "--%s %s is too small: give at least %s",
                         option_name(option), text, least);
    }
    bound_format(most, sizeof(most), option, option->max);
    return leat_fail(error, -EINVAL, "--%s %s is out of range: give at least %s and at most %s",
                     option_name(option), text, least, most);
}

static int number_parse(const struct leat_option *option, const char *text,
                        struct leat_error *error)
{
    const struct unit *units = option->kind == LEAT_OPTION_DURATION ? time_units : bytes_units;
    unsigned count = option->kind == LEAT_OPTION_COUNT ? 1 : UNITS_COUNT;
    const char *examples = option->kind == LEAT_OPTION_DURATION ? "a time such as 500ms, 10s or 2m"
                           : option->kind == LEAT_OPTION_BYTES  ? "a size such as 4096, 64k or 1G"
                                                                : "a whole number";
    uint64_t number;
    const char *suffix = digits(text, &number);
    for (unsigned i = 0; suffix != NULL && i < count; i++) {
        uint64_t value;
        if (strcmp(suffix, units[i].suffix) != 0 ||
            __builtin_mul_overflow(number, units[i].factor, &value))
            continue;
        if (value < option->min || (option->max != 0 && value > option->max))
            return fail_range(option, text, error);
        if (option->value != NULL)
            *(uint64_t *)option->value = value;
        return 0;
    }
    return leat_fail(error, -EINVAL, "--%s takes %s, not \"%s\"", option_name(option), examples,
                     text);
}

static int option_set(const struct leat_option *option, const char *text, struct leat_error *error)
{
    if (option->kind >= LEAT_OPTION_COUNT)
        return number_parse(option, text, error);
    if (option->value == NULL)
        return 0;
    switch (option->kind) {
    case LEAT_OPTION_FLAG:
        *(bool *)option->value = true;
        return 0;
    case LEAT_OPTION_LIST: {
        struct leat_option_list *list = option->value;
        if (list->count == LEAT_OPTION_LIST_MAX) {
            return leat_fail(error, -EINVAL, "--%s is given too often: at most %d times",
                             option_name(option), LEAT_OPTION_LIST_MAX);
        }
        list->items[list->count++] = text;
        return 0;
    }
    default:
        *(const char **)option->value = text;
        return 0;
    }
}

/* Takes the flag at argv[*at] and, where it has one, its value. */
static int flag_take(struct leat_command_line *line, int argc, char **argv, int *at,
                     struct leat_error *error)
{
    const char *word = argv[*at];
    char letter = word[1] != '-' ? word[1] : '\0';
    size_t length = letter == '\0' ? strcspn(word + 2, "=") : 0;
    const char *value = NULL;
    if (word[2 + length] != '\0')
        value = word + 2 + length + (letter == '\0' ? 1 : 0);
    const struct leat_option *option = option_find(line, letter, word + 2, length);
    if (option == NULL || (letter != '\0' && value != NULL && option->kind == LEAT_OPTION_FLAG))
        return fail_unknown(line, word, error);
    const char *name = option_name(option);
    if (option->kind == LEAT_OPTION_FLAG) {
        if (value != NULL)
            return leat_fail(error, -EINVAL, "--%s takes no value: leave out \"=%s\"", name, value);
        return option_set(option, "", error);
    }
    if (value == NULL) {
        if (*at + 1 >= argc || strncmp(argv[*at + 1], "--", 2) == 0) {
            return leat_fail(error, -EINVAL, "--%s needs a value: --%s %s", name, name,
                             option->operand);
        }
        value = argv[++*at];
    }
    return option_set(option, value, error);
}

static int operand_take(struct leat_command_line *line, const char *word, struct leat_error *error)
{
    if (line->operand_count == line->operand_count_max) {
        return line->operand_count_max == 0
                   ? leat_fail(error, -EINVAL,
                               "%s takes no \"%s\": flags begin with two dashes, "
                               "see %s --help",
                               line->name, word, line->name)
                   : leat_fail(error, -EINVAL, "\"%s\" is too much: %s takes at most %u of %s",
                               word, line->name, line->operand_count_max, line->operands);
    }
    line->operand_items[line->operand_count++] = word;
    return 0;
}

int leat_command_line_parse(struct leat_command_line *line, int argc, char **argv,
                            struct leat_error *error)
{
    bool flags_end = false;
    line->operand_count = 0;
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        int result;
        if (flags_end || word[0] != '-' || word[1] == '\0') {
            result = operand_take(line, word, error);
        } else if (strcmp(word, "--") == 0) {
            flags_end = true;
            continue;
        } else if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
            return LEAT_PARSED_HELP;
        } else if (strcmp(word, "--version") == 0) {
            return LEAT_PARSED_VERSION;
        } else {
            result = flag_take(line, argc, argv, &i, error);
        }
        if (result < 0)
            return result;
    }
    return LEAT_PARSED_RUN;
}

static void help_option(int fd, const char *name, const char *operand, const char *help)
{
    char left[128];
    char letter[] = "-c, ";
    bool has_letter = name[0] != '\0' && name[1] == '|';
    letter[1] = name[0];
    int n = snprintf(left, sizeof(left), "  %s--%s%s%s", has_letter ? letter : "",
                     has_letter ? name + 2 : name, operand != NULL ? " " : "",
                     operand != NULL ? operand : "");
    if (n >= HELP_COLUMN) {
        dprintf(fd, "%s\n", left);
        left[0] = '\0';
    }
    while (help != NULL) {
        size_t length = strcspn(help, "\n");
        dprintf(fd, "%-*s%.*s\n", HELP_COLUMN, left, (int)length, help);
        left[0] = '\0';
        help = help[length] == '\n' ? help + length + 1 : NULL;
    }
}

void leat_command_line_help(const struct leat_command_line *line, int fd)
{
    dprintf(fd, "usage: %s%s%s [flags]\n", line->name, line->operands != NULL ? " " : "",
            line->operands != NULL ? line->operands : "");
    if (line->summary != NULL)
        dprintf(fd, "%s\n", line->summary);
    dprintf(fd, "\n");
    for (unsigned t = 0; t < sizeof(line->tables) / sizeof(line->tables[0]); t++) {
        for (unsigned i = 0; i < line->table_counts[t]; i++) {
            const struct leat_option *option = &line->tables[t][i];
            help_option(fd, option->name, option->operand, option->help);
        }
    }
    help_option(fd, "help", NULL, "this text");
    help_option(fd, "version", NULL, "the version");
}
