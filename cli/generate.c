/* generate.c: `glia generate`. */
#include <stdio.h>

#include "cli.h"
#include "core/clock.h"

/* The text so far: on its way to the terminal, or kept for JSON. */
typedef struct output {
    bool json;
    glia_text text;
    int64_t pieces;
} output;

static bool write_piece(void *ctx, const char *piece) {
    output *o = ctx;
    o->pieces++;
    if (o->json) {
        glia__text_add(&o->text, piece);
        return !o->text.failed;
    }
    return fputs(piece, stdout) >= 0 && fflush(stdout) == 0; /* who reads along may have gone */
}

static int64_t seed_of(const cli_options *options) {
    return GLIA_MAX(options->seed, 0); /* -1: not given */
}

static int print_json(const cli_options *options, output *o, double seconds) {
    glia_text out;
    glia__text_init(&out, NULL);
    glia__text_add(&out, "{\"prompt\":");
    glia__text_add_json(&out, options->prompt);
    glia__text_add(&out, ",\"text\":");
    glia__text_add_json(&out, o->text.data ? o->text.data : "");
    glia__text_printf(&out, ",\"seed\":%lld,\"seconds\":", (long long)seed_of(options));
    glia__text_add_number(&out, seconds);
    glia__text_add(&out, "}\n");
    out.failed |= o->text.failed;
    return cli_print(&out);
}

static int run_generate(const cli_options *options, char **arguments, int count) {
    (void)count;
    glia_error err = {0};
    glia_run run;
    output o = {.json = options->json == GLIA_YES};
    if (glia_run_open(&run, arguments[0], NULL, &err) != GLIA_OK) return cli_fail(&err);
    glia__text_init(&o.text, NULL);
    cli_catch_signals();
    const double start = glia__now_seconds();
    const bool greedy = options->temperature == 0;
    glia_status status = glia_run_generate(&run, options->prompt, write_piece, &o,
                                           (glia_generate_options){.tokens = options->tokens,
                                                                   .temperature = options->temperature,
                                                                   .top_k = greedy ? 1 : options->top_k,
                                                                   .seed = (uint64_t)seed_of(options),
                                                                   .threads = (int)options->threads,
                                                                   .stop = &cli_stop,
                                                                   .logger = cli_logger(false),
                                                                   .error = &err});
    const double seconds = glia__now_seconds() - start;
    int code = CLI_OK;
    if (!o.json && o.pieces) code = putchar('\n') == EOF || fflush(stdout) != 0 ? CLI_FAILED : CLI_OK;
    if (status == GLIA_INTERRUPTED)
        code = CLI_FAILED; /* what there is stands there */
    else if (status != GLIA_OK)
        code = cli_fail(&err);
    if (o.json && (status == GLIA_OK || status == GLIA_INTERRUPTED) &&
        print_json(options, &o, seconds) != CLI_OK)
        code = CLI_FAILED;
    glia__text_free(&o.text);
    glia_run_close(&run);
    return code;
}

const cli_command cli_generate = {
    .name = "generate",
    .arguments = "RUN",
    .summary = "Go on with a text, as a trained language model would",
    .details =
        "Writes the prompt and what the model draws after it, as it comes. The model sees as many tokens as "
        "its examples had.\nCtrl-C ends the text.",
    .examples =
        "glia generate runs/shakespeare-0 --prompt \"ROMEO:\" --tokens 500 --temperature 0.8 --top-k 40\n"
        "glia generate runs/shakespeare-0 --temperature 0 --json",
    .flags =
        (const glia_field[]){
            CLI_FLAG(prompt, STRING, "", "the text to go on with", .count = 0),
            CLI_FLAG(tokens, INT, "256", "how many characters or words to add", .min = 1, .max = 1e9),
            CLI_FLAG(temperature, FLOAT, "0.8",
                     "below 1 bolder on what is probable, above 1 on what is not; 0: "
                     "always the most probable",
                     .min = 0, .max = 1000),
            CLI_FLAG(top_k, INT, "0", "draw from so many of the most probable; 0: all", .min = 0, .max = 1e9),
            CLI_FLAG(seed, INT, "0", "same seed, same text", .min = 0, .max = 9e15),
            CLI_FLAG(threads, INT, "0", "workers; 0: every core", .min = 0, .max = 1024),
            CLI_JSON,
            {.name = NULL}},
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run_generate,
};
