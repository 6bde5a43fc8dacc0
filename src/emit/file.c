/* file.c: puts the file and its header together. */

#include <ctype.h>
#include <math.h>
#include <stdio.h>

#include "emit/file.h"
#include "glia/version.h"

/* More than this is no array for the stack: who calls gives the memory. */
enum { STACK_BYTES = 1 << 20 };

/* A text within a comment. */
static void add_comment(glia_text *out, const char *text) {
    for (; *text; text++) {
        const bool ends = text[0] == '*' && text[1] == '/';
        const char c = iscntrl((unsigned char)*text) ? ' ' : *text;
        glia__text_add_bytes(out, ends ? "x" : &c, 1);
    }
}

static size_t text_bytes(const emit_array *a) {
    return (size_t)a->elems * glia_dtype_bytes(a->type.dtype);
}

bool glia__emit_on_stack(const emit_file *f) {
    return f->ram <= STACK_BYTES;
}

/* --- numbers of the whole -------------------------------------------------------------------------------- */

static const char *const part_names[GLIA_DTYPE_COUNT] = {
    [GLIA_F32] = "f32", [GLIA_F64] = "f64", [GLIA_BF16] = "bf16", [GLIA_I32] = "i32",
    [GLIA_I64] = "i64", [GLIA_U8] = "u8",   [GLIA_BOOL] = "flags"};

/* Weights get their places in the order of the functions. */
static void measure(emit_file *f) {
    emit_plan *p = f->plan;
    for (int d = 0; d < GLIA_DTYPE_COUNT; d++) f->ram += p->part_bytes[d];
    for (int a = 0; a < p->n_arrays; a++) {
        emit_array *array = &p->arrays[a];
        if (!array->data || !array->used) continue;
        array->offset = f->weights_bytes;
        f->weights_bytes += (text_bytes(array) + 15) / 16 * 16;
        f->flash += text_bytes(array);
    }
    if (f->options->bytes) f->flash += 1024 * (size_t)f->channels;
    if (f->ram == 0) f->ram = sizeof(float); /* C knows no empty struct */
}

/* --- names ----------------------------------------------------------------------------------------------- */

static const char *upper(const char *name, char *out, size_t capacity) {
    size_t i = 0;
    for (; name[i] && i + 1 < capacity; i++) out[i] = (char)toupper((unsigned char)name[i]);
    out[i] = 0;
    return out;
}

/* "in", or "in2" when there are several. */
static const char *numbered(const char *word, int index, int count, char *out, size_t capacity) {
    if (count > 1)
        snprintf(out, capacity, "%s%d", word, index + 1);
    else
        snprintf(out, capacity, "%s", word);
    return out;
}

void glia__emit_parameters(const emit_file *f, bool arena, bool bytes, bool names_only, glia_text *out) {
    const emit_plan *p = f->plan;
    char name[16], size[16];
    const char *separator = "";
    if (f->options->split_weights) {
        glia__text_add(out, names_only ? "weights" : "const void *weights");
        separator = ", ";
    }
    if (arena) {
        if (names_only)
            glia__text_printf(out, "%sarena", separator);
        else
            glia__text_printf(out, "%s%s_arena *arena", separator, f->options->name);
        separator = ", ";
    }
    for (int i = 0; i < p->n_inputs; i++, separator = ", ") {
        numbered("in", i, p->n_inputs, name, sizeof name);
        if (names_only)
            glia__text_printf(out, "%s%s", separator, name);
        else
            glia__text_printf(out, "%sconst %s %s[%s_%s]", separator,
                              bytes ? "unsigned char" : glia__c_type(p->inputs[i]->type.dtype), name,
                              f->upper, numbered("IN", i, p->n_inputs, size, sizeof size));
    }
    for (int o = 0; o < p->n_outputs; o++) {
        numbered("out", o, p->n_outputs, name, sizeof name);
        if (names_only)
            glia__text_printf(out, "%s%s", separator, name);
        else
            glia__text_printf(out, "%s%s %s[%s_%s]", separator, glia__c_type(p->outputs[o]->type.dtype), name,
                              f->upper, numbered("OUT", o, p->n_outputs, size, sizeof size));
    }
}

