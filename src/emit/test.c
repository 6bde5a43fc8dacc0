/* test.c: the self-test of a written file: what Glia itself predicts for made-up inputs, and a main that compares. Inputs are
 * stored as bytes b, which stand for (b − 128)/64, or for themselves where the model takes bytes; whole numbers are 0 or
 * 1, which are in the range of every table. */

#include <stdio.h>

#include "emit/file.h"
#include "glia/program.h"
#include "glia/random.h"

/* One byte of input `i` of pair `test`. */
static int byte_at(int test, int i, int64_t at) {
    const glia_random random = {.seed = 1, .stream = (uint64_t)(test * GLIA_MAX_INPUTS + i)};
    return (int)glia_random_below(random, (uint64_t)at, 256);
}

static bool is_bytes(const emit_file *f, int i) {
    return f->options->bytes && i == 0;
}

static bool is_whole(const emit_file *f, int i) {
    return glia__graph_takes_whole(f->plan->graph, f->plan->inputs[i]);
}

static void fill_input(const emit_file *f, int test, int i, glia_tensor *x) {
    const int64_t n = glia_shape_elems(&x->shape), inner = n / (is_bytes(f, i) ? f->channels : 1);
    const bool whole = is_whole(f, i);
    for (int64_t at = 0; at < n; at++) {
        const int b = byte_at(test, i, at);
        if (is_bytes(f, i))
            glia_tensor_set(x, at, (double)glia__emit_byte(f->options, at / inner, b));
        else
            glia_tensor_set(x, at, whole ? b % 2 : (b - 128) / 64.0);
    }
}

/* --- what Glia predicts ---------------------------------------------------------------------------------- */

static void add_output(const emit_file *f, const glia_tensor *y, bool last) {
    const int64_t n = glia_shape_elems(&y->shape);
    glia__text_add(f->source, "    {");
    for (int64_t i = 0; i < n; i++) {
        glia__text_add(f->source, i ? i % 8 ? ", " : ",\n     " : "");
        glia__c_number(f->source, y->dtype, glia_tensor_get(y, i));
    }
    glia__text_add(f->source, last ? "}\n" : "},\n");
}

static glia_status open_program(const emit_plan *p, glia_program **program, glia_error *err) {
    GLIA_TRY(glia_program_new(program, p->graph, p->outputs, p->n_outputs,
                              (glia_program_options){.threads = 1, .allocator = p->arena.allocator}, err));
    for (size_t v = 0; v < p->graph->n_values; v++) {
        const glia_value *value = p->graph->values[v];
        if (value->kind == GLIA_VALUE_PARAM)
            GLIA_TRY(glia_program_bind(*program, value, (void *)(uintptr_t)value->data, err));
    }
    return GLIA_OK;
}

/* One table of outputs after the other: all pairs are run once for each. */
static glia_status write_outputs(const emit_file *f, glia_program *program, glia_tensor *inputs,
                                 glia_error *err) {
    const emit_plan *p = f->plan;
    for (int o = 0; o < p->n_outputs; o++) {
        const glia_type *type = &p->outputs[o]->type;
        glia__text_printf(f->source, "static const %s test_out%d[%d][%lld] = {\n", glia__c_type(type->dtype),
                          o + 1, f->options->tests, (long long)glia_shape_elems(&type->shape));
        for (int t = 0; t < f->options->tests; t++) {
            for (int i = 0; i < p->n_inputs; i++) fill_input(f, t, i, &inputs[i]);
            GLIA_TRY(glia_program_run(program, 0, err));
            const glia_tensor y = glia_program_output(program, p->outputs[o]);
            add_output(f, &y, t + 1 == f->options->tests);
        }
        glia__text_add(f->source, "};\n");
    }
    return GLIA_OK;
}

static glia_status run_pairs(const emit_file *f, glia_tensor *inputs, glia_error *err) {
    const emit_plan *p = f->plan;
    glia_program *program = NULL;
    glia_status status = open_program(p, &program, err);
    for (int i = 0; i < p->n_inputs && status == GLIA_OK; i++) {
        const glia_type *type = &p->inputs[i]->type;
        status = glia_tensor_new(&inputs[i], type->dtype, type->shape, p->arena.allocator, err);
        if (status == GLIA_OK) status = glia_program_bind(program, p->inputs[i], inputs[i].data, err);
    }
    if (status == GLIA_OK) status = write_outputs(f, program, inputs, err);
    glia_program_free(program);
    return status;
}

static void write_inputs(const emit_file *f) {
    const emit_plan *p = f->plan;
    for (int i = 0; i < p->n_inputs; i++) {
        const glia_type *type = &p->inputs[i]->type;
        const int64_t n = glia_shape_elems(&type->shape);
        glia__text_printf(f->source, "static const unsigned char test_in%d[%d][%lld] = {\n", i + 1,
                          f->options->tests, (long long)n);
        for (int t = 0; t < f->options->tests; t++) {
            glia__text_add(f->source, "    {");
            for (int64_t at = 0; at < n; at++)
                glia__text_printf(f->source, "%s%d", at ? at % 24 ? "," : ",\n     " : "", byte_at(t, i, at));
            glia__text_add(f->source, t + 1 < f->options->tests ? "},\n" : "}\n");
        }
        glia__text_add(f->source, "};\n");
    }
}

