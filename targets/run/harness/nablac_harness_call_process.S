/* Calls the function under measurement in a process: NABLAC_RUN(context), with the stack below the call painted beforehand and
 * searched afterwards. In assembly, so that nothing stands between the painted stack, the call and the address it returns to. */
#if !defined(__aarch64__)
#error "nablac measures processes on AArch64 only"
#endif

    .section .text.nablac_measured_call, "ax", %progbits
    .global nablac_measured_call
    .type nablac_measured_call, %function
nablac_measured_call:
    stp     x29, x30, [sp, #-32]!
    stp     x19, x20, [sp, #16]
    mov     x19, sp
    sub     x20, x19, #NABLAC_STACK_SIZE
    mov     x10, x20
    ldr     x9, =0xC5C5C5C5C5C5C5C5 /* a value that code hardly leaves on the stack by itself */
paint:
    str     x9, [x10], #8
    cmp     x10, x19
    b.lo    paint
    bl      NABLAC_RUN
    .global nablac_measured_return
nablac_measured_return:
    mov     x10, x20
    ldr     x9, =0xC5C5C5C5C5C5C5C5
search:
    ldr     x11, [x10]
    cmp     x11, x9
    b.ne    found
    add     x10, x10, #8
    cmp     x10, x19
    b.lo    search
found:
    sub     x11, x19, x10
    cmp     x10, x20
    csinv   w11, w11, wzr, ne       /* all ones if the last word is used: it may have been more */
    adrp    x10, nablac_stack_bytes
    str     w11, [x10, #:lo12:nablac_stack_bytes]
    ldp     x19, x20, [sp, #16]
    ldp     x29, x30, [sp], #32
    ret
    .size nablac_measured_call, . - nablac_measured_call

    .section .note.GNU-stack, "", %progbits
