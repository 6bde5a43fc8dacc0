/* runner_rows.c: see runner_rows.h. */

#include "train/runner_rows.h"

#include "ops/row_parts.h"

enum { LARGE = 1 << 20 /* elements: 4 MB; smaller tables stay in a cache */ };

static int64_t elems_for(const glia_value *value, int64_t count) {
    glia_shape shape = value->type.shape;
    for (int d = 0; d < shape.rank; d++)
        if (shape.dim[d] == GLIA_DIM_BATCH) shape.dim[d] = count;
    return glia_shape_elems(&shape);
}

static int64_t readings_of(const glia_node *const *parts, int n, int64_t count) {
    int64_t readings = 0;
    for (int i = 0; i < n; i++) readings += elems_for(parts[i]->inputs[1], count);
    return readings;
}

/* Values that a program can give, or that the batch itself is. */
static bool can_be_given(const glia_runner *r, const glia_node *part) {
    const glia_value *indices = part->inputs[1], *dy = part->inputs[2];
    return dy->node && dy != r->head->prediction &&
           (indices->node || indices == glia_model_input(r->model, 0));
}

int glia__runner_row_parts(const glia_runner *r, size_t param, int64_t count, const glia_node **parts) {
    const glia_param *p = &r->model->params[param];
    if (!r->rows || !p->trained || !(p->sparse || (r->still && p->elems >= LARGE))) return 0;
    const int n = glia__row_parts(r->head->gradients[param], parts, GLIA_ROW_PARTS);
    for (int i = 0; i < n; i++)
        if (!can_be_given(r, parts[i])) return 0;
    const int64_t table_rows = p->value->type.shape.dim[0];
    return p->sparse || 2 * readings_of(parts, n, count) <= table_rows ? n : 0;
}

bool glia__runner_row_value(const glia_runner *r, const glia_value *value, int64_t count) {
    const glia_node *parts[GLIA_ROW_PARTS];
    for (size_t p = 0; r->rows && p < r->model->n_params; p++)
        for (int i = glia__runner_row_parts(r, p, count, parts) - 1; i >= 0; i--)
            if (parts[i]->inputs[1] == value || parts[i]->inputs[2] == value) return true;
    return false;
}

glia_status glia__runner_check_rows(const glia_runner *r, const glia_optimizer_options *settings,
                                    glia_error *err) {
    const glia_node *parts[GLIA_ROW_PARTS];
    for (size_t p = 0; p < r->model->n_params; p++) {
        const glia_param *param = &r->model->params[p];
        const char *name = glia_value_name(param->value);
        if (!param->sparse || !param->trained) continue;
        if (settings->weight_decay > 0)
            return glia_error_set(
                err, GLIA_INVALID_ARGUMENT,
                "'%s' is sparse: a step leaves the rows alone that its batch does not use, but "
                "weight_decay is %g, which moves all; set weight_decay to 0, or sparse to no",
                name, settings->weight_decay);
        if (!glia__runner_row_parts(r, p, 1, parts))
            return glia_error_set(
                err, GLIA_UNSUPPORTED,
                "'%s' is sparse, but not only looked up: another layer uses it whole, so that "
                "every row has a gradient; set sparse to no",
                name);
    }
    return GLIA_OK;
}

size_t glia__runner_row_bytes(const glia_runner *r, int64_t count) {
    const glia_node *parts[GLIA_ROW_PARTS];
    size_t bytes = 0;
    for (size_t p = 0; p < r->model->n_params; p++) {
        const int n = glia__runner_row_parts(r, p, count, parts);
        const int64_t width = n ? r->model->params[p].value->type.shape.dim[1] : 0;
        const int64_t readings = readings_of(parts, n, count);
        bytes += n ? glia__table_rows_bytes(readings, width) : 0;
        bytes += (size_t)readings * ((size_t)width * sizeof(float) + sizeof(int64_t));
    }
    return bytes;
}

/* --- places ------------------------------------------------------------------------------------------------------ */

static glia_runner_place *find_place(const glia_runner *r, const glia_value *value) {
    for (size_t i = 0; i < r->n_places; i++)
        if (r->places[i].value == value) return &r->places[i];
    return NULL;
}

