/* export_safetensors.c: the weights alone, under the names of the model's parameters. */
#include <sys/stat.h>

#include "io/export.h"

static glia_status write_safetensors(const glia_export *model, const void *options, const char *path,
                                     glia_export_result *result, glia_error *err) {
    (void)options;
    const size_t bytes = (model->n_params + 1) * sizeof(glia_named_tensor);
    glia_named_tensor *tensors = glia__alloc(model->allocator, bytes);
    if (!tensors) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    for (size_t i = 0; i < model->n_params; i++) {
        const glia_value *value = model->params[i].value;
        tensors[i] =
            (glia_named_tensor){value->name, glia_tensor_wrap((void *)(uintptr_t)model->params[i].data,
                                                              value->type.dtype, value->type.shape)};
    }
    glia_status status =
        glia_safetensors_write(path, tensors, model->n_params, model->facts, model->n_facts, err);
    struct stat st;
    if (status == GLIA_OK) glia__export_wrote(result, path, stat(path, &st) == 0 ? (int64_t)st.st_size : 0);
    glia__export_figure(result, "arrays", (double)model->n_params, "");
    glia__free(model->allocator, tensors, bytes);
    return status;
}

GLIA_EXPORTER(safetensors) = {
    .name = "safetensors",
    .extension = ".safetensors",
    .doc = "the weights alone, for Python and others",
    .write = write_safetensors,
};
