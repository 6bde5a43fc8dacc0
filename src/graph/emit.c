/* emit.c: what ops write C with. */

#include "graph/emit.h"

#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

/* --- lines ----------------------------------------------------------------------------------------------- */

static void indent(glia_c *c) {
    for (int i = 0; i < c->depth; i++) glia__text_add(c->text, "    ");
}

void glia__c_line(glia_c *c, const char *format, ...) {
    va_list args;
    if (*format == '}') c->depth--;
    indent(c);
    va_start(args, format);
    glia__text_vprintf(c->text, format, args);
    va_end(args);
    const size_t length = strlen(format);
    if (length && format[length - 1] == '{') c->depth++;
    glia__text_add(c->text, "\n");
}

void glia__c_for(glia_c *c, const char *name, int64_t n) {
    glia__c_line(c, "for (int %s = 0; %s < %lld; %s++) {", name, name, (long long)n, name);
}

void glia__c_end(glia_c *c) {
    glia__c_line(c, "}");
}

void glia__c_need(glia_c *c, uint32_t needs) {
    c->needs |= needs;
}

void glia__c_fail_if(glia_c *c, const char *condition) {
    c->fails = true;
    glia__c_line(c, "if (%s) return -1;", condition);
}

void *glia__c_repack(glia_c *c, const glia_c_call *call, int input, int64_t elems) {
    const glia_c_array *array = &call->in[input];
    if (!array->data) return NULL;
    void *data = glia__arena_alloc(c->arena, (size_t)elems * glia_dtype_bytes(array->type.dtype));
    if (!data) {
        c->text->failed = true;
        return NULL;
    }
    c->repacked[input] = data;
    c->repacked_elems[input] = elems;
    return data;
}

static glia_c_own *add_own(glia_c *c, const char *word, glia_dtype dtype, int64_t elems) {
    static glia_c_own none;
    if (c->n_own == GLIA_C_OWN) {
        c->text->failed = true;
        return &none;
    }
    glia_c_own *own = &c->own[c->n_own];
    *own = (glia_c_own){.dtype = dtype, .elems = elems};
    snprintf(own->name, sizeof own->name, "%s%d", word, c->n_own++);
    return own;
}

const char *glia__c_work(glia_c *c, glia_dtype dtype, int64_t elems) {
    return add_own(c, "work", dtype, elems)->name;
}

void *glia__c_table(glia_c *c, glia_dtype dtype, int64_t elems, const char **name) {
    void *data = glia__arena_alloc(c->arena, (size_t)elems * glia_dtype_bytes(dtype) + 1);
    glia_c_own *own = add_own(c, "table", dtype, elems);
    own->data = data;
    *name = own->name;
    if (!data) c->text->failed = true;
    return data;
}

/* --- numbers --------------------------------------------------------------------------------------------- */

const char *glia__c_type(glia_dtype dtype) {
    static const char *const types[GLIA_DTYPE_COUNT] = {
        [GLIA_F32] = "float",   [GLIA_F64] = "double", [GLIA_I32] = "int32_t",
        [GLIA_I64] = "int64_t", [GLIA_U8] = "uint8_t", [GLIA_BOOL] = "uint8_t"};
    return types[dtype];
}

bool glia__c_number_needs_math(double value) {
    return !isfinite(value);
}

/* Hexadecimal digits are exact and quick to write; "0x1.8p-3f". `bits` of the mantissa, 4 a digit. */
static void add_hex(glia_text *text, bool minus, uint64_t mantissa, int digits, int exponent,
                    const char *suffix) {
    char out[40], *p = out;
    if (minus) *p++ = '-';
    *p++ = '0', *p++ = 'x', *p++ = '1';
    if (mantissa) *p++ = '.';
    for (int d = digits - 1; d >= 0 && mantissa & (((uint64_t)1 << 4 * (d + 1)) - 1); d--)
        *p++ = "0123456789abcdef"[mantissa >> 4 * d & 15];
    *p++ = 'p';
    *p++ = exponent < 0 ? '-' : '+';
    const int e = exponent < 0 ? -exponent : exponent;
    if (e >= 1000) *p++ = (char)('0' + e / 1000);
    if (e >= 100) *p++ = (char)('0' + e / 100 % 10);
    if (e >= 10) *p++ = (char)('0' + e / 10 % 10);
    *p++ = (char)('0' + e % 10);
    *p = 0;
    glia__text_add_bytes(text, out, (size_t)(p - out));
    glia__text_add(text, suffix);
}

