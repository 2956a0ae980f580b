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