void glia__emit_array_text(const emit_file *f, const emit_array *a, glia_text *out) {
    const emit_plan *p = f->plan;
    char name[16];
    const char *type = glia__c_type(a->type.dtype);
    if (a->data && f->options->split_weights)
        glia__text_printf(out, "WEIGHTS(%s, %zu)", type, a->offset);
    else if (a->data)
        glia__text_printf(out, "%s_w%d", f->options->name, (int)(a - p->arrays));
    else if (a->input >= 0)
        glia__text_add(out, numbered("in", a->input, p->n_inputs, name, sizeof name));
    else if (a->output >= 0)
        glia__text_add(out, numbered("out", a->output, p->n_outputs, name, sizeof name));
    else
        glia__text_printf(out, "arena->%s + %zu", part_names[a->type.dtype],
                          a->offset / glia_dtype_bytes(a->type.dtype));
}

/* --- the first comment ----------------------------------------------------------------------------------- */

static void add_title(const emit_file *f, const char *what, glia_text *out) {
    const glia_emit_options *o = f->options;
    glia__text_add(out, "/* ");
    add_comment(out, o->title);
    glia__text_printf(out, "%s, written by Glia %s.\n", what, glia_version());
    for (size_t i = 0; i < o->n_facts; i++) {
        if (!o->facts[i].value || !*o->facts[i].value) continue;
        glia__text_add(out, " *   ");
        add_comment(out, o->facts[i].key);
        glia__text_add(out, ": ");
        add_comment(out, o->facts[i].value);
        glia__text_add(out, "\n");
    }
    glia__text_printf(
        out,
        " *\n * RAM: %zu bytes, in one arena. Flash: %zu bytes of weights and tables, and the code.\n"
        " * One prediction: %.0f multiplications and additions.\n",
        f->ram, f->flash, f->plan->macs);
}

/* --- the header ------------------------------------------------------------------------------------------ */

static void add_string(glia_text *out, const char *text) {
    glia__text_add(out, "\"");
    for (; *text; text++) {
        const unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\' || c == '?')
            glia__text_printf(out, "\\%c", c);
        else if (c < 32 || c == 127)
            glia__text_printf(out, "\\%03o", c);
        else
            glia__text_add_bytes(out, text, 1);
    }
    glia__text_add(out, "\"");
}

static void add_constants(const emit_file *f, glia_text *out) {
    const emit_plan *p = f->plan;
    char name[16];
    for (int i = 0; i < p->n_inputs; i++) {
        const glia_type *type = &p->inputs[i]->type;
        char text[160];
        glia__text_printf(out, "#define %s_%s %lld /* ", f->upper,
                          numbered("IN", i, p->n_inputs, name, sizeof name),
                          (long long)glia_shape_elems(&type->shape));
        add_comment(out, p->inputs[i]->name);
        glia__text_printf(out, ": %s */\n", glia__type_text(type, text, sizeof text));
    }
    for (int o = 0; o < p->n_outputs; o++)
        glia__text_printf(out, "#define %s_%s %lld\n", f->upper,
                          numbered("OUT", o, p->n_outputs, name, sizeof name),
                          (long long)glia_shape_elems(&p->outputs[o]->type.shape));
    glia__text_printf(out, "#define %s_VERSION ", f->upper);
    char version[256];
    snprintf(version, sizeof version, "%.160s, Glia %s", f->options->title, glia_version());
    add_string(out, version);
    glia__text_printf(out, "\n#define %s_RAM_BYTES %zu\n#define %s_FLASH_BYTES %zu\n#define %s_MACS %.0f\n",
                      f->upper, f->ram, f->upper, f->flash, f->upper, p->macs);
    if (f->options->split_weights)
        glia__text_printf(out, "#define %s_WEIGHTS_BYTES %zu\n", f->upper, f->weights_bytes);
}

