/* Command lines: a table of flags gives parsing, --help and error sentences.
 *
 * "--name value" and "--name=value" are the same, as are "-c 64" and "-c64" for a flag that has a
 * letter; "--" ends the flags; what is no flag is an operand. Values point into argv or are
 * converted; nothing is allocated. An unknown flag is answered with the nearest known one. */
#ifndef LEAT_OPTIONS_H
#define LEAT_OPTIONS_H

#include <leat/defs.h>
#include <leat/error.h>

LEAT_BEGIN

#define LEAT_OPTION_LIST_MAX 16

struct leat_option_list {
    const char *items[LEAT_OPTION_LIST_MAX];
    unsigned count;
};

enum leat_option_kind {
    LEAT_OPTION_FLAG,  /* bool: takes no value */
    LEAT_OPTION_TEXT,  /* const char * */
    LEAT_OPTION_LIST,  /* struct leat_option_list: may be repeated, LEAT_OPTION_LIST_MAX times */
    LEAT_OPTION_COUNT, /* uint64_t: decimal digits */
    /* uint64_t: "4096", "64k" = "64KiB" (1024-fold), "256MB" (1000-fold, as in GNU's tools),
     * "1.5G"; units k, M, G, T */
    LEAT_OPTION_BYTES,
    /* uint64_t nanoseconds: "500ms", "1.5s", "2m"; units ns, us, ms, s, m, h, d; none: seconds */
    LEAT_OPTION_DURATION,
    /* no flag: name is a title that help puts before the flags behind it */
    LEAT_OPTION_GROUP,
};

struct leat_option {
    const char *name; /* without its dashes; "c|connections": -c and --connections are the same */
    enum leat_option_kind kind;
    void *value;         /* what the kind says; NULL: parsed and forgotten */
    const char *operand; /* as --help shows the value: "ADDR:PORT"; NULL for flags */
    const char *help;    /* one line, or several with newlines */
    uint64_t min, max;   /* of numbers; max 0: no bound */
};

/* One command line. A table may have several parts (a program's own flags and the common ones). */
struct leat_command_line {
    const char *name;     /* as typed: "leat serve" */
    const char *summary;  /* what --help says first */
    const char *operands; /* as --help shows them: "[DIR]"; NULL: none are taken */
    const struct leat_option *tables[4];
    unsigned table_counts[4];
    const char *operand_items[LEAT_OPTION_LIST_MAX]; /* out */
    unsigned operand_count;                          /* out */
    unsigned operand_count_max;
};

enum leat_parsed { LEAT_PARSED_RUN, LEAT_PARSED_HELP, LEAT_PARSED_VERSION };

/* Parses argv[1..]. Returns an enum leat_parsed, or -EINVAL with a sentence. --help, -h and
 * --version win over what stands behind them. */
LEAT_API int leat_command_line_parse(struct leat_command_line *line, int argc, char **argv,
                                     struct leat_error *error) LEAT_MUST_CHECK;

/* The same for a program's main: answers --help, --version and what is wrong by itself. Returns -1
 * when the program is to run, else its exit code. */
LEAT_API int leat_command_line_answer(struct leat_command_line *line, int argc,
                                      char **argv) LEAT_MUST_CHECK;

/* Writes the help text to a descriptor. Returns 0 or -errno. */
LEAT_API int leat_command_line_help(const struct leat_command_line *line, int fd);

/* The candidate nearest to word, or NULL when none is near enough to be meant. */
LEAT_API const char *leat_nearest(const char *word, const char *const *candidates, unsigned count);

LEAT_END
#endif
