#!/bin/sh
# gen_ops_header.sh OUT SOURCE...: collects the public part of every op family (between "#ifdef GLIA_OPS_HEADER"
# and "#endif /* GLIA_OPS_HEADER */") to the header glia/ops.h.
set -eu
out=$1
shift
{
    cat <<'EOF'
/* ops.h: one function an op. Generated from the op blocks in src/ops; do not edit.
 *
 * Every function adds a node to the graph of its inputs and returns its output, or NULL (the graph then keeps the
 * first error). NULL inputs are accepted. Attribute structs: zero means default. */
#ifndef GLIA_OPS_H
#define GLIA_OPS_H

#include "glia/graph.h"

#ifdef __cplusplus
extern "C" {
#endif
EOF
    for f in "$@"; do
        awk -v name="$(basename "$f" .c)" '
            /^#endif +\/\* GLIA_OPS_HEADER \*\// { on = 0 }
            on { print }
            /^#ifdef GLIA_OPS_HEADER/ { on = 1; printf "\n/* --- %s --- */\n\n", name }' "$f"
    done
    cat <<'EOF'

#ifdef __cplusplus
}
#endif
#endif
EOF
} > "$out.tmp"
mv "$out.tmp" "$out"
