/* Any bytes as an NPZ file: a zip archive of arrays. */
#include "file.h"
#include "io/weights.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char path[64];
    fuzz_file file = fuzz_file_make(data, size);
    glia_error err = {0};
    glia_weights *weights;
    snprintf(path, sizeof path, "/tmp/glia_fuzz_%ld.npz", (long)getpid()); /* the ending says the format */
    unlink(path);
    if (symlink(file.path, path) != 0) abort();
    if (glia_weights_open(&weights, path, NULL, &err) == GLIA_OK) {
        for (size_t i = 0; i < glia_weights_count(weights); i++) {
            glia_tensor tensor = glia_weights_tensor(weights, i);
            fuzz_touch(tensor.data, glia_tensor_bytes(&tensor));
            fuzz_touch(glia_weights_name(weights, i), 1);
        }
    } else if (!*err.message) {
        abort(); /* a failure without a reason */
    }
    glia_weights_close(weights);
    unlink(path);
    close(file.fd);
    return 0;
}
