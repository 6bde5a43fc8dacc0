/* check.c: an ONNX file that was written is read, and predicts what the model predicts. */

#include "io/check.h"
#include "glia/onnx.h"
#include "onnx/write.h"

/* The file's graph, with inputs of the model's types. */
static glia_status read_back(const glia_inference *model, const char *path, glia_graph *graph,
                             glia_value **inputs, glia_value **outputs, glia_error *err) {
    glia_onnx *file;
    GLIA_TRY(glia_onnx_open(&file, path, graph->allocator, err));
    for (int i = 0; i < model->n_inputs; i++) {
        const glia_type *type = &model->inputs[i]->type;
        const char *name = glia_onnx_input(file, (size_t)i);
        inputs[i] = glia_graph_input(graph, name ? name : "", type->dtype, type->shape);
    }
    glia_status status = glia_graph_status(graph, err);
    if (status == GLIA_OK)
        status = glia_onnx_build(file, graph,
                                 (glia_onnx_options){.inputs = inputs, .n_inputs = (size_t)model->n_inputs},
                                 outputs, GLIA_MAX_OUTPUTS, err);
    glia_onnx_close(file);
    return status;
}

glia_status glia__onnx_check(const glia_inference *model, const char *path, glia_export_result *result,
                             glia_error *err) {
    glia_value *inputs[GLIA_MAX_INPUTS] = {NULL}, *outputs[GLIA_MAX_OUTPUTS] = {NULL};
    glia_graph *graph = glia_graph_new(model->graph->allocator);
    if (!graph) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    glia_status status = read_back(model, path, graph, inputs, outputs, err);
    if (status == GLIA_OK) status = glia__check_graph(model, graph, inputs, outputs, path, result, err);
    glia_graph_free(graph);
    return status;
}
