/* check.h: whether what an exporter wrote predicts what the model predicts. */
#ifndef GLIA_IO_CHECK_H
#define GLIA_IO_CHECK_H

#include "io/export.h"

enum { GLIA_CHECK_EXAMPLES = 3 };

/* How far two numbers are apart, as a share of 1 + |wanted|. */
double glia__check_distance(double wanted, double found);
/* Says in `result` what was compared ("3 made-up examples") and how far it is from what Glia predicts; an error when that is more
 * than rounding explains. `path`: of the file, for the message. */
GLIA_MUST_CHECK glia_status glia__check_finish(glia_export_result *result, const char *what, double worst,
                                               const char *path, glia_error *err);
/* Runs the model and the graph that was read back from `path` on made-up examples. The graph's inputs are of the same types, and
 * its parameters have data. */
GLIA_MUST_CHECK glia_status glia__check_graph(const glia_inference *model, const glia_graph *graph,
                                              glia_value *const *inputs, glia_value *const *outputs,
                                              const char *path, glia_export_result *result, glia_error *err);

#endif
