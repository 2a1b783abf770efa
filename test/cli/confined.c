/* confined WHAT PROGRAM [ARGUMENT...]: runs PROGRAM where WHAT is refused, as containers and
 * sandboxes do: "io_uring" or "mempolicy" (mbind and set_mempolicy). */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static int refuse(unsigned first, unsigned second)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, first, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, second, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof(filter) / sizeof(filter[0]), .filter = filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
                   prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0
               ? 0
               : -errno;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: confined io_uring|mempolicy PROGRAM [ARGUMENT...]\n");
        return 2;
    }
    int result = strcmp(argv[1], "io_uring") == 0 ? refuse(SYS_io_uring_setup, SYS_io_uring_enter)
                                                  : refuse(SYS_mbind, SYS_set_mempolicy);
    if (result == 0)
        execv(argv[2], argv + 2);
    perror("confined");
    return 1;
}
