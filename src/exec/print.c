/* print.c: tells what a program is: segments, calls, kernels, work, memory and times. */

#include "exec/program.h"

static bool runs_whole_with_threads(const glia_segment *s, const glia_planned_call *call) {
    return s->chunks == 1 && call->kernels[0] && call->kernels[0]->own_threads;
}

/* The cost model knows one core; a plan is told with the workers that it has. */
static double predicted(const glia_program *program, const glia_segment *s, const glia_planned_call *call) {
    return call->predicted / (runs_whole_with_threads(s, call) ? program->options.threads : s->workers);
}

static const glia_segment *segment_of(const glia_program *program, int64_t call) {
    const glia_segment *s = program->segments;
    while (s->end <= call) s++;
    return s;
}

static const char *channels_of(const glia_node *node) {
    const glia_field *field = glia__field_find(node->op->attrs, "channels_last");
    if (!node->op->images || !field) return "";
    const void *value = (const char *)node->attrs + field->offset;
    return *(const glia_bool *)value == GLIA_YES ? "last" : "first";
}

glia_program_info glia_program_get_info(const glia_program *program) {
    glia_program_info info = {.block_bytes = program->block_bytes,
                              .unplanned_bytes = program->unplanned_bytes,
                              .plan_bytes = glia__arena_bytes(&program->arena) +
                                            (program->graph ? glia__arena_bytes(&program->graph->arena) : 0),
                              .calls = program->n_calls,
                              .segments = program->n_segments,
                              .threads = program->options.threads,
                              .measured = program->measured};
    for (int64_t c = 0; c < program->n_calls; c++) {
        const glia_planned_call *call = &program->calls[c];
        if (call->packed >= 0) info.packed_bytes += program->buffers[call->packed].bytes;
        if (c < program->n_prologue) continue; /* not in every run */
        info.flops += call->flops;
        info.bytes += call->bytes;
        info.predicted += predicted(program, segment_of(program, c), call);
    }
    return info;
}

glia_program_call glia_program_get_call(const glia_program *program, int64_t at) {
    const glia_planned_call *call = &program->calls[at];
    const glia_segment *s = segment_of(program, at);
    return (glia_program_call){.name = call->node->name,
                               .op = call->node->op->name,
                               .kernel = call->kernels[0] ? call->kernels[0]->name : "ref",
                               .channels = channels_of(call->node),
                               .inputs = call->node->n_inputs,
                               .outputs = call->node->n_outputs,
                               .flops = call->flops,
                               .bytes = call->bytes,
                               .packed_bytes = call->packed >= 0 ? program->buffers[call->packed].bytes : 0,
                               .predicted = predicted(program, s, call),
                               .measured = call->measured / s->workers};
}

bool glia_program_operand(const glia_program *program, int64_t at, int index, glia_dtype *dtype,
                          glia_shape *shape) {
    const glia_planned_call *call = &program->calls[at];
    if (call->buffers[index] < 0) return false;
    *dtype = call->views[index].dtype;
    *shape = call->views[index].shape;
    return true;
}

glia_program_segment glia_program_get_segment(const glia_program *program, int64_t at) {
    const glia_segment *s = &program->segments[at];
    glia_program_segment segment = {.first = s->first,
                                    .end = s->end,
                                    .rows = s->rows,
                                    .chunk = s->chunk,
                                    .chunks = s->chunks,
                                    .lanes = s->lanes,
                                    .workers = runs_whole_with_threads(s, &program->calls[s->first])
                                                   ? program->options.threads
                                                   : s->workers,
                                    .worker_bytes = s->worker_bytes,
                                    .measured = s->measured};
    for (int64_t c = s->first; c < s->end; c++)
        segment.predicted += predicted(program, s, &program->calls[c]);
    return segment;
}

/* --- as text ---------------------------------------------------------------------------------------------- */

static void print_call(const glia_program *program, const glia_segment *s, int64_t c, FILE *out) {
    const glia_planned_call *call = &program->calls[c];
    const glia_program_call told = glia_program_get_call(program, c);
    char text[128];
    fprintf(out, "%3lld %-32s %-24s", (long long)c, told.name, told.kernel);
    if (c < program->n_prologue) fputs(" once", out);
    if (*told.channels) fprintf(out, " channels %s", told.channels);
    if (s->chunks > 1) {
        fprintf(out, " %s %lld×%lld", call->cut.flat ? "flat" : "rows", (long long)s->chunks,
                (long long)s->chunk);
        if (call->cut.sums) fprintf(out, " %d lanes", s->lanes);
    }
    for (int i = 0; i < told.inputs + told.outputs; i++) {
        if (i == told.inputs) fputs(" →", out);
        if (call->buffers[i] < 0) continue;
        fprintf(out, " %s %s", glia_dtype_name(call->views[i].dtype),
                glia_shape_text(&call->views[i].shape, text, sizeof text));
    }
    fprintf(out, "  %.3g MFLOP  %.3g MB  predicted %.1f µs", told.flops / 1e6, told.bytes / 1e6,
            1e6 * told.predicted);
    if (told.measured > 0) fprintf(out, ", measured %.1f µs", 1e6 * told.measured);
    fputc('\n', out);
}

void glia_program_print(const glia_program *program, FILE *out) {
    for (int64_t i = 0; i < program->n_segments; i++)
        for (int64_t c = program->segments[i].first; c < program->segments[i].end; c++)
            print_call(program, &program->segments[i], c, out);
    glia_program_info info = glia_program_get_info(program);
    fprintf(out, "%lld calls, %.3g MFLOP, block %.3g MB (%.3g MB without reuse), predicted %.1f µs",
            (long long)info.calls, info.flops / 1e6, (double)info.block_bytes / 1e6,
            (double)info.unplanned_bytes / 1e6, 1e6 * info.predicted);
    if (info.measured > 0) fprintf(out, ", measured %.1f µs", 1e6 * info.measured);
    fputc('\n', out);
}
