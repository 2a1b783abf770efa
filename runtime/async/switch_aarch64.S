/* The switch of stacks on AArch64 (AAPCS64 6.1: x19 to x30 and the low halves of v8 to v15 are the
 * caller's).
 *
 * It is entered by bl and left by br, not by ret: the processor's own stack of return addresses
 * belongs to the stack that is left. Where branch targets are enforced, the caller has a landing
 * pad behind its call (SWITCH_LANDS). */
#include "runtime/async/switch_frame.h"

    .text

/* void switch_stacks(struct switch_context *from, const struct switch_context *to) */
    .globl switch_stacks
    .hidden switch_stacks
    .type switch_stacks, %function
    .p2align 4
switch_stacks:
    .cfi_startproc
    hint #34 /* bti c */
    sub sp, sp, #SWITCH_FRAME_BYTES
    .cfi_adjust_cfa_offset SWITCH_FRAME_BYTES
    stp x19, x20, [sp, #(SWITCH_FRAME_ARG)]
    stp x21, x22, [sp, #(SWITCH_FRAME_ARG + 16)]
    stp x23, x24, [sp, #(SWITCH_FRAME_ARG + 32)]
    stp x25, x26, [sp, #(SWITCH_FRAME_ARG + 48)]
    stp x27, x28, [sp, #(SWITCH_FRAME_ARG + 64)]
    stp x29, x30, [sp, #(SWITCH_FRAME_FP)]
    stp d8, d9, [sp, #(SWITCH_FRAME_D8)]
    stp d10, d11, [sp, #(SWITCH_FRAME_D8 + 16)]
    stp d12, d13, [sp, #(SWITCH_FRAME_D8 + 32)]
    stp d14, d15, [sp, #(SWITCH_FRAME_D8 + 48)]
    .cfi_rel_offset x19, SWITCH_FRAME_ARG
    .cfi_rel_offset x20, SWITCH_FRAME_ARG + 8
    .cfi_rel_offset x21, SWITCH_FRAME_ARG + 16
    .cfi_rel_offset x22, SWITCH_FRAME_ARG + 16 + 8
    .cfi_rel_offset x23, SWITCH_FRAME_ARG + 32
    .cfi_rel_offset x24, SWITCH_FRAME_ARG + 32 + 8
    .cfi_rel_offset x25, SWITCH_FRAME_ARG + 48
    .cfi_rel_offset x26, SWITCH_FRAME_ARG + 48 + 8
    .cfi_rel_offset x27, SWITCH_FRAME_ARG + 64
    .cfi_rel_offset x28, SWITCH_FRAME_ARG + 64 + 8
    .cfi_rel_offset x29, SWITCH_FRAME_FP
    .cfi_rel_offset x30, SWITCH_FRAME_FP + 8
    .cfi_rel_offset d8, SWITCH_FRAME_D8
    .cfi_rel_offset d9, SWITCH_FRAME_D8 + 8
    .cfi_rel_offset d10, SWITCH_FRAME_D8 + 16
    .cfi_rel_offset d11, SWITCH_FRAME_D8 + 16 + 8
    .cfi_rel_offset d12, SWITCH_FRAME_D8 + 32
    .cfi_rel_offset d13, SWITCH_FRAME_D8 + 32 + 8
    .cfi_rel_offset d14, SWITCH_FRAME_D8 + 48
    .cfi_rel_offset d15, SWITCH_FRAME_D8 + 48 + 8
    mov x9, sp
    str x9, [x0]
    ldr x9, [x1]
    mov sp, x9
    ldp x19, x20, [sp, #(SWITCH_FRAME_ARG)]
    ldp x21, x22, [sp, #(SWITCH_FRAME_ARG + 16)]
    ldp x23, x24, [sp, #(SWITCH_FRAME_ARG + 32)]
    ldp x25, x26, [sp, #(SWITCH_FRAME_ARG + 48)]
    ldp x27, x28, [sp, #(SWITCH_FRAME_ARG + 64)]
    ldp x29, x30, [sp, #(SWITCH_FRAME_FP)]
    ldp d8, d9, [sp, #(SWITCH_FRAME_D8)]
    ldp d10, d11, [sp, #(SWITCH_FRAME_D8 + 16)]
    ldp d12, d13, [sp, #(SWITCH_FRAME_D8 + 32)]
    ldp d14, d15, [sp, #(SWITCH_FRAME_D8 + 48)]
    add sp, sp, #SWITCH_FRAME_BYTES
    .cfi_adjust_cfa_offset -SWITCH_FRAME_BYTES
    .cfi_restore x19
    .cfi_restore x20
    .cfi_restore x21
    .cfi_restore x22
    .cfi_restore x23
    .cfi_restore x24
    .cfi_restore x25
    .cfi_restore x26
    .cfi_restore x27
    .cfi_restore x28
    .cfi_restore x29
    .cfi_restore x30
    .cfi_restore d8
    .cfi_restore d9
    .cfi_restore d10
    .cfi_restore d11
    .cfi_restore d12
    .cfi_restore d13
    .cfi_restore d14
    .cfi_restore d15
    br x30
    .cfi_endproc
    .size switch_stacks, . - switch_stacks

/* Where a new stack begins: x20(x19). Its frame is the last that an unwinder sees. */
    .globl switch_begin
    .hidden switch_begin
    .type switch_begin, %function
    .p2align 4
switch_begin:
    .cfi_startproc
    .cfi_undefined x30
    hint #36 /* bti j */
    mov x29, xzr
    mov x30, xzr
    mov x0, x19
    blr x20
    brk #1
    .cfi_endproc
    .size switch_begin, . - switch_begin

    .section .note.GNU-stack, "", %progbits

/* NT_GNU_PROPERTY_TYPE_0: GNU_PROPERTY_AARCH64_FEATURE_1_AND with BTI alone. */
    .section .note.gnu.property, "a", %note
    .p2align 3
    .word 4, 16, 5
    .asciz "GNU"
    .word 0xc0000000, 4, 1, 0
