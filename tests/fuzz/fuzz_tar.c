/* Any bytes as a tar archive: as they are, and with every header's checksum put right, for else hardly any change of the
 * fuzzer's would pass the first check. Entries are read in turn whole, in part and not at all. */
#include "file.h"
#include "io/tar.h"

static void put_checksums_right(uint8_t *tar, size_t size) {
    for (size_t at = 0; at + 512 <= size; at += 512) {
        unsigned sum = 0;
        memset(tar + at + 148, ' ', 8);
        for (int i = 0; i < 512; i++) sum += tar[at + (size_t)i];
        if (sum == 8 * ' ')
            memset(tar + at + 148, 0, 8); /* zeros end an archive */
        else
            snprintf((char *)tar + at + 148, 8, "%06o", sum);
    }
}

static void read_archive(const uint8_t *data, size_t size) {
    fuzz_file file = fuzz_file_make(data, size);
    glia_error err = {0};
    glia_tar *tar;
    glia_tar_entry entry;
    glia_status status = glia__tar_open(&tar, file.path, NULL, &err);
    for (int turn = 0; status == GLIA_OK; turn++) {
        static unsigned char bytes[8192];
        status = glia__tar_next(tar, &entry, &err);
        if (status != GLIA_OK || !entry.name) break;
        fuzz_touch(entry.name, strlen(entry.name));
        if (entry.bytes > sizeof bytes || turn % 3 == 0) continue;
        size_t wanted = (size_t)entry.bytes / (size_t)(turn % 3);
        status = glia__tar_read(tar, bytes, wanted, &err);
        if (status == GLIA_OK) fuzz_touch(bytes, wanted);
    }
    if (status != GLIA_OK && !*err.message) abort(); /* a failure without a reason */
    glia__tar_close(tar);
    close(file.fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    read_archive(data, size);
    uint8_t *repaired = malloc(size + 1);
    if (!repaired) return 0;
    memcpy(repaired, data, size);
    put_checksums_right(repaired, size);
    read_archive(repaired, size);
    free(repaired);
    return 0;
}
