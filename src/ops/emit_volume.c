/* emit_volume.c: transposed convolutions, and convolutions and pools of volumes, in C. All go from places of the result to
 * those of x; images are volumes with a depth of 1. */

#include <stdio.h>

#include "glia/ops.h"
#include "ops/emit.h"
#include "ops/window.h"

enum { SIDES = 3 };

/* `at` is the place in x that tap k of the window at place i meets; goes on with the next tap where that lies outside. */
static void open_tap(glia_c *c, const glia_window *w, int side) {
    const long long low = (long long)-w->pad,
                    high = (long long)((w->out - 1) * w->stride + (w->size - 1) * w->dilation - w->pad);
    char variable[8];
    snprintf(variable, sizeof variable, "k%d", side);
    glia__c_for(c, variable, w->size);
    glia__c_line(c, "const int at%d = i%d * %lld + k%d * %lld - %lld;", side, side, (long long)w->stride,
                 side, (long long)w->dilation, (long long)w->pad);
    if (low < 0 || high >= w->in)
        glia__c_line(c, "if (at%d < 0 || at%d >= %lld) continue;", side, side, (long long)w->in);
}

/* The same for a convolution that leads back: only every stride-th place of its larger array has an element of x. */
static void open_tap_back(glia_c *c, const glia_window *w, int side) {
    char variable[8], stride[48] = "";
    snprintf(variable, sizeof variable, "k%d", side);
    if (w->stride > 1) snprintf(stride, sizeof stride, "far%d %% %lld != 0 || ", side, (long long)w->stride);
    glia__c_for(c, variable, w->size);
    glia__c_line(c, "const int far%d = i%d - k%d * %lld + %lld, at%d = far%d / %lld;", side, side, side,
                 (long long)w->dilation, (long long)w->pad, side, side, (long long)w->stride);
    glia__c_line(c, "if (far%d < 0 || %sat%d >= %lld) continue;", side, stride, side, (long long)w->out);
}

/* --- convolutions ---------------------------------------------------------------------------------------- */

typedef struct conv {
    glia_c *c;
    const glia_c_call *call;
    glia_window w[SIDES];
    bool back; /* transposed: the windows lead from y to x */
    int64_t n, groups, in_group, out_group, taps;
    int64_t x_image, x_channel, x_step[SIDES], y_image, y_channel, y_step[SIDES];
    bool repacked;
    int64_t at_once; /* channels of x */
} conv;

/* What follows from the windows: steps of arrays that lie as [N, C, D, H, W], or with channels last. */
static void finish(conv *v, bool channels_last) {
    const glia_shape *x = &v->call->in[0].type.shape, *w = &v->call->in[1].type.shape;
    const int64_t channels = v->back ? w->dim[0] : w->dim[1] * v->groups,
                  results = v->back ? w->dim[1] * v->groups : w->dim[0];
    int64_t x_at = channels_last ? channels : 1, y_at = channels_last ? results : 1;
    v->n = x->dim[0];
    v->in_group = channels / v->groups;
    v->out_group = results / v->groups;
    v->taps = v->w[0].size * v->w[1].size * v->w[2].size;
    for (int d = SIDES - 1; d >= 0; d--) {
        v->x_step[d] = x_at;
        v->y_step[d] = y_at;
        x_at *= v->back ? v->w[d].out : v->w[d].in;
        y_at *= v->back ? v->w[d].in : v->w[d].out;
    }
    v->x_channel = channels_last ? 1 : x_at;
    v->y_channel = channels_last ? 1 : y_at;
    v->x_image = channels_last ? x_at : x_at * channels;
    v->y_image = channels_last ? y_at : y_at * results;
    v->repacked = v->call->in[1].data != NULL;
    for (v->at_once = 8; v->in_group % v->at_once;) v->at_once /= 2;
    v->c->macs = (double)(v->n * results * v->in_group) * (double)v->taps *
                 (double)(v->w[0].out * v->w[1].out * v->w[2].out);
}

/* Where the weight of channels `in` and `out` of a group lies, without its tap. */
static int64_t weight_at(const conv *v, int64_t group, int64_t in, int64_t out) {
    if (v->back) return ((group * v->in_group + in) * v->out_group + out) * v->taps;
    return ((group * v->out_group + out) * v->in_group + in) * v->taps;
}

/* Constant weights in the order of the loops: group, block, tap, channel; results of a block last. */
static void repack(const conv *v, const glia_emit_block *kinds, int n_kinds, int64_t group_elems) {
    float *to = glia__c_repack(v->c, v->call, 1, v->groups * group_elems);
    const float *from = v->call->in[1].data;
    for (int64_t g = 0; to && g < v->groups; g++)
        for (int q = 0; q < n_kinds; q++)
            for (int64_t b = 0; b < kinds[q].blocks; b++)
                for (int64_t t = 0; t < v->taps; t++)
                    for (int64_t ci = 0; ci < v->in_group; ci++, to += kinds[q].padded)
                        for (int64_t k = 0; k < kinds[q].count; k++)
                            to[k] = from[weight_at(v, g, ci, kinds[q].first + b * kinds[q].count + k) + t];
}

