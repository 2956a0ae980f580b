/* Calls the function under measurement: NABLAC_RUN(context), with the stack below the call painted beforehand and searched
 * afterwards. In assembly, so that nothing stands between the painted stack, the call and the address it returns to. And the
 * entry to what a fault does, which needs the stack as the processor left it. Every Cortex-M has all these instructions. */
    .syntax unified
    .thumb
    .section .text.nablac_measured_call, "ax", %progbits
    .global nablac_measured_call
    .type nablac_measured_call, %function
    .thumb_func
nablac_measured_call:
    push    {r4, lr}
    mov     r4, sp
    ldr     r3, =nablac_stack_limit
    ldr     r2, =0xC5C5C5C5         /* a value that code hardly leaves on the stack by itself */
paint:
    str     r2, [r3]
    adds    r3, #4
    cmp     r3, r4
    blo     paint
    bl      NABLAC_RUN
    .global nablac_measured_return
nablac_measured_return:
    ldr     r3, =nablac_stack_limit
    ldr     r2, =0xC5C5C5C5
search:
    ldr     r1, [r3]
    cmp     r1, r2
    bne     found
    adds    r3, #4
    cmp     r3, r4
    blo     search
found:
    subs    r2, r4, r3
    ldr     r1, =nablac_stack_limit
    cmp     r3, r1
    bne     within
    movs    r2, #0                  /* the last word is used: it may have been more */
    mvns    r2, r2
within:
    ldr     r3, =nablac_stack_bytes
    str     r2, [r3]
    pop     {r4, pc}
    .size nablac_measured_call, . - nablac_measured_call

    .section .text.nablac_fault, "ax", %progbits
    .global nablac_fault
    .type nablac_fault, %function
    .thumb_func
nablac_fault:
    mov     r0, sp                  /* r0-r3, r12, lr, pc and flags of what failed; there is no second stack */
    ldr     r1, =nablac_fault_at
    bx      r1
    .size nablac_fault, . - nablac_fault

    .section .bss.nablac_stack_bytes, "aw", %nobits
    .balign 4
    .global nablac_stack_bytes
    .type nablac_stack_bytes, %object
nablac_stack_bytes:
    .space 4
    .size nablac_stack_bytes, 4
