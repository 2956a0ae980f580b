/*
 * The threads that run the loops of @NAME@. They wait between loops: for a moment awake, then asleep.
 *
 *     static @NAME@_pool_t pool;
 *     if (@NAME@_pool_start(&pool, @UPPER@_THREADS) == @UPPER@_OK) {
 *         @NAME@_set_pool(&ctx, &pool);
 *         ... @NAME@_run(&ctx), as often as you like ...
 *         @NAME@_pool_stop(&pool);
 *     }
 *
 * Several contexts may have one pool, as long as only one of them runs at a time.
 */
#ifndef @UPPER@_POOL_H
#define @UPPER@_POOL_H

#include "@NAME@.h"

#include <pthread.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One part of a loop. */
typedef void (*@NAME@_part_t)(const void *arguments, int32_t part);

/* A thread that waits for work. */
typedef struct {
    @NAME@_pool_t *pool;
    int32_t number;
    pthread_t thread;
} @NAME@_worker_t;

/* Its fields belong to @NAME@_pool.c. */
struct @NAME@_pool {
    pthread_mutex_t lock;
    pthread_cond_t begun;
    pthread_cond_t ended;
    @NAME@_part_t function;
    const void *arguments;
    int32_t parts;
    int32_t threads;
    int32_t busy;
    uint32_t loop;
    int32_t stopping;
    @NAME@_worker_t workers[@UPPER@_THREADS - 1];
};

/* Starts `threads` threads, from 1 to @UPPER@_THREADS, of which the one that calls @NAME@_run is one. */
@NAME@_status_t @NAME@_pool_start(@NAME@_pool_t *pool, int32_t threads);

/* Ends them. No context may run on the pool any more. */
void @NAME@_pool_stop(@NAME@_pool_t *pool);

/* Calls `function` for parts 0, 1, … up to `parts`, and returns when all are done. Without a pool the caller does them all. */
void @NAME@_pool_run(@NAME@_pool_t *pool, @NAME@_part_t function, const void *arguments, int32_t parts);

#ifdef __cplusplus
}
#endif

#endif
