/* fused.c: several elementwise ops in one, see fused.h. Made by the pass fuse_elementwise. */

#include "ops/fused.h"

#include <stdlib.h>

/* --- reading ---------------------------------------------------------------------------------------------- */

static bool has_text(const glia_op *op) {
    for (const glia_field *f = op->attrs; f && f->name; f++)
        if (f->kind == GLIA_FIELD_STRING) return true;
    return false;
}

bool glia__fused_takes(const glia_op *op) {
    return (op->traits & GLIA_TRAIT_ELEMENTWISE) && !(op->traits & GLIA_TRAIT_RANDOM) && op->n_outputs <= 1 &&
           op->max_inputs <= GLIA_FUSED_OPERANDS && !op->shape_only && op->attrs_size <= GLIA_FUSED_ATTRS &&
           !has_text(op);
}

/* Copies what stands before one of the characters `ends`; false when that is nothing, too long, or never comes. */
static bool read_word(const char **text, const char *ends, char *word, size_t capacity) {
    const size_t length = strcspn(*text, ends);
    if (length == 0 || length >= capacity || !(*text)[length]) return false;
    memcpy(word, *text, length);
    word[length] = 0;
    *text += length;
    return true;
}

/* "x2" is input 2, "y1" the result of member 1. */
static bool read_operand(const glia_fused *f, const char *word, int n_in, int *operand) {
    int64_t number;
    if ((*word != 'x' && *word != 'y') || !glia__parse_int(word + 1, &number)) return false;
    if (number < 0 || number >= (*word == 'x' ? n_in : f->count)) return false;
    *operand = (int)number + (*word == 'y' ? GLIA_MAX_INPUTS : 0);
    return true;
}

static glia_status read_attribute(glia_fused_member *member, char *word, glia_error *err) {
    char *value = strchr(word, '=');
    if (value) *value++ = 0;
    const glia_field *field = member->op->attrs ? glia__field_find(member->op->attrs, word) : NULL;
    if (!field || !value)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT, "%s has no attribute '%s'", member->op->name, word);
    return glia__field_parse(field, member->attrs, value, NULL, err);
}

/* "clip(y0|min=0|max=6)" */
static glia_status read_member(glia_fused *f, const char **text, int n_in, glia_error *err) {
    enum { LONGEST = 64 };
    glia_fused_member *member = &f->members[f->count];
    const char *begin = *text;
    char word[LONGEST];
    *member = (glia_fused_member){.op = NULL};
    bool fine = f->count < GLIA_FUSED_MEMBERS && read_word(text, "(", word, sizeof word);
    if (fine) member->op = glia__op_find(word);
    if (fine && (!member->op || !glia__fused_takes(member->op)))
        return glia_error_set(err, GLIA_INVALID_ARGUMENT, "'%s' is no op that may be fused", word);
    if (fine && member->op->attrs) glia__fields_init(member->op->attrs, member->attrs);
    while (fine && (**text == '(' || **text == ',')) {
        ++*text;
        fine = member->n_in < member->op->max_inputs && read_word(text, ",|)", word, sizeof word) &&
               read_operand(f, word, n_in, &member->in[member->n_in++]);
    }
    while (fine && **text == '|') {
        ++*text;
        fine = read_word(text, "|)", word, sizeof word);
        if (fine) GLIA_TRY(read_attribute(member, word, err));
    }
    if (!fine || *(*text)++ != ')' || member->n_in < member->op->min_inputs)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT, "cannot read '%s': expected op(x0,y1|attribute=1)",
                              begin);
    return GLIA_OK;
}

/* --- types ------------------------------------------------------------------------------------------------ */

/* Arrays beside numbers: all of one shape, so that places are places of memory. */
static glia_status check_flat(const glia_fused_member *member, const glia_type *types, const glia_type *out,
                              glia_error *err) {
    char a[160], b[160];
    for (int i = 0; i < member->n_in; i++) {
        const glia_type *in = &types[member->in[i]];
        if (glia_shape_elems(&in->shape) == 1 || glia_shape_equal(&in->shape, &out->shape)) continue;
        return glia_error_set(err, GLIA_BAD_SHAPE, "%s of %s to %s: arrays of one shape only",
                              member->op->name, glia__type_text(in, a, sizeof a),
                              glia__type_text(out, b, sizeof b));
    }
    return GLIA_OK;
}

