/* clock.h: time that only goes forward. */
#ifndef GLIA_CORE_CLOCK_H
#define GLIA_CORE_CLOCK_H

#include <time.h>

/* Seconds since some moment before the program began. */
static inline double glia__now_seconds(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

#endif