static void add_arena_type(const emit_file *f, glia_text *out) {
    glia__text_printf(out,
                      "/* Where a prediction works; what it holds before and afterwards does not matter. */\n"
                      "typedef struct %s_arena {\n",
                      f->options->name);
    bool any = false;
    for (int d = 0; d < GLIA_DTYPE_COUNT; d++) {
        const size_t bytes = f->plan->part_bytes[d];
        if (!bytes) continue;
        any = true;
        glia__text_printf(out, "    %s %s[%zu];\n", glia__c_type((glia_dtype)d), part_names[d],
                          bytes / glia_dtype_bytes((glia_dtype)d));
    }
    if (!any) glia__text_add(out, "    float f32[1];\n");
    glia__text_printf(out, "} %s_arena;\n\n", f->options->name);
}

void glia__emit_prototype(const emit_file *f, const char *function, bool arena, bool bytes, glia_text *out) {
    glia__text_printf(out, "int %s_%s(", f->options->name, function);
    glia__emit_parameters(f, arena, bytes, false, out);
    glia__text_add(out, ")");
}

static void declare(const emit_file *f, const char *comment, const char *function, bool arena, bool bytes) {
    glia__text_printf(f->header, "/* %s */\n", comment);
    glia__emit_prototype(f, function, arena, bytes, f->header);
    glia__text_add(f->header, ";\n\n");
}

static void write_header(const emit_file *f) {
    glia_text *out = f->header;
    const glia_emit_options *o = f->options;
    add_title(f, "", out);
    glia__text_printf(out, " */\n#ifndef %s_H\n#define %s_H\n\n#include <stdint.h>\n\n", f->upper, f->upper);
    add_constants(f, out);
    glia__text_add(out, "\n#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n");
    if (o->classes) {
        glia__text_printf(out, "#define %s_CLASSES %lld\n/* Names of the classes. */\n", f->upper,
                          (long long)o->classes);
        glia__text_printf(out, "extern const char *const %s_LABELS[%s_CLASSES];\n\n", f->upper, f->upper);
    }
    add_arena_type(f, out);
    if (o->split_weights)
        glia__text_printf(
            out,
            "/* `weights` below are the %zu bytes of the .bin file (little-endian), at an address "
            "that is a multiple of 8. */\n\n",
            f->weights_bytes);
    if (glia__emit_on_stack(f))
        declare(
            f,
            "A prediction; works on the stack. Returns 0, or -1 when an index in the input is out of range.",
            "predict", false, false);
    declare(f,
            glia__emit_on_stack(f)
                ? "The same in memory of the caller."
                : "A prediction, in memory of the caller. Returns 0, or -1 when an index is out of range.",
            "predict_r", true, false);
    if (o->bytes) {
        glia__text_printf(
            out, "/* Of raw bytes: what %s_predict expects is made of them first, as in training. */\n\n",
            o->name);
        if (glia__emit_on_stack(f)) declare(f, "Works on the stack.", "predict_u8", false, true);
        declare(f, "In memory of the caller.", "predict_u8_r", true, true);
    }
    if (o->train_head) glia__emit_head_declare(f);
    glia__text_add(out, "#ifdef __cplusplus\n}\n#endif\n#endif\n");
}

/* --- weights --------------------------------------------------------------------------------------------- */

static void add_elements(glia_text *out, const emit_array *a) {
    const glia_tensor tensor =
        glia_tensor_wrap((void *)(uintptr_t)a->data, a->type.dtype, (glia_shape){1, {a->elems}});
    for (int64_t i = 0; i < a->elems; i++) {
        glia__text_add(out, i % 8 ? " " : "\n    ");
        if (a->type.dtype == GLIA_I64)
            glia__text_printf(out, "%lld", (long long)((const int64_t *)a->data)[i]);
        else
            glia__c_number(out, a->type.dtype, glia_tensor_get(&tensor, i));
        glia__text_add(out, i + 1 < a->elems ? "," : "");
    }
}

