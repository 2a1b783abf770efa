/* The switch of stacks by itself: registers that a callee keeps, alignment, and a long random walk
 * between stacks. It needs nothing of the library, so that it is built for other processors, too,
 * and run by an emulator (switch_cross.py). */
#include "runtime/async/switch.h"

#include <stdio.h>
#include <stdlib.h>

#define STACKS      9 /* the first is the program's own */
#define STACK_BYTES 65536
#define SWITCHES    200000

#define ENSURE(condition)                                                                          \
    ((condition) ? (void)0                                                                         \
                 : (fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition), exit(1)))

static struct switch_context contexts[STACKS];
static char *stacks[STACKS];
static volatile unsigned running; /* changes while switch_keeps is called */
static volatile unsigned switches_left = SWITCHES;
static unsigned visits[STACKS];
static uint64_t random_state = 88172645463325252u;

static uint64_t random_next(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    return random_state ^= random_state << 17;
}

/* With every register that a callee keeps made to hold something of seed; whether all still do. */
#if defined(__x86_64__)
static __attribute__((noinline)) bool switch_keeps(struct switch_context *from,
                                                   struct switch_context *to, uint64_t seed)
{
    register uint64_t b __asm__("rbx") = seed + 1, c __asm__("r12") = seed + 2;
    register uint64_t d __asm__("r13") = seed + 3, e __asm__("r14") = seed + 4;
    register uint64_t f __asm__("r15") = seed + 5, a __asm__("rax") = 0;
    __asm__ volatile("leaq -128(%%rsp), %%rsp\n\t" /* what a leaf function may have below */
                     "pushq %%rbp\n\t"
                     "movq %%r15, %%rbp\n\t"
                     "callq switch_stacks\n\t"
                     "movq %%rbp, %%rax\n\t"
                     "popq %%rbp\n\t"
                     "leaq 128(%%rsp), %%rsp"
                     : "+D"(from), "+S"(to), "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(e), "+r"(f)
                     :
                     : "rcx", "rdx", "r8", "r9", "r10", "r11", "memory", "cc", "xmm0", "xmm1",
                       "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
                       "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
    return a == seed + 5 && b == seed + 1 && c == seed + 2 && d == seed + 3 && e == seed + 4 &&
           f == seed + 5;
}
#elif defined(__aarch64__)
static __attribute__((noinline)) bool switch_keeps(struct switch_context *from,
                                                   struct switch_context *to, uint64_t seed)
{
    enum { KEPT = 18 }; /* x19 to x28, d8 to d15 */
    uint64_t kept[KEPT];
    for (unsigned i = 0; i < KEPT; i++)
        kept[i] = seed + i;
    register struct switch_context *x0 __asm__("x0") = from, *x1 __asm__("x1") = to;
    register uint64_t *x2 __asm__("x2") = kept;
    __asm__ volatile("ldp x19, x20, [x2, #0]\n\tldp x21, x22, [x2, #16]\n\t"
                     "ldp x23, x24, [x2, #32]\n\tldp x25, x26, [x2, #48]\n\t"
                     "ldp x27, x28, [x2, #64]\n\tldp d8, d9, [x2, #80]\n\t"
                     "ldp d10, d11, [x2, #96]\n\tldp d12, d13, [x2, #112]\n\t"
                     "ldp d14, d15, [x2, #128]\n\tstr x2, [sp, #-16]!\n\t"
                     "bl switch_stacks\n\t"
                     "hint #36\n\t" /* bti j: the compiler does not see the call */
                     "ldr x2, [sp], #16\n\t"
                     "stp x19, x20, [x2, #0]\n\tstp x21, x22, [x2, #16]\n\t"
                     "stp x23, x24, [x2, #32]\n\tstp x25, x26, [x2, #48]\n\t"
                     "stp x27, x28, [x2, #64]\n\tstp d8, d9, [x2, #80]\n\t"
                     "stp d10, d11, [x2, #96]\n\tstp d12, d13, [x2, #112]\n\t"
                     "stp d14, d15, [x2, #128]"
                     : "+r"(x0), "+r"(x1), "+r"(x2)
                     :
                     : "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14",
                       "x15", "x16", "x17", "x18", "x19", "x20", "x21", "x22", "x23", "x24", "x25",
                       "x26", "x27", "x28", "x30", "memory", "cc", "v0", "v1", "v2", "v3", "v4",
                       "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15",
                       "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26",
                       "v27", "v28", "v29", "v30", "v31");
    for (unsigned i = 0; i < KEPT; i++)
        if (kept[i] != seed + i)
            return false;
    return true;
}
#else
static bool switch_keeps(struct switch_context *from, struct switch_context *to, uint64_t seed)
{
    volatile uint64_t own = seed;
    switch_stacks(from, to);
    return own == seed;
}
#endif

static void walk_to(unsigned next)
{
    unsigned self = running;
    running = next;
    switches_left--;
    ENSURE(switch_keeps(&contexts[self], &contexts[next], random_next()));
    ENSURE(running == self); /* who switches here has said so */
    visits[self]++;
}

/* Frames of some depth, so that what is switched is not always at the same place. */
static unsigned walk_deep(unsigned depth)
{
    volatile unsigned char filling[64];
    filling[0] = (unsigned char)depth;
    if (depth > 0)
        return walk_deep(depth - 1) + filling[0];
    unsigned next = (unsigned)(random_next() % STACKS);
    if (next != running)
        walk_to(next);
    return filling[0];
}

static void walk_on(void *arg)
{
    unsigned self = (unsigned)(uintptr_t)arg;
    char here;
    _Alignas(16) volatile char aligned[16];
    aligned[0] = 1;
    ENSURE((uintptr_t)aligned % 16 == 0);
    ENSURE(&here > stacks[self] && &here < stacks[self] + STACK_BYTES);
    ENSURE(running == self);
    while (switches_left > STACKS)
        (void)walk_deep((unsigned)(random_next() % 20));
    for (;;) /* the end: all go to the first */
        walk_to(0);
}

static void contexts_prepare(void)
{
    for (unsigned i = 1; i < STACKS; i++) {
        stacks[i] = aligned_alloc(64, STACK_BYTES);
        ENSURE(stacks[i] != NULL);
        switch_prepare(&contexts[i], stacks[i], stacks[i] + STACK_BYTES, walk_on,
                       (void *)(uintptr_t)i);
    }
}

static void walk_is_kept(void)
{
    contexts_prepare();
    while (switches_left > STACKS)
        (void)walk_deep((unsigned)(random_next() % 20));
    for (unsigned i = 0; i < STACKS; i++)
        ENSURE(visits[i] > SWITCHES / STACKS / 2);
    for (unsigned i = 1; i < STACKS; i++)
        free(stacks[i]);
}

int main(void)
{
    walk_is_kept();
    return 0;
}
