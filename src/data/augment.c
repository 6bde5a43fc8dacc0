/* augment.c: pictures changed at random while training. What happens to an example depends on (seed, epoch, example) alone:
 * neither on the batch nor on the thread that gathers it. */

#include "data/augment.h"

#include "core/mem.h"

static bool flips(const glia_augment_options *o) {
    return o->flip && *o->flip && strcmp(o->flip, "none") != 0;
}

glia_status glia__augment_check(const glia_augment_options *o, const glia_dataset_info *info, bool *any,
                                glia_error *err) {
    char shape[96];
    const int64_t *dim = info->input_shape.dim;
    *any = flips(o) || o->crop != 0 || o->cutout != 0;
    if (!*any) return GLIA_OK;
    if (flips(o) && strcmp(o->flip, "horizontal") != 0)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT,
                              "augment: flip: expected none or horizontal, found '%s'", o->flip);
    if (info->input_shape.rank != 3)
        return glia_error_set(
            err, GLIA_BAD_SHAPE,
            "augment: expected pictures (channels×height×width), the data has examples of %s",
            glia_shape_text(&info->input_shape, shape, sizeof shape));
    if (info->target == GLIA_TARGET_CLASS && info->target_shape.rank)
        return glia_error_set(
            err, GLIA_UNSUPPORTED,
            "augment: the targets are classes of positions (%s), which do not move with the "
            "picture",
            glia_shape_text(&info->target_shape, shape, sizeof shape));
    if (o->cutout < 0)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT,
                              "augment: cutout: expected 0 or a number of pixels, found %lld",
                              (long long)o->cutout);
    if (o->crop >= 0 && o->crop < dim[1] && o->crop < dim[2]) return GLIA_OK;
    return glia_error_set(
        err, GLIA_INVALID_ARGUMENT,
        "augment: crop: expected 0 or more pixels and fewer than a picture of %lld×%lld has, found %lld",
        (long long)dim[1], (long long)dim[2], (long long)o->crop);
}

/* Row `y` of `to`, `width` pixels, from row `from` shifted by `dx`; NULL: a row from beyond the edge. */
static void copy_row(float *to, const float *from, int64_t width, int64_t dx, bool mirror, float black) {
    for (int64_t x = 0; x < width; x++) {
        const int64_t at = (mirror ? width - 1 - x : x) + dx;
        to[x] = from && at >= 0 && at < width ? from[at] : black;
    }
}

/* The picture shifted and mirrored as was drawn. */
static void move(const glia_augment_options *o, const glia_dataset_info *info, const uint32_t drawn[4],
                 float *example, float *scratch) {
    const int64_t channels = info->input_shape.dim[0], height = info->input_shape.dim[1],
                  width = info->input_shape.dim[2];
    const uint64_t places = 2 * (uint64_t)o->crop + 1; /* 0 … 2·crop, by the upper half of a product */
    const int64_t dy = (int64_t)(drawn[0] * places >> 32) - o->crop,
                  dx = (int64_t)(drawn[1] * places >> 32) - o->crop;
    const bool mirror = flips(o) && (drawn[2] & 1);
    if (!dy && !dx && !mirror) return;
    memcpy(scratch, example, (size_t)(channels * height * width) * sizeof *scratch);
    for (int64_t c = 0; c < channels; c++) {
        const float black = info->mean && info->std ? -info->mean[c] / info->std[c] : 0;
        for (int64_t y = 0; y < height; y++) {
            const int64_t at = y + dy;
            const float *from = at >= 0 && at < height ? scratch + (c * height + at) * width : NULL;
            copy_row(example + (c * height + y) * width, from, width, dx, mirror, black);
        }
    }
}

/* A square around any pixel, cut off where it leaves the picture. Zero is the mean of normalised data, black of others.
 * DeVries, Taylor, "Improved regularization of convolutional neural networks with cutout", 2017. */
static void cut_out(int64_t side, const glia_dataset_info *info, uint32_t drawn, float *example) {
    const int64_t *dim = info->input_shape.dim;
    const int64_t top = (int64_t)((drawn & 0xffff) * (uint64_t)dim[1] >> 16) - side / 2,
                  left = (int64_t)((drawn >> 16) * (uint64_t)dim[2] >> 16) - side / 2;
    const int64_t begin = GLIA_MAX(left, 0), end = GLIA_MIN(left + side, dim[2]);
    for (int64_t c = 0; c < dim[0]; c++)
        for (int64_t y = GLIA_MAX(top, 0); y < GLIA_MIN(top + side, dim[1]); y++)
            for (int64_t x = begin; x < end; x++) example[(c * dim[1] + y) * dim[2] + x] = 0;
}

void glia__augment(const glia_augment_options *o, const glia_dataset_info *info, glia_random random,
                   uint64_t index, float *example, float *scratch) {
    uint32_t drawn[4];
    glia_random_block(random, index, drawn);
    move(o, info, drawn, example, scratch);
    if (o->cutout) cut_out(o->cutout, info, drawn[3], example);
}
