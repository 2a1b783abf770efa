#include "apps/watch.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

int watch_take(struct leat_command_line *line, int argc, char **argv, struct counters_view *view)
{
    struct leat_error error = {0};
    line->operands = "[PID]";
    line->operand_count_max = 1;
    int code = leat_command_line_answer(line, argc, argv);
    if (code >= 0)
        return code;
    long pid = 0;
    if (line->operand_count > 0) {
        char *end;
        pid = strtol(line->operand_items[0], &end, 10);
        if (*end != '\0' || pid <= 0 || pid > INT_MAX) {
            fprintf(stderr, "%s: \"%s\" is no process number\n", line->name,
                    line->operand_items[0]);
            return 2;
        }
    }
    if (counters_view_open(view, (int)pid, &error) < 0) {
        fprintf(stderr, "%s: %s\n", line->name, error.sentence);
        return 1;
    }
    return -1;
}
