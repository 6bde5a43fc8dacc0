/* Any bytes as a whole model file: read, checked, written out again, and built for small pictures. */
#include "file.h"
#include "glia/recipe.h"
#include "glia/tensor.h"

static void build(const glia_recipe *recipe) {
    glia_error err = {0};
    glia_model *model;
    if (glia_recipe_model(recipe, GLIA_SHAPE(1, 8, 8), 3, &model, NULL, &err) == GLIA_OK)
        glia_model_free(model);
    else if (!*err.message)
        abort(); /* a failure without a reason */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_file file = fuzz_file_make(data, size);
    glia_error err = {0};
    glia_recipe *recipe;
    if (glia_recipe_load(&recipe, file.path, NULL, 0, NULL, &err) == GLIA_OK) {
        const char *resolved = glia_recipe_resolved(recipe);
        glia_recipe *again;
        fuzz_file copy = fuzz_file_make((const uint8_t *)resolved, strlen(resolved));
        if (glia_recipe_load(&again, copy.path, NULL, 0, NULL, &err) != GLIA_OK) {
            fprintf(stderr, "%s\ndoes not read back: %s\n", resolved, err.message);
            abort();
        }
        close(copy.fd);
        glia_recipe_free(again);
        build(recipe);
        glia_recipe_free(recipe);
    } else if (!*err.message) {
        abort(); /* a failure without a reason */
    }
    close(file.fd);
    return 0;
}
