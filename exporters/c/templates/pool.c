/*
 * The threads that run the loops of @NAME@, on POSIX threads and the atomic operations of GCC and Clang. See @NAME@_pool.h.
 */
#include "@NAME@_pool.h"

/* How often a thread that waits looks, before it goes to sleep: waking it takes longer than most loops. */
#ifndef @UPPER@_POOL_LOOKS
#define @UPPER@_POOL_LOOKS 2000
#endif

/* Between two looks: gives way to the other thread of the processor. */
#ifndef @UPPER@_POOL_PAUSE
#if defined(__x86_64__) || defined(__i386__)
#define @UPPER@_POOL_PAUSE() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define @UPPER@_POOL_PAUSE() __asm__ volatile("yield")
#else
#define @UPPER@_POOL_PAUSE() ((void)0)
#endif
#endif

/* The parts of one thread. */
static void run_parts(const @NAME@_pool_t *pool, int32_t number)
{
    for (int32_t part = number; part < pool->parts; part += pool->threads) {
        pool->function(pool->arguments, part);
    }
}

/* Waits for another loop than the one before, and gives its number. */
static uint32_t next_loop(@NAME@_pool_t *pool, uint32_t before)
{
    for (int look = 0; look < @UPPER@_POOL_LOOKS; look++) {
        const uint32_t loop = __atomic_load_n(&pool->loop, __ATOMIC_ACQUIRE);
        if (loop != before) {
            return loop;
        }
        @UPPER@_POOL_PAUSE();
    }
    (void)pthread_mutex_lock(&pool->lock);
    while (__atomic_load_n(&pool->loop, __ATOMIC_ACQUIRE) == before) {
        (void)pthread_cond_wait(&pool->begun, &pool->lock);
    }
    (void)pthread_mutex_unlock(&pool->lock);
    return __atomic_load_n(&pool->loop, __ATOMIC_ACQUIRE);
}

static void *work(void *argument)
{
    const @NAME@_worker_t *const worker = (const @NAME@_worker_t *)argument;
    @NAME@_pool_t *const pool = worker->pool;
    uint32_t loop = 0;
    for (;;) {
        loop = next_loop(pool, loop);
        if (pool->stopping != 0) {
            return NULL;
        }
        run_parts(pool, worker->number);
        if (__atomic_sub_fetch(&pool->busy, 1, __ATOMIC_ACQ_REL) == 0) {
            (void)pthread_mutex_lock(&pool->lock);
            (void)pthread_cond_signal(&pool->ended);
            (void)pthread_mutex_unlock(&pool->lock);
        }
    }
}

/* Has every worker see that there is something new. */
static void begin(@NAME@_pool_t *pool)
{
    (void)pthread_mutex_lock(&pool->lock);
    (void)__atomic_add_fetch(&pool->loop, 1U, __ATOMIC_RELEASE);
    (void)pthread_cond_broadcast(&pool->begun);
    (void)pthread_mutex_unlock(&pool->lock);
}

static void wait_for_workers(@NAME@_pool_t *pool)
{
    for (int look = 0; look < @UPPER@_POOL_LOOKS; look++) {
        if (__atomic_load_n(&pool->busy, __ATOMIC_ACQUIRE) == 0) {
            return;
        }
        @UPPER@_POOL_PAUSE();
    }
    (void)pthread_mutex_lock(&pool->lock);
    while (__atomic_load_n(&pool->busy, __ATOMIC_ACQUIRE) != 0) {
        (void)pthread_cond_wait(&pool->ended, &pool->lock);
    }
    (void)pthread_mutex_unlock(&pool->lock);
}

@NAME@_status_t @NAME@_pool_start(@NAME@_pool_t *pool, int32_t threads)
{
    if (pool == NULL || threads < 1 || threads > @UPPER@_THREADS) {
        return @UPPER@_ERROR_ARGUMENT;
    }
    pool->threads = 1;
    pool->busy = 0;
    pool->loop = 0;
    pool->stopping = 0;
    if (pthread_mutex_init(&pool->lock, NULL) != 0) {
        return @UPPER@_ERROR_THREADS;
    }
    if (pthread_cond_init(&pool->begun, NULL) != 0) {
        (void)pthread_mutex_destroy(&pool->lock);
        return @UPPER@_ERROR_THREADS;
    }
    if (pthread_cond_init(&pool->ended, NULL) != 0) {
        (void)pthread_cond_destroy(&pool->begun);
        (void)pthread_mutex_destroy(&pool->lock);
        return @UPPER@_ERROR_THREADS;
    }
    for (; pool->threads < threads; pool->threads++) {
        @NAME@_worker_t *const worker = &pool->workers[pool->threads - 1];
        worker->pool = pool;
        worker->number = pool->threads;
        if (pthread_create(&worker->thread, NULL, work, worker) != 0) {
            @NAME@_pool_stop(pool);
            return @UPPER@_ERROR_THREADS;
        }
    }
    return @UPPER@_OK;
}

void @NAME@_pool_stop(@NAME@_pool_t *pool)
{
    if (pool == NULL) {
        return;
    }
    pool->stopping = 1;
    begin(pool);
    for (int32_t worker = 0; worker < pool->threads - 1; worker++) {
        (void)pthread_join(pool->workers[worker].thread, NULL);
    }
    (void)pthread_cond_destroy(&pool->ended);
    (void)pthread_cond_destroy(&pool->begun);
    (void)pthread_mutex_destroy(&pool->lock);
}

void @NAME@_pool_run(@NAME@_pool_t *pool, @NAME@_part_t function, const void *arguments, int32_t parts)
{
    if (pool == NULL || pool->threads == 1) {
        for (int32_t part = 0; part < parts; part++) {
            function(arguments, part);
        }
        return;
    }
    pool->function = function;
    pool->arguments = arguments;
    pool->parts = parts;
    __atomic_store_n(&pool->busy, pool->threads - 1, __ATOMIC_RELAXED);
    begin(pool);
    run_parts(pool, 0);
    wait_for_workers(pool);
}
