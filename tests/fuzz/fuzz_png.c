/* Any bytes as a PNG picture, read as grey and as colours: as they are, and with every chunk's checksum put right,
 * for else hardly any change of the fuzzer's would pass the first check. */
#include "file.h"
#include "glia/io.h"
#include "glia/tensor.h"

static uint32_t checksum(const uint8_t *data, size_t size) { /* CRC-32 of PNG, annex D */
    uint32_t crc = 0xFFFFFFFF;
    for (size_t i = 0; i < size; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320 : 0);
    }
    return ~crc;
}

/* A chunk: u32 size of its data, four letters, the data, u32 checksum of letters and data; all big-endian. */
static void put_checksums_right(uint8_t *png, size_t size) {
    for (size_t at = 8; at + 12 <= size;) {
        uint32_t bytes =
            (uint32_t)png[at] << 24 | (uint32_t)png[at + 1] << 16 | (uint32_t)png[at + 2] << 8 | png[at + 3];
        if (bytes > size - at - 12) return;
        uint32_t crc = checksum(png + at + 4, (size_t)bytes + 4);
        for (int i = 0; i < 4; i++) png[at + 8 + bytes + (size_t)i] = (uint8_t)(crc >> (24 - 8 * i));
        at += (size_t)bytes + 12;
    }
}

static void read_picture(const uint8_t *data, size_t size) {
    fuzz_file file = fuzz_file_make(data, size);
    for (int channels = 1; channels <= 3; channels += 2) {
        glia_error err = {0};
        glia_tensor picture;
        if (glia_png_read(&picture, file.path, channels, NULL, &err) == GLIA_OK)
            fuzz_touch(picture.data, glia_tensor_bytes(&picture));
        else if (!*err.message)
            abort(); /* a failure without a reason */
        glia_tensor_free(&picture);
    }
    close(file.fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    read_picture(data, size);
    uint8_t *repaired = malloc(size + 1);
    if (!repaired) return 0;
    memcpy(repaired, data, size);
    put_checksums_right(repaired, size);
    read_picture(repaired, size);
    free(repaired);
    return 0;
}
