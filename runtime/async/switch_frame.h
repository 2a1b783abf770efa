/* What switch_stacks leaves on a stack, lowest address first. Read by C and by the assembler;
 * switch_frame.c proves that both mean the same. */
#ifndef LEAT_SWITCH_FRAME_H
#define LEAT_SWITCH_FRAME_H

#if defined(__x86_64__)
#define SWITCH_FRAME_BYTES 56
#define SWITCH_FRAME_ENTER 16 /* r13 */
#define SWITCH_FRAME_ARG   24 /* r12 */
#define SWITCH_FRAME_FP    40 /* rbp */
#define SWITCH_FRAME_PC    48
#elif defined(__aarch64__)
#define SWITCH_FRAME_BYTES 160
#define SWITCH_FRAME_ARG   0  /* x19, and on to x28 */
#define SWITCH_FRAME_ENTER 8  /* x20 */
#define SWITCH_FRAME_FP    80 /* x29 */
#define SWITCH_FRAME_PC    88 /* x30 */
#define SWITCH_FRAME_D8    96 /* and on to d15 */
#endif

#endif
