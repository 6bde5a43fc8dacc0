/* emit.h: the .emit_c of ops whose C is longer than a line, by family: see graph/emit.h. */
#ifndef GLIA_OPS_EMIT_H
#define GLIA_OPS_EMIT_H

#include "graph/emit.h"

#define GLIA_EMIT(op) glia_status glia__emit_##op(glia_c *c, const glia_c_call *call)

GLIA_EMIT(conv2d);
GLIA_EMIT(conv_pool);
GLIA_EMIT(max_pool2d);
GLIA_EMIT(average_pool2d);
GLIA_EMIT(global_average_pool2d);
GLIA_EMIT(batch_norm);
GLIA_EMIT(linear);
GLIA_EMIT(matmul);
GLIA_EMIT(transpose);
GLIA_EMIT(concat);
GLIA_EMIT(slice);
GLIA_EMIT(pad);
GLIA_EMIT(expand);
GLIA_EMIT(tile);
GLIA_EMIT(trilu);
GLIA_EMIT(gather);
GLIA_EMIT(one_hot);
GLIA_EMIT(sum);
GLIA_EMIT(mean);
GLIA_EMIT(max);
GLIA_EMIT(min);
GLIA_EMIT(prod);
GLIA_EMIT(argmax);
GLIA_EMIT(argmin);
GLIA_EMIT(softmax);
GLIA_EMIT(log_softmax);
GLIA_EMIT(l1_norm);
GLIA_EMIT(l2_norm);
GLIA_EMIT(sum_square);
GLIA_EMIT(log_sum);
GLIA_EMIT(log_sum_exp);
GLIA_EMIT(cumsum);
GLIA_EMIT(hardmax);
GLIA_EMIT(top_k);
GLIA_EMIT(resize);
GLIA_EMIT(layer_norm);
GLIA_EMIT(rms_norm);
GLIA_EMIT(rnn);
GLIA_EMIT(lstm);
GLIA_EMIT(gru);
GLIA_EMIT(conv_transpose2d);
GLIA_EMIT(conv3d);
GLIA_EMIT(conv_transpose3d);
GLIA_EMIT(max_pool3d);
GLIA_EMIT(average_pool3d);
GLIA_EMIT(gather_elements);
GLIA_EMIT(gather_nd);
GLIA_EMIT(scatter_elements);
GLIA_EMIT(scatter_nd);
GLIA_EMIT(reverse_sequence);
GLIA_EMIT(attention);
GLIA_EMIT(rotary_embedding);

/* Reads an index, "index", which must be below `bound`; negative ones count from the end if they may. */
void glia__emit_index(glia_c *c, const glia_c_array *indices, const char *at, int64_t bound, bool from_end);
/* Several products in one statement: "s[k] = s[k] + v0 * t[k] + v1 * t[32 + k];" for `count` values v0, v1, …, whose rows
 * of `t` are `row` apart, and the elements in a row `step`. */
void glia__emit_products(glia_c *c, int64_t count, int64_t row, int64_t step);
/* Stores what is made of a sum: with the residual added, and the activation applied (ops/riders.h). */
void glia__emit_finished(glia_c *c, const glia_c_call *call, const char *index, const char *sum,
                         int activation);

/* A block of outputs that are summed together: how many, at most 32; and with those added so that vectors are full. */
typedef struct glia_emit_block {
    int64_t first, count, padded;
    int64_t blocks; /* so many of this kind, one after the other */
} glia_emit_block;
/* The kinds of blocks that make `total` outputs, 1 or 2; `pads`: more may be computed than are stored. */
int glia__emit_blocks(int64_t total, bool pads, glia_emit_block out[2]);

#endif