static glia_status infer_member(glia_fused *f, glia_type *types, glia_error *err) {
    glia_fused_member *member = &f->members[f->count];
    glia_type in[GLIA_FUSED_OPERANDS], out = {0};
    for (int i = 0; i < member->n_in; i++) in[i] = types[member->in[i]];
    for (int i = member->n_in; i < GLIA_FUSED_OPERANDS; i++) in[i] = (glia_type){.shape = {.rank = -1}};
    GLIA_TRY(member->op->infer(in, member->n_in, member->attrs, &out, err));
    GLIA_TRY(check_flat(member, types, &out, err));
    member->dtype = out.dtype;
    f->slot_width = GLIA_MAX(f->slot_width, glia_dtype_bytes(out.dtype));
    types[GLIA_MAX_INPUTS + f->count] = out;
    return GLIA_OK;
}

/* Every result as large as the last one: a tile of one belongs to a tile of the other. */
static glia_status check_results(const glia_fused *f, const glia_type *types, glia_error *err) {
    const glia_type *last = &types[GLIA_MAX_INPUTS + f->count - 1];
    char a[160], b[160];
    for (int m = 0; m < f->count; m++) {
        const glia_type *type = &types[GLIA_MAX_INPUTS + m];
        if (!glia_shape_equal(&type->shape, &last->shape))
            return glia_error_set(err, GLIA_BAD_SHAPE, "member %d makes %s, the last one %s", m,
                                  glia__type_text(type, a, sizeof a), glia__type_text(last, b, sizeof b));
    }
    return GLIA_OK;
}

/* --- buffers ---------------------------------------------------------------------------------------------- */

/* The last member that reads the result of `member`; itself for one that nobody reads. */
static int last_reader(const glia_fused *f, int member) {
    int last = member;
    for (int m = member + 1; m < f->count; m++)
        for (int i = 0; i < f->members[m].n_in; i++)
            if (f->members[m].in[i] == GLIA_MAX_INPUTS + member) last = m;
    return last;
}

/* A slot for every result, used again when nobody reads it any more, and in place where the op allows it. */
static void choose_slots(glia_fused *f) {
    int free_at[GLIA_FUSED_MEMBERS] = {0}; /* by slot: the first member that may write there */
    for (int m = 0; m < f->count; m++) {
        glia_fused_member *member = &f->members[m];
        const int x = member->in[0] - GLIA_MAX_INPUTS;
        member->slot = 0;
        if ((member->op->traits & GLIA_TRAIT_INPLACE) && x >= 0 && f->members[x].dtype == member->dtype &&
            last_reader(f, x) == m)
            member->slot = f->members[x].slot;
        else
            while (free_at[member->slot] > m) member->slot++;
        free_at[member->slot] = last_reader(f, m) + 1;
        f->slots = GLIA_MAX(f->slots, member->slot + 1);
    }
    const glia_fused_member *last = &f->members[f->count - 1];
    f->over_input_0 = true;
    for (int i = 0; i < last->n_in; i++)
        if (last->in[i] == 0 && (i > 0 || !(last->op->traits & GLIA_TRAIT_INPLACE))) f->over_input_0 = false;
}

glia_status glia__fused_read(glia_fused *f, const char *members, const glia_type *in, int n_in,
                             glia_type *out, glia_error *err) {
    glia_type types[GLIA_MAX_INPUTS + GLIA_FUSED_MEMBERS];
    const char *text = members ? members : "";
    memcpy(types, in, (size_t)n_in * sizeof *in);
    f->count = f->slots = 0;
    f->slot_width = 0;
    do {
        if (f->count) text++;
        GLIA_TRY(read_member(f, &text, n_in, err));
        GLIA_TRY(infer_member(f, types, err));
        f->count++;
    } while (*text == ';');
    if (*text) return glia_error_set(err, GLIA_INVALID_ARGUMENT, "expected ';' before '%s'", text);
    GLIA_TRY(check_results(f, types, err));
    choose_slots(f);
    *out = types[GLIA_MAX_INPUTS + f->count - 1];
    return GLIA_OK;
}

/* --- running ---------------------------------------------------------------------------------------------- */

static size_t slot_bytes(const glia_fused *f, int64_t tile) {
    return ((size_t)tile * f->slot_width + 63) / 64 * 64;
}

