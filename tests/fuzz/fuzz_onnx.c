/* Any bytes as an ONNX model: what is accepted has names for all its inputs and outputs, and is built or refused with a
 * reason. */
#include "file.h"
#include "glia/graph.h"
#include "glia/onnx.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_file file = fuzz_file_make(data, size);
    glia_error err = {0};
    glia_onnx *model;
    if (glia_onnx_open(&model, file.path, NULL, &err) == GLIA_OK) {
        enum { MOST = 64 };
        glia_value *outputs[MOST];
        glia_graph *graph = glia_graph_new(NULL);
        for (size_t i = 0; glia_onnx_input(model, i); i++) fuzz_touch(glia_onnx_input(model, i), 1);
        if (glia_onnx_build(model, graph, (glia_onnx_options){0}, outputs, MOST, &err) != GLIA_OK &&
            !*err.message)
            abort(); /* a failure without a reason */
        glia_graph_free(graph);
    } else if (!*err.message) {
        abort();
    }
    glia_onnx_close(model);
    close(file.fd);
    return 0;
}
