/* doctor.c: `glia doctor`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

/* What the environment variable GLIA_ISA does, "" when it is not set. */
static const char *forced_isa(const glia_build_info *b, char *out, size_t capacity) {
    const char *wish = getenv("GLIA_ISA");
    out[0] = 0;
    if (!wish) return out;
    bool known = strcmp(wish, "baseline") == 0 || strcmp(wish, "avx2") == 0 || strcmp(wish, "avx512") == 0 ||
                 strcmp(wish, "amx") == 0;
    snprintf(out, capacity,
             known ? "%s; this machine has %s" : "'%s' is none of baseline, avx2, avx512, amx: ignored", wish,
             b->isa_widest);
    return out;
}

static int run_doctor(const cli_options *options, char **arguments, int count) {
    (void)arguments, (void)count;
    glia_build_info b = glia_get_build_info();
    const char *data = getenv("GLIA_DATA");
    char isa[96];
    const struct {
        const char *key, *value, *without;
    } rows[] = {
        {"version", glia_version(), ""},
        {"compiler", b.compiler, ""},
        {"build", b.build_type, ""},
        {"isa", b.isa, ""},
        {"GLIA_ISA", forced_isa(&b, isa, sizeof isa), "the instruction set is not forced"},
        {"threads", b.threads, ""},
        {"onednn", b.onednn, "without it convolutions and matmuls run on slower loops of our own"},
        {"libyaml", b.yaml, "without it model files cannot be read"},
        {"jansson", b.json, "without it weights (safetensors) cannot be read or written"},
        {"libpng", b.png, "without it PNG pictures cannot be read"},
        {"libjpeg", b.jpeg, "without it JPEG pictures cannot be read"},
        {"zlib", b.zlib, "without it .gz files cannot be read"},
        {"hdf5", b.hdf5, "without it Keras's .h5 and .keras files cannot be read"},
        {"libcurl", b.curl, "without it data sets cannot be downloaded"},
        {"data", data && data[0] ? data : "", "GLIA_DATA is not set: the user's cache is used"},
    };
    glia_text out;
    glia__text_init(&out, NULL);
    bool json = options->json == GLIA_YES;
    if (json) glia__text_add(&out, "{");
    for (size_t i = 0; i < GLIA_COUNT(rows); i++) {
        bool there = rows[i].value && rows[i].value[0];
        if (json) {
            glia__text_printf(&out, "\"%s\":", rows[i].key);
            if (there)
                glia__text_add_json(&out, rows[i].value);
            else
                glia__text_add(&out, "null");
            glia__text_add(&out, ",");
        } else if (there) {
            glia__text_printf(&out, "%-9s %s\n", rows[i].key, rows[i].value);
        } else {
            glia__text_printf(&out, "%-9s none: %s\n", rows[i].key, rows[i].without);
        }
    }
    glia__text_printf(&out, json ? "\"cores\":%d}\n" : "cores     %d\n", b.cores);
    return cli_print(&out);
}

const cli_command cli_doctor = {
    .name = "doctor",
    .arguments = "",
    .summary = "Say what this build found: instruction set, oneDNN, threads, libraries",
    .examples = "glia doctor",
    .flags = (const glia_field[]){CLI_JSON, {.name = NULL}},
    .run = run_doctor,
};
