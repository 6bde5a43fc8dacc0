/* function.c: one function of C a node. Its arguments are the arrays that it reads and writes; its body is what the op
 * writes, or loops around the op's expression. */

#include <ctype.h>
#include <stdio.h>

#include "emit/emit.h"
#include "ops/broadcast.h"

/* --- element-wise ---------------------------------------------------------------------------------------- */

glia_status glia__emit_elementwise(glia_c *c, const glia_c_call *call, const glia_c_rider *op) {
    const glia_shape *shapes[GLIA_BROADCAST_INPUTS];
    const glia_type *y = &call->out[0].type;
    char elements[3][240], at[200], variable[8];
    const char *operands[3] = {NULL, NULL, NULL};
    int64_t to[GLIA_MAX_RANK];
    glia_broadcast walk;
    glia_text value;
    for (int i = 0; i < call->n_in; i++) shapes[i] = &call->in[i].type.shape;
    glia__broadcast_init(&walk, &y->shape, shapes, call->n_in);
    glia__c_steps(&(glia_shape){.rank = walk.rank,
                                .dim = {walk.dim[0], walk.dim[1], walk.dim[2], walk.dim[3], walk.dim[4],
                                        walk.dim[5], walk.dim[6], walk.dim[7]}},
                  to);
    for (int i = 0; i < call->n_in; i++) {
        snprintf(elements[i], sizeof elements[i], "%s[%s]", call->in[i].name,
                 glia__c_index(walk.rank, "i", walk.step[i], 0, at, sizeof at));
        operands[i] = elements[i];
    }
    for (int d = 0; d < walk.rank; d++) {
        snprintf(variable, sizeof variable, "i%d", d);
        glia__c_for(c, variable, walk.dim[d]);
    }
    for (int i = 0; i < call->n_in; i++) {
        glia__c_line(c, "const %s %c = %s;", glia__c_type(call->in[i].type.dtype), "uvw"[i], elements[i]);
        snprintf(elements[i], sizeof elements[i], "%c", "uvw"[i]);
    }
    glia__text_init(&value, c->arena->allocator);
    glia__text_printf(&value, "(%s)(", glia__c_type(y->dtype));
    glia__c_expression(c, &value, op, operands);
    glia__text_add(&value, ")");
    glia__c_store(c, call, glia__c_index(walk.rank, "i", to, 0, at, sizeof at), value.data);
    for (int d = 0; d < walk.rank; d++) glia__c_end(c);
    c->text->failed |= value.failed;
    glia__text_free(&value);
    return GLIA_OK;
}

/* --- arguments ------------------------------------------------------------------------------------------- */

/* The name of an array in the function; those that are only read are listed once, unless `anew`. */
static const char *argument(emit_plan *p, emit_function *f, const glia_value *value, bool written, bool anew,
                            const char *name, int number) {
    const int array = p->array_of[glia__emit_root(value)->id];
    for (int i = 0; i < f->n_arguments && !anew; i++)
        if (f->arguments[i].array == array && !f->arguments[i].written) return f->arguments[i].name;
    emit_argument *a = &f->arguments[f->n_arguments++];
    *a = (emit_argument){.array = array, .written = written};
    if (number < 0)
        snprintf(a->name, sizeof a->name, "%s", name);
    else
        snprintf(a->name, sizeof a->name, "%s%d", name, number);
    return a->name;
}

/* Whether any node, or the file's caller, reads an output other than the first. */
static bool is_read(const emit_plan *p, const glia_value *value) {
    for (int o = 0; o < p->n_outputs; o++)
        if (glia__emit_root(p->outputs[o]) == value) return true;
    for (size_t n = 0; n < p->graph->n_nodes; n++)
        for (int i = 0; i < p->graph->nodes[n]->n_inputs; i++)
            if (p->graph->nodes[n]->inputs[i] == value) return true;
    return false;
}

typedef struct drafts {
    glia_c_array in[GLIA_MAX_INPUTS], out[GLIA_MAX_OUTPUTS];
    int argument_of[GLIA_MAX_INPUTS];
    glia_c_rider riders[EMIT_RIDERS];
} drafts;

