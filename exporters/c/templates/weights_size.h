/* The file with the weights, @NAME@_weights.bin: its size in bytes, a divisor of its address, and which code it is for. */
#define @UPPER@_WEIGHTS_SIZE @BYTES@U
#define @UPPER@_WEIGHTS_ALIGN @ALIGNMENT@U
#define @UPPER@_WEIGHTS_LAYOUT "@LAYOUT@"

