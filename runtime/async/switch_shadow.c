/* Whether stacks can be switched in this process: not where the processor keeps a shadow stack. */
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/async/switch.h"

#define SHADOW_STACK_STATUS  0x5005 /* ARCH_SHSTK_STATUS of asm/prctl.h, since Linux 6.6 */
#define SHADOW_STACK_ENABLED 1      /* ARCH_SHSTK_SHSTK */

int switch_judge_shadow_stack(int result, unsigned long features, struct leat_error *error)
{
    if (result != 0 || (features & SHADOW_STACK_ENABLED) == 0)
        return 0;
    return leat_fail(error, -ENOTSUP,
                     "tasks cannot switch stacks beside a shadow stack, which this process runs "
                     "with; start it with GLIBC_TUNABLES=glibc.cpu.x86_shstk=off");
}

int switch_is_possible(struct leat_error *error)
{
#if defined(__x86_64__)
    unsigned long features = 0;
    int result = (int)syscall(SYS_arch_prctl, SHADOW_STACK_STATUS, &features);
    return switch_judge_shadow_stack(result, features, error);
#else
    return switch_judge_shadow_stack(-1, 0, error);
#endif
}
