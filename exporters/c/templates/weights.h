/*
 * The weights of @NAME@ as an array, for a program that is linked with them:
 *
 *     @NAME@_set_weights(&ctx, @NAME@_weights, sizeof @NAME@_weights);
 *
 * @NAME@_weights.bin holds the same bytes. It can be written to a place of its own in flash, whose address is then given to
 * @NAME@_set_weights, and replaced there without the code. To link it, rather than @NAME@_weights.c, assemble
 *
 *     .section .rodata.@NAME@_weights, "a"
 *     .balign @ALIGNMENT@
 *     .global @NAME@_weights
 *     @NAME@_weights: .incbin "@NAME@_weights.bin"
 */
#ifndef @UPPER@_WEIGHTS_H
#define @UPPER@_WEIGHTS_H

#include "@NAME@.h"

#ifdef __cplusplus
extern "C" {
#endif

extern const uint64_t @NAME@_weights[@UPPER@_WEIGHTS_SIZE / 8U];

#ifdef __cplusplus
}
#endif

#endif
