/* text.h (internal): texts and the tokens that a run's model takes. */
#ifndef GLIA_RECIPE_TEXT_H
#define GLIA_RECIPE_TEXT_H

#include "data/vocabulary.h"
#include "recipe/recipe.h"

/* What a run cuts texts in: GLIA_TOKENS_NONE, if its inputs are no texts. */
glia_token_kind glia__run_tokens(const glia_run *run);
/* Whether a trained model tells the token after each, so that it goes on with texts. */
bool glia__recipe_writes(const glia_recipe *recipe);
/* An input for each text: `what` itself, or the lines of the file of that name. Words that the run does not know become
 * <unk>. */
GLIA_MUST_CHECK glia_status glia__run_read_texts(const glia_run *run, const char *what, glia_tensor *out,
                                                 glia_error *err);

#endif
