/* version.c: which Glia this is, and what the build found. */
#include "glia/version.h"

#include "core/isa.h"
#include "core/threads.h"

#ifdef GLIA_HAVE_ONEDNN
#include <oneapi/dnnl/dnnl.h>
#endif
#ifdef GLIA_HAVE_PNG
#include <png.h>
#endif
#ifdef GLIA_HAVE_JPEG
#include <stdio.h>

#include <jpeglib.h>
#endif
#ifdef GLIA_HAVE_ZLIB
#include <zlib.h>
#endif
#ifdef GLIA_HAVE_YAML
#include <yaml.h>
#endif
#ifdef GLIA_HAVE_JSON
#include <jansson.h>
#endif
#ifdef GLIA_HAVE_HDF5
#include <H5public.h>
#endif
#ifdef GLIA_HAVE_CURL
#include <curl/curl.h>
#endif

#define TEXT_(x) #x
#define TEXT(x)  TEXT_(x)

#ifndef GLIA_BUILD_TYPE
#define GLIA_BUILD_TYPE ""
#endif

const char *glia_version(void) {
    return TEXT(GLIA_VERSION_MAJOR) "." TEXT(GLIA_VERSION_MINOR) "." TEXT(GLIA_VERSION_PATCH);
}

static const char *compiler(void) {
#if defined(__clang__)
    return "clang " TEXT(__clang_major__) "." TEXT(__clang_minor__) "." TEXT(__clang_patchlevel__);
#elif defined(__GNUC__)
    return "gcc " TEXT(__GNUC__) "." TEXT(__GNUC_MINOR__) "." TEXT(__GNUC_PATCHLEVEL__);
#else
    return "unknown";
#endif
}

glia_build_info glia_get_build_info(void) {
    glia_build_info info = {
        .compiler = compiler(),
        .build_type = GLIA_BUILD_TYPE,
        .isa = glia__isa_name(glia__isa()),
        .isa_widest = glia__isa_name(glia__isa_widest()),
        .threads = "pthreads",
        .cores = glia__thread_cores(),
        .onednn = "",
        .png = "",
        .jpeg = "",
        .zlib = "",
        .yaml = "",
        .json = "",
        .hdf5 = "",
        .curl = "",
    };
#ifdef GLIA_HAVE_OPENMP
    info.threads = "openmp";
#endif
#ifdef GLIA_HAVE_ONEDNN
    info.onednn = TEXT(DNNL_VERSION_MAJOR) "." TEXT(DNNL_VERSION_MINOR) "." TEXT(DNNL_VERSION_PATCH);
#endif
#ifdef GLIA_HAVE_PNG
    info.png = png_get_libpng_ver(NULL);
#endif
#ifdef GLIA_HAVE_JPEG
#ifdef LIBJPEG_TURBO_VERSION
    info.jpeg = "turbo " TEXT(LIBJPEG_TURBO_VERSION);
#else
    info.jpeg = TEXT(JPEG_LIB_VERSION);
#endif
#endif
#ifdef GLIA_HAVE_ZLIB
    info.zlib = zlibVersion();
#endif
#ifdef GLIA_HAVE_YAML
    info.yaml = yaml_get_version_string();
#endif
#ifdef GLIA_HAVE_JSON
    info.json = JANSSON_VERSION;
#endif
#ifdef GLIA_HAVE_HDF5
    info.hdf5 = TEXT(H5_VERS_MAJOR) "." TEXT(H5_VERS_MINOR) "." TEXT(H5_VERS_RELEASE);
#endif
#ifdef GLIA_HAVE_CURL
    info.curl = curl_version_info(CURLVERSION_NOW)->version;
#endif
    return info;
}
