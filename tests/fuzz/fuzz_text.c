/* Any bytes as a text, of characters and of words, and as a table of texts. */
#include "file.h"
#include "glia/data.h"

static void read_examples(const char *kind, const char *path, glia_dataset_options options) {
    char source[64];
    glia_dataset *dataset;
    glia_error err = {0};
    snprintf(source, sizeof source, "%s:%s", kind, path);
    if (glia_dataset_open_with(&dataset, source, options, &err) != GLIA_OK) {
        if (!*err.message) abort(); /* a failure without a reason */
        return;
    }
    const glia_dataset_info *info = glia_dataset_get_info(dataset);
    float inputs[8];
    int64_t targets[8], last = info->count - 1;
    if (glia_dataset_gather(dataset, &last, 1, inputs, targets, &err) != GLIA_OK)
        abort(); /* what was read cannot be gathered */
    for (int64_t i = 0; i < glia_shape_elems(&info->input_shape); i++)
        if (!(inputs[i] >= 0 && inputs[i] < (float)info->n_vocabulary)) abort();
    glia_dataset_free(dataset);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_file file = fuzz_file_make(data, size);
    read_examples("text", file.path, (glia_dataset_options){.text = {.length = 8, .stride = 3}});
    read_examples("text", file.path, (glia_dataset_options){.text = {.length = 3, .tokens = "words"}});
    read_examples("text_table", file.path, (glia_dataset_options){.text = {.length = 8, .min_count = 1}});
    read_examples("text_table", file.path, (glia_dataset_options){.text = {.length = 2}, .label = "1"});
    close(file.fd);
    return 0;
}
