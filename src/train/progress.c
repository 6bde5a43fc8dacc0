/* progress.c: the progress bar.
 *
 *   epoch  3/10 ━━━━━━━━━━━━━━━━━━━━ 430/430  182k/s  loss 0.3127  acc 0.9124 │ val loss 0.1331  acc 0.9624  0.3 s */

#include "train/progress.h"

#include <math.h>
#include <time.h>
#include <unistd.h>

enum { BAR_WIDTH = 20 };

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

const char *glia__short_number(double value, char *out, size_t capacity) {
    static const char *const units[] = {"", "k", "M", "G"};
    int unit = 0;
    for (; value >= 999.5 && unit < 3; unit++) value /= 1000;
    snprintf(out, capacity, value < 9.95 && unit ? "%.1f%s" : "%.0f%s", value, units[unit]);
    return out;
}

void glia__progress_init(glia_progress_bar *bar) {
    *bar = (glia_progress_bar){.out = stderr, .terminal = isatty(STDERR_FILENO) == 1};
}

static int digits(int64_t n) {
    int count = 1;
    for (; n >= 10; n /= 10) count++;
    return count;
}

/* "epoch  3/10 " and the bar, filled for `share` of its width. */
static void draw_bar(FILE *out, int64_t epoch, int64_t epochs, double share) {
    fprintf(out, "\r\033[Kepoch %*lld/%lld ", digits(epochs), (long long)epoch, (long long)epochs);
    int filled = (int)(share * BAR_WIDTH + 0.5);
    fputs("\033[32m", out);
    for (int i = 0; i < filled; i++) fputs("━", out);
    fputs("\033[90m", out);
    for (int i = filled; i < BAR_WIDTH; i++) fputs("━", out);
    fputs("\033[0m", out);
}

static void draw_figures(FILE *out, double rate, double loss, double accuracy) {
    char text[32];
    fprintf(out, "  %s/s  loss %.4f", glia__short_number(rate, text, sizeof text), loss);
    if (!isnan(accuracy)) fprintf(out, "  acc %.4f", accuracy);
}

static void draw_duration(FILE *out, double seconds) {
    long long s = (long long)(seconds + 0.5);
    if (seconds < 60)
        fprintf(out, "%.1f s", seconds);
    else if (s < 3600)
        fprintf(out, "%lld:%02lld min", s / 60, s % 60);
    else
        fprintf(out, "%lld:%02lld h", s / 3600, s / 60 % 60);
}

void glia__progress_batch(void *ctx, const glia_progress *p) {
    glia_progress_bar *bar = ctx;
    double time = now();
    if (!bar->terminal) return;
    bar->batches = p->batches;
    if (p->epoch != bar->epoch) {
        bar->epoch = p->epoch;
        bar->start = time;
    }
    if (time - bar->last < 0.1) return;
    bar->last = time;
    bar->drawn = true;
    draw_bar(bar->out, p->epoch, p->epochs, (double)p->batch / (double)p->batches);
    fprintf(bar->out, " %*lld/%lld", digits(p->batches), (long long)p->batch, (long long)p->batches);
    draw_figures(bar->out, p->examples_per_second, p->loss, p->accuracy);
    if (p->batch > 1 && time > bar->start) {
        fputs("  ", bar->out);
        draw_duration(bar->out,
                      (time - bar->start) / (double)(p->batch - 1) * (double)(p->batches - p->batch));
        fputs(" left", bar->out);
    }
    fflush(bar->out);
}

int glia__progress_epoch(void *ctx, const glia_epoch *e) {
    glia_progress_bar *bar = ctx;
    FILE *out = bar->out;
    if (bar->terminal) {
        draw_bar(out, e->epoch, e->epochs, 1);
        fprintf(out, " %lld/%lld", (long long)bar->batches, (long long)bar->batches);
    } else {
        fprintf(out, "epoch %*lld/%lld", digits(e->epochs), (long long)e->epoch, (long long)e->epochs);
    }
    draw_figures(out, e->examples_per_second, e->loss, e->accuracy);
    if (e->validated) {
        const glia_report *v = &e->validation;
        fprintf(out, " │ val loss %.4f", v->loss);
        if (!isnan(v->accuracy)) fprintf(out, "  acc %.4f", v->accuracy);
        if (!isnan(v->rmse)) fprintf(out, "  rmse %.4g", v->rmse);
    }
    fputs("  ", out);
    draw_duration(out, e->seconds);
    fputs(e->best ? "  best\n" : "\n", out);
    fflush(out);
    bar->drawn = false;
    return 0;
}

void glia__progress_end(glia_progress_bar *bar) {
    if (bar->drawn) fputc('\n', bar->out);
    bar->drawn = false;
}
