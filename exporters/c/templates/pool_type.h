/* The most threads that loops have work for, and those that do it: see @NAME@_pool.h. */
#define @UPPER@_THREADS @THREADS@
typedef struct @NAME@_pool @NAME@_pool_t;

