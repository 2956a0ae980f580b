/* Included ahead of the library, whose port then calls this in front of each kernel, and behind the last. */
#ifndef NABLAC_STEPS_H
#define NABLAC_STEPS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

void nablac_step(uint32_t position);

#ifdef __cplusplus
}
#endif

#endif
