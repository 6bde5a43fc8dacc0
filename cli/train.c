/* train.c: `glia train`. */
#include <stdio.h>
#include <sys/stat.h>

#include "cli.h"
#include "recipe/run.h"
#include "recipe/text.h"

static bool is_folder(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int print_result(const cli_options *options, const glia_recipe *recipe, const glia_run_result *r) {
    glia_text out;
    glia__text_init(&out, NULL);
    if (options->json == GLIA_YES) {
        glia__text_add(&out, "{\"run\":");
        glia__text_add_json(&out, r->dir);
        glia__text_printf(&out, ",\"epochs\":%lld,\"best_epoch\":%lld", (long long)r->epochs,
                          (long long)r->best_epoch);
        if (r->evaluated) {
            glia__text_printf(&out, ",\"%s\":{", r->evaluated);
            cli_add_report_json(&out, &r->report);
            for (int i = 0; i < r->n_parts; i++) {
                glia__text_printf(&out, ",\"%s\":{", r->parts[i].name);
                cli_add_report_json(&out, &r->parts[i].report);
                glia__text_add(&out, "}");
            }
            glia__text_add(&out, "}");
        }
        glia__text_add(&out, "}\n");
        return cli_print(&out);
    }
    if (r->best_epoch) glia__text_printf(&out, "best epoch %lld · ", (long long)r->best_epoch);
    if (r->evaluated) {
        glia__text_printf(&out, "%s ", r->evaluated);
        cli_add_figures(&out, recipe, &r->report);
        for (int i = 0; i < r->n_parts; i++) {
            glia__text_printf(&out, " · %s: ", r->parts[i].name);
            cli_add_figures(&out, recipe, &r->parts[i].report);
        }
        glia__text_add(&out, " · ");
    }
    glia__text_printf(&out, "saved %s (report.html, best.safetensors)\n", r->dir);
    int status = cli_print(&out);
    if (options->quiet == GLIA_YES) return status;
    const bool writes = glia__recipe_writes(recipe);
    fprintf(stderr, "next: glia evaluate %s · glia %s %s %s\n", r->dir, writes ? "generate" : "predict",
            r->dir, writes ? "--prompt TEXT" : "FILE");
    return status;
}

static int train(const cli_options *options, glia_recipe *recipe, const char *dir) {
    glia_error err = {0};
    glia_run_result result;
    bool quiet = options->quiet == GLIA_YES;
    cli_catch_signals();
    glia_status status = glia_recipe_train(recipe,
                                           (glia_run_options){.dir = dir,
                                                              .resume = options->resume == GLIA_YES,
                                                              .force = options->force == GLIA_YES,
                                                              .progress = !quiet,
                                                              .stop = &cli_stop,
                                                              .logger = cli_logger(quiet),
                                                              .error = &err},
                                           &result);
    if (status == GLIA_INTERRUPTED) {
        fprintf(stderr, "stopped in epoch %lld; saved. Continue with: glia train %s --resume\n",
                (long long)result.epochs + 1, result.dir);
        return CLI_FAILED;
    }
    return status == GLIA_OK ? print_result(options, recipe, &result) : cli_fail(&err);
}

static int run_train(const cli_options *options, char **arguments, int count) {
    enum { MOST = 256 };
    const char *overrides[MOST], *path = NULL, *dir = options->out[0] ? options->out : NULL;
    char seed[48], threads[48], file[1200];
    size_t n = 0;
    for (int i = 0; i < count; i++) {
        if (i > MOST - 4) return cli_usage("train", "more than %d overrides", MOST - 4);
        if (strchr(arguments[i], '='))
            overrides[n++] = arguments[i];
        else if (path)
            return cli_usage("train", "expected key.sub=value after the model file, found '%s'",
                             arguments[i]);
        else
            path = arguments[i];
    }
    if (!path) return cli_usage("train", "expected a model file; glia init writes one to begin with");
    if (options->resume == GLIA_YES && options->force == GLIA_YES)
        return cli_usage("train", "--resume continues a run, --force replaces it: give one of them");
    if (options->seed >= 0) {
        snprintf(seed, sizeof seed, "train.seed=%lld", (long long)options->seed);
        overrides[n++] = seed;
    }
    if (options->threads >= 0) {
        snprintf(threads, sizeof threads, "train.threads=%lld", (long long)options->threads);
        overrides[n++] = threads;
    }
    glia_error err = {0};
    if (is_folder(path)) { /* a run: its own resolved file */
        if (glia__run_check(path, &err) != GLIA_OK) return cli_fail(&err);
        if (!dir) dir = path;
        snprintf(file, sizeof file, "%s/config.yaml", path);
        path = file;
    }
    glia_recipe *recipe;
    if (glia_recipe_load(&recipe, path, overrides, n, NULL, &err) != GLIA_OK) return cli_fail(&err);
    int status = train(options, recipe, dir);
    glia_recipe_free(recipe);
    return status;
}

const cli_command cli_train = {
    .name = "train",
    .arguments = "MODEL.yaml|RUN [key.sub=value ...]",
    .summary = "Train the network of a model file and write a run directory",
    .details =
        "Writes the run to runs/NAME-SEED: config.yaml, last.safetensors, best.safetensors, metrics.jsonl,\n"
        "log.txt and report.html. A run that is there is never replaced unasked. Words with '=' replace "
        "values\n"
        "of the model file (glia help model-file lists the keys). Ctrl-C saves and stops, with exit status "
        "1.\n--resume goes on as if nothing had happened. It takes other epochs, validate_every, patience, "
        "min_delta,\nthreads, metrics and settings of the optimizer (learning_rate, …), and logs what "
        "changed; "
        "it refuses other\ndata, another model, loss, optimizer, batch_size, shuffle, seed or monitor.",
    .examples = "glia train examples/mnist_cnn.yaml\n"
                "glia train examples/mnist_cnn.yaml train.epochs=3 model.conv2d.filters=16 --out runs/small\n"
                "glia train runs/mnist_cnn-7 --resume",
    .flags =
        (const glia_field[]){
            CLI_FLAG(out, STRING, "", "the run directory; default runs/NAME-SEED", .count = 0),
            CLI_FLAG(resume, BOOL, "no", "continue a run that was stopped or killed", .count = 0),
            CLI_FLAG(force, BOOL, "no", "replace a run that is there", .count = 0),
            CLI_SEED,
            CLI_THREADS,
            CLI_JSON,
            CLI_QUIET,
            {.name = NULL}},
    .min_arguments = 1,
    .max_arguments = -1,
    .run = run_train,
};