static void write_weights(const emit_file *f) {
    static const char zeros[16] = {0};
    const emit_plan *p = f->plan;
    for (int i = 0; i < p->n_arrays; i++) {
        const emit_array *a = &p->arrays[i];
        if (!a->data || !a->used) continue;
        if (f->options->split_weights) {
            glia__text_add_bytes(f->weights, a->data, text_bytes(a));
            glia__text_add_bytes(f->weights, zeros, (16 - text_bytes(a) % 16) % 16);
            continue;
        }
        glia__text_add(f->source, "/* ");
        add_comment(f->source, a->label);
        glia__text_printf(f->source, " */\nstatic const %s %s_w%d[%lld] = {", glia__c_type(a->type.dtype),
                          f->options->name, i, (long long)a->elems);
        add_elements(f->source, a);
        glia__text_add(f->source, "};\n\n");
    }
}

/* What every byte becomes, computed as when Glia reads a picture. */
static void write_bytes_table(const emit_file *f) {
    const glia_emit_options *o = f->options;
    glia__text_printf(f->source,
                      "/* What a byte becomes, by channel. */\nstatic const float %s_bytes[%lld][256] = {\n",
                      f->options->name, (long long)f->channels);
    for (int64_t c = 0; c < f->channels; c++) {
        glia__text_add(f->source, "    {");
        for (int b = 0; b < 256; b++) {
            glia__text_add(f->source, b % 8 ? " " : b ? "\n     " : "");
            glia__c_number(f->source, GLIA_F32, (double)glia__emit_byte(o, c, b));
            glia__text_add(f->source, b < 255 ? "," : "");
        }
        glia__text_add(f->source, c + 1 < f->channels ? "},\n" : "}\n");
    }
    glia__text_add(f->source, "};\n\n");
}

float glia__emit_byte(const glia_emit_options *o, int64_t channel, int byte) {
    double value = byte * o->scale;
    if (o->mean) value -= (double)o->mean[channel];
    if (o->std) value /= (double)o->std[channel];
    return (float)value;
}

/* --- the source ------------------------------------------------------------------------------------------ */

static void write_labels(const emit_file *f) {
    const glia_emit_options *o = f->options;
    glia__text_printf(f->source, "const char *const %s_LABELS[%s_CLASSES] = {", f->upper, f->upper);
    for (int64_t i = 0; i < o->classes; i++) {
        glia__text_add(f->source, i % 8 ? " " : "\n    ");
        char number[24];
        snprintf(number, sizeof number, "%lld", (long long)i);
        add_string(f->source, o->labels ? o->labels[i] : number);
        if (i + 1 < o->classes) glia__text_add(f->source, ",");
    }
    glia__text_add(f->source, "};\n\n");
}

void glia__emit_call(const emit_file *f, const emit_function *function, glia_text *out) {
    glia__text_printf(out, "    %s%s(", function->fails ? "if (" : "", function->name);
    for (int i = 0; i < function->n_arguments; i++) {
        glia__text_add(out, i ? ", " : "");
        glia__emit_array_text(f, &f->plan->arrays[function->arguments[i].array], out);
    }
    glia__text_add(out, function->fails ? ")) return -1;\n" : ");\n");
}

