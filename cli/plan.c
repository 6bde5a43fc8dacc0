/* plan.c: `glia plan`. */
#include <stdio.h>
#include <stdlib.h>

#include "cli.h"
#include "train/rehearsal.h"

enum { MODE_TRAIN, MODE_EVALUATE, MODE_PREDICT };
enum { PRECISION_OF_FILE, PRECISION_F32, PRECISION_BF16 };
static const char *const mode_words[] = {"train", "evaluate", "predict"};

typedef struct plan {
    const char *model;
    const char *mode;
    int64_t batch;
    bool bf16;
    size_t state_bytes;
    const glia_program *program;
    glia_program_info info;
} plan;

/* --- for people, in 100 columns --------------------------------------------------------------------------- */

/* `text` in `width` columns; a name that is too long loses its middle. */
static void add_cell(glia_text *out, const char *text, int width) {
    enum { LONG = 1000 };
    const int columns = LONG - cli_pad(text, LONG), length = (int)strlen(text);
    if (columns > width && columns == length)
        glia__text_printf(out, "%.*s…%s", width / 2, text, text + length - (width - width / 2 - 1));
    else
        glia__text_printf(out, "%s%*s", text, cli_pad(text, width), "");
    glia__text_add(out, " ");
}

/* Three digits where there are not more before the point. */
static void add_figure(glia_text *out, double figure, int width) {
    const int digits = figure >= 99.95 ? 0 : figure >= 9.995 ? 1 : figure >= 0.9995 ? 2 : 3;
    glia__text_printf(out, "%*.*f", width, digits, figure);
}

static const char *time_text(double seconds, char *out, size_t capacity) {
    if (seconds >= 0.9995)
        snprintf(out, capacity, "%.3g s", seconds);
    else if (seconds >= 0.9995e-3)
        snprintf(out, capacity, "%.3g ms", seconds * 1e3);
    else
        snprintf(out, capacity, "%.3g µs", seconds * 1e6);
    return out;
}

/* "741 GFLOP" */
static const char *flops_text(double flops, char *out, size_t capacity) {
    const bool giga = flops >= 1e9;
    snprintf(out, capacity, "%.4g %s", flops / (giga ? 1e9 : 1e6), giga ? "GFLOP" : "MFLOP");
    return out;
}

static double ratio(double a, double b) {
    return b > 0 ? a / b : 0;
}

static void add_speed(const plan *p, glia_text *out) {
    char time[40], rate[40];
    const double seconds = p->info.measured, examples = (double)p->batch / seconds;
    snprintf(rate, sizeof rate, "%.3g", examples);
    if (examples >= 999.5) cli_count((int64_t)examples, rate, sizeof rate);
    glia__text_printf(out, ", measured %s: %.4g GFLOP/s, %s examples/s",
                      time_text(seconds, time, sizeof time), p->info.flops / seconds / 1e9, rate);
}

static void add_totals(const plan *p, glia_text *out) {
    char a[40], b[40];
    const glia_program_info *info = &p->info;
    const bool train = strcmp(p->mode, "train") == 0;
    glia__text_printf(out, "%s · %s %lld example%s · %s · %d thread%s\n", p->model,
                      train ? "train on" : p->mode, (long long)p->batch, p->batch == 1 ? "" : "s",
                      p->bf16 ? "bf16" : "f32", info->threads, info->threads == 1 ? "" : "s");
    glia__text_printf(out, "time    predicted %s", time_text(info->predicted, a, sizeof a));
    if (info->measured > 0) add_speed(p, out);
    glia__text_printf(out, "\nwork    %s, %s moved, %.3g FLOP/byte, %lld call%s in %lld segment%s\n",
                      flops_text(info->flops, a, sizeof a), cli_bytes(info->bytes, b, sizeof b),
                      ratio(info->flops, info->bytes), (long long)info->calls, info->calls == 1 ? "" : "s",
                      (long long)info->segments, info->segments == 1 ? "" : "s");
    glia__text_printf(out, "memory  %s (%s before planning)",
                      cli_bytes((double)info->block_bytes, a, sizeof a),
                      cli_bytes((double)info->unplanned_bytes, b, sizeof b));
    if (info->packed_bytes)
        glia__text_printf(out, ", of it %s packed weights",
                          cli_bytes((double)info->packed_bytes, a, sizeof a));
    glia__text_printf(out, "\n        beside it %s of weights%s\n",
                      cli_bytes((double)p->state_bytes, a, sizeof a), train ? ", gradients and moments" : "");
}