static void name_inputs(emit_plan *p, emit_function *f, drafts *d) {
    const glia_node *node = f->node;
    for (int i = 0; i < node->n_inputs; i++) {
        const glia_value *x = node->inputs[i];
        if (!x) continue;
        const void *data = glia__emit_root(x)->data;
        d->in[i] = (glia_c_array){.type = x->type, .data = data};
        if (node->op->shape_only >> i & 1) continue;
        d->argument_of[i] = f->n_arguments;
        d->in[i].name = argument(p, f, x, false, data != NULL, "x", node->n_inputs > 1 ? i : -1);
    }
}

static void name_outputs(emit_plan *p, emit_function *f, drafts *d) {
    for (int o = 0; o < f->node->n_outputs; o++) {
        const glia_value *y = o ? &f->node->outputs[o] : f->result;
        d->out[o].type = f->node->outputs[o].type;
        if (o == 0 || is_read(p, y)) d->out[o].name = argument(p, f, y, true, true, "y", o ? o : -1);
    }
}

static glia_c_rider rider_of(const glia_node *node) {
    glia_c_rider rider = {
        .op = node->op, .attrs = node->attrs, .n_in = node->n_inputs, .out = node->outputs[0].type.dtype};
    for (int i = 0; i < node->n_inputs && i < 3; i++) rider.in[i] = &node->inputs[i]->type;
    return rider;
}

static void name_riders(emit_plan *p, emit_function *f, drafts *d) {
    const glia_value *before = &f->node->outputs[0];
    int number = 0;
    for (int k = 0; k < f->n_riders; k++) {
        const glia_node *node = f->riders[k];
        d->riders[k] = rider_of(node);
        for (int i = 0; i < node->n_inputs; i++)
            if (glia__emit_root(node->inputs[i]) != before)
                d->riders[k].operands[i] = argument(p, f, node->inputs[i], false, false, "a", number++);
        before = &node->outputs[0];
    }
}

/* --- the function ---------------------------------------------------------------------------------------- */

static glia_status check_types(const emit_function *f, glia_error *err) {
    for (int i = 0; i < f->node->n_inputs + f->node->n_outputs; i++) {
        const glia_value *value =
            i < f->node->n_inputs ? f->node->inputs[i] : &f->node->outputs[i - f->node->n_inputs];
        if (value && (value->type.dtype == GLIA_F64 || value->type.dtype == GLIA_BF16))
            return glia_error_set(err, GLIA_UNSUPPORTED, "it works on %s",
                                  glia_dtype_name(value->type.dtype));
    }
    return GLIA_OK;
}

static glia_status write_body(glia_c *c, const emit_function *f, drafts *d, glia_error *err) {
    const glia_node *node = f->node;
    const glia_c_call call = {.attrs = node->attrs,
                              .in = d->in,
                              .out = d->out,
                              .n_in = node->n_inputs,
                              .n_out = node->n_outputs,
                              .err = err};
    GLIA_TRY(check_types(f, err));
    if (node->op->emit_c) return node->op->emit_c(c, &call);
    const glia_c_rider rider = rider_of(node);
    glia_type in[3] = {{0}};
    for (int i = 0; i < node->n_inputs && i < 3; i++) in[i] = node->inputs[i] ? node->inputs[i]->type : in[i];
    const bool elementwise = (node->op->traits & GLIA_TRAIT_ELEMENTWISE) && node->n_inputs <= 3;
    if (elementwise && glia__c_expr_text(node->op, in, &d->out[0].type, node->attrs))
        return glia__emit_elementwise(c, &call, &rider);
    return glia_error_set(err, GLIA_UNSUPPORTED, "there is no C for it");
}

static bool mentions(const char *text, const char *name) {
    const size_t length = strlen(name);
    for (const char *at = text; (at = strstr(at, name)); at += length) {
        const unsigned char before = at > text ? (unsigned char)at[-1] : ' ',
                            after = (unsigned char)at[length];
        if (!isalnum(before) && before != '_' && !isalnum(after) && after != '_') return true;
    }
    return false;
}

