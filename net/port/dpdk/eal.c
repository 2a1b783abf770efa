/* Starting DPDK's environment with what the machine has, and turning what it logs into a sentence.
 *
 * The state here is DPDK's own, which is one per process; it is touched by the set-up thread, and
 * the log also by DPDK's threads, under the stream's lock. */
#include "net/port/dpdk/dpdk_internal.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>

#define LOG_BYTES   4096
#define ARGS_MAX    24
#define NO_HUGE_MIB 512

static struct {
    FILE *stream;
    char text[LOG_BYTES]; /* the last of it */
    size_t length;
    bool was_started;
} eal;

/* ---- the log ---- */

static ssize_t log_write(void *cookie, const char *bytes, size_t length)
{
    (void)cookie;
    size_t take = length < LOG_BYTES / 2 ? length : LOG_BYTES / 2;
    if (eal.length + take >= LOG_BYTES) {
        size_t keep = LOG_BYTES / 2 < eal.length ? LOG_BYTES / 2 - 1 : eal.length;
        memmove(eal.text, eal.text + eal.length - keep, keep);
        eal.length = keep;
    }
    memcpy(eal.text + eal.length, bytes + length - take, take);
    eal.length += take;
    eal.text[eal.length] = '\0';
    return (ssize_t)length;
}

static bool log_open(void)
{
    const cookie_io_functions_t functions = {.write = log_write};
    if (eal.stream == NULL) {
        eal.stream = fopencookie(NULL, "w", functions);
        if (eal.stream == NULL)
            return false;
        setvbuf(eal.stream, NULL, _IOLBF, 512);
    }
    return rte_openlog_stream(eal.stream) == 0;
}

void dpdk_log_clear(void)
{
    fflush(eal.stream);
    flockfile(eal.stream);
    eal.length = 0;
    eal.text[0] = '\0';
    funlockfile(eal.stream);
}

const char *dpdk_log_text(void)
{
    fflush(eal.stream);
    return eal.text;
}

const char *dpdk_log_unflushed(void)
{
    return eal.text;
}

/* The last line, without what DPDK puts before its own words. */
static void last_line(char *line, size_t size)
{
    const char *text = dpdk_log_text();
    size_t end = strlen(text);
    while (end > 0 && text[end - 1] == '\n')
        end--;
    size_t from = end;
    while (from > 0 && text[from - 1] != '\n')
        from--;
    snprintf(line, size, "%.*s", (int)(end - from), text + from);
}

static const struct {
    const char *words, *sentence;
} riddles[] = {
    {"not viable",
     "other devices of its IOMMU group are still the kernel's: bind them to vfio-pci as well "
     "(dpdk-devbind.py --status shows them)"},
    {"failed to select IOMMU type",
     "the IOMMU does not remap interrupts: switch that on in the firmware, or, if the card may be "
     "trusted to raise any interrupt of this machine: echo 1 | sudo tee "
     "/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts"},
    {"VFIO support could not be initialized",
     "the kernel offers no VFIO: sudo modprobe vfio-pci, and start the machine with an IOMMU "
     "(intel_iommu=on or amd_iommu=on)"},
    {"cannot set up DMA remapping", "raise the limit on locked memory: ulimit -l unlimited"},
    {"Failed to configure xdp socket",
     "another program takes this interface's frames by AF_XDP, or the kernel has none of it: end "
     "that program, or use packet: instead"},
    {"rte_service_init() failed",
     "the memory that was free a moment ago is taken: start again, or see what takes hugepages"},
    {"Operation not permitted", "run as root, or with CAP_NET_ADMIN and CAP_NET_RAW"},
    {"Permission denied", "run as root, or with CAP_NET_ADMIN and CAP_NET_RAW"},
    {"Address already in use", "another program has it: end that, or choose another name"},
    {"Device or resource busy", "another program has it: end that, or choose another name"},
    {"Cannot allocate memory", "there is not enough memory: free some, or use fewer queues"},
    {"No such file or directory", "a file or folder of it does not exist"},
    {"Failed to attach device",
     "the driver refuses it: mind its arguments, which are in DPDK's guide to its drivers"},
};

int dpdk_fail(const struct dpdk_host *host, struct leat_error *error, int code, const char *what)
{
    const char *text = dpdk_log_text();
    char line[160];
    if (code == -EINVAL)
        code = -EIO; /* the command line was right as far as we know */
    for (unsigned i = 0; i < sizeof(riddles) / sizeof(riddles[0]); i++)
        if (strstr(text, riddles[i].words) != NULL)
            return host->fail(error, code, "%s: %s", what, riddles[i].sentence);
    last_line(line, sizeof(line));
    if (line[0] == '\0')
        snprintf(line, sizeof(line), "%s", strerror(-code));
    return host->fail(error, code, "%s; DPDK says: %s", what, line);
}

/* ---- start ---- */