/* The first result of the call, as "64×32×26×26". */
static void result_text(const plan *p, int64_t c, const glia_program_call *call, char *out, size_t capacity) {
    glia_dtype dtype;
    glia_shape shape;
    *out = 0;
    if (glia_program_operand(p->program, c, call->inputs, &dtype, &shape))
        glia_shape_text(&shape, out, capacity);
}

/* "f32", or "bf16 last": what it reads, and where images have their channels. */
static void type_text(const plan *p, int64_t c, const glia_program_call *call, char *out, size_t capacity) {
    glia_dtype dtype = GLIA_F32;
    glia_shape shape;
    for (int i = 0; i < call->inputs + call->outputs; i++)
        if (glia_program_operand(p->program, c, i, &dtype, &shape)) break;
    snprintf(out, capacity, "%s %s", glia_dtype_name(dtype), call->channels);
}

/* A call alone in its segment says how it runs; others stand below the line that says it for all of them. */
static void way_text(const glia_program_segment *s, char *out, size_t capacity) {
    if (s->end > s->first + 1)
        snprintf(out, capacity, " ·");
    else if (s->chunks > 1)
        snprintf(out, capacity, "cut %lld", (long long)s->chunks);
    else
        snprintf(out, capacity, s->workers > 1 ? "whole" : "single");
}

static void add_call(const plan *p, const glia_program_segment *s, int64_t c, glia_text *out) {
    const glia_program_call call = glia_program_get_call(p->program, c);
    char text[128];
    add_cell(out, call.name, 20);
    add_cell(out, call.kernel, 18);
    type_text(p, c, &call, text, sizeof text);
    add_cell(out, text, 9);
    result_text(p, c, &call, text, sizeof text);
    add_cell(out, text, 13);
    way_text(s, text, sizeof text);
    glia__text_printf(out, "%s%*s", text, cli_pad(text, 6), "");
    add_figure(out, call.flops / 1e6, 7);
    add_figure(out, call.bytes / 1e6, 6);
    if (p->info.measured > 0) {
        add_figure(out, call.predicted * 1e6, 8);
        add_figure(out, call.measured * 1e6, 8);
    } else {
        add_figure(out, ratio(call.flops, call.bytes), 8);
        add_figure(out, call.predicted * 1e6, 8);
    }
    glia__text_add(out, "\n");
}

static void add_segment(const plan *p, const glia_program_segment *s, glia_text *out) {
    char a[40], b[40];
    if (s->end > s->first + 1) {
        glia__text_printf(out, "together in %lld chunks of %lld, %d lanes, %d worker%s with %s each: %s",
                          (long long)s->chunks, (long long)s->chunk, s->lanes, s->workers,
                          s->workers == 1 ? "" : "s", cli_bytes((double)s->worker_bytes, a, sizeof a),
                          time_text(s->predicted, b, sizeof b));
        if (p->info.measured > 0)
            glia__text_printf(out, ", measured %s", time_text(s->measured, a, sizeof a));
        glia__text_add(out, "\n");
    }
    for (int64_t c = s->first; c < s->end; c++) add_call(p, s, c, out);
}

static void add_plan(const plan *p, glia_text *out) {
    const bool measured = p->info.measured > 0;
    add_totals(p, out);
    glia__text_printf(out, "\n%-20s %-18s %-9s %-13s %-6s%7s%6s%8s%9s\n", "call", "kernel", "type", "result",
                      "way", "MFLOP", "MB", measured ? "plan" : "FLOP/B", measured ? "real µs" : "plan µs");
    for (int64_t i = 0; i < p->info.segments; i++) {
        const glia_program_segment s = glia_program_get_segment(p->program, i);
        add_segment(p, &s, out);
    }
}

