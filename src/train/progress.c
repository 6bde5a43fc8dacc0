/* progress.c: the progress bar.
 *
 *   epoch  3/10 ━━━━━━━━━━━━━━━━━━━━ 430/430  182k/s  loss 0.3127  acc 0.9124 │ val loss 0.1331  acc 0.9624  0.3 s */

#include "train/progress.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/mem.h"

enum { BAR_WIDTH = 20, LINE = 400 };

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

/* --- pieces of a line ------------------------------------------------------------------------------------- */

typedef struct line {
    char text[LINE];
    size_t length;
} line;

static void add(line *l, const char *format, ...) GLIA_PRINTF(2, 3);
static void add(line *l, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int n = vsnprintf(l->text + l->length, LINE - l->length, format, args);
    va_end(args);
    if (n > 0) l->length = GLIA_MIN(l->length + (size_t)n, (size_t)LINE - 1);
}

static void add_figures(line *l, double rate, double loss, double accuracy) {
    char text[32];
    add(l, "  %s/s  loss %.4f", glia__short_number(rate, text, sizeof text), loss);
    if (!isnan(accuracy)) add(l, "  acc %.4f", accuracy);
}

/* Whether the line has the figure without being asked. */
static bool is_shown(const char *monitor) {
    return strcmp(monitor, "val_loss") == 0 || strcmp(monitor, "val_accuracy") == 0 ||
           strcmp(monitor, "val_rmse") == 0;
}

static void add_duration(line *l, double seconds) {
    long long s = (long long)(seconds + 0.5);
    if (seconds < 60)
        add(l, "%.1f s", seconds);
    else if (s < 3600)
        add(l, "%lld:%02lld min", s / 60, s % 60);
    else
        add(l, "%lld:%02lld h", s / 3600, s / 60 % 60);
}

/* Of the terminal; it may be made wider or narrower at any moment. */
static int columns(void) {
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

/* "epoch  3/10 ━━━━━━ " and the rest, with a bar filled for `share` of its width: as wide as there is room for. A
 * line that is drawn again must not be wider than the terminal; one that stays may wrap. */
static void draw(glia_progress_bar *bar, int64_t epoch, int64_t epochs, double share, const line *rest,
                 bool stays) {
    line l = {.length = 0};
    add(&l, "epoch %*lld/%lld ", digits(epochs), (long long)epoch, (long long)epochs);
    int room = columns() - 1 - (int)l.length, width = GLIA_MIN(room - (int)rest->length, BAR_WIDTH);
    if (width < (stays ? BAR_WIDTH : 5)) width = 0; /* it would say nothing; a full one need not be seen */
    int filled = (int)(share * width + 0.5);
    add(&l, "\033[32m");
    for (int i = 0; i < filled; i++) add(&l, "━");
    add(&l, "\033[90m");
    for (int i = filled; i < width; i++) add(&l, "━");
    add(&l, "\033[0m");
    fprintf(bar->out, "\r\033[K%s%.*s", l.text, stays ? LINE : GLIA_MAX(room - width, 0), rest->text);
    if (stays) fputc('\n', bar->out);
    fflush(bar->out);
}

/* --- the callbacks ---------------------------------------------------------------------------------------- */

void glia__progress_batch(void *ctx, const glia_progress *p) {
    glia_progress_bar *bar = ctx;
    double time = glia__now_seconds();
    line rest = {.length = 0};
    if (!bar->terminal) return;
    bar->batches = p->batches;
    if (p->epoch != bar->epoch) {
        bar->epoch = p->epoch;
        bar->start = time;
    }
    if (time - bar->last < 0.1) return;
    bar->last = time;
    bar->drawn = true;
    add(&rest, " %*lld/%lld", digits(p->batches), (long long)p->batch, (long long)p->batches);
    add_figures(&rest, p->examples_per_second, p->loss, p->accuracy);
    if (p->batch > 1 && time > bar->start) {
        add(&rest, "  ");
        add_duration(&rest, (time - bar->start) / (double)(p->batch - 1) * (double)(p->batches - p->batch));
        add(&rest, " left");
    }
    draw(bar, p->epoch, p->epochs, (double)p->batch / (double)p->batches, &rest, false);
}

int glia__progress_epoch(void *ctx, const glia_epoch *e) {
    glia_progress_bar *bar = ctx;
    line rest = {.length = 0};
    if (bar->terminal) add(&rest, " %lld/%lld", (long long)bar->batches, (long long)bar->batches);
    add_figures(&rest, e->examples_per_second, e->loss, e->accuracy);
    if (e->validated) {
        const glia_report *v = &e->validation;
        add(&rest, " │ val loss %.4f", v->loss);
        if (!isnan(v->accuracy)) add(&rest, "  acc %.4f", v->accuracy);
        if (!isnan(v->rmse)) add(&rest, "  rmse %.4g", v->rmse);
        if (e->monitor && !is_shown(e->monitor)) add(&rest, "  %s %.4g", e->monitor, e->monitored);
    }
    add(&rest, "  ");
    add_duration(&rest, e->seconds);
    if (e->best) add(&rest, "  best");
    if (bar->terminal)
        draw(bar, e->epoch, e->epochs, 1, &rest, true);
    else
        fprintf(bar->out, "epoch %*lld/%lld%s\n", digits(e->epochs), (long long)e->epoch,
                (long long)e->epochs, rest.text);
    fflush(bar->out);
    bar->drawn = false;
    return 0;
}

void glia__progress_end(glia_progress_bar *bar) {
    if (bar->drawn) fputc('\n', bar->out);
    bar->drawn = false;
}
