/*
 * What depends on the compiler and the board: macros only. Each can be set from outside.
 */
#ifndef @UPPER@_PORT_H
#define @UPPER@_PORT_H

/* Pointers that reach memory which no other pointer of the function reaches. */
#ifndef @UPPER@_RESTRICT
#if defined(__GNUC__)
#define @UPPER@_RESTRICT __restrict__
#elif defined(_MSC_VER)
#define @UPPER@_RESTRICT __restrict
#elif !defined(__cplusplus) && defined(__STDC_VERSION__)
#define @UPPER@_RESTRICT restrict
#else
#define @UPPER@_RESTRICT
#endif
#endif

/* In front of each function that computes: a section, or attributes. Each is called from one place; kept apart, they
 * use the stack one after the other, and a profile names them. */
#ifndef @UPPER@_KERNEL
#if defined(__GNUC__)
#define @UPPER@_KERNEL __attribute__((noinline))
#else
#define @UPPER@_KERNEL
#endif
#endif

/* Behind the declaration of a pointer: all addresses near it are computed from it where they are needed. GCC would compute
 * them one by one ahead of a loop, and run out of registers. What was stored before is in memory. */
#ifndef @UPPER@_ANCHOR
#if defined(__GNUC__)
#define @UPPER@_ANCHOR(pointer) __asm__ volatile("" : "+r"(pointer) : : "memory")
#else
#define @UPPER@_ANCHOR(pointer) ((void)0)
#endif
#endif

/* In front of each kernel with its position, and behind the last with the number of all: a clock, a watchdog, a pin. */
#ifndef @UPPER@_STEP
#define @UPPER@_STEP(position) ((void)0)
#endif

/* In front of each array of weights: a section or an alignment. */
#ifndef @UPPER@_WEIGHTS
#define @UPPER@_WEIGHTS
#endif

#endif
