/* From the reset of an x86 processor to 64-bit code with AVX-512, the entries from the program into nablac_harness_computer.c, and
 * the counting of instructions. Intel 253668, Software Developer's Manual, volume 3: sections 9.1 (reset), 9.8.5 (64-bit mode), 13.3
 * (extended state), 17.3.1.4 (single steps). */
#include "nablac_computer.h"

#define PROTECTION       0x1               /* of CR0 */
#define FLOAT_UNIT       0x22              /* of CR0: monitored, errors are exceptions */
#define PAGING           0x80000000        /* of CR0 */
#define STATE_AND_PAGES  0x40620           /* of CR4: extended addresses, SSE with exceptions, XSAVE */
#define LONG_MODE        0x101             /* of EFER: with system calls */
#define EFER             0xC0000080
#define VECTOR_STATE     0xE7              /* of XCR0: x87, SSE, AVX, AVX-512 */
#define PRESENT          0x3               /* and writable */
#define LARGE            0x83              /* the same, of 2 MiB */
#define TRAP_FLAG        0x100

/* ---- the last page below 4 GiB, of which the processor runs the last 16 first ---- */
    .section .reset, "ax", @progbits
    .code16
reset:
    cli
    lgdtl   %cs:(descriptors - 0xFFFF0000)
    mov     $PROTECTION, %eax
    mov     %eax, %cr0
    ljmpl   $NABLAC_CODE_32, $protected
descriptors:
    .word   nablac_segments_end - nablac_segments - 1
    .long   nablac_segments
    .org    0xFF0
    jmp     reset
    .org    0x1000

    .text
    .code32
protected:
    mov     $NABLAC_DATA, %eax
    mov     %eax, %ds
    mov     %eax, %es
    mov     %eax, %ss
    movl    $page_directories + PRESENT, page_map
    movl    $page_directory + PRESENT, page_directories
    movl    $page_directory + 8, %edi      /* the first 2 MiB stay without a page */
    mov     $NABLAC_SYSTEM_BASE + LARGE, %eax
map:
    mov     %eax, (%edi)
    add     $8, %edi
    add     $0x200000, %eax
    cmp     $NABLAC_MEMORY_END, %eax
    jb      map
    mov     $STATE_AND_PAGES, %eax
    mov     %eax, %cr4
    mov     $page_map, %eax
    mov     %eax, %cr3
    mov     $EFER, %ecx
    mov     $LONG_MODE, %eax
    xor     %edx, %edx
    wrmsr
    mov     $(PAGING + FLOAT_UNIT + PROTECTION), %eax
    mov     %eax, %cr0
    ljmp    $NABLAC_CODE_64, $long_mode

    .code64
long_mode:
    xor     %ecx, %ecx
    xor     %edx, %edx
    mov     $VECTOR_STATE, %eax
    xsetbv
    mov     $system_stack, %esp
    call    nablac_computer

/* The program at an address, with the stack that an operating system gives it. */
    .global nablac_start
nablac_start:
    mov     %rsi, %rsp
    xor     %edx, %edx
    jmp     *%rdi

/* A system call keeps all registers but rax, rcx and r11, and what is below the program's stack. */
    .global nablac_system_entry
nablac_system_entry:
    mov     %rsp, program_stack(%rip)
    mov     $system_stack, %esp
    push    %rcx
    push    %r11
    push    %rdi
    push    %rsi
    push    %rdx
    push    %r8
    push    %r9
    push    %r10
    mov     %rax, %rcx
    call    nablac_system_call
    pop     %r10
    pop     %r9
    pop     %r8
    pop     %rdx
    pop     %rsi
    pop     %rdi
    popfq
    pop     %rcx
    mov     program_stack(%rip), %rsp
    jmp     *%rcx

/* The first call runs in single steps: after each, the instruction that comes next is counted. */
    .global nablac_step
nablac_step:
    push    %rax
    push    %rcx
    mov     16(%rsp), %rax
    sub     nablac_text(%rip), %rax
    cmp     nablac_text_bytes(%rip), %rax
    jae     elsewhere
    mov     $NABLAC_COUNTS, %ecx
    incl    (%rcx, %rax, 4)
elsewhere:
    incq    nablac_steps(%rip)
    pop     %rcx
    pop     %rax
    iretq

/* A later one by the time stamps: the emulated processor takes one tick for each instruction. What lies between the two readings
 * beside the call is always the same. */
    .global nablac_begin
nablac_begin:
    push    %rax
    push    %rdx
    mov     nablac_step_flag(%rip), %eax
    or      %rax, 32(%rsp)                 /* into the flags that the call begins with */
    rdtsc
    mov     %eax, nablac_stamp(%rip)
    mov     %edx, nablac_stamp+4(%rip)
    pop     %rdx
    pop     %rax
    iretq

    .global nablac_end
nablac_end:
    push    %rax
    push    %rdx
    rdtsc
    shl     $32, %rdx
    or      %rdx, %rax
    sub     nablac_stamp(%rip), %rax
    mov     %rax, nablac_ticks(%rip)
    andq    $~TRAP_FLAG, 32(%rsp)
    pop     %rdx
    pop     %rax
    push    %rcx
    push    %rsi
    push    %rdi
    push    %rax
    push    %rdx
    push    %r8
    push    %r9
    push    %r10
    push    %r11
    call    nablac_counted
    pop     %r11
    pop     %r10
    pop     %r9
    pop     %r8
    pop     %rdx
    pop     %rax
    pop     %rdi
    pop     %rsi
    pop     %rcx
    iretq

/* A call of nothing, which says what lies between the two readings. */
    .global nablac_calibrate
nablac_calibrate:
    int     $NABLAC_BEGIN_VECTOR
    call    nothing
    int     $NABLAC_END_VECTOR
nothing:
    ret

/* Exceptions that the program is not to have: their number, for each vector 16 bytes. */
    .balign 16
    .global nablac_fault_entries
nablac_fault_entries:
vector = 0
    .rept   32
    .balign 16
    mov     $vector, %edi
    mov     %rsp, %rsi
    jmp     nablac_fault
vector = vector + 1
    .endr

    .data
    .balign 8
    .global nablac_segments
nablac_segments:
    .quad   0
    .quad   0x00AF9B000000FFFF             /* 64-bit code */
    .quad   0x00CF93000000FFFF             /* data */
    .quad   0x00CF9B000000FFFF             /* 32-bit code */
    .quad   0, 0                           /* the task, which names the interrupts' stack */
nablac_segments_end:

    .section .bss
    .balign 4096
page_map:           .skip 4096
page_directories:   .skip 4096
page_directory:     .skip 4096
    .skip   0x10000
system_stack:
program_stack:      .skip 8
    .section .note.GNU-stack, "", %progbits