/* A finite number other than 0. */
static void add_float(glia_text *text, double value, bool single) {
    int exponent;
    const double half = frexp(fabs(value), &exponent); /* in [½, 1) */
    const uint64_t mantissa = (uint64_t)ldexp(half, 53) & (((uint64_t)1 << 52) - 1);
    if (single) /* 23 bits, and a 0 that makes them 6 digits */
        add_hex(text, value < 0, mantissa >> 28, 6, exponent - 1, "f");
    else
        add_hex(text, value < 0, mantissa, 13, exponent - 1, "");
}

void glia__c_number(glia_text *text, glia_dtype dtype, double value) {
    const bool single = dtype == GLIA_F32;
    if (!glia_dtype_is_float(dtype))
        glia__text_printf(text, "%.0f", value);
    else if (isnan(value))
        glia__text_add(text, "NAN");
    else if (isinf(value))
        glia__text_add(text, value < 0 ? "-INFINITY" : "INFINITY");
    else if (value == 0)
        glia__text_add(text, signbit(value) ? single ? "-0.0f" : "-0.0" : single ? "0.0f" : "0.0");
    else
        add_float(text, single ? (double)(float)value : value, single);
}

/* --- expressions ----------------------------------------------------------------------------------------- */

const char *glia__c_expr_text(const glia_op *op, const glia_type *in, const glia_type *out,
                              const void *attrs) {
    return op->c_expr_for ? op->c_expr_for(in, out, attrs) : op->c_expr;
}

/* Functions of floats that the file brings along: those of the C library are slower, and not everywhere. */
static const struct {
    const char *name;
    uint32_t need;
} helpers[] = {{"exp", GLIA_C_EXP}, {"expm1", GLIA_C_EXPM1}, {"log1p", GLIA_C_LOG1P}, {"tanh", GLIA_C_TANH}};

/* A call of a function of <tgmath.h>, for numbers of type T. Those that begin with "is" are macros. */
static void add_function(glia_c *c, glia_text *out, const char *name, size_t length, bool single) {
    for (size_t i = 0; i < GLIA_COUNT(helpers) && single; i++)
        if (strlen(helpers[i].name) == length && strncmp(helpers[i].name, name, length) == 0) {
            c->needs |= helpers[i].need;
            glia__text_printf(out, "%s_%s", c->prefix, helpers[i].name);
            return;
        }
    c->needs |= GLIA_C_MATH;
    const bool macro = strncmp(name, "is", 2) == 0 || strncmp(name, "signbit", length) == 0;
    glia__text_printf(out, "%.*s%s", (int)length, name, single && !macro ? "f" : "");
}

static void add_attribute(glia_c *c, glia_text *out, const glia_field *field, const void *attrs,
                          glia_dtype dtype) {
    const char *at = (const char *)attrs + field->offset;
    double value;
    if (field->kind == GLIA_FIELD_FLOAT)
        value = *(const double *)(const void *)at;
    else if (field->kind == GLIA_FIELD_INT)
        value = (double)*(const int64_t *)(const void *)at;
    else
        value = *(const int *)(const void *)at;
    if (field->kind != GLIA_FIELD_FLOAT) dtype = GLIA_I32;
    if (!glia_dtype_is_float(dtype) && field->kind == GLIA_FIELD_FLOAT) dtype = GLIA_F64;
    if (glia__c_number_needs_math(value)) c->needs |= GLIA_C_MATH;
    if (value < 0) glia__text_add(out, "(");
    glia__c_number(out, dtype, value);
    if (value < 0) glia__text_add(out, ")");
}

static bool is_word(const char *word, size_t length, const char *what) {
    return strlen(what) == length && strncmp(word, what, length) == 0;
}

/* One word of an expression: an operand, T, an attribute, a function, or anything else. */
static void add_word(glia_c *c, glia_text *out, const glia_c_rider *op, const char *word, size_t length,
                     const char *const operands[3], glia_dtype dtype) {
    char name[32];
    snprintf(name, sizeof name, "%.*s", (int)length, word);
    const glia_field *field = op->op->attrs ? glia__field_find(op->op->attrs, name) : NULL;
    if (length == 1 && *word >= 'x' && *word <= 'z' && operands[*word - 'x'])
        glia__text_add(out, operands[*word - 'x']);
    else if (is_word(word, length, "T"))
        glia__text_add(out, glia__c_type(dtype));
    else if (field)
        add_attribute(c, out, field, op->attrs, dtype);
    else if (word[length] == '(' && glia_dtype_is_float(dtype))
        add_function(c, out, word, length, dtype == GLIA_F32);
    else if (is_word(word, length, "INFINITY") || is_word(word, length, "NAN"))
        c->needs |= GLIA_C_MATH, glia__text_add(out, name);
    else
        glia__text_add_bytes(out, word, length);
}

