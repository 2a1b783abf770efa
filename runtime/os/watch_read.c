/* What inotify says, told: pairs of a rename made one, overflows told to all. */
#include "runtime/os/watch_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#define READ_BYTES   16384
#define READS_A_TURN 4

static const struct event_row {
    uint32_t bit;
    enum leat_fs_event event;
} event_rows[] = {
    {IN_CREATE, LEAT_FS_CREATED}, {IN_MOVED_TO, LEAT_FS_CREATED}, {IN_DELETE, LEAT_FS_REMOVED},
    {IN_MODIFY, LEAT_FS_CHANGED}, {IN_ATTRIB, LEAT_FS_MODE},      {IN_CLOSE_WRITE, LEAT_FS_WRITTEN},
};

/* The first half of a rename had no second one here: the name was moved away. */
static void move_tell(struct watch_core *core)
{
    if (core->move_cookie == 0)
        return;
    const struct leat_fs_change change = {.event = LEAT_FS_REMOVED,
                                          .name = core->move_name,
                                          .is_directory = core->move_is_directory};
    struct watch_dir *dir = watch_dir_find(core, core->move_number);
    core->move_cookie = 0;
    leat_timer_stop(&core->move_timer);
    if (dir != NULL)
        watch_tell(core, dir, &change);
}

void watch_on_move_over(struct leat_timer *timer, void *arg)
{
    move_tell(arg);
}

static void move_keep(struct watch_core *core, const struct inotify_event *event)
{
    core->move_cookie = event->cookie;
    core->move_number = event->wd;
    core->move_is_directory = (event->mask & IN_ISDIR) != 0;
    strncpy(core->move_name, event->name, sizeof(core->move_name) - 1);
    core->move_name[sizeof(core->move_name) - 1] = '\0';
}

/* Between two directories it is a name that goes and one that comes. */
static bool is_rename(const struct watch_core *core, const struct inotify_event *event)
{
    return (event->mask & IN_MOVED_TO) != 0 && core->move_cookie != 0 &&
           event->cookie == core->move_cookie && event->wd == core->move_number;
}

static void rename_tell(struct watch_core *core, struct watch_dir *dir,
                        const struct inotify_event *event)
{
    char from[sizeof(core->move_name)];
    memcpy(from, core->move_name, sizeof(from));
    core->move_cookie = 0;
    leat_timer_stop(&core->move_timer);
    const struct leat_fs_change change = {.event = LEAT_FS_RENAMED,
                                          .name = event->name,
                                          .from = from,
                                          .is_directory = (event->mask & IN_ISDIR) != 0};
    watch_tell(core, dir, &change);
}

bool watch_event_of(uint32_t mask, enum leat_fs_event *event)
{
    for (size_t i = 0; i < sizeof(event_rows) / sizeof(event_rows[0]); i++) {
        if ((mask & event_rows[i].bit) == 0)
            continue;
        *event = event_rows[i].event;
        return true; /* the kernel says one thing at a time */
    }
    return false;
}

static void name_tell(struct watch_core *core, struct watch_dir *dir,
                      const struct inotify_event *event)
{
    struct leat_fs_change change = {.name = event->name,
                                    .is_directory = (event->mask & IN_ISDIR) != 0};
    if (watch_event_of(event->mask, &change.event))
        watch_tell(core, dir, &change);
}

static void event_tell(struct watch_core *core, const struct inotify_event *event)
{
    static const struct leat_fs_change overflow = {.event = LEAT_FS_OVERFLOW};
    if (!is_rename(core, event))
        move_tell(core);
    if ((event->mask & IN_Q_OVERFLOW) != 0) {
        watch_tell_all(core, &overflow);
        return;
    }
    struct watch_dir *dir = watch_dir_find(core, event->wd);
    if (dir == NULL)
        return; /* let go since */
    if ((event->mask & (IN_IGNORED | IN_MOVE_SELF | IN_UNMOUNT)) != 0)
        watch_dir_gone(core, dir);
    else if ((event->mask & IN_MOVED_FROM) != 0)
        move_keep(core, event);
    else if (is_rename(core, event))
        rename_tell(core, dir, event);
    else if (event->len > 0)
        name_tell(core, dir, event);
}

void watch_on_readable(struct leat_watch *watch, uint32_t events, void *arg)
{
    struct watch_core *core = arg;
    _Alignas(struct inotify_event) char bytes[READ_BYTES];
    for (unsigned i = 0; i < READS_A_TURN; i++) {
        ssize_t length = read(core->fd, bytes, sizeof(bytes));
        if (length <= 0)
            break; /* nothing more, or a signal: the loop comes again */
        for (ssize_t at = 0; at < length;) {
            const struct inotify_event *event = (const void *)(bytes + at);
            at += (ssize_t)(sizeof(*event) + event->len);
            event_tell(core, event);
        }
    }
    if (core->move_cookie != 0)
        leat_timer_start(&core->move_timer, WATCH_MOVE_NS, 0);
}
