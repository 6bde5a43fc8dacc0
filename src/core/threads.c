/* threads.c: data-parallel loops, on OpenMP's pool or on our own; see threads.h.
 *
 * This file holds the one piece of mutable state of the process that Glia has: the pool. */
#include "core/threads.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <unistd.h>

int glia__thread_cores(void) {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) return CPU_COUNT(&set);
    long cores = sysconf(_SC_NPROCESSORS_ONLN); /* more cores than cpu_set_t holds */
    return cores > 0 ? (int)cores : 1;
}

static void run_serially(int parts, void (*body)(void *ctx, int part, int parts), void *ctx) {
    for (int part = 0; part < parts; part++) body(ctx, part, parts);
}

#if defined(GLIA_HAVE_OPENMP)

#include <omp.h>

/* After a fork the runtime's threads do not exist in the child, and it would wait for them for ever. */
static volatile bool forked, used;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void after_fork(void) {
    forked = used;
}
static void watch_forks(void) {
    pthread_atfork(NULL, NULL, after_fork);
}

void glia__parallel(int parts, void (*body)(void *ctx, int part, int parts), void *ctx) {
    pthread_once(&once, watch_forks);
    if (parts < 1) parts = 1;
    if (parts == 1 || forked || omp_in_parallel()) {
        run_serially(parts, body, ctx);
        return;
    }
    if (!used) used = true;
#pragma omp parallel num_threads(parts)
    /* The runtime may give fewer threads than asked for. */
    for (int part = omp_get_thread_num(); part < parts; part += omp_get_num_threads()) body(ctx, part, parts);
}

#else

enum { MOST_WORKERS = 255 };

static struct {
    pthread_mutex_t user; /* held by the thread whose job the pool runs */
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t wake, finished;
    pthread_t workers[MOST_WORKERS];
    int count; /* workers started */
    bool stop;
    void (*body)(void *ctx, int part, int parts);
    void *ctx;
    int parts, next, left; /* of the job: how many, first not taken, not finished */
} pool = {.user = PTHREAD_MUTEX_INITIALIZER,
          .lock = PTHREAD_MUTEX_INITIALIZER,
          .wake = PTHREAD_COND_INITIALIZER,
          .finished = PTHREAD_COND_INITIALIZER};

static _Thread_local bool inside; /* this thread is in a body: nested calls run serially */
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* The workers do not exist in the child of a fork: it starts with an empty pool. */
static void after_fork(void) {
    pthread_mutex_init(&pool.user, NULL);
    pthread_mutex_init(&pool.lock, NULL);
    pthread_cond_init(&pool.wake, NULL);
    pthread_cond_init(&pool.finished, NULL);
    pool.count = pool.parts = pool.next = pool.left = 0;
}

static void watch_forks(void) {
    pthread_atfork(NULL, NULL, after_fork);
}

/* Takes parts until none is left. Called, and returns, with the lock held. */
static void take_parts(void) {
    while (pool.next < pool.parts) {
        int part = pool.next++, parts = pool.parts;
        void (*body)(void *, int, int) = pool.body;
        void *ctx = pool.ctx;
        pthread_mutex_unlock(&pool.lock);
        inside = true;
        body(ctx, part, parts);
        inside = false;
        pthread_mutex_lock(&pool.lock);
        if (--pool.left == 0) pthread_cond_signal(&pool.finished);
    }
}

static void *work(void *unused) {
    (void)unused;
    pthread_mutex_lock(&pool.lock);
    while (!pool.stop) {
        take_parts();
        if (!pool.stop) pthread_cond_wait(&pool.wake, &pool.lock);
    }
    pthread_mutex_unlock(&pool.lock);
    return NULL;
}

/* Called with the lock held. Signals are left to the threads of the application. */
static void start_workers(int wanted) {
    sigset_t all, before;
    if (wanted > MOST_WORKERS) wanted = MOST_WORKERS;
    if (pool.count >= wanted || pool.stop) return;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (pool.count < wanted && pthread_create(&pool.workers[pool.count], NULL, work, NULL) == 0)
        pool.count++; /* fewer workers than wanted: the others take more parts */
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void glia__parallel(int parts, void (*body)(void *ctx, int part, int parts), void *ctx) {
    pthread_once(&once, watch_forks);
    if (parts < 1) parts = 1;
    /* While another thread uses the pool, this one works alone rather than wait. */
    if (parts == 1 || inside || pthread_mutex_trylock(&pool.user) != 0) {
        run_serially(parts, body, ctx);
        return;
    }
    pthread_mutex_lock(&pool.lock);
    start_workers(parts - 1);
    pool.body = body;
    pool.ctx = ctx;
    pool.parts = pool.left = parts;
    pool.next = 0;
    pthread_cond_broadcast(&pool.wake);
    take_parts();
    while (pool.left > 0) pthread_cond_wait(&pool.finished, &pool.lock);
    pool.parts = pool.next = 0;
    pthread_mutex_unlock(&pool.lock);
    pthread_mutex_unlock(&pool.user);
}

/* At exit, and before the library is unloaded. */
__attribute__((destructor)) static void stop_workers(void) {
    pthread_mutex_lock(&pool.lock);
    pool.stop = true;
    pthread_cond_broadcast(&pool.wake);
    int count = pool.count;
    pool.count = 0;
    pthread_mutex_unlock(&pool.lock);
    for (int i = 0; i < count; i++)
        if (!pthread_equal(pool.workers[i], pthread_self())) pthread_join(pool.workers[i], NULL);
}

#endif