/* Adds the products of one tap to s. */
static void add_tap(const conv *v, const glia_emit_block *block, int64_t before, int64_t group_elems) {
    glia_c *c = v->c;
    const long long padded = block->padded;
    glia__c_line(c, "const int tap = (k0 * %lld + k1) * %lld + k2;", (long long)v->w[1].size,
                 (long long)v->w[2].size);
    glia__c_line(c, "const float *row = %s + n * %lld + g * %lld + at0 * %lld + at1 * %lld + at2 * %lld;",
                 v->call->in[0].name, (long long)v->x_image, (long long)(v->in_group * v->x_channel),
                 (long long)v->x_step[0], (long long)v->x_step[1], (long long)v->x_step[2]);
    glia__c_line(c, "for (int ci = 0; ci < %lld; ci += %lld) {", (long long)v->in_group,
                 (long long)v->at_once);
    if (v->repacked)
        glia__c_line(c, "const float *t = %s + g * %lld + %lld + ((b * %lld + tap) * %lld + ci) * %lld;",
                     v->call->in[1].name, (long long)group_elems, (long long)before, (long long)v->taps,
                     (long long)v->in_group, padded);
    else
        glia__c_line(c, "const float *t = %s + g * %lld + ci * %lld + (o - g * %lld) * %lld + tap;",
                     v->call->in[1].name, (long long)weight_at(v, 1, 0, 0), (long long)weight_at(v, 0, 1, 0),
                     (long long)v->out_group, (long long)weight_at(v, 0, 0, 1));
    for (int64_t u = 0; u < v->at_once; u++)
        glia__c_line(c, "const float v%lld = row[(ci + %lld) * %lld];", (long long)u, (long long)u,
                     (long long)v->x_channel);
    glia__c_for(c, "k", padded);
    glia__emit_products(c, v->at_once, v->repacked ? padded : weight_at(v, 0, 1, 0),
                        v->repacked ? 1 : weight_at(v, 0, 0, 1));
    glia__c_end(c);
    glia__c_end(c);
}

static void emit_block(const conv *v, const glia_emit_block *block, int64_t before, int64_t group_elems) {
    glia_c *c = v->c;
    char variable[8], to[240];
    glia__c_for(c, "b", block->blocks);
    for (int d = 0; d < SIDES; d++) {
        snprintf(variable, sizeof variable, "i%d", d);
        glia__c_for(c, variable, v->back ? v->w[d].in : v->w[d].out);
    }
    glia__c_line(c, "const int o = g * %lld + %lld + b * %lld;", (long long)v->out_group,
                 (long long)block->first, (long long)block->count);
    glia__c_line(c, "float s[%lld] = {0};", (long long)block->padded);
    for (int d = 0; d < SIDES; d++) (v->back ? open_tap_back : open_tap)(c, &v->w[d], d);
    add_tap(v, block, before, group_elems);
    for (int d = 0; d < SIDES; d++) glia__c_end(c);
    glia__c_for(c, "k", block->count);
    snprintf(to, sizeof to, "n * %lld + (o + k) * %lld + i0 * %lld + i1 * %lld + i2 * %lld",
             (long long)v->y_image, (long long)v->y_channel, (long long)v->y_step[0], (long long)v->y_step[1],
             (long long)v->y_step[2]);
    glia__c_store(c, v->call, to, "s[k]");
    for (int i = 0; i < 2 + SIDES; i++) glia__c_end(c);
}

static glia_status emit_conv(conv *v) {
    glia_emit_block kinds[2];
    const int n_kinds = glia__emit_blocks(v->out_group, v->repacked, kinds);
    int64_t group_elems = 0, before = 0;
    for (int q = 0; q < n_kinds; q++)
        group_elems += kinds[q].blocks * kinds[q].padded * v->taps * v->in_group;
    if (v->repacked) repack(v, kinds, n_kinds, group_elems);
    glia__c_for(v->c, "n", v->n);
    glia__c_for(v->c, "g", v->groups);
    for (int q = 0; q < n_kinds; q++) {
        emit_block(v, &kinds[q], before, group_elems);
        before += kinds[q].blocks * kinds[q].padded * v->taps * v->in_group;
    }
    glia__c_end(v->c);
    glia__c_end(v->c);
    return GLIA_OK;
}

