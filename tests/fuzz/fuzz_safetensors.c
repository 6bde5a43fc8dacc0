/* Any bytes as a safetensors file: every tensor that it lists is found by name and read. */
#include "file.h"
#include "glia/io.h"
#include "glia/tensor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_file file = fuzz_file_make(data, size);
    glia_error err = {0};
    glia_safetensors *weights;
    if (glia_safetensors_open(&weights, file.path, NULL, &err) == GLIA_OK) {
        for (size_t i = 0; i < glia_safetensors_count(weights); i++) {
            glia_tensor tensor;
            if (glia_safetensors_get(weights, glia_safetensors_name(weights, i), &tensor, &err) != GLIA_OK)
                abort(); /* listed, but not there */
            fuzz_touch(tensor.data, glia_tensor_bytes(&tensor));
        }
        const char *format = glia_safetensors_metadata(weights, "format");
        if (format) fuzz_touch(format, 1);
    } else if (!*err.message) {
        abort(); /* a failure without a reason */
    }
    glia_safetensors_close(weights);
    close(file.fd);
    return 0;
}
