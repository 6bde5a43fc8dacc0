/* print.c: errors, log lines and figures for people and for programs. */
#include <math.h>
#include <stdio.h>

#include "cli.h"
#include "recipe/recipe.h"

int cli_fail(const glia_error *err) {
    char text[sizeof err->file + 48];
    if (err->file[0] && err->line > 0 && err->column > 0)
        snprintf(text, sizeof text, "%s:%lld:%lld: ", err->file, (long long)err->line,
                 (long long)err->column);
    else if (err->file[0] && err->line > 0)
        snprintf(text, sizeof text, "%s:%lld: ", err->file, (long long)err->line);
    else if (err->file[0])
        snprintf(text, sizeof text, "%s: ", err->file);
    else
        snprintf(text, sizeof text, "glia: ");
    fprintf(stderr, "%serror: %s\n", text, err->message[0] ? err->message : glia_status_message(err->status));
    return CLI_FAILED;
}

static void line_to_stderr(void *ctx, glia_log_level level, const char *text) {
    (void)ctx;
    const char *mark = level == GLIA_LOG_WARNING ? "warning: " : level == GLIA_LOG_ERROR ? "error: " : "";
    fprintf(stderr, "%s%s\n", mark, text);
}

const glia_logger *cli_logger(bool quiet) {
    static const glia_logger normal = {.line = line_to_stderr, .level = GLIA_LOG_INFO},
                             silent = {.line = line_to_stderr, .level = GLIA_LOG_WARNING};
    return quiet ? &silent : &normal;
}

int cli_print(glia_text *out) {
    bool failed = out->failed;
    if (failed)
        fprintf(stderr, "glia: error: out of memory\n");
    else if (fwrite(out->data, 1, out->length, stdout) != out->length || fflush(stdout) != 0) {
        perror("glia: error: cannot write to stdout");
        failed = true;
    }
    glia__text_free(out);
    return failed ? CLI_FAILED : CLI_OK;
}

const char *cli_count(int64_t count, char *out, size_t capacity) {
    char digits[32];
    int length = snprintf(digits, sizeof digits, "%lld", (long long)count);
    size_t used = 0;
    for (int i = 0; i < length && used + 2 < capacity; i++) {
        if (i && digits[i - 1] != '-' && (length - i) % 3 == 0) out[used++] = ',';
        out[used++] = digits[i];
    }
    out[used] = 0;
    return out;
}

int cli_pad(const char *text, int width) {
    int length = 0;
    for (; *text; text++) length += ((unsigned char)*text & 0xC0) != 0x80;
    return GLIA_MAX(width - length, 0);
}

const char *cli_bytes(double bytes, char *out, size_t capacity) {
    static const char *const units[] = {"bytes", "KB", "MB", "GB", "TB"};
    size_t unit = 0;
    while (bytes >= 999.5 && unit + 1 < GLIA_COUNT(units)) bytes /= 1000, unit++;
    snprintf(out, capacity, "%.3g %s", bytes, units[unit]);
    return out;
}

/* Loss, accuracy and the like by the recipe's words, or the usual ones for the kind of target. */
void cli_add_figures(glia_text *out, const glia_recipe *recipe, const glia_report *report) {
    static const char *const usual[] = {"accuracy", "f1", "mae", "rmse", "label_error_rate"};
    bool first = true;
    for (const glia_figure *m = glia__figures; m->name; m++) {
        bool wanted = false;
        double value = glia__figure_of(m, report);
        for (int i = 0; i < recipe->n_metrics; i++) wanted |= recipe->metrics[i] == m;
        for (size_t i = 0; !recipe->n_metrics && i < GLIA_COUNT(usual); i++)
            wanted |= strcmp(usual[i], m->name) == 0;
        if (!wanted || isnan(value)) continue;
        glia__text_printf(out, "%s%s %.4f", first ? "" : ", ", m->label, value);
        first = false;
    }
    if (first) glia__text_printf(out, "loss %.4f", report->loss);
}

void cli_add_report_json(glia_text *out, const glia_report *report) {
    glia__text_printf(out, "\"examples\":%lld", (long long)report->examples);
    for (const glia_figure *m = glia__figures; m->name; m++) {
        double value = glia__figure_of(m, report);
        if (!isfinite(value)) continue;
        glia__text_printf(out, ",\"%s\":", m->name);
        glia__text_add_number(out, value);
    }
}

const char *cli_class(const glia_run *run, int64_t index, char *out, size_t capacity) {
    if (run->class_names && index < run->classes)
        snprintf(out, capacity, "%s", run->class_names[index]);
    else
        snprintf(out, capacity, "%lld", (long long)index);
    return out;
}
