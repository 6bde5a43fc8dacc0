/* crc.h: CRC-32 as zip and gzip have it (polynomial 0xEDB88320). */
#ifndef GLIA_IO_CRC_H
#define GLIA_IO_CRC_H

#include <stddef.h>
#include <stdint.h>

/* Goes on from `crc`, 0 at the beginning. */
uint32_t glia__crc32(uint32_t crc, const void *data, size_t bytes);

#endif
