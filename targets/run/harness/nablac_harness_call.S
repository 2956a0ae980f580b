/* Calls the function under measurement: NABLAC_RUN(context), with the stack below the call painted beforehand and searched
 * afterwards. In assembly, so that nothing stands between the painted stack, the call and the address it returns to. */
    .syntax unified
    .thumb
    .section .text.nablac_measured_call, "ax", %progbits
    .global nablac_measured_call
    .type nablac_measured_call, %function
    .thumb_func
nablac_measured_call:
    push    {r4, lr}
    ldr     r3, =nablac_stack_limit
    ldr     r2, =0xC5C5C5C5         /* a value that code hardly leaves on the stack by itself */
paint:
    str     r2, [r3]
    adds    r3, #4
    cmp     r3, sp
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
    cmp     r3, sp
    blo     search
found:
    mov     r2, sp
    subs    r2, r2, r3
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

    .section .bss.nablac_stack_bytes, "aw", %nobits
    .balign 4
    .global nablac_stack_bytes
    .type nablac_stack_bytes, %object
nablac_stack_bytes:
    .space 4
    .size nablac_stack_bytes, 4
