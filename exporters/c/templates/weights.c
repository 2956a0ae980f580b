/* The weights of @NAME@: the bytes of @NAME@_weights.bin, eight in each number, the lowest first. */
#include "@NAME@_weights.h"

#include "@NAME@_port.h"

/* More than the compiler gives to such numbers by itself. */
#if defined(__GNUC__)
#define WEIGHTS_ALIGNED __attribute__((aligned(@UPPER@_WEIGHTS_ALIGN)))
#elif defined(_MSC_VER)
#define WEIGHTS_ALIGNED __declspec(align(@ALIGNMENT@))
#else
#define WEIGHTS_ALIGNED
#endif

@UPPER@_WEIGHTS WEIGHTS_ALIGNED const uint64_t @NAME@_weights[@UPPER@_WEIGHTS_SIZE / 8U] = {
@WORDS@
};
