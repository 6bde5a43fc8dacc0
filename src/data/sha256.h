/* sha256.h: the checksum of downloads. */
#ifndef GLIA_DATA_SHA256_H
#define GLIA_DATA_SHA256_H

#include <stddef.h>

/* Writes the SHA-256 of `bytes` bytes as 64 hex digits and a zero (FIPS 180-4). */
void glia__sha256_text(const void *data, size_t bytes, char out[65]);

#endif
