/* bench.h: the parts of glia_bench, the program that bench/run.sh measures Glia with. */
#ifndef GLIA_BENCH_H
#define GLIA_BENCH_H

#include <glia/glia.h>

enum { BENCH_LOSSES = 10, BENCH_RUNS = 1000 };

/* One thing to measure, and what was found. */
typedef struct bench_job {
    const char *model, *what;  /* a model file; epoch, evaluate, forward, step or generate */
    const char *overrides[32]; /* of the model file: "train.batch_size=128" */
    size_t n_overrides;        /* */
    glia_shape input;          /* of one made-up example */
    int64_t repeats;           /* 0: only the first losses, nothing is timed */
    const char *save;          /* a file for what the peer needs, or NULL */
    int64_t batch, examples;   /* of a run */
    uint64_t seed;             /* */
    double losses
        [BENCH_LOSSES]; /* of the first steps; or loss and accuracy, or loss and size of the logits; or tokens */
    double seconds[BENCH_RUNS]; /* of each run */
    int n_losses, n_seconds;    /* */
    double flops, bytes;        /* of a run, by the book: see count_work */
} bench_job;

/* Runs the job and fills in what was found. Ends the program with a message when something fails. */
void bench_run(bench_job *job);
/* Seconds of a clock that only goes forward. */
double bench_now(void);

/* What this machine can do at best with so many threads. */
typedef struct bench_machine {
    double f32_gflops, bf16_gflops; /* multiply-adds in registers; bf16 by AMX tiles, 0 without them */
    double memory_gbs, cache_gbs;   /* reading 512 MB, and 512 KB a thread again and again */
} bench_machine;
bench_machine bench_measure_machine(int threads);

#endif