/* Memory for a value in batches of up to `count`. When it moves, programs have to be bound anew. */
static glia_status make_place(glia_runner *r, const glia_value *value, int64_t count, void **out,
                              glia_error *err) {
    const glia_allocator *allocator = r->model->allocator;
    const size_t bytes = (size_t)elems_for(value, count) * glia_dtype_bytes(value->type.dtype);
    glia_runner_place *place = find_place(r, value);
    if (!place) {
        void *grown = glia__grow(allocator, r->places, r->n_places, r->n_places + 1, sizeof *r->places);
        if (!grown) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
        r->places = grown;
        place = &r->places[r->n_places++];
        *place = (glia_runner_place){.value = value};
    }
    if (bytes > place->bytes || !place->data) {
        void *data = glia__alloc_aligned(allocator, bytes, 64);
        if (!data) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
        glia__free(allocator, place->data, place->bytes);
        place->data = data;
        place->bytes = bytes;
        glia__runner_params_changed(r);
    }
    *out = place->data;
    return GLIA_OK;
}

static glia_status make_tables(glia_runner *r, glia_error *err) {
    if (r->tables) return GLIA_OK;
    r->tables = glia__calloc(r->model->allocator, r->model->n_params, sizeof *r->tables);
    if (!r->tables) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    r->n_tables = r->model->n_params;
    return GLIA_OK;
}

glia_status glia__runner_bind_rows(glia_runner *r, size_t param, int64_t count, glia_program *program,
                                   glia_error *err) {
    const glia_node *parts[GLIA_ROW_PARTS];
    const glia_shape table = r->model->params[param].value->type.shape;
    const int n = glia__runner_row_parts(r, param, count, parts);
    void *place = NULL;
    if (!n) return GLIA_OK;
    GLIA_TRY(make_tables(r, err));
    r->tables[param].table_rows = table.dim[0];
    r->tables[param].width = glia_shape_elems(&table) / table.dim[0];
    GLIA_TRY(
        glia__table_rows_reserve(&r->tables[param], readings_of(parts, n, count), r->model->allocator, err));
    for (int i = 0; i < n; i++)
        for (int k = 1; k <= 2; k++) {
            if (!parts[i]->inputs[k]->node) continue;
            GLIA_TRY(make_place(r, parts[i]->inputs[k], count, &place, err));
            GLIA_TRY(glia_program_bind(program, parts[i]->inputs[k], place, err));
        }
    return GLIA_OK;
}

/* --- after a run ------------------------------------------------------------------------------------------------- */

void glia__runner_collect_rows(glia_runner *r, int64_t count) {
    for (size_t p = 0; p < r->n_tables; p++) {
        const glia_node *nodes[GLIA_ROW_PARTS];
        glia_row_part parts[GLIA_ROW_PARTS];
        const int n = glia__runner_row_parts(r, p, count, nodes);
        for (int i = 0; i < n; i++) {
            const glia_value *indices = nodes[i]->inputs[1];
            parts[i] = (glia_row_part){.indices = indices->node ? find_place(r, indices)->data
                                                                : r->whole, /* the batch, converted */
                                       .dtype = indices->type.dtype,
                                       .dy = find_place(r, nodes[i]->inputs[2])->data,
                                       .count = elems_for(indices, count)};
        }
        if (n) glia__table_rows_collect(&r->tables[p], parts, n, r->threads);
    }
}

const glia_rows *glia__runner_rows(const glia_runner *r, size_t param) {
    const glia_node *parts[GLIA_ROW_PARTS];
    const bool there = param < r->n_tables && glia__runner_row_parts(r, param, r->trained_count, parts);
    return there ? &r->tables[param] : NULL;
}

void glia__runner_free_rows(glia_runner *r) {
    const glia_allocator *allocator = r->model->allocator;
    for (size_t p = 0; p < r->n_tables; p++) glia__table_rows_free(&r->tables[p], allocator);
    glia__free(allocator, r->tables, r->n_tables * sizeof *r->tables);
    for (size_t i = 0; i < r->n_places; i++) glia__free(allocator, r->places[i].data, r->places[i].bytes);
    glia__free(allocator, r->places, r->n_places * sizeof *r->places);
}