/* Not every op needs all that it has: a factor that was computed here takes the place of what it was made of. */
static void drop_unused(emit_function *f, const char *body) {
    int kept = 0;
    for (int i = 0; i < f->n_arguments; i++)
        if (mentions(body, f->arguments[i].name)) f->arguments[kept++] = f->arguments[i];
    f->n_arguments = kept;
}

/* Constants in another order are arrays of their own. */
static void take_repacked(emit_plan *p, emit_function *f, const glia_c *c, const drafts *d) {
    for (int i = 0; i < f->node->n_inputs; i++) {
        if (!c->repacked[i]) continue;
        emit_argument *a = &f->arguments[d->argument_of[i]];
        emit_array *array = &p->arrays[p->n_arrays];
        *array = p->arrays[a->array];
        array->data = c->repacked[i];
        array->elems = c->repacked_elems[i];
        a->array = p->n_arrays++;
    }
}

static void take_own(emit_plan *p, emit_function *f, const glia_c *c) {
    for (int i = 0; i < c->n_own; i++) {
        const glia_c_own *own = &c->own[i];
        emit_argument *a = &f->arguments[f->n_arguments++];
        *a = (emit_argument){.array = p->n_arrays, .written = !own->data};
        snprintf(a->name, sizeof a->name, "%s", own->name);
        p->arrays[p->n_arrays++] = (emit_array){.data = own->data,
                                                .type = {own->dtype, {1, {own->elems}}},
                                                .elems = own->elems,
                                                .label = f->node->name,
                                                .input = -1,
                                                .output = -1,
                                                .first = -1,
                                                .last = -1};
    }
}

/* When arrays are used: by the position of the function. */
static void note_uses(emit_plan *p, const emit_function *f) {
    const int64_t at = f - p->functions;
    for (int i = 0; i < f->n_arguments; i++) {
        emit_array *array = &p->arrays[f->arguments[i].array];
        array->used = true;
        array->last = at;
        if (!f->arguments[i].written) continue;
        array->first = at;
        array->in_arena = array->output < 0;
    }
}

static void write_head(emit_plan *p, const emit_function *f, glia_text *out) {
    char text[160];
    glia__text_printf(out, "/* %s: ", f->node->name);
    for (int k = -1; k < f->n_riders; k++)
        glia__text_printf(out, "%s%s", k < 0 ? "" : ", ", (k < 0 ? f->node : f->riders[k])->op->name);
    glia__text_printf(out, " -> %s */\nstatic %s %s(", glia__type_text(&f->result->type, text, sizeof text),
                      f->fails ? "int" : "void", f->name);
    for (int i = 0; i < f->n_arguments; i++) {
        const emit_argument *a = &f->arguments[i];
        glia__text_printf(out, "%s%s%s *RESTRICT %s", i ? ", " : "", a->written ? "" : "const ",
                          glia__c_type(p->arrays[a->array].type.dtype), a->name);
    }
    glia__text_add(out, ") {\n");
}

glia_status glia__emit_function(emit_plan *p, emit_function *f, glia_error *err) {
    drafts d;
    glia_text body;
    memset(&d, 0, sizeof d);
    glia__text_init(&body, p->arena.allocator);
    snprintf(f->name, sizeof f->name, "%s_%s_%d", p->options->name, f->node->op->name,
             (int)(f - p->functions));
    name_inputs(p, f, &d);
    name_riders(p, f, &d);
    name_outputs(p, f, &d);
    glia_c c = {.prefix = p->options->name,
                .text = &body,
                .depth = 1,
                .riders = d.riders,
                .n_riders = f->n_riders,
                .arena = &p->arena};
    glia_status status = write_body(&c, f, &d, err);
    if (status == GLIA_OK && body.failed)
        status = glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory while writing C");
    if (status == GLIA_OK) {
        f->fails = c.fails;
        take_repacked(p, f, &c, &d);
        take_own(p, f, &c);
        drop_unused(f, body.data);
        note_uses(p, f);
        p->needs |= c.needs;
        p->macs += c.macs;
        write_head(p, f, &p->code);
        glia__text_add(&p->code, body.data);
        glia__text_add(&p->code, c.fails ? "    return 0;\n}\n\n" : "}\n\n");
    }
    glia__text_free(&body);
    return status;
}
