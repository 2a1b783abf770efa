/* The `leat` command: finds the subcommand. */
#include "apps/commands.h"

#include <leat/options.h>
#include <leat/version.h>

#include <stdio.h>
#include <string.h>

#include "runtime/base/output.h"

struct command {
    const char *name;
    const char *summary;
    int (*main)(int argc, char **argv);
};

static const struct command commands[] = {
    {"serve", "serve a folder, a greeting or the welcome page over HTTP", serve_main},
    {"load", "measure how an HTTP server answers: rate, latency, errors", load_main},
    {"echo", "send back, swallow or pour out bytes over TCP; measure round trips and streams",
     echo_main},
    {"ping", "tell how long connecting over TCP takes", ping_main},
    {"top", "tell what the cores of a running server do, and what they drop", top_main},
    {"ss", "list the connections of a running server's own stack", ss_main},
    {"doctor", "tell what this machine offers, and the command that mends what is missing",
     doctor_main},
};
#define COMMANDS_COUNT (sizeof(commands) / sizeof(commands[0]))

static const struct command *command_find(const char *name)
{
    for (size_t i = 0; i < COMMANDS_COUNT; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static int help(FILE *out)
{
    fprintf(out, "usage: leat COMMAND [flags]\n\n");
    for (size_t i = 0; i < COMMANDS_COUNT; i++)
        fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].summary);
    fprintf(out, "  %-10s %s\n", "help", "this text; leat help COMMAND is leat COMMAND --help");
    fprintf(out, "  %-10s %s\n\n", "--version",
            "the version, its compiler and what it was built with");
    fprintf(out, "Try: leat serve --hello\n");
    return 0;
}

static int fail_unknown(const char *word)
{
    const char *names[COMMANDS_COUNT + 1] = {"help"};
    for (size_t i = 0; i < COMMANDS_COUNT; i++)
        names[i + 1] = commands[i].name;
    const char *nearest = leat_nearest(word, names, COMMANDS_COUNT + 1);
    if (nearest != NULL) {
        fprintf(stderr, "leat: unknown command %s: did you mean leat %s? See leat help\n", word,
                nearest);
    } else {
        fprintf(stderr, "leat: unknown command %s: see leat help\n", word);
    }
    return 2;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        help(stderr);
        return 2;
    }
    const char *word = argv[1];
    if (strcmp(word, "--version") == 0 || strcmp(word, "version") == 0) {
        printf("leat %s\n%s\n", leat_version(), leat_version_build());
        return leat_output_end("leat", 0);
    }
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 ||
        (strcmp(word, "help") == 0 && argc == 2))
        return leat_output_end("leat", help(stdout));
    if (strcmp(word, "help") == 0) {
        const struct command *command = command_find(argv[2]);
        char flag[] = "--help";
        char *words[] = {argv[0], flag, NULL};
        return command != NULL ? command->main(2, words) : fail_unknown(argv[2]);
    }
    const struct command *command = command_find(word);
    return command != NULL ? command->main(argc - 1, argv + 1) : fail_unknown(word);
}