/* --- main ------------------------------------------------------------------------------------------------ */

static void write_input_loops(const emit_file *f) {
    const emit_plan *p = f->plan;
    for (int i = 0; i < p->n_inputs; i++) {
        const char *value = is_bytes(f, i) ? "" : is_whole(f, i) ? " % 2" : " / 64.0f - 2";
        glia__text_printf(
            f->source, "        for (int i = 0; i < %lld; i++) in%d[i] = (%s)(test_in%d[t][i]%s);\n",
            (long long)glia_shape_elems(&p->inputs[i]->type.shape), i + 1,
            is_bytes(f, i) ? "unsigned char" : glia__c_type(p->inputs[i]->type.dtype), i + 1, value);
    }
}

static void write_comparison(const emit_file *f) {
    const emit_plan *p = f->plan;
    for (int o = 0; o < p->n_outputs; o++)
        glia__text_printf(
            f->source,
            "        for (int i = 0; i < %lld; i++) {\n"
            "            const double wanted = (double)test_out%d[t][i], found = (double)out%d[i];\n"
            "            const double size = (wanted < 0 ? -wanted : wanted) + 1;\n"
            "            const double off = (found > wanted ? found - wanted : wanted - found) / size;\n"
            "            if (!(off <= worst)) worst = off;\n"
            "        }\n",
            (long long)glia_shape_elems(&p->outputs[o]->type.shape), o + 1, o + 1);
}

static void write_call(const emit_file *f) {
    const emit_plan *p = f->plan;
    glia__text_printf(f->source, "        if (%s_predict%s_r(%s&arena", f->options->name,
                      f->options->bytes ? "_u8" : "", f->options->split_weights ? "weights.bytes, " : "");
    for (int i = 0; i < p->n_inputs; i++) glia__text_printf(f->source, ", in%d", i + 1);
    for (int o = 0; o < p->n_outputs; o++) glia__text_printf(f->source, ", out%d", o + 1);
    glia__text_add(f->source, ")) return 2;\n");
}

static void write_main(const emit_file *f) {
    const emit_plan *p = f->plan;
    glia_text *out = f->source;
    if (f->options->split_weights)
        glia__text_printf(
            out, "static union { double aligned; unsigned char bytes[%s_WEIGHTS_BYTES]; } weights;\n",
            f->upper);
    glia__text_printf(out, "\nint main(int argc, char **argv) {\n    static %s_arena arena;\n",
                      f->options->name);
    for (int i = 0; i < p->n_inputs; i++)
        glia__text_printf(out, "    static %s in%d[%lld];\n",
                          is_bytes(f, i) ? "unsigned char" : glia__c_type(p->inputs[i]->type.dtype), i + 1,
                          (long long)glia_shape_elems(&p->inputs[i]->type.shape));
    for (int o = 0; o < p->n_outputs; o++)
        glia__text_printf(out, "    static %s out%d[%lld];\n", glia__c_type(p->outputs[o]->type.dtype), o + 1,
                          (long long)glia_shape_elems(&p->outputs[o]->type.shape));
    glia__text_add(out, "    double worst = 0;\n");
    if (f->options->split_weights)
        glia__text_add(out, "    FILE *file = argc > 1 ? fopen(argv[1], \"rb\") : NULL;\n"
                            "    if (!file || fread(weights.bytes, 1, sizeof weights.bytes, file) != sizeof "
                            "weights.bytes) return 2;\n    fclose(file);\n");
    else
        glia__text_add(out, "    (void)argc, (void)argv;\n");
    glia__text_printf(out, "    for (int t = 0; t < %d; t++) {\n", f->options->tests);
    write_input_loops(f);
    write_call(f);
    write_comparison(f);
    glia__text_printf(
        out,
        "    }\n    fprintf(stdout, \"%%s: %d predictions, at most %%.1e from Glia's\\n\", %s_VERSION, "
        "worst);\n    return worst <= 1e-4 ? 0 : 1;\n}\n",
        f->options->tests, f->upper);
}

glia_status glia__emit_test(const emit_file *f, glia_error *err) {
    glia_tensor inputs[GLIA_MAX_INPUTS] = {{.data = NULL}};
    glia__text_printf(f->source, "#ifdef %s_TEST\n#include <stdio.h>\n\n", f->upper);
    write_inputs(f);
    const glia_status status = run_pairs(f, inputs, err);
    for (int i = 0; i < f->plan->n_inputs; i++) glia_tensor_free(&inputs[i]);
    write_main(f);
    glia__text_add(f->source, "#endif\n");
    return status;
}
