/* glia.h: everything.
 *
 *     glia_model *m = glia_model_new("digits");
 *     glia_value *x = glia_input(m, "image", .shape = {1, 28, 28});
 *     x = glia_conv2d(x, .filters = 32, .kernel = {3, 3}, .activation = "relu");
 *     x = glia_dense(glia_flatten(glia_max_pool2d(x, .size = {2, 2})), .units = 10);
 *     glia_model_set_output(m, x);
 *     ... glia_fit(m, train, .epochs = 10, .batch_size = 128, .error = &err) ...
 */
#ifndef GLIA_GLIA_H
#define GLIA_GLIA_H

#include "glia/alloc.h"
#include "glia/data.h"
#include "glia/generate.h"
#include "glia/graph.h"
#include "glia/io.h"
#include "glia/log.h"
#include "glia/model.h"
#include "glia/objective.h"
#include "glia/onnx.h"
#include "glia/ops.h"
#include "glia/program.h"
#include "glia/random.h"
#include "glia/recipe.h"
#include "glia/status.h"
#include "glia/tensor.h"
#include "glia/train.h"
#include "glia/version.h"
#include "glia/weights.h"

#endif
