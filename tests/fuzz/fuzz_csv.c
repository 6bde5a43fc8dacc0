/* Any bytes as a table: as cells, and as a data set of each kind. */
#include "data/csv.h"
#include "file.h"
#include "glia/data.h"

static void read_cells(const char *path) {
    glia_csv csv;
    glia_error err = {0};
    if (glia__csv_read(&csv, path, 0, NULL, &err) != GLIA_OK) {
        if (!*err.message) abort(); /* a failure without a reason */
        return;
    }
    for (int64_t i = 0; i < csv.rows * csv.columns; i++) fuzz_touch(csv.cells[i], strlen(csv.cells[i]));
    glia__csv_free(&csv);
}

static void read_examples(const char *path, glia_dataset_options options) {
    char source[64];
    glia_dataset *dataset;
    glia_error err = {0};
    snprintf(source, sizeof source, "csv:%s", path);
    if (glia_dataset_open_with(&dataset, source, options, &err) != GLIA_OK) {
        if (!*err.message) abort();
        return;
    }
    const glia_dataset_info *info = glia_dataset_get_info(dataset);
    float *inputs = calloc((size_t)glia_shape_elems(&info->input_shape), sizeof *inputs);
    float *targets = calloc((size_t)glia_shape_elems(&info->target_shape) + 1, sizeof(int64_t));
    int64_t last = info->count - 1;
    if (inputs && targets && glia_dataset_gather(dataset, &last, 1, inputs, targets, &err) != GLIA_OK)
        abort(); /* what was read cannot be gathered */
    free(inputs);
    free(targets);
    glia_dataset_free(dataset);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_file file = fuzz_file_make(data, size);
    read_cells(file.path);
    read_examples(file.path, (glia_dataset_options){.missing = "mean", .normalize = GLIA_YES});
    read_examples(file.path, (glia_dataset_options){.label = "none"});
    read_examples(file.path, (glia_dataset_options){.label = "1", .target = "values", .limit = 3});
    close(file.fd);
    return 0;
}
