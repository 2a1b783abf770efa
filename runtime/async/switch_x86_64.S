/* The switch of stacks on x86-64 (System V psABI 3.2.1: rbx, rbp and r12 to r15 are the caller's).
 *
 * It is entered by call and left by pop and jmp, not by ret: the processor's own stack of return
 * addresses belongs to the stack that is left, and a ret would be mispredicted each time. What it
 * jumps to lies behind a call and has no landing pad, hence notrack. There is no mark for shadow
 * stacks: the linker drops it from every program that contains this file. */
#include "runtime/async/switch_frame.h"

    .text

/* void switch_stacks(struct switch_context *from, const struct switch_context *to) */
    .globl switch_stacks
    .hidden switch_stacks
    .type switch_stacks, @function
    .p2align 4
switch_stacks:
    .cfi_startproc
    endbr64
    pushq %rbp
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %rbp, 0
    pushq %rbx
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %rbx, 0
    pushq %r12
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r12, 0
    pushq %r13
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r13, 0
    pushq %r14
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r14, 0
    pushq %r15
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r15, 0
    movq %rsp, (%rdi)
    movq (%rsi), %rsp
    popq %r15
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r15
    popq %r14
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r14
    popq %r13
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r13
    popq %r12
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r12
    popq %rbx
    .cfi_adjust_cfa_offset -8
    .cfi_restore %rbx
    popq %rbp
    .cfi_adjust_cfa_offset -8
    .cfi_restore %rbp
    popq %rcx
    .cfi_adjust_cfa_offset -8
    .cfi_register %rip, %rcx
    notrack jmp *%rcx
    .cfi_endproc
    .size switch_stacks, . - switch_stacks

/* Where a new stack begins: r13(r12). Its frame is the last that an unwinder sees. */
    .globl switch_begin
    .hidden switch_begin
    .type switch_begin, @function
    .p2align 4
switch_begin:
    .cfi_startproc
    .cfi_undefined %rip
    endbr64
    xorl %ebp, %ebp
    movq %r12, %rdi
    callq *%r13
    ud2
    .cfi_endproc
    .size switch_begin, . - switch_begin

    .section .note.GNU-stack, "", @progbits

/* NT_GNU_PROPERTY_TYPE_0: GNU_PROPERTY_X86_FEATURE_1_AND with IBT alone. */
    .section .note.gnu.property, "a", @note
    .p2align 3
    .long 4, 16, 5
    .asciz "GNU"
    .long 0xc0000002, 4, 1, 0
