/* write.h: an inference graph as an ONNX model: first as lists of nodes and arrays, then as bytes. */
#ifndef GLIA_ONNX_WRITE_H
#define GLIA_ONNX_WRITE_H

#include "graph/to_onnx.h"
#include "io/export.h"

enum { GLIA_ONNX_OPSET_LEAST = 13, GLIA_ONNX_OPSET_MOST = 23, GLIA_ONNX_OPSET_DEFAULT = 17 };

/* A model as lists. */
typedef struct glia_onnx_out {
    glia_to_onnx lists;
    const char *inputs[GLIA_MAX_INPUTS], *outputs[GLIA_MAX_OUTPUTS]; /* names */
    const glia_inference *inference;
    const char *name;
    const glia_key_value *metadata;
    size_t n_metadata;
} glia_onnx_out;

/* Turns every node to what its op says it is in ONNX; everything lives in `arena`, weights are borrowed. The error names
 * the node that cannot be written. */
GLIA_MUST_CHECK glia_status glia__onnx_lists(glia_onnx_out *out, const glia_inference *inference, int opset,
                                             glia_arena *arena, glia_error *err);

/* The bytes of the file, in the order of the file: `text` with the data of arrays between. */
typedef struct glia_onnx_piece {
    const void *data; /* NULL: the next `bytes` of the text */
    size_t bytes;
} glia_onnx_piece;

typedef struct glia_onnx_bytes {
    glia_text text;
    glia_onnx_piece *pieces; /* in the arena */
    size_t n_pieces, capacity;
    uint64_t total;    /* bytes of the file */
    uint64_t external; /* bytes of the file of external data; 0: there is none */
} glia_onnx_bytes;

/* Arrays of at least `threshold` bytes (0: none) become external data in a file called `location`, at multiples of 4 KiB, in
 * the order of the arrays. Free `bytes->text`. */
GLIA_MUST_CHECK glia_status glia__onnx_encode(glia_onnx_bytes *bytes, const glia_onnx_out *out,
                                              uint64_t threshold, const char *location, glia_arena *arena,
                                              glia_error *err);
/* Reads the file at `path` and compares its predictions for made-up examples with the model's. */
GLIA_MUST_CHECK glia_status glia__onnx_check(const glia_inference *model, const char *path,
                                             glia_export_result *result, glia_error *err);
/* Where an external array that comes after `offset` bytes begins. */
static inline uint64_t glia__onnx_aligned(uint64_t offset) {
    return (offset + 4095) / 4096 * 4096;
}
/* Whether it goes to the file of external data. */
bool glia__onnx_is_external(const glia_to_onnx_array *array, uint64_t threshold);

#endif
