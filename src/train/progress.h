/* progress.h: the progress bar, as callbacks for glia_fit. It writes to stderr because its caller asked for it. */
#ifndef GLIA_TRAIN_PROGRESS_H
#define GLIA_TRAIN_PROGRESS_H

#include <stdio.h>

#include "glia/train.h"

typedef struct glia_progress_bar {
    FILE *out;
    bool terminal; /* one line redrawn; else one plain line an epoch */
    bool drawn;    /* an unfinished line is on the screen */
    double last;   /* seconds: when it was last drawn */
    double start;  /* of the epoch */
    int64_t epoch, batches;
} glia_progress_bar;

/* For stderr, a terminal or not. */
void glia__progress_init(glia_progress_bar *bar);
/* An on_batch callback; `ctx` is the bar. Draws at most ten times a second. */
void glia__progress_batch(void *bar, const glia_progress *progress);
/* An on_epoch callback: the line of the epoch. Returns 0. */
int glia__progress_epoch(void *bar, const glia_epoch *epoch);
/* Ends an unfinished line, so that what follows starts at the left. */
void glia__progress_end(glia_progress_bar *bar);

/* "182k", "1.2M" to `out`; returns `out`. */
const char *glia__short_number(double value, char *out, size_t capacity);

#endif
