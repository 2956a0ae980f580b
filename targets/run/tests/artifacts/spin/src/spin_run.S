#if defined(__aarch64__)
    .section .text.spin_run, "ax", %progbits
    .global spin_run
    .type spin_run, %function
spin_run:
    str     x19, [sp, #-16]!
    ldr     w19, [x0]
    str     w19, [x0, #4]
round:
    subs    w19, w19, #1
    b.ne    round
    mov     w0, #0
    ldr     x19, [sp], #16
    ret
    .size spin_run, . - spin_run
    .section .note.GNU-stack, "", %progbits
#elif defined(__x86_64__)
    .section .text.spin_run, "ax", @progbits
    .global spin_run
    .type spin_run, @function
spin_run:
    push    %rbx
    mov     (%rdi), %ebx
    mov     %ebx, 4(%rdi)
round:
    sub     $1, %ebx
    jne     round
    xor     %eax, %eax
    pop     %rbx
    ret
    .size spin_run, . - spin_run
    .section .note.GNU-stack, "", @progbits
#else
    .syntax unified
    .thumb
    .section .text.spin_run, "ax", %progbits
    .global spin_run
    .type spin_run, %function
    .thumb_func
spin_run:
    push    {r4, lr}
    ldr     r4, [r0]
    str     r4, [r0, #4]
round:
    subs    r4, #1
    bne     round
    movs    r0, #0
    pop     {r4, pc}
    .size spin_run, . - spin_run
#endif
