/* The machine that `leat doctor` looks at: what its kernel answers, and its files below a root. */
#include "apps/doctor/machine.h"

#include <leat_config.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <glob.h>
#include <limits.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "net/port/ports.h"
#include "net/watch/counters_file.h"

/* ---- asking the kernel: 0 or an errno value ---- */

/* For the features that the transport uses. */
static int uring_probe(void)
{
    struct io_uring_params params = {.flags =
                                         IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN};
    long fd = syscall(SYS_io_uring_setup, 8, &params);
    if (fd < 0)
        return errno;
    close((int)fd);
    return 0;
}

static int listen_probe(void)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool works =
        fd >= 0 && bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 && listen(fd, 1) == 0;
    int code = works ? 0 : errno;
    if (fd >= 0)
        close(fd);
    return code;
}

static int socket_probe(int family, int type)
{
    int fd = socket(family, type | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    close(fd);
    return 0;
}

static uint64_t limit_probe(int resource)
{
    struct rlimit limit;
    return getrlimit((__rlimit_resource_t)resource, &limit) == 0 ? limit.rlim_cur : UINT64_MAX;
}

struct machine *machine_probe(void)
{
    struct machine *m = calloc(1, sizeof(*m));
    struct utsname name;
    if (m == NULL)
        return NULL;
    m->root = "";
    m->run_folder = counters_folder();
    if (uname(&name) == 0)
        snprintf(m->kernel, sizeof(m->kernel), "%s %s on %s", name.sysname, name.release,
                 name.machine);
    if (leat_topology_read(&m->topology, NULL, &m->topology_error) == 0)
        m->topology_error.code = 0;
    m->is_uring_built = LEAT_HAVE_URING;
    m->uring = uring_probe();
    m->listen = listen_probe();
    m->ipv6 = socket_probe(AF_INET6, SOCK_STREAM);
    m->raw_frames = socket_probe(AF_PACKET, SOCK_RAW);
    m->xdp = socket_probe(AF_XDP, SOCK_RAW);
    m->run_write = access(m->run_folder, W_OK | X_OK) == 0 ? 0 : errno;
    m->is_root = geteuid() == 0;
    m->open_files_max = limit_probe(RLIMIT_NOFILE);
    m->locked_bytes_max = limit_probe(RLIMIT_MEMLOCK);
    if (dpdk_module_check(&m->dpdk) == 0)
        m->dpdk.code = 0;
    return m;
}

/* ---- files below root ---- */

char *machine_path(const struct machine *machine, const char *name, char *path)
{
    snprintf(path, PATH_MAX, "%s%s", machine->root, name);
    return path;
}

bool machine_has(const struct machine *machine, const char *name)
{
    char path[PATH_MAX];
    return access(machine_path(machine, name, path), F_OK) == 0;
}

char *machine_line(const struct machine *machine, const char *name, char *line, size_t size)
{
    char path[PATH_MAX];
    FILE *file = fopen(machine_path(machine, name, path), "re");
    line[0] = '\0';
    if (file == NULL)
        return line;
    if (fgets(line, (int)size, file) == NULL)
        line[0] = '\0';
    line[strcspn(line, "\n")] = '\0';
    fclose(file);
    return line;
}

long long machine_number(const struct machine *machine, const char *name)
{
    char line[64], *end;
    long long number = strtoll(machine_line(machine, name, line, sizeof(line)), &end, 10);
    return end != line ? number : -1;
}

bool machine_folder_is_filled(const struct machine *machine, const char *name)
{
    char path[PATH_MAX];
    DIR *folder = opendir(machine_path(machine, name, path));
    bool is_filled = false;
    for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;)
        is_filled = is_filled || entry->d_name[0] != '.';
    if (folder != NULL)
        closedir(folder);
    return is_filled;
}

bool machine_has_like(const struct machine *machine, const char *pattern)
{
    char path[PATH_MAX];
    glob_t found;
    bool is_met = glob(machine_path(machine, pattern, path), 0, NULL, &found) == 0;
    globfree(&found);
    return is_met;
}
