/* Command lines, parsed by a table of flags. */
#include <leat/options.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "net/program/values.h"

#define FLAG_BYTES_MAX 64 /* of a name that is none, as far as it is compared */
#define HELP_COLUMN    30

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
            if (option->kind == LEAT_OPTION_GROUP)
                continue;
            if (letter != '\0' ? option_letter(option) == letter
                               : strlen(own) == length && memcmp(own, name, length) == 0)
                return option;
        }
    }
    return NULL;
}

static int fail_unknown(const struct leat_command_line *line, const char *word,
                        struct leat_error *error)
{
    const char *names[128] = {"help", "version"};
    unsigned count = 2;
    for (unsigned t = 0; t < sizeof(line->tables) / sizeof(line->tables[0]); t++)
        for (unsigned i = 0; i < line->table_counts[t] && count < 128; i++)
            if (line->tables[t][i].kind != LEAT_OPTION_GROUP)
                names[count++] = option_name(&line->tables[t][i]);
    char name[FLAG_BYTES_MAX + 2];
    const char *start = word + strspn(word, "-");
    snprintf(name, sizeof(name), "%.*s", (int)strcspn(start, "="), start);
    const char *nearest = leat_nearest(name, names, count);
    if (nearest != NULL) {
        return leat_fail(error, -EINVAL, "unknown flag %s: did you mean --%s? See %s --help", word,
                         nearest, line->name);
    }
    return leat_fail(error, -EINVAL, "unknown flag %s: see %s --help", word, line->name);
}

static int fail_range(const struct leat_option *option, const char *text, struct leat_error *error)
{
    char least[32], most[32];
    value_format(option->kind, option->min, least);
    if (option->max == 0) {
        return leat_fail(error, -EINVAL, "--%s %s is too small: give at least %s",
                         option_name(option), text, least);
    }
    value_format(option->kind, option->max, most);
    return leat_fail(error, -EINVAL, "--%s %s is out of range: give at least %s and at most %s",
                     option_name(option), text, least, most);
}

static int number_parse(const struct leat_option *option, const char *text,
                        struct leat_error *error)
{
    const struct value_kind *kind = value_kind_of(option->kind);
    uint64_t value;
    if (!kind->parse(text, &value)) {
        return leat_fail(error, -EINVAL, "--%s takes %s, not \"%s\"", option_name(option),
                         kind->example, text);
    }
    if (value < option->min || (option->max != 0 && value > option->max))
        return fail_range(option, text, error);
    if (option->value != NULL)
        *(uint64_t *)option->value = value;
    return 0;
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

static void help_option(FILE *out, const char *name, const char *operand, const char *help)
{
    char left[128];
    char letter[] = "-c, ";
    bool has_letter = name[0] != '\0' && name[1] == '|';
    letter[1] = name[0];
    int n = snprintf(left, sizeof(left), "  %s--%s%s%s", has_letter ? letter : "",
                     has_letter ? name + 2 : name, operand != NULL ? " " : "",
                     operand != NULL ? operand : "");
    if (n >= HELP_COLUMN) {
        fprintf(out, "%s\n", left);
        left[0] = '\0';
    }
    while (help != NULL) {
        size_t length = strcspn(help, "\n");
        fprintf(out, "%-*s%.*s\n", HELP_COLUMN, left, (int)length, help);
        left[0] = '\0';
        help = help[length] == '\n' ? help + length + 1 : NULL;
    }
}

int leat_command_line_help(const struct leat_command_line *line, int fd)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    FILE *out = copy >= 0 ? fdopen(copy, "w") : NULL;
    if (out == NULL) {
        int result = -errno;
        if (copy >= 0)
            close(copy);
        return result;
    }
    fprintf(out, "usage: %s%s%s [flags]\n", line->name, line->operands != NULL ? " " : "",
            line->operands != NULL ? line->operands : "");
    if (line->summary != NULL)
        fprintf(out, "%s\n", line->summary);
    fprintf(out, "\n");
    for (unsigned t = 0; t < sizeof(line->tables) / sizeof(line->tables[0]); t++) {
        for (unsigned i = 0; i < line->table_counts[t]; i++) {
            const struct leat_option *option = &line->tables[t][i];
            if (option->kind == LEAT_OPTION_GROUP)
                fprintf(out, "\n%s:\n", option->name);
            else
                help_option(out, option->name, option->operand, option->help);
        }
    }
    help_option(out, "help", NULL, "this text");
    help_option(out, "version", NULL, "the version");
    bool has_failed = ferror(out) != 0;
    if (fclose(out) != 0)
        return -errno;
    return has_failed ? -EIO : 0;
}
