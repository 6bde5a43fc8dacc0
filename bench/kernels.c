/* kernels.c: how fast one op is: its ref, and every kernel that takes the call.
 *
 *     bench_kernels OP INPUTS [ATTRIBUTES [THREADS]]      bench_kernels relu 1000000
 *                                                         bench_kernels softmax 128x1000 axis=-1
 *     bench_kernels OPTIMIZER COUNT                       bench_kernels adam 1000000
 *
 * INPUTS and ATTRIBUTES are those of a test case (src/graph/op.h). Prints the median time of a run, and what it makes
 * in GB/s (each input read and each output written once) and GFLOP/s. GLIA_ISA forces an instruction set. */
#include "op_engine.h"

#include <time.h>

#include "kernels/kernel.h"
#include "train/optimizer.h"

/* One thread is timed by its own clock, which stands while other programs have the core. */
static clockid_t which_clock = CLOCK_THREAD_CPUTIME_ID;

static double seconds(void) {
    struct timespec time;
    clock_gettime(which_clock, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The median of 21 samples, each long enough for the clock. */
static double median_of(void (*run)(void *ctx), void *ctx) {
    enum { SAMPLES = 21 };
    double times[SAMPLES];
    int repeats = 1;
    for (double spent = 0; spent < 2e-3; repeats *= 2) {
        double start = seconds();
        for (int i = 0; i < repeats; i++) run(ctx);
        spent = seconds() - start;
    }
    for (int s = 0; s < SAMPLES; s++) {
        double start = seconds();
        for (int i = 0; i < repeats; i++) run(ctx);
        times[s] = (seconds() - start) / repeats;
    }
    qsort(times, SAMPLES, sizeof *times, ascending);
    return times[SAMPLES / 2];
}

static void print_line(const char *name, double time, double bytes, double flops) {
    printf("%-34s %10.2f µs %8.1f GB/s %8.1f GFLOP/s\n", name, 1e6 * time, bytes / time / 1e9,
           flops / time / 1e9);
}

/* --- ops ------------------------------------------------------------------------------------------------- */

typedef struct timed_call {
    const glia_op *op;
    made_kernel made;
    glia_call call;
    glia_status status;
} timed_call;

static void run_call(void *ctx) {
    timed_call *t = ctx;
    glia_status status = t->made.kernel ? t->made.kernel->run(t->made.state, &t->call) : t->op->ref(&t->call);
    if (status != GLIA_OK) t->status = status;
}

/* As the planner places arrays. */
static void *aligned(size_t bytes) {
    return aligned_alloc(64, (bytes + CANARY + 127) / 64 * 64);
}

static void align_view(glia_view *view) {
    void *data = view->data ? aligned(view_bytes(view)) : NULL;
    if (data) memcpy(data, view->data, view_bytes(view));
    free(view->data);
    view->data = data;
}

static void time_call(const op_test *t, const glia_kernel *kernel, int threads) {
    const glia_step step = {.seed = 5, .number = 3, .training = true};
    glia_error err = {0};
    glia_view out[GLIA_MAX_OUTPUTS];
    timed_call timed = {.op = t->op, .made = {.kernel = kernel}};
    glia_kernel_query query = {.op = t->op,
                               .attrs = t->attrs,
                               .in = t->in.types,
                               .out = t->out,
                               .n_in = t->in.count,
                               .n_out = op_outputs(t->op),
                               .params = UINT32_MAX,
                               .threads = threads,
                               .training = true};
    const char *why_not = "";
    if (kernel && !kernel->supports(&query, &why_not)) {
        printf("%-34s declines: %s\n", kernel->name, why_not);
        return;
    }
    if (kernel && kernel->init &&
        kernel->init(&query, &timed.made.state, &timed.made.needs, &err) != GLIA_OK) {
        printf("%-34s %s\n", kernel->name, err.message);
        return;
    }
    if (!kernel && t->op->workspace)
        timed.made.needs.workspace_bytes = t->op->workspace(t->in.types, t->out, t->attrs);
    make_outputs(t->op, t->out, out);
    for (int o = 0; o < op_outputs(t->op); o++) align_view(&out[o]);
    timed.call = (glia_call){.attrs = t->attrs,
                             .in = t->in.views,
                             .out = out,
                             .n_in = t->in.count,
                             .n_out = op_outputs(t->op),
                             .step = &step,
                             .node = t->op->name,
                             .err = &err,
                             .workspace = aligned(timed.made.needs.workspace_bytes),
                             .packed = aligned(timed.made.needs.packed_bytes)};
    if (kernel && timed.made.needs.packed_bytes) timed.status = kernel->pack(timed.made.state, &timed.call);
    double bytes = 0, flops = t->op->flops ? t->op->flops(t->in.types, t->out, t->attrs)
                                           : (double)glia_shape_elems(&t->out[0].shape);
    for (int i = 0; i < t->in.count; i++)
        bytes += t->in.views[i].data ? (double)view_bytes(&t->in.views[i]) : 0;
    for (int o = 0; o < op_outputs(t->op); o++) bytes += (double)view_bytes(&out[o]);
    double time = median_of(run_call, &timed);
    if (timed.status != GLIA_OK)
        printf("%s\n", err.message);
    else
        print_line(kernel ? kernel->name : "ref", time, bytes, flops);
    if (kernel && kernel->fini && timed.made.state) kernel->fini(timed.made.state);
    free(timed.call.workspace);
    free(timed.call.packed);
    free_outputs(t->op, out);
}

static int time_op(const glia_op *op, const char *inputs, const char *attrs, int threads) {
    op_test t;
    glia_case example = {.inputs = inputs, .attrs = attrs};
    bool fits = open_case(&t, op, &example, false, GLIA_F32);
    if (fits) {
        for (int i = 0; i < t.in.count; i++) align_view(&t.in.views[i]);
        time_call(&t, NULL, threads);
        for (size_t i = 0; i < glia__kernels_count; i++)
            if (strcmp(glia__kernels[i]->op, op->name) == 0) time_call(&t, glia__kernels[i], threads);
    }
    close_case(&t);
    return !fits;
}

/* --- optimisers ------------------------------------------------------------------------------------------ */

typedef struct timed_update {
    const glia_optimizer *optimizer;
    glia_optimizer_step step;
} timed_update;

static void run_update(void *ctx) {
    timed_update *t = ctx;
    t->optimizer->update(&t->step);
}

static int time_optimizer(const glia_optimizer *optimizer, int64_t count) {
    glia_optimizer_options options = {.name = optimizer->name};
    glia_error err = {0};
    if (glia__optimizer_resolve(&options, &optimizer, &err) != GLIA_OK) return 1;
    int arrays = 2 + optimizer->n_moments;
    float *data = calloc((size_t)count * 4, sizeof *data);
    for (int64_t i = 0; i < 2 * count; i++) data[i] = (float)(i % 17) * 0.01f;
    timed_update t = {optimizer,
                      {.options = &options,
                       .params = data,
                       .gradients = data + count,
                       .moments = {data + 2 * count, data + 3 * count},
                       .end = count,
                       .number = 1,
                       .gradient_scale = 1}};
    /* All arrays are read; all but the gradient are written. */
    print_line(optimizer->name, median_of(run_update, &t), (double)((2 * arrays - 1) * count) * sizeof(float),
               0);
    free(data);
    return 0;
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: bench_kernels OP INPUTS [ATTRIBUTES [THREADS]] | OPTIMIZER COUNT\n");
        return 2;
    }
    const glia_op *op = glia__op_find(argv[1]);
    const glia_optimizer *optimizer = glia__optimizer_find(argv[1]);
    int threads = argc > 4 ? atoi(argv[4]) : 1;
    if (threads > 1) which_clock = CLOCK_MONOTONIC;
    if (op) return time_op(op, argv[2], argc > 3 ? argv[3] : NULL, threads);
    if (optimizer) return time_optimizer(optimizer, atoll(argv[2]));
    fprintf(stderr, "bench_kernels: no op and no optimizer is called '%s'\n", argv[1]);
    return 2;
}
