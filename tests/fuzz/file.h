/* file.h: readers take paths; this makes a file of the fuzzer's bytes, in memory. */
#ifndef GLIA_FUZZ_FILE_H
#define GLIA_FUZZ_FILE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct fuzz_file {
    int fd;
    char path[32];
} fuzz_file;

static inline fuzz_file fuzz_file_make(const uint8_t *data, size_t size) {
    fuzz_file file = {.fd = memfd_create("fuzz", MFD_CLOEXEC)};
    snprintf(file.path, sizeof file.path, "/proc/self/fd/%d", file.fd);
    if (file.fd < 0 || write(file.fd, data, size) != (ssize_t)size) abort(); /* the machine is at fault */
    return file;
}

/* Every byte that a reader gave must be there: sanitizers see a read beyond. */
static inline void fuzz_touch(const void *data, size_t bytes) {
    static volatile unsigned char sum;
    for (size_t i = 0; i < bytes; i++) sum = (unsigned char)(sum + ((const unsigned char *)data)[i]);
}

#endif
