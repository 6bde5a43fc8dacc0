/* matmul.h: the loops that matmul and linear share. */
#ifndef GLIA_OPS_MATMUL_H
#define GLIA_OPS_MATMUL_H

#include "glia/ops.h"
#include "graph/op.h"

/* c [m, n] = a·b with k terms each; ta, tb: a is [k, m], b is [n, k]. */
void glia__matmul_float(const float *a, const float *b, float *c, int64_t m, int64_t n, int64_t k, bool ta,
                        bool tb);
void glia__matmul_double(const double *a, const double *b, double *c, int64_t m, int64_t n, int64_t k,
                         bool ta, bool tb);

#endif
