/* print.c: tells what a program is: segments, calls, kernels, work and memory. */

#include "exec/program.h"

static void print_call(const glia_program *program, const glia_segment *s, int64_t c, FILE *out) {
    const glia_planned_call *call = &program->calls[c];
    const glia_node *node = call->node;
    char text[128];
    fprintf(out, "%3lld %-32s %-24s", (long long)c, node->name,
            call->kernels[0] ? call->kernels[0]->name : "ref");
    if (c < program->n_prologue) fputs(" once", out);
    if (s->chunks > 1) {
        fprintf(out, " %s %lld×%lld", call->cut.flat ? "flat" : "rows", (long long)s->chunks,
                (long long)s->chunk);
        if (call->cut.sums) fprintf(out, " %d lanes", s->lanes);
    }
    for (int i = 0; i < node->n_inputs + node->n_outputs; i++) {
        if (i == node->n_inputs) fputs(" →", out);
        if (call->buffers[i] < 0) continue;
        fprintf(out, " %s", glia_shape_text(&call->views[i].shape, text, sizeof text));
    }
    fprintf(out, "  %.3g MFLOP  %.3g MB", call->flops / 1e6, call->bytes / 1e6);
    if (program->trace && program->runs)
        fprintf(out, "  %.1f µs", 1e6 * call->seconds / (double)program->runs);
    fputc('\n', out);
}

void glia_program_print(const glia_program *program, FILE *out) {
    for (int64_t i = 0; i < program->n_segments; i++)
        for (int64_t c = program->segments[i].first; c < program->segments[i].end; c++)
            print_call(program, &program->segments[i], c, out);
    glia_program_info info = glia_program_get_info(program);
    fprintf(out, "%lld calls, %.3g MFLOP, block %.3g MB (%.3g MB without reuse)\n", (long long)info.calls,
            info.flops / 1e6, (double)info.block_bytes / 1e6, (double)info.unplanned_bytes / 1e6);
}
