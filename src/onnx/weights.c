/* weights.c: the initialisers of an ONNX file as named arrays. */
#include "io/weights.h"

#include "io/stream.h"
#include "onnx/proto.h"

static void close_file(void *file) {
    glia_onnx_close(file);
}

static glia_status add_initializer(glia_weights *w, glia_onnx *file, glia_onnx_tensor *t, glia_error *err) {
    GLIA_TRY(glia__onnx_tensor_check(file, t, err));
    if (t->dtype == GLIA_DTYPE_COUNT)
        return glia__file_error(err, GLIA_UNSUPPORTED, w->path,
                                "'%.200s' has the type %s, which is not supported", t->name,
                                glia__onnx_dtype_name(t->data_type));
    return glia__weights_add(w, t->name, glia_tensor_wrap((void *)(uintptr_t)t->data, t->dtype, t->shape),
                             err);
}

static glia_status read_onnx(glia_weights *w, const char *path, glia_error *err) {
    glia_onnx *file;
    GLIA_TRY(glia_onnx_open(&file, path, w->arena.allocator, err));
    GLIA_TRY(glia__weights_keep(w, file, close_file, err)); /* the arrays stay in it */
    const glia_onnx_model *model = &file->model;
    for (size_t i = 0; i < model->graph->n_initializers; i++)
        GLIA_TRY(add_initializer(w, file, &model->graph->initializers[i], err));
    for (size_t i = 0; i < model->n_metadata; i++)
        if (model->metadata[i].key && model->metadata[i].text)
            GLIA_TRY(glia__weights_add_metadata(w, model->metadata[i].key, model->metadata[i].text, err));
    return GLIA_OK;
}

GLIA_WEIGHTS(onnx) = {
    .name = "onnx",
    .doc = "the weights of an ONNX model by their names there; models are written by glia export",
    .endings = {".onnx"},
    .read = read_onnx,
};
