/* `leat doctor`: what this machine offers, a line each, with the command that mends what is
 * missing. */
#include "apps/doctor/machine.h"

#include <leat/options.h>

#include <stdio.h>
#include <stdlib.h>

#include "apps/commands.h"
#include "runtime/base/output.h"

static const char *const mark_names[] =
    {[FINDING_NONE] = "", [FINDING_OK] = "ok", [FINDING_NOTE] = "note", [FINDING_FAIL] = "fail"};

const struct doctor_check doctor_checks[] = {
    {"kernel", check_kernel},
    {"proc", check_proc},
    {"sys", check_sys},
    {"cores", check_cores},
    {"cpu quota", check_quota},
    {"sockets", check_sockets},
    {"ipv6", check_ipv6},
    {"backlog", check_backlog},
    {"io_uring", check_uring},
    {"open files", check_files},
    {"hugepages", check_hugepages},
    {"locked memory", check_locked_memory},
    {"counters", check_counters},
    {"tun", check_tun},
    {"dpdk", check_dpdk},
    {"memif", check_memif},
    {"packet", check_packet},
    {"xdp", check_xdp},
    {"tap", check_tap},
    {"pci", check_pci},
    {"cards", check_cards},
    {"vfio", check_vfio},
    {"iommu", check_iommu},
};
const unsigned doctor_checks_count = sizeof(doctor_checks) / sizeof(doctor_checks[0]);

/* With its quotes. What is said is UTF-8 or names of files, whose control bytes are left out. */
static void json_say(const char *text)
{
    putchar('"');
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            putchar('\\');
        if ((unsigned char)*text >= ' ')
            putchar(*text);
    }
    putchar('"');
}

static void finding_say_json(const char *name, const struct finding *finding, bool is_first)
{
    printf("%s{\"name\": ", is_first ? "" : ", ");
    json_say(name);
    printf(", \"mark\": \"%s\", \"fact\": ", mark_names[finding->mark]);
    json_say(finding->fact);
    printf(", \"mend\": ");
    json_say(finding->mend);
    printf("}");
}

static void finding_say(const char *name, const struct finding *finding)
{
    printf("%-5s %-13s %s%s%s\n", mark_names[finding->mark], name, finding->fact,
           finding->mend[0] != '\0' ? "; mend: " : "", finding->mend);
}

/* Returns whether serving works. */
static bool machine_say(const struct machine *machine, bool is_json)
{
    bool works = true, is_first = true;
    if (is_json)
        printf("{\"findings\": [");
    for (unsigned i = 0; i < doctor_checks_count; i++) {
        struct finding finding = doctor_checks[i].check(machine);
        if (finding.mark == FINDING_NONE)
            continue;
        works = works && finding.mark != FINDING_FAIL;
        if (is_json)
            finding_say_json(doctor_checks[i].name, &finding, is_first);
        else
            finding_say(doctor_checks[i].name, &finding);
        is_first = false;
    }
    if (is_json)
        printf("], \"works\": %s}\n", works ? "true" : "false");
    else
        printf("%s\n", works ? "leat serve works here"
                             : "leat cannot serve here until what is marked \"fail\" is mended");
    return works;
}

int doctor_main(int argc, char **argv)
{
    bool is_json = false;
    const struct leat_option options[] = {
        {"json", LEAT_OPTION_FLAG, &is_json, NULL, "all findings as one line of JSON", 0, 0},
    };
    struct leat_command_line line = {
        .name = "leat doctor",
        .summary = "Tells what this machine offers Leat, and the command that mends what is "
                   "missing:\n\"ok\" is as good as it gets, \"note\" works and could be better, "
                   "\"fail\" keeps Leat from\nserving. Exit code 0 when serving over plain "
                   "sockets works.",
        .tables = {options},
        .table_counts = {sizeof(options) / sizeof(options[0])},
    };
    int code = leat_command_line_answer(&line, argc, argv);
    if (code >= 0)
        return code;
    struct machine *machine = machine_probe();
    if (machine == NULL) {
        fprintf(stderr, "leat doctor: no memory to look at this machine\n");
        return 1;
    }
    bool works = machine_say(machine, is_json);
    free(machine);
    return leat_output_end(line.name, works ? 0 : 1);
}
