/* layout.c: arrays of weights as other frameworks lay them out. */
#include "train/names.h"

/* The axes there that one letter stands for: usually one; for flattened pictures channels last, their dimensions; for gates,
 * blocks and what is in a block. */
static void add_axis(glia_layout *l, const glia_names *names, const glia_names_param *p,
                     const glia_names_row *row, char letter, int64_t size, int64_t stride) {
    const glia_shape *picture = &p->before_flatten;
    if (letter == 'g' && row->gates) {
        int64_t gates = strchr(row->gates, ':') - row->gates;
        l->gate_axis = l->rank;
        l->dim[l->rank] = gates;
        l->stride[l->rank++] = size / gates * stride;
        size /= gates;
    }
    if (letter != 'i' || !names->channels_last || picture->rank != 3 || glia_shape_elems(picture) != size) {
        l->dim[l->rank] = size;
        l->stride[l->rank++] = stride;
        return;
    }
    int64_t inner = stride;
    for (int d = picture->rank - 1; d >= 0;
         d--) { /* here: channels, height, width; there the first comes last */
        int at = l->rank + (d ? d - 1 : picture->rank - 1);
        l->dim[at] = picture->dim[d];
        l->stride[at] = inner;
        inner *= picture->dim[d];
    }
    l->rank += picture->rank;
}

static bool set_gates(glia_layout *l, const char *gates) {
    const char *colon = strchr(gates, ':');
    int count = (int)(colon - gates);
    for (int b = 0; b < count; b++) {
        const char *ours = memchr(gates, colon[1 + b], (size_t)count);
        if (!ours) return false;
        l->gate[b] = (int)(ours - gates);
    }
    return true;
}

bool glia__layout_make(const glia_names *names, const glia_names_param *p, const glia_names_row *row,
                       glia_layout *out) {
    const char *axes = row ? row->axes : NULL;
    int64_t stride[GLIA_MAX_RANK], inner = 1;
    *out = (glia_layout){.theirs = p->shape, .gate_axis = -1, .copies = true};
    if (!axes) return true;
    if (strlen(axes) != 2 * (size_t)p->shape.rank + 1) return false;
    for (int d = p->shape.rank - 1; d >= 0; d--) {
        stride[d] = inner;
        inner *= p->shape.dim[d];
    }
    for (int k = 0; k < p->shape.rank; k++) {
        char letter = axes[p->shape.rank + 1 + k];
        int d = (int)(strchr(axes, letter) - axes);
        out->theirs.dim[k] = p->shape.dim[d];
        if (letter == 'g' && row->gates && p->shape.dim[d] % (strchr(row->gates, ':') - row->gates) != 0)
            return false;
        add_axis(out, names, p, row, letter, p->shape.dim[d], stride[d]);
    }
    int64_t dense = 1;
    for (int k = out->rank - 1; k >= 0; k--) {
        out->copies &= out->stride[k] == dense || out->dim[k] == 1;
        dense *= out->dim[k];
    }
    if (out->gate_axis >= 0) out->copies = false;
    return out->gate_axis < 0 || set_gates(out, row->gates);
}

/* Calls for every element there, in order, with the place of its counterpart here. */
static int64_t place_of(const glia_layout *l, const int64_t *index) {
    int64_t at = 0;
    for (int k = 0; k < l->rank; k++) at += (k == l->gate_axis ? l->gate[index[k]] : index[k]) * l->stride[k];
    return at;
}

static void next_index(const glia_layout *l, int64_t *index) {
    for (int k = l->rank - 1; k >= 0 && ++index[k] == l->dim[k]; k--) index[k] = 0;
}

void glia__layout_read(const glia_layout *l, const glia_tensor *theirs, float *ours) {
    int64_t index[GLIA_LAYOUT_AXES] = {0}, elems = glia_shape_elems(&l->theirs);
    bool plain = theirs->dtype == GLIA_F32;
    if (l->copies && plain) {
        memcpy(ours, theirs->data, (size_t)elems * sizeof(float));
        return;
    }
    const char *bytes = theirs->data;
    for (int64_t i = 0; i < elems; i++) {
        float value;
        if (plain) /* may be unaligned */
            memcpy(&value, bytes + (size_t)i * sizeof value, sizeof value);
        else
            value = (float)glia_tensor_get(theirs, i);
        ours[l->copies ? i : place_of(l, index)] = value;
        next_index(l, index);
    }
}

void glia__layout_write(const glia_layout *l, const float *ours, float *theirs) {
    int64_t index[GLIA_LAYOUT_AXES] = {0}, elems = glia_shape_elems(&l->theirs);
    for (int64_t i = 0; i < elems; i++) {
        theirs[i] = ours[l->copies ? i : place_of(l, index)];
        next_index(l, index);
    }
}
