/* version.h: which Glia this is, and what the build found. */
#ifndef GLIA_VERSION_H
#define GLIA_VERSION_H

#include "glia/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define GLIA_VERSION_MAJOR 0
#define GLIA_VERSION_MINOR 1
#define GLIA_VERSION_PATCH 0

GLIA_API const char *glia_version(void); /* "0.1.0" of the linked library */

typedef struct glia_build_info {
    const char *compiler, *build_type;
    const char *isa; /* instruction set that Glia's own loops use: "amx", "avx512", "avx2", "baseline" */
    const char
        *isa_widest; /* what they would use if the environment variable GLIA_ISA did not force a lower one */
    const char *onednn;  /* version of the linked oneDNN, "" without */
    const char *threads; /* "openmp" or "pthreads" */
    int cores;
    const char *png, *jpeg, *zlib, *yaml, *json, *hdf5, *curl; /* version, "" without */
} glia_build_info;
GLIA_API glia_build_info glia_get_build_info(void);

#ifdef __cplusplus
}
#endif
#endif