size_t glia__fused_workspace(const glia_fused *f, int64_t tile) {
    const glia_shape shape = {.rank = 1, .dim = {tile}};
    size_t most = 0;
    for (int m = 0; m < f->count; m++) {
        const glia_fused_member *member = &f->members[m];
        glia_type in[GLIA_FUSED_OPERANDS], out = {member->dtype, shape};
        if (!member->op->workspace) continue;
        /* The widest that an operand may be: workspaces hold bf16 as f32. */
        for (int i = 0; i < GLIA_FUSED_OPERANDS; i++) in[i] = (glia_type){GLIA_BF16, shape};
        most = GLIA_MAX(most, member->op->workspace(in, &out, member->attrs));
    }
    return (size_t)f->slots * slot_bytes(f, tile) + most;
}

/* `n` elements of an input from `at` on; numbers are for all places. */
static glia_view input_part(const glia_view *input, int64_t at, int64_t n) {
    glia_view part = *input;
    const bool number = glia_shape_elems(&input->shape) == 1;
    part.shape = number ? (glia_shape){0} : (glia_shape){.rank = 1, .dim = {n}};
    if (!number) part.data = (char *)input->data + (size_t)at * glia_dtype_bytes(input->dtype);
    return part;
}

static glia_status run_tile(const glia_fused *f, const glia_call *call, int64_t at, int64_t n, int64_t tile) {
    const size_t bytes = slot_bytes(f, tile);
    char *slots = call->workspace;
    glia_view result = call->out[0];
    result.data = (char *)result.data + (size_t)at * glia_dtype_bytes(result.dtype);
    const bool apart = call->out[0].data == call->in[0].data && !f->over_input_0;
    for (int m = 0; m < f->count; m++) {
        const glia_fused_member *member = &f->members[m];
        glia_view in[GLIA_FUSED_OPERANDS], out = {.dtype = member->dtype, .shape = {1, {n}}};
        for (int i = 0; i < member->n_in; i++) {
            const int from = member->in[i] - GLIA_MAX_INPUTS;
            if (from < 0)
                in[i] = input_part(&call->in[member->in[i]], at, n);
            else
                in[i] = (glia_view){
                    slots + (size_t)f->members[from].slot * bytes, f->members[from].dtype, {1, {n}}};
        }
        const bool last = m == f->count - 1;
        out.data = last && !apart ? result.data : slots + (size_t)member->slot * bytes;
        glia_call part = *call;
        part.attrs = member->attrs;
        part.in = in;
        part.out = &out;
        part.n_in = member->n_in;
        part.workspace = slots + (size_t)f->slots * bytes;
        part.first_elem = call->first_elem + at;
        GLIA_TRY(member->op->ref(&part));
        if (last && apart) memcpy(result.data, out.data, (size_t)n * glia_dtype_bytes(out.dtype));
    }
    return GLIA_OK;
}

glia_status glia__fused_run(const glia_fused *f, const glia_call *call, int64_t tile) {
    const int64_t n = glia_shape_elems(&call->out[0].shape);
    for (int64_t at = 0; at < n; at += tile) GLIA_TRY(run_tile(f, call, at, GLIA_MIN(tile, n - at), tile));
    return GLIA_OK;
}

/* --- the op ----------------------------------------------------------------------------------------------- */

static glia_status fused_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                               glia_error *err) {
    glia_fused fused;
    return glia__fused_read(&fused, ((const glia__fused_attrs *)attrs)->members, in, n_in, out, err);
}

/* One tile of everything: member after member over whole arrays. */
static glia_status fused_ref(const glia_call *call) {
    glia_fused fused;
    glia_type in[GLIA_MAX_INPUTS], out;
    for (int i = 0; i < call->n_in; i++) in[i] = glia__view_type(&call->in[i]);
    GLIA_TRY(glia__fused_read(&fused, ((const glia__fused_attrs *)call->attrs)->members, in, call->n_in, &out,
                              call->err));
    return glia__fused_run(&fused, call, GLIA_MAX(glia_shape_elems(&out.shape), 1));
}

/* Inputs that the members read. */
static int count_inputs(const char *members) {
    int count = 1;
    for (const char *p = members; *p; p++)
        if ((*p == '(' || *p == ',') && p[1] == 'x') count = GLIA_MAX(count, atoi(p + 2) + 1);
    return count;
}

