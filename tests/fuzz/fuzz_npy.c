/* Any bytes as an NPY file. */
#include "file.h"
#include "glia/io.h"
#include "glia/tensor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_file file = fuzz_file_make(data, size);
    glia_error err = {0};
    glia_tensor tensor;
    if (glia_npy_read(&tensor, file.path, NULL, &err) == GLIA_OK)
        fuzz_touch(tensor.data, glia_tensor_bytes(&tensor));
    else if (!*err.message)
        abort(); /* a failure without a reason */
    glia_tensor_free(&tensor);
    close(file.fd);
    return 0;
}
