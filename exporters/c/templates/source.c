/*
 * @NAME@: runs the network. See @NAME@.h.
 *
 * Floating-point results are those of the model when products and sums are rounded one by one: build with
 * -ffp-contract=off (GCC fuses them otherwise, except in ISO C modes such as -std=c99).
 */
@INCLUDES@

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#endif