/* --- for programs ----------------------------------------------------------------------------------------- */

static void add_word_json(glia_text *out, const char *name, const char *word) {
    glia__text_printf(out, "\"%s\":", name);
    glia__text_add_json(out, word);
    glia__text_add(out, ",");
}

static void add_times_json(const plan *p, double predicted, double measured, glia_text *out) {
    glia__text_printf(out, ",\"predicted\":%.4g", predicted);
    if (p->info.measured > 0) glia__text_printf(out, ",\"measured\":%.4g", measured);
}

static void add_call_json(const plan *p, int64_t c, glia_text *out) {
    const glia_program_call call = glia_program_get_call(p->program, c);
    glia_dtype dtype;
    glia_shape shape;
    glia__text_add(out, "{");
    add_word_json(out, "name", call.name);
    add_word_json(out, "op", call.op);
    add_word_json(out, "kernel", call.kernel);
    if (*call.channels) add_word_json(out, "channels", call.channels);
    for (int i = 0; i < call.inputs + call.outputs; i++) {
        glia__text_add(out, i == 0 ? "\"inputs\":[" : i == call.inputs ? "],\"outputs\":[" : ",");
        if (!glia_program_operand(p->program, c, i, &dtype, &shape)) {
            glia__text_add(out, "null");
            continue;
        }
        glia__text_printf(out, "{\"dtype\":\"%s\",\"shape\":[", glia_dtype_name(dtype));
        for (int d = 0; d < shape.rank; d++)
            glia__text_printf(out, "%s%lld", d ? "," : "", (long long)shape.dim[d]);
        glia__text_add(out, "]}");
    }
    glia__text_printf(out, "],\"flops\":%.0f,\"bytes\":%.0f,\"intensity\":%.4g,\"packed\":%zu", call.flops,
                      call.bytes, ratio(call.flops, call.bytes), call.packed_bytes);
    add_times_json(p, call.predicted, call.measured, out);
    glia__text_add(out, "}");
}

static void add_json(const plan *p, glia_text *out) {
    const glia_program_info *info = &p->info;
    glia__text_add(out, "{");
    add_word_json(out, "model", p->model);
    add_word_json(out, "mode", p->mode);
    add_word_json(out, "precision", p->bf16 ? "bf16" : "f32");
    glia__text_printf(out,
                      "\"batch\":%lld,\"threads\":%d,\"flops\":%.0f,\"bytes\":%.0f,\"intensity\":%.4g,"
                      "\"memory\":%zu,\"memory_unplanned\":%zu,\"packed\":%zu,\"state\":%zu",
                      (long long)p->batch, info->threads, info->flops, info->bytes,
                      ratio(info->flops, info->bytes), info->block_bytes, info->unplanned_bytes,
                      info->packed_bytes, p->state_bytes);
    add_times_json(p, info->predicted, info->measured, out);
    for (int64_t i = 0; i < info->segments; i++) {
        const glia_program_segment s = glia_program_get_segment(p->program, i);
        glia__text_printf(out,
                          "%s{\"mode\":\"%s\",\"rows\":%lld,\"chunk\":%lld,\"chunks\":%lld,\"lanes\":%d,"
                          "\"workers\":%d,\"worker_memory\":%zu",
                          i ? "," : ",\"segments\":[", s.chunks == 1 ? "whole" : "cut", (long long)s.rows,
                          (long long)s.chunk, (long long)s.chunks, s.lanes, s.workers, s.worker_bytes);
        add_times_json(p, s.predicted, s.measured, out);
        for (int64_t c = s.first; c < s.end; c++) {
            glia__text_add(out, c == s.first ? ",\"calls\":[" : ",");
            add_call_json(p, c, out);
        }
        glia__text_add(out, "]}");
    }
    glia__text_add(out, info->segments ? "]}\n" : "}\n");
}

/* --- the command ------------------------------------------------------------------------------------------ */

