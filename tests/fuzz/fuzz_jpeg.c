/* Any bytes as a JPEG picture: as grey, as colours, and as it is. */
#include "file.h"
#include "glia/io.h"
#include "glia/tensor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    for (int channels = 0; channels <= 3; channels++) {
        glia_error err = {0};
        glia_tensor picture;
        if (channels == 2) continue;
        if (glia_picture_decode(&picture, data, size, "picture", channels, NULL, &err) == GLIA_OK)
            fuzz_touch(picture.data, glia_tensor_bytes(&picture));
        else if (!*err.message)
            abort(); /* a failure without a reason */
        glia_tensor_free(&picture);
    }
    return 0;
}