static void write_predict(const emit_file *f) {
    const emit_plan *p = f->plan;
    glia_text *out = f->source;
    char name[16];
    glia__emit_prototype(f, "predict_r", true, false, out);
    glia__text_add(out, " {\n");
    if (f->ram <= sizeof(float)) glia__text_add(out, "    (void)arena;\n");
    if (f->options->split_weights && !f->weights_bytes) glia__text_add(out, "    (void)weights;\n");
    for (int i = 0; i < p->n_functions; i++) glia__emit_call(f, &p->functions[i], out);
    for (int o = 0; o < p->n_outputs; o++) {
        if (p->copied[o] < 0) continue;
        numbered("out", o, p->n_outputs, name, sizeof name);
        glia__text_printf(out, "    for (int i = 0; i < %lld; i++) %s[i] = (",
                          (long long)p->arrays[p->copied[o]].elems, name);
        glia__emit_array_text(f, &p->arrays[p->copied[o]], out);
        glia__text_add(out, ")[i];\n");
    }
    glia__text_add(out, "    return 0;\n}\n\n");
}

static void write_on_stack(const emit_file *f, const char *function, const char *called, bool bytes) {
    if (!glia__emit_on_stack(f)) return;
    glia__emit_prototype(f, function, false, bytes, f->source);
    glia__text_printf(f->source, " {\n    %s_arena arena;\n    return %s_%s(", f->options->name,
                      f->options->name, called);
    glia_text names;
    glia__text_init(&names, f->plan->arena.allocator);
    glia__emit_parameters(f, true, bytes, true, &names);
    for (const char *c = names.data; *c; c++) { /* the address of the arena */
        if (strncmp(c, "arena", 5) == 0) glia__text_add(f->source, "&");
        glia__text_add_bytes(f->source, c, 1);
    }
    f->source->failed |= names.failed;
    glia__text_free(&names);
    glia__text_add(f->source, ");\n}\n\n");
}

static void write_bytes(const emit_file *f) {
    const emit_plan *p = f->plan;
    const int64_t inner = glia_shape_elems(&p->inputs[0]->type.shape) / f->channels;
    glia_text *out = f->source;
    glia__emit_prototype(f, "predict_u8_r", true, true, out);
    glia__text_printf(out, " {\n    float *x = arena->f32 + %zu;\n", f->input_offset / sizeof(float));
    glia__text_printf(out,
                      "    for (int c = 0; c < %lld; c++)\n        for (int i = 0; i < %lld; i++) "
                      "x[c * %lld + i] = %s_bytes[c][in[c * %lld + i]];\n",
                      (long long)f->channels, (long long)inner, (long long)inner, f->options->name,
                      (long long)inner);
    glia__text_printf(out, "    return %s_predict_r(%sarena, x, out);\n}\n\n", f->options->name,
                      f->options->split_weights ? "weights, " : "");
    write_on_stack(f, "predict_u8", "predict_u8_r", true);
}

static void write_source(const emit_file *f) {
    const glia_emit_options *o = f->options;
    glia_text *out = f->source;
    add_title(f, "", out);
    glia__text_printf(
        out,
        " *\n * C99, and C++17 for the hexadecimal numbers; int has 32 bits or more. To test it:\n"
        " * cc -D%s_TEST %s.c -lm && ./a.out%s */\n#include \"%s.h\"\n",
        f->upper, o->file, o->split_weights ? " WEIGHTS.bin" : "", o->file);
    if (f->plan->needs & GLIA_C_MATH) glia__text_add(out, "\n#include <math.h>\n");
    glia__text_add(out,
                   "\n#ifndef __cplusplus\n#define RESTRICT restrict\n#elif defined(__GNUC__) || "
                   "defined(_MSC_VER)\n#define RESTRICT __restrict\n#else\n#define RESTRICT\n#endif\n\n");
    if (o->split_weights)
        glia__text_add(out,
                       "#define WEIGHTS(type, offset) ((const type *)(const void *)((const char *)weights + "
                       "(offset)))\n\n");
    if (o->classes) write_labels(f);
    write_weights(f);
    if (o->bytes) write_bytes_table(f);
    glia__emit_helpers(f->plan->needs, o->name, out);
    glia__text_add_bytes(out, f->plan->code.data, f->plan->code.length);
    write_predict(f);
    write_on_stack(f, "predict", "predict_r", false);
    if (o->bytes) write_bytes(f);
}