static glia_status rehearse(const cli_options *options, const cli_model *m, glia_rehearsal *r, plan *p,
                            glia_error *err) {
    static const glia_run_mode modes[] = {GLIA_RUN_TRAIN, GLIA_RUN_LOSS, GLIA_RUN_PREDICT};
    glia_fit_options o = glia_recipe_fit_options(m->recipe);
    if (options->threads > 0) o.threads = (int)options->threads;
    if (options->precision != PRECISION_OF_FILE)
        o.precision = options->precision == PRECISION_BF16 ? GLIA_PRECISION_BF16 : GLIA_PRECISION_F32;
    p->batch = options->batch ? options->batch : o.batch_size;
    p->bf16 = o.precision == GLIA_PRECISION_BF16;
    GLIA_TRY(glia__rehearsal_plan(r, m->model, &m->target, &o, modes[options->mode], p->batch, err));
    return options->profile == GLIA_YES ? glia__rehearsal_run(r, options->runs, err) : GLIA_OK;
}

static int print_plan(const cli_options *options, const cli_model *m) {
    glia_error err = {0};
    glia_rehearsal r;
    glia_text out;
    plan p = {.model = glia_recipe_name(m->recipe), .mode = mode_words[options->mode]};
    int code;
    if (rehearse(options, m, &r, &p, &err) == GLIA_OK) {
        p.state_bytes = r.state_bytes;
        p.program = r.program;
        p.info = glia_program_get_info(r.program);
        glia__text_init(&out, NULL);
        options->json == GLIA_YES ? add_json(&p, &out) : add_plan(&p, &out);
        code = cli_print(&out);
    } else {
        code = cli_fail(&err);
    }
    glia__rehearsal_deinit(&r);
    return code;
}

static int run_plan(const cli_options *options, char **arguments, int count) {
    cli_model m;
    if (options->trace == GLIA_YES) setenv("GLIA_TRACE", "1", 1);
    if (cli_open_model(options, arguments, count, &m) != CLI_OK) return CLI_FAILED;
    int code = print_plan(options, &m);
    cli_close_model(&m);
    return code;
}

const cli_command cli_plan = {
    .name = "plan",
    .arguments = "MODEL.yaml|RUN|FILE.onnx|FILE.h5|FILE.keras [key.sub=value ...]",
    .summary = "Show how a step of a network will run: kernels, work, memory, time",
    .details =
        "Prints the program of one batch: the totals, with memory before and after planning, then each "
        "call:\n"
        "its kernel, type (with channels first or last), result, way, FLOPs, bytes and predicted time. The\n"
        "way: 'whole' with threads inside the kernel, 'single' on one thread, 'cut N' in N chunks that the\n"
        "workers share, '·' together with the calls beside it, chunk by chunk. Nothing runs, unless "
        "--profile\n"
        "asks for measured times. The optimizer's step is not in it. The shape of the input comes from the\n"
        "run, from the data, or from --input.",
    .examples = "glia plan examples/mnist_cnn.yaml\n"
                "glia plan examples/mnist_cnn.yaml --profile --threads 1\n"
                "glia plan examples/vgg16.yaml --input 3x224x224 --mode predict --batch 1 --precision bf16",
    .flags =
        (const glia_field[]){
            CLI_FLAG(mode, CHOICE, "train", "what a step does: train, evaluate or predict",
                     .choices = "train|evaluate|predict"),
            CLI_FLAG(batch, INT, "0", "examples of a step; 0: as in training", .min = 0, .max = 1 << 24),
            CLI_FLAG(precision, CHOICE, "file", "f32, bf16, or as the file says", .choices = "file|f32|bf16"),
            CLI_INPUT,
            CLI_FLAG(profile, BOOL, "no", "run the step on made-up data; times are those of the fastest run",
                     .count = 0),
            CLI_FLAG(runs, INT, "0", "of the profile; 0: what goes into two seconds, at least 3", .min = 0,
                     .max = 1 << 24),
            CLI_FLAG(trace, BOOL, "no", "say on stderr why kernels declined", .count = 0),
            CLI_THREADS,
            CLI_JSON,
            CLI_QUIET,
            {.name = NULL}},
    .min_arguments = 1,
    .max_arguments = -1,
    .run = run_plan,
};
