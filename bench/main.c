/* main.c: glia_bench: measures one job and prints one line of JSON. bench/torch_jobs.py does the same with PyTorch. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

static const char usage[] =
    "usage: glia_bench MODEL.yaml epoch|evaluate|forward|step|generate [option ...] [key.sub=value ...]\n"
    "       glia_bench machine [--threads N]\n"
    "  --batch N, --threads N, --seed N, --precision P   in place of the model file's\n"
    "  --examples N    use only the first so many examples\n"
    "  --input SHAPE   of one example, for forward and step: 3x224x224; for generate the context: 1024\n"
    "  --repeats N     how many runs are timed (default 3); 0: only the first losses\n"
    "  --save FILE     write initial weights, and the examples with their order, the made-up batch or "
    "the prompt (safetensors)\n"
    "  --profile       kernels and their times to stderr (the same as GLIA_TRACE=1)\n";

static void fail(const char *what) {
    fprintf(stderr, "glia_bench: %s\n%s", what, usage);
    exit(2);
}

/* "train.batch_size" and "128" to "train.batch_size=128", of the model file. */
static void override(bench_job *job, const char *key, const char *value) {
    size_t bytes = strlen(key) + strlen(value) + 2;
    char *word = malloc(bytes);
    if (!word || job->n_overrides == sizeof job->overrides / sizeof *job->overrides)
        fail("too many settings");
    snprintf(word, bytes, "%s%s%s", key, *key ? "=" : "", value);
    job->overrides[job->n_overrides++] = word;
}

static glia_shape parse_shape(const char *text) {
    glia_shape shape = {0};
    for (char *end; *text && shape.rank < GLIA_MAX_RANK; text = *end ? end + 1 : end)
        if ((shape.dim[shape.rank++] = strtoll(text, &end, 10)) < 1) fail("expected a shape like 3x224x224");
    return shape;
}

/* Takes option `name` with its value; false: no such option. */
static bool take(bench_job *job, const char *name, const char *value) {
    static const char *const keys[][2] = {{"--batch", "train.batch_size"},
                                          {"--threads", "train.threads"},
                                          {"--seed", "train.seed"},
                                          {"--precision", "train.precision"},
                                          {"--examples", "data.limit"}};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (strcmp(name, keys[i][0]) == 0) return override(job, keys[i][1], value), true;
    if (strcmp(name, "--input") == 0) return job->input = parse_shape(value), true;
    if (strcmp(name, "--repeats") == 0) return job->repeats = strtoll(value, NULL, 10), true;
    if (strcmp(name, "--save") == 0) return job->save = value, true;
    return false;
}

static void parse(bench_job *job, char **arguments, int count) {
    override(job, "data.split.validation", "0");
    override(job, "train.early_stopping.patience", "0");
    for (int i = 0; i < count; i++) {
        const char *word = arguments[i];
        if (strcmp(word, "--profile") == 0)
            setenv("GLIA_TRACE", "1", 1);
        else if (word[0] == '-' && i + 1 < count && take(job, word, arguments[i + 1]))
            i++;
        else if (word[0] != '-' && strchr(word, '='))
            override(job, "", word);
        else
            fail(word);
    }
    if (job->repeats < 0 || job->repeats > BENCH_RUNS) fail("--repeats: at most 1000");
}

/* The most memory the process has had, in MB. */
static double peak_memory(void) {
    char line[256];
    double kilobytes = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, "VmHWM:", 6) == 0) kilobytes = strtod(line + 6, NULL);
    if (file) fclose(file);
    return kilobytes * 1024 / 1e6;
}

static void print_list(const char *name, const double *values, int count) {
    printf(",\"%s\":[", name);
    for (int i = 0; i < count; i++) printf("%s%.9g", i ? "," : "", values[i]);
    putchar(']');
}

static void print_job(const bench_job *job) {
    printf("{\"model\":\"%s\",\"what\":\"%s\",\"batch\":%lld,\"examples\":%lld,\"seed\":%llu", job->model,
           job->what, (long long)job->batch, (long long)job->examples, (unsigned long long)job->seed);
    print_list("losses", job->losses, job->n_losses);
    print_list("seconds", job->seconds, job->n_seconds);
    printf(",\"flops\":%.6g,\"bytes\":%.6g,\"peak_mb\":%.1f}\n", job->flops, job->bytes, peak_memory());
}

static int print_machine(int argc, char **argv) {
    glia_build_info build = glia_get_build_info();
    int threads = argc == 4 && strcmp(argv[2], "--threads") == 0 ? atoi(argv[3]) : build.cores;
    if (threads < 1 || threads > 1024) fail("--threads: expected a number from 1");
    bench_machine m = bench_measure_machine(threads);
    printf("{\"threads\":%d,\"f32_gflops\":%.1f,\"bf16_gflops\":%.1f,\"memory_gbs\":%.2f,\"cache_gbs\":%.1f,"
           "\"isa\":\"%s\",\"onednn\":\"%s\",\"compiler\":\"%s\"}\n",
           threads, m.f32_gflops, m.bf16_gflops, m.memory_gbs, m.cache_gbs, build.isa, build.onednn,
           build.compiler);
    return 0;
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "machine") == 0) return print_machine(argc, argv);
    if (argc < 3) fail("what to measure?");
    static bench_job job;
    job.model = argv[1];
    job.what = argv[2];
    job.repeats = 3;
    parse(&job, argv + 3, argc - 3);
    bench_run(&job);
    print_job(&job);
    for (size_t i = 0; i < job.n_overrides; i++) free((void *)(uintptr_t)job.overrides[i]);
    return 0;
}
