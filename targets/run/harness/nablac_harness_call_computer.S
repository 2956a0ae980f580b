/* Calls the function under measurement on a bare computer: NABLAC_RUN(context), with the stack below the call painted beforehand and
 * searched afterwards. In assembly, so that nothing stands between the painted stack, the call and the address it returns to. */
#include "nablac_computer.h"

    .section .text.nablac_measured_call, "ax", %progbits
    .global nablac_measured_call
    .type nablac_measured_call, %function
nablac_measured_call:
    push    %rbx
    lea     -NABLAC_STACK_SIZE(%rsp), %rbx
    mov     $0xC5C5C5C5C5C5C5C5, %rax /* a value that code hardly leaves on the stack by itself */
    mov     %rbx, %rdx
paint:
    mov     %rax, (%rdx)
    add     $8, %rdx
    cmp     %rsp, %rdx
    jb      paint
    int     $NABLAC_BEGIN_VECTOR
    call    NABLAC_RUN
    .global nablac_measured_return
nablac_measured_return:
    int     $NABLAC_END_VECTOR
    mov     $0xC5C5C5C5C5C5C5C5, %rcx
    mov     %rbx, %rdx
search:
    cmp     %rcx, (%rdx)
    jne     found
    add     $8, %rdx
    cmp     %rsp, %rdx
    jb      search
found:
    mov     %rsp, %rcx
    sub     %rdx, %rcx
    cmp     %rbx, %rdx
    mov     $-1, %edx               /* if the last word is used: it may have been more */
    cmove   %edx, %ecx
    mov     %ecx, nablac_stack_bytes(%rip)
    pop     %rbx
    ret
    .size nablac_measured_call, . - nablac_measured_call

    .section .note.GNU-stack, "", %progbits
