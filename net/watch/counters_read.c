/* Looking at running programs: which there are, and the values of one. */
#include "net/watch/counters_read.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int compare_pids(const void *a, const void *b)
{
    return ((const struct counters_program *)a)->pid - ((const struct counters_program *)b)->pid;
}

unsigned counters_programs(struct counters_program programs[COUNTERS_PROGRAMS_MAX],
                           unsigned *denied_count)
{
    unsigned count = 0;
    DIR *folder = opendir(counters_folder());
    *denied_count = 0;
    for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
        struct counters_view view;
        int pid = counters_file_pid(entry->d_name);
        int result =
            pid != 0 && count < COUNTERS_PROGRAMS_MAX ? counters_view_map(&view, pid) : -ESRCH;
        *denied_count += result == -EACCES;
        if (result < 0)
            continue;
        struct counters_program *p = &programs[count++];
        *p = (struct counters_program){.pid = pid, .is_listening = view.header->is_listening != 0};
        snprintf(p->program, sizeof(p->program), "%.*s", COUNTERS_TEXT_BYTES - 1,
                 view.header->program);
        snprintf(p->net, sizeof(p->net), "%.*s", COUNTERS_TEXT_BYTES - 1, view.header->net);
        counters_view_close(&view);
    }
    if (folder != NULL)
        closedir(folder);
    qsort(programs, count, sizeof(*programs), compare_pids);
    return count;
}

static int fail_which(const struct counters_program *programs, unsigned count,
                      struct leat_error *error)
{
    char list[160] = "";
    for (unsigned i = 0; i < count; i++) {
        size_t length = strlen(list);
        snprintf(list + length, sizeof(list) - length, "%s%d (%s)", i > 0 ? ", " : "",
                 programs[i].pid, programs[i].program);
    }
    return leat_fail(error, -ENOTUNIQ, "which one? Name a process: %s", list);
}

/* 0, or why no program can be found by its file. */
static int folder_check(struct leat_error *error)
{
    DIR *folder = opendir(counters_folder());
    if (folder != NULL) {
        closedir(folder);
        return 0;
    }
    return leat_fail(error, -errno,
                     "cannot look into %s, where running programs are found: %s; set LEAT_RUN_DIR "
                     "to another folder, for them and for this tool",
                     counters_folder(), strerror(errno));
}

/* The only one that listens, else the only one. */
static int program_choose(int *pid, struct leat_error *error)
{
    struct counters_program *programs = calloc(COUNTERS_PROGRAMS_MAX, sizeof(*programs));
    unsigned denied = 0, listening = 0, result = 0;
    if (programs == NULL)
        return leat_fail(error, -ENOMEM, "out of memory");
    int code = folder_check(error);
    unsigned count = code == 0 ? counters_programs(programs, &denied) : 0;
    for (unsigned i = 0; i < count; i++) {
        listening += programs[i].is_listening;
        result = programs[i].is_listening ? i : result;
    }
    if (code < 0)
        goto free_programs;
    if (count == 0 && denied > 0)
        code = leat_fail(error, -EACCES,
                         "the running Leat programs are another user's: sudo, or run this as that "
                         "user");
    else if (count == 0)
        code = leat_fail(error, -ESRCH, "no Leat program is running here: leat serve starts one");
    else if (listening == 1 || count == 1)
        *pid = programs[result].pid;
    else
        code = fail_which(programs, count, error);
free_programs:
    free(programs);
    return code;
}

int counters_view_open(struct counters_view *view, int pid, struct leat_error *error)
{
    int result = pid == 0 ? program_choose(&pid, error) : 0;
    if (result < 0)
        return result;
    *view = (struct counters_view){.fd = -1};
    result = counters_view_map(view, pid);
    switch (result) {
    case -EACCES:
        return leat_fail(error, result,
                         "process %d is another user's: sudo, or run this as that user", pid);
    case -EPROTO:
        return leat_fail(error, result,
                         "process %d runs another version of Leat: use the tools of that version",
                         pid);
    case 0:
        return 0;
    default:
        return leat_fail(error, result, "process %d is no running Leat program", pid);
    }
}

unsigned counters_view_count(const struct counters_view *view)
{
    uint32_t count = __atomic_load_n(&view->header->name_count, __ATOMIC_ACQUIRE);
    return count < COUNTERS_NAMES_MAX ? count : COUNTERS_NAMES_MAX;
}

const struct counters_name *counters_view_name(const struct counters_view *view, unsigned index)
{
    const uint8_t *names = (const uint8_t *)view->header + view->header->names_offset;
    return (const struct counters_name *)(const void *)(names +
                                                        index * sizeof(struct counters_name));
}

uint64_t counters_view_value(const struct counters_view *view, unsigned core, unsigned index)
{
    const uint8_t *at = (const uint8_t *)view->header + view->header->cores_offset +
                        (size_t)core * view->header->core_bytes + index * sizeof(uint64_t);
    return __atomic_load_n((const uint64_t *)(const void *)at, __ATOMIC_RELAXED);
}

uint64_t counters_view_get(const struct counters_view *view, unsigned core, const char *name)
{
    unsigned count = counters_view_count(view);
    for (unsigned i = 0; i < count; i++)
        if (strncmp(counters_view_name(view, i)->text, name,
                    sizeof(((struct counters_name *)0)->text)) == 0)
            return counters_view_value(view, core, i);
    return 0;
}