static long long number_in(const char *path)
{
    FILE *file = fopen(path, "re");
    long long number = 0;
    if (file != NULL) {
        if (fscanf(file, "%lld", &number) != 1)
            number = 0;
        fclose(file);
    }
    return number;
}

static uint64_t huge_bytes_free(void)
{
    return ((uint64_t)number_in("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages") << 21) +
           ((uint64_t)number_in("/sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages")
            << 30);
}

/* Free pages may be promised to others, or out of the cgroup's reach: only having them counts. */
static bool huge_can_be_had(uint64_t bytes)
{
    size_t length = (size_t)((bytes + (UINT64_C(2) << 20)) & ~((UINT64_C(2) << 20) - 1));
    if (huge_bytes_free() < length)
        return false;
    void *pages = mmap(NULL, length, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_POPULATE, -1, 0);
    if (pages != MAP_FAILED)
        munmap(pages, length);
    return pages != MAP_FAILED;
}

struct arguments {
    char *items[ARGS_MAX];
    int count;
    char text[1024];
    size_t length;
};

static void argument_add(struct arguments *a, const char *word)
{
    size_t bytes = strlen(word) + 1;
    if (a->count == ARGS_MAX - 1 || a->length + bytes > sizeof(a->text))
        return;
    a->items[a->count++] = memcpy(a->text + a->length, word, bytes);
    a->length += bytes;
}

/* One lcore, which is this thread for as long as the start takes. */
static void add_lcore(struct arguments *a, const cpu_set_t *allowed)
{
    char text[32];
    size_t cpu = 0;
    while (cpu < CPU_SETSIZE - 1 && !CPU_ISSET(cpu, allowed))
        cpu++;
    snprintf(text, sizeof(text), "0@%zu", cpu);
    argument_add(a, "--lcores");
    argument_add(a, text);
}

static void arguments_of(struct arguments *a, const struct dpdk_device *device,
                         uint64_t wanted_bytes, const cpu_set_t *allowed)
{
    char text[96];
    argument_add(a, "leat");
    add_lcore(a, allowed);
    argument_add(a, "--no-telemetry");
    snprintf(text, sizeof(text), "--file-prefix=leat-%d", (int)getpid());
    argument_add(a, text);
    if (device->is_pci) {
        argument_add(a, "-a");
        argument_add(a, device->name);
    } else {
        argument_add(a, "--no-pci");
        argument_add(a, "--iova-mode=va");
    }
    if (device->is_pci || huge_can_be_had(wanted_bytes)) {
        argument_add(a, "--in-memory"); /* needs no hugetlbfs mount, leaves no files */
    } else {
        argument_add(a, "--no-huge");
        argument_add(a, "--no-shconf");
        snprintf(text, sizeof(text), "%llu",
                 (unsigned long long)(NO_HUGE_MIB + 2 * (wanted_bytes >> 20)));
        argument_add(a, "-m");
        argument_add(a, text);
    }
    argument_add(a, "--single-file-segments"); /* memif and vhost hand memory on by descriptor */
    a->items[a->count] = NULL;
}

int dpdk_eal_start(const struct dpdk_host *host, const struct dpdk_device *device,
                   uint64_t wanted_bytes, struct leat_error *error)
{
    cpu_set_t allowed;
    struct arguments arguments = {.count = 0};
    if (eal.was_started)
        return host->fail(error, -EALREADY,
                          "DPDK can be started once in a process only, and it was");
    if (device->is_pci && !huge_can_be_had(wanted_bytes))
        return host->fail(error, -ENOMEM,
                          "a network card needs hugepages, %llu of 2 MiB here, and there are not "
                          "so many free: sudo sysctl vm.nr_hugepages=%llu",
                          (unsigned long long)(wanted_bytes >> 21) + 1,
                          (unsigned long long)(wanted_bytes >> 21) + 65);
    if (!log_open())
        return host->fail(error, -ENOMEM, "no memory for DPDK's log");
    eal.was_started = true;
    bool is_bound = pthread_getaffinity_np(pthread_self(), sizeof(allowed), &allowed) == 0;
    if (!is_bound)
        CPU_SET(0, &allowed);
    arguments_of(&arguments, device, wanted_bytes, &allowed);
    dpdk_log_clear();
    dpdk_words_watch();
    dpdk_quiet_begin();
    int result = rte_eal_init(arguments.count, arguments.items);
    dpdk_quiet_end();
    if (is_bound)
        pthread_setaffinity_np(pthread_self(), sizeof(allowed), &allowed);
    if (result >= 0) /* of this process alone, and empty */
        rmdir(rte_eal_get_runtime_dir());
    return result >= 0
               ? 0
               : dpdk_fail(host, error, rte_errno != 0 ? -rte_errno : -EIO, "DPDK does not start");
}

void dpdk_eal_end(void)
{
    dpdk_quiet_begin();
    rte_eal_cleanup();
    dpdk_quiet_end();
}