static glia_status emit_conv3d(glia_c *c, const glia_c_call *call, const glia_conv3d_attrs *a, bool back) {
    const glia_shape *large = back ? &call->out[0].type.shape : &call->in[0].type.shape;
    conv v = {.c = c, .call = call, .back = back, .groups = a->groups};
    for (int d = 0; d < SIDES; d++) {
        v.w[d] = (glia_window){.in = large->dim[2 + d],
                               .size = call->in[1].type.shape.dim[2 + d],
                               .stride = a->strides[d],
                               .dilation = a->dilation[d]};
        GLIA_TRY(glia__window_fit(&v.w[d], a->padding, a->pads[d], a->pads[SIDES + d], "conv3d", "side",
                                  call->err));
    }
    finish(&v, false);
    return emit_conv(&v);
}

GLIA_EMIT(conv3d) {
    return emit_conv3d(c, call, call->attrs, false);
}

GLIA_EMIT(conv_transpose3d) {
    return emit_conv3d(c, call, &((const glia_conv_transpose3d_attrs *)call->attrs)->conv, true);
}

GLIA_EMIT(conv_transpose2d) {
    const glia_conv2d_attrs *a = &((const glia_conv_transpose2d_attrs *)call->attrs)->conv;
    const bool last = a->channels_last == GLIA_YES;
    const glia_nchw y = glia__nchw_sizes(&call->out[0].type.shape, last);
    const int64_t large[] = {y.h, y.w};
    conv v = {.c = c, .call = call, .back = true, .groups = a->groups};
    v.w[0] = (glia_window){.in = 1, .out = 1, .size = 1, .stride = 1, .dilation = 1};
    for (int d = 0; d < 2; d++) {
        v.w[1 + d] = (glia_window){.in = large[d],
                                   .size = call->in[1].type.shape.dim[2 + d],
                                   .stride = a->strides[d],
                                   .dilation = a->dilation[d]};
        GLIA_TRY(glia__window_fit(&v.w[1 + d], a->padding, a->pads[d], a->pads[2 + d], "conv_transpose2d",
                                  "side", call->err));
    }
    finish(&v, last);
    return emit_conv(&v);
}

/* --- pools ----------------------------------------------------------------------------------------------- */

/* Loops over windows, `to` counting them, and over what is in them: `v`, at `from` in x. `start` declares what is found. */
static glia_status open_windows(glia_c *c, const glia_c_call *call, const char *start) {
    const glia_pool3d_attrs *a = call->attrs;
    const glia_shape *x = &call->in[0].type.shape;
    glia_window w[SIDES];
    char variable[8];
    for (int d = 0; d < SIDES; d++) {
        w[d] = (glia_window){.in = x->dim[2 + d],
                             .size = a->size[d],
                             .stride = a->strides[d] ? a->strides[d] : a->size[d],
                             .dilation = a->dilation[d]};
        GLIA_TRY(
            glia__window_fit(&w[d], a->padding, a->pads[d], a->pads[SIDES + d], "pool", "side", call->err));
    }
    glia__c_for(c, "p", x->dim[0] * x->dim[1]);
    for (int d = 0; d < SIDES; d++) {
        snprintf(variable, sizeof variable, "i%d", d);
        glia__c_for(c, variable, w[d].out);
    }
    glia__c_line(c, "const int to = ((p * %lld + i0) * %lld + i1) * %lld + i2;", (long long)w[0].out,
                 (long long)w[1].out, (long long)w[2].out);
    glia__c_line(c, "%s", start);
    for (int d = 0; d < SIDES; d++) open_tap(c, &w[d], d);
    glia__c_line(c, "const int from = ((p * %lld + at0) * %lld + at1) * %lld + at2;", (long long)w[0].in,
                 (long long)w[1].in, (long long)w[2].in);
    return GLIA_OK;
}

/* The first of equals; what is no number beats all. */
GLIA_EMIT(max_pool3d) {
    const glia_dtype dtype = call->in[0].type.dtype;
    char start[64];
    snprintf(start, sizeof start, "int best = -1; %s s = 0;", glia__c_type(dtype));
    GLIA_TRY(open_windows(c, call, start));
    glia__c_line(c, "const %s v = %s[from];", glia__c_type(dtype), call->in[0].name);
    glia__c_line(c, "if (best < 0 || v > s%s) s = v, best = from;",
                 glia_dtype_is_float(dtype) ? " || (v != v && s == s)" : "");
    for (int d = 0; d < SIDES; d++) glia__c_end(c);
    if (call->out[1].name) glia__c_line(c, "%s[to] = best;", call->out[1].name);
    glia__c_store(c, call, "to", "s");
    for (int i = 0; i <= SIDES; i++) glia__c_end(c);
    return GLIA_OK;
}

GLIA_EMIT(average_pool3d) {
    GLIA_TRY(open_windows(c, call, "int count = 0; double s = 0;"));
    glia__c_line(c, "s += (double)%s[from];", call->in[0].name);
    glia__c_line(c, "count++;");
    for (int d = 0; d < SIDES; d++) glia__c_end(c);
    glia__c_store(c, call, "to", "(float)(s / count)");
    for (int i = 0; i <= SIDES; i++) glia__c_end(c);
    return GLIA_OK;
}