/* T is the type of the first operand that is not a choice. */
void glia__c_expression(glia_c *c, glia_text *out, const glia_c_rider *op, const char *const operands[3]) {
    glia_type in[3] = {{0}}, result = {.dtype = op->out};
    for (int i = 0; i < op->n_in && i < 3; i++) in[i] = *op->in[i];
    const glia_dtype dtype = in[0].dtype == GLIA_BOOL && op->n_in > 1 ? in[op->n_in - 1].dtype : in[0].dtype;
    for (const char *p = glia__c_expr_text(op->op, in, &result, op->attrs); p && *p;) {
        size_t length = 0;
        if (isdigit((unsigned char)*p)) /* with its exponent */
            while (isalnum((unsigned char)p[length]) || p[length] == '.' ||
                   ((p[length] == '-' || p[length] == '+') && (p[length - 1] == 'e' || p[length - 1] == 'p')))
                length++;
        if (length) {
            glia__text_add_bytes(out, p, length);
        } else if (isalpha((unsigned char)*p)) {
            while (isalnum((unsigned char)p[length]) || p[length] == '_') length++;
            add_word(c, out, op, p, length, operands, dtype);
        } else {
            glia__text_add_bytes(out, p, length = 1);
        }
        p += length;
    }
}

/* --- stores ---------------------------------------------------------------------------------------------- */

/* const TYPE tK = expression of t(K−1) and of elements of other arrays. */
static void add_rider(glia_c *c, const glia_c_rider *rider, int k, const char *index) {
    char texts[3][200];
    const char *operands[3] = {NULL, NULL, NULL};
    for (int i = 0; i < rider->n_in; i++) {
        if (!rider->operands[i])
            snprintf(texts[i], sizeof texts[i], "t%d", k - 1);
        else
            snprintf(texts[i], sizeof texts[i], "%s[%s]", rider->operands[i],
                     glia_shape_elems(&rider->in[i]->shape) == 1 ? "0" : index);
        operands[i] = texts[i];
    }
    indent(c);
    glia__text_printf(c->text, "const %s t%d = (%s)(", glia__c_type(rider->out), k, glia__c_type(rider->out));
    glia__c_expression(c, c->text, rider, operands);
    glia__text_add(c->text, ");\n");
}

void glia__c_store(glia_c *c, const glia_c_call *call, const char *index, const char *value) {
    const char *y = call->out[0].name;
    if (!c->n_riders) {
        glia__c_line(c, "%s[%s] = %s;", y, index, value);
        return;
    }
    glia__c_line(c, "{");
    glia__c_line(c, "const %s t0 = %s;", glia__c_type(call->out[0].type.dtype), value);
    for (int k = 0; k < c->n_riders; k++) add_rider(c, &c->riders[k], k + 1, index);
    glia__c_line(c, "%s[%s] = t%d;", y, index, c->n_riders);
    glia__c_line(c, "}");
}

/* --- boxes ----------------------------------------------------------------------------------------------- */

void glia__c_steps(const glia_shape *shape, int64_t *step) {
    int64_t at = 1;
    for (int d = shape->rank - 1; d >= 0; d--) {
        step[d] = at;
        at *= shape->dim[d];
    }
}

const char *glia__c_index(int rank, const char *variable, const int64_t *step, int64_t offset, char *out,
                          size_t capacity) {
    size_t used = 0;
    *out = 0;
    for (int d = 0; d < rank && used < capacity; d++) {
        if (!step[d]) continue;
        used += (size_t)snprintf(out + used, capacity - used, "%s%s%d", used ? " + " : "", variable, d);
        if (step[d] != 1 && used < capacity)
            used += (size_t)snprintf(out + used, capacity - used, " * %lld", (long long)step[d]);
    }
    if ((offset || !used) && used < capacity)
        snprintf(out + used, capacity - used, "%s%lld", used ? " + " : "", (long long)offset);
    return out;
}

void glia__c_copy(glia_c *c, const glia_c_call *call, glia_c_box box, const char *source, const char *value) {
    char from[200], to[200], element[260], variable[8];
    for (int d = 0; d < box.rank; d++)
        if (box.dim[d] == 0) return;
    for (int d = 0; d < box.rank; d++) {
        snprintf(variable, sizeof variable, "i%d", d);
        glia__c_for(c, variable, box.dim[d]);
    }
    glia__c_index(box.rank, "i", box.from_step, box.from, from, sizeof from);
    glia__c_index(box.rank, "i", box.to_step, box.to, to, sizeof to);
    snprintf(element, sizeof element, "%s[%s]", source, from);
    glia__c_store(c, call, to, value ? value : element);
    for (int d = 0; d < box.rank; d++) glia__c_end(c);
}