static size_t fused_workspace(const glia_type *in, const glia_type *out, const void *attrs) {
    const char *members = ((const glia__fused_attrs *)attrs)->members;
    glia_fused fused;
    glia_type type;
    glia_status status = glia__fused_read(&fused, members, in, count_inputs(members), &type, NULL);
    return status == GLIA_OK ? glia__fused_workspace(&fused, GLIA_MAX(glia_shape_elems(&out->shape), 1)) : 0;
}

static double fused_flops(const glia_type *in, const glia_type *out, const void *attrs) {
    double members = 1;
    (void)in;
    for (const char *p = ((const glia__fused_attrs *)attrs)->members; *p; p++) members += *p == ';';
    return members * (double)glia_shape_elems(&out[0].shape);
}

GLIA_OP(fused_elementwise) = {
    .name = "fused_elementwise",
    .version = 1,
    .doc = "the elementwise ops of `members`, one after another, on arrays of one shape and numbers",
    .min_inputs = 1,
    .max_inputs = GLIA_MAX_INPUTS,
    .traits = GLIA_TRAIT_ELEMENTWISE | GLIA_TRAIT_INPLACE | GLIA_TRAIT_INTERNAL | GLIA_TRAIT_NO_ONNX |
              GLIA_TRAIT_NO_GRADIENT,
    .attrs = GLIA_FIELDS({.name = "members",
                          .kind = GLIA_FIELD_STRING,
                          .offset = offsetof(glia__fused_attrs, members),
                          .doc = "op(operands|attributes);…: operand x0 is input 0, y0 what member 0 makes"}),
    .attrs_size = sizeof(glia__fused_attrs),
    .infer = fused_infer,
    .ref = fused_ref,
    .workspace = fused_workspace,
    .flops = fused_flops,
    .cases = GLIA_CASES(
        {.inputs = "4x5:away 4x5", .attrs = "members=mul(x0,x1);leaky_relu(y0|slope=0.3);add(y1,x0)"},
        {.inputs = "2x3x17 scalar 2x3x17:pos",
         .attrs = "members=sub(x0,x1);square(y0);div(y1,x2);sub(x1,y2);mul(y3,y0)"},
        {.inputs = "70x90:away 70x90", .attrs = "members=sigmoid(x1);mul(y0,x1);sub(y1,x0)"},
        {.inputs = "9 9", .attrs = "members=greater(x0,x1);where(y0,x0,x1);clip(y1|min=-1|max=1)"},
        {.inputs = "4x5 4x5:i64<9", .attrs = "members=cast(x1);tanh(y0);mul(y1,y0)"},
        {.inputs = "9x7:bf16 9x7:bf16", .attrs = "members=relu(x0);mul(y0,x1);add(y1,x0)"},
        {.inputs = "9x7:bf16", .attrs = "members=cast(x0|to=f32);exp(y0);mul(y0,y1)"},
        {.inputs = "scalar 1",
         .attrs = "members=exp(x0);mul(x1,x1);add(y1,y1)",
         .expect_error = "member 0 makes"},
        {.inputs = "scalar scalar", .attrs = "members=exp(x0);mul(y0,x1)"},
        {.inputs = "4x5 5",
         .attrs = "members=relu(x0);add(y0,x1)",
         .expect_error = "arrays of one shape only"},
        {.inputs = "4", .expect_error = "members"},
        {.inputs = "4", .attrs = "members=relu(x1)", .expect_error = "cannot read 'relu(x1)'"},
        {.inputs = "4", .attrs = "members=relu(y0)", .expect_error = "cannot read"},
        {.inputs = "4", .attrs = "members=relu(x0", .expect_error = "cannot read"},
        {.inputs = "4", .attrs = "members=add(x0)", .expect_error = "cannot read"},
        {.inputs = "4", .attrs = "members=relu(x0)relu(y0)", .expect_error = "expected ';'"},
        {.inputs = "4", .attrs = "members=relu(x0|steep=1)", .expect_error = "relu has no attribute 'steep'"},
        {.inputs = "4", .attrs = "members=clip(x0|min=a)", .expect_error = "'a'"},
        {.inputs = "4",
         .attrs = "members=relu(x0);dropout(y0)",
         .expect_error = "'dropout' is no op that may be fused"},
        {.inputs = "4",
         .attrs = "members=softmax(x0)",
         .expect_error = "'softmax' is no op that may be fused"}),
};
