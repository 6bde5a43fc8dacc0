/* row_parts.h: gradients by a table of which a batch reads some rows, as embeddings do. */
#ifndef GLIA_OPS_ROW_PARTS_H
#define GLIA_OPS_ROW_PARTS_H

#include "graph/graph.h"

/* The nodes whose sum `gradient` is, when each adds the rows of its input 2 to those rows of a table that its input 1 names:
 * where nothing is added it is 0. Returns their number; 0 when it is made otherwise, or of more than `most`. */
int glia__row_parts(const glia_value *gradient, const glia_node **parts, int most);

#endif
