/* Which running program a tool looks at. */
#include "apps/watch.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "runtime/base/output.h"

/* A socket or file that is opened must not become standard output where that is closed. What takes
 * its place cannot be written either, so that the tool's end says so. */
static void output_occupy(void)
{
    if (fcntl(STDOUT_FILENO, F_GETFD) >= 0)
        return;
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fd == STDOUT_FILENO)
        return;
    (void)dup2(fd, STDOUT_FILENO);
    close(fd);
}

int watch_parse(struct leat_command_line *line, int argc, char **argv, int *pid)
{
    line->operands = "[PID]";
    line->operand_count_max = 1;
    *pid = 0;
    output_occupy();
    int code = leat_command_line_answer(line, argc, argv);
    if (code >= 0 || line->operand_count == 0)
        return code;
    char *end;
    long number = strtol(line->operand_items[0], &end, 10);
    if (*end != '\0' || number <= 0 || number > INT_MAX) {
        fprintf(stderr, "%s: \"%s\" is no process number\n", line->name, line->operand_items[0]);
        return 2;
    }
    *pid = (int)number;
    return -1;
}

int watch_open(const char *name, int pid, struct counters_view *view)
{
    struct leat_error error = {0};
    if (counters_view_open(view, pid, &error) == 0)
        return -1;
    fprintf(stderr, "%s: %s\n", name, error.sentence);
    return 1;
}

int watch_columns_say(const char *name, const struct view *columns)
{
    for (unsigned i = 0; i < columns->count; i++) {
        const struct view_column *column = &columns->columns[i];
        printf("%-22s %-12s %s\n", column->key, column->title != NULL ? column->title : "",
               column->doc);
    }
    return leat_output_end(name, 0);
}
