/* generate.h: a language model goes on with a text, token by token. */
#ifndef GLIA_GENERATE_H
#define GLIA_GENERATE_H

#include "glia/log.h"
#include "glia/recipe.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How the next token is drawn; zero means default. */
typedef struct glia_generate_options {
    int reserved_;
    int64_t tokens; /* how many; default 256 */
    double
        temperature; /* logits are divided by it: below 1 likelier tokens become likelier still; default 1 */
    int64_t top_k;   /* only so many of the most probable are drawn from; 1: always the first; default all */
    int64_t first_token; /* those below are never drawn: <pad>, <unk> */
    uint64_t seed;
    int threads;
    glia_precision precision;          /* of matrix products; bf16 reads half the bytes */
    const volatile sig_atomic_t *stop; /* becomes non-zero (a signal handler): ends with GLIA_INTERRUPTED */
    bool (*on_token)(void *ctx, int64_t token); /* gets each as it is drawn; false ends the text */
    void *ctx;
    const glia_logger *logger; /* told when every token costs a run of the whole window, and why */
    glia_error *error;
} glia_generate_options;

/* Goes on after `prompt`, `count` ≥ 1 tokens. The model gives logits (or probabilities) of the token after each place: [N, T]
 * → [N, T, vocabulary], a place from those up to it only; it sees the last T tokens. Same seed, same tokens.
 *
 * A token costs one step: the keys and values of attention and the states of recurrent layers are kept (2·layers·T·width
 * floats: 75 MB for GPT-2 124M), unless the model has layers that look at the tokens in other ways. Stateful layers begin
 * with 0. After T tokens in all the window moves on, and each further token costs a run of the whole window, as its tokens
 * then stand elsewhere; but models that are recurrent alone go on from their states, which hold all that was before. */
GLIA_API GLIA_MUST_CHECK glia_status glia_generate_with(glia_model *model, const int64_t *prompt,
                                                        int64_t count, glia_generate_options options);
#define glia_generate(model, prompt, count, ...) \
    glia_generate_with((model), (prompt), (count), (glia_generate_options){.reserved_ = 0, __VA_ARGS__})

/* The same as text, with the vocabulary of the run: `write` gets `prompt`, then each piece as it comes; false ends the text.
 * `on_token` is not called, and `first_token` is the run's. An empty prompt stands for the start of a line. */
GLIA_API GLIA_MUST_CHECK glia_status glia_run_generate(const glia_run *run, const char *prompt,
                                                       bool (*write)(void *ctx, const char *piece), void *ctx,
                                                       glia_generate_options options);

#ifdef __cplusplus
}
#endif
#endif