/* --- all of it ------------------------------------------------------------------------------------------- */

/* Every node that cannot be said in C, in one message. */
static glia_status write_functions(emit_plan *p, glia_error *err) {
    glia_text refused;
    glia_status status = GLIA_OK;
    int count = 0;
    glia__text_init(&refused, p->arena.allocator);
    for (int i = 0; i < p->n_functions && status == GLIA_OK; i++) {
        glia_error why = {0};
        const glia_node *node = p->functions[i].node;
        status = glia__emit_function(p, &p->functions[i], &why);
        if (status == GLIA_UNSUPPORTED) {
            glia__text_printf(&refused, "%s%s (%s): %s", count++ ? "; " : "", node->name, node->op->name,
                              why.message);
            status = GLIA_OK;
        } else if (status != GLIA_OK && err) {
            *err = why;
        }
    }
    if (status == GLIA_OK && count)
        status = glia_error_set(err, GLIA_UNSUPPORTED, "cannot be written as C: %s", refused.data);
    glia__text_free(&refused);
    return status;
}

/* Where predict_u8 puts what it makes of the bytes. */
static void place_input(emit_file *f) {
    emit_plan *p = f->plan;
    emit_array *input = &p->arrays[p->array_of[p->inputs[0]->id]];
    input->in_arena = true;
    input->last = input->used ? input->last : 0;
}

static glia_status write_all(emit_plan *p, glia_emit_result *out, glia_error *err) {
    emit_file f = {.plan = p,
                   .options = p->options,
                   .source = &out->source,
                   .header = &out->header,
                   .weights = &out->weights,
                   .channels = 1};
    upper(p->options->name, f.upper, sizeof f.upper);
    GLIA_TRY(write_functions(p, err));
    if (p->options->bytes) {
        place_input(&f);
        const glia_shape *in = &p->inputs[0]->type.shape;
        if ((p->options->mean || p->options->std) && in->rank > 1) f.channels = in->dim[1];
    }
    if (p->options->train_head) GLIA_TRY(glia__emit_head_find(&f, err));
    GLIA_TRY(glia__emit_place(p, err));
    if (p->options->bytes) f.input_offset = p->arrays[p->array_of[p->inputs[0]->id]].offset;
    measure(&f);
    write_source(&f);
    if (p->options->train_head) glia__emit_head(&f);
    if (p->options->tests) GLIA_TRY(glia__emit_test(&f, err));
    write_header(&f);
    out->ram_bytes = (int64_t)f.ram;
    out->flash_bytes = (int64_t)f.flash;
    out->macs = p->macs;
    if (out->source.failed || out->header.failed || out->weights.failed || p->code.failed)
        return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory while writing C");
    return GLIA_OK;
}

glia_status glia__emit_c99(glia_emit_result *out, const glia_graph *graph, glia_value *const *inputs,
                           int n_inputs, glia_value *const *outputs, int n_outputs,
                           const glia_emit_options *options, glia_error *err) {
    const glia_allocator *allocator = graph->allocator;
    emit_plan plan = {.options = options};
    *out = (glia_emit_result){.ram_bytes = 0};
    glia__text_init(&out->source, allocator);
    glia__text_init(&out->header, allocator);
    glia__text_init(&out->weights, allocator);
    glia__arena_init(&plan.arena, allocator);
    glia__text_init(&plan.code, allocator);
    glia_status status = glia__emit_plan(&plan, graph, inputs, n_inputs, outputs, n_outputs, err);
    if (status == GLIA_OK) status = write_all(&plan, out, err);
    glia__emit_plan_free(&plan);
    return status;
}

void glia__emit_result_free(glia_emit_result *result) {
    glia__text_free(&result->source);
    glia__text_free(&result->header);
    glia__text_free(&result->weights);
}
