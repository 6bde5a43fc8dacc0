/* test_parity_layers.c: layers and networks beside PyTorch: from its weights, under its names, the same results and the same
 * gradients, to 1e-4 of the largest in each array. tools/parity/transformers.py wrote tests/data/parity, and writes more to
 * $GLIA_PARITY for test_parity_transformers.sh. */
#include <dirent.h>

#include "test.h"

#include "glia/glia.h"

enum { MOST_WANTED = 512 };
static const double TOLERANCE = 1e-4;

typedef struct parity {
    char path[700]; /* without the ending */
    glia_weights *weights, *gradients, *files;
    glia_model *model, *expected; /* the second holds gradients in place of weights */
    glia_value *inputs[4], *cotangent;
    int n_inputs;
} parity;

static glia_weights *open_file(const parity *p, const char *ending) {
    char path[800];
    glia_weights *file = NULL;
    glia_error err = {0};
    snprintf(path, sizeof path, "%s.%s.safetensors", p->path, ending);
    CHECK_OK(glia_weights_open(&file, path, NULL, &err), &err);
    return file;
}

static glia_tensor array_of(const parity *p, const char *format, int i) {
    char name[32];
    snprintf(name, sizeof name, format, i);
    for (size_t t = 0; t < glia_weights_count(p->files); t++)
        if (strcmp(glia_weights_name(p->files, t), name) == 0) return glia_weights_tensor(p->files, t);
    return (glia_tensor){0};
}

/* The layer that the file names, on inputs like the file's. */
static glia_model *build(parity *p, const glia_weights *weights, glia_error *err) {
    glia_model *m = glia_model_new("parity");
    char name[16], kind[64];
    p->n_inputs = 0;
    for (glia_tensor x; p->n_inputs < 4 && (x = array_of(p, "input.%d", p->n_inputs)).data; p->n_inputs++) {
        glia_input_options o = {.dtype = x.dtype};
        for (int d = 1; d < x.shape.rank; d++) o.shape[d - 1] = x.shape.dim[d];
        snprintf(name, sizeof name, "x%d", p->n_inputs);
        p->inputs[p->n_inputs] = glia_input_with(m, name, o);
    }
    const char *text = glia_weights_metadata(p->weights, "model"), *space = text ? strchr(text, ' ') : NULL;
    snprintf(kind, sizeof kind, "%.*s", space ? (int)(space - text) : 0, space ? text : "");
    glia_model_set_output(m, glia_layer(m, kind, NULL, p->inputs, p->n_inputs, space ? space + 1 : ""));
    glia_status status = glia_model_import(m, weights, NULL, err);
    CHECK_OK(status, err);
    if (status == GLIA_OK) return m;
    glia_model_free(m);
    return NULL;
}

static void compare(const parity *p, const char *what, const glia_tensor *found, const glia_tensor *wanted) {
    double most = 0, apart = 0;
    const int64_t n = glia_shape_elems(&wanted->shape);
    if (!glia_shape_equal(&found->shape, &wanted->shape)) {
        printf("  %s: %s has another shape\n", p->path, what);
        test_failures++;
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        const double a = glia_tensor_get(found, i), b = glia_tensor_get(wanted, i);
        if (!(fabs(a - b) <= apart)) apart = fabs(a - b);
        if (fabs(b) > most) most = fabs(b);
    }
    test_checks++;
    if (apart <= TOLERANCE * (most + 1e-3)) return; /* keys' biases have gradients of 0, but for rounding */
    printf("  %s: %s is %g apart, of at most %g\n", p->path, what, apart, most);
    test_failures++;
}

/* Binds what the file has, runs, and compares. */
static void run_and_compare(parity *p, glia_value **wanted, int n_floats, glia_error *err) {
    glia_program *program = NULL;
    const size_t params = glia_model_params(p->model);
    const int n_wanted = 1 + n_floats + (int)params;
    const int64_t batch = array_of(p, "input.%d", 0).shape.dim[0];
    glia_status status = glia_program_new(&program, glia_model_graph(p->model), wanted, n_wanted,
                                          (glia_program_options){.dims = {batch}, .training = GLIA_YES}, err);
    for (size_t i = 0; i < params && status == GLIA_OK; i++)
        status = glia_program_bind(program, glia_model_param_value(p->model, i),
                                   glia_model_param_data(p->model, i).data, err);
    void *copies[5] = {NULL};
    for (int i = 0; i <= p->n_inputs && status == GLIA_OK; i++) { /* files' arrays need not be aligned */
        const glia_tensor x = i < p->n_inputs ? array_of(p, "input.%d", i) : array_of(p, "cotangent", 0);
        const size_t bytes = (size_t)glia_shape_elems(&x.shape) * glia_dtype_bytes(x.dtype);
        copies[i] = malloc(bytes);
        memcpy(copies[i], x.data, bytes);
        status = glia_program_bind(program, i < p->n_inputs ? p->inputs[i] : p->cotangent, copies[i], err);
    }
    if (status == GLIA_OK) status = glia_program_run(program, 0, err);
    CHECK_OK(status, err);
    for (int i = 0, input = 0; i < n_wanted && status == GLIA_OK; i++) {
        const glia_tensor found = glia_program_output(program, wanted[i]);
        glia_tensor expected;
        char name[160] = "the result";
        if (i == 0) {
            expected = array_of(p, "result", 0);
        } else if (i <= n_floats) {
            while (!array_of(p, "gradient.%d", input).data) input++;
            snprintf(name, sizeof name, "the gradient of input %d", input);
            expected = array_of(p, "gradient.%d", input++);
        } else {
            const size_t param = (size_t)(i - 1 - n_floats);
            snprintf(name, sizeof name, "the gradient of %s",
                     glia_value_name(glia_model_param_value(p->model, param)));
            expected = glia_model_param_data(p->expected, param);
        }
        compare(p, name, &found, &expected);
    }
    glia_program_free(program);
    for (int i = 0; i < 5; i++) free(copies[i]);
}

static void check_case(parity *p) {
    glia_error err = {0};
    glia_value *wanted[MOST_WANTED], *wrt[MOST_WANTED], *gradients[MOST_WANTED];
    p->weights = open_file(p, "weights");
    p->gradients = open_file(p, "gradients");
    p->files = open_file(p, "case");
    if (!p->weights || !p->gradients || !p->files) return;
    p->expected = build(p, p->gradients, &err);
    p->model = build(p, p->weights, &err);
    if (!p->model || !p->expected) return;
    glia_value *y = glia_model_output(p->model);
    p->cotangent = glia_graph_input(glia_model_graph(p->model), "cotangent", GLIA_F32, glia_value_shape(y));
    glia_value *loss = glia_op_sum(glia_op_mul(y, p->cotangent), (glia_reduce_attrs){0});
    int n = 0, n_floats;
    for (int i = 0; i < p->n_inputs; i++)
        if (glia_value_dtype(p->inputs[i]) == GLIA_F32) wrt[n++] = p->inputs[i];
    n_floats = n;
    for (size_t i = 0; i < glia_model_params(p->model) && n < MOST_WANTED - 1; i++)
        wrt[n++] = glia_model_param_value(p->model, i);
    const glia_status status =
        glia_graph_gradients(glia_model_graph(p->model), loss, wrt, n, gradients, &err);
    CHECK_OK(status, &err);
    wanted[0] = y;
    memcpy(wanted + 1, gradients, (size_t)n * sizeof *gradients);
    if (status == GLIA_OK) run_and_compare(p, wanted, n_floats, &err);
}

TEST(as_pytorch) {
    char folder[512];
    const char *elsewhere = getenv("GLIA_PARITY"), *ending = ".weights.safetensors";
    snprintf(folder, sizeof folder, "%s/tests/data/parity",
             getenv("GLIA_SOURCE_DIR") ? getenv("GLIA_SOURCE_DIR") : ".");
    if (elsewhere) snprintf(folder, sizeof folder, "%s", elsewhere);
    DIR *dir = opendir(folder);
    CHECK(dir != NULL);
    int cases = 0;
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        const char *found = strstr(entry->d_name, ending);
        if (!found) continue;
        parity p = {.n_inputs = 0};
        snprintf(p.path, sizeof p.path, "%s/%.*s", folder, (int)(found - entry->d_name), entry->d_name);
        check_case(&p);
        glia_model_free(p.model);
        glia_model_free(p.expected);
        glia_weights_close(p.weights);
        glia_weights_close(p.gradients);
        glia_weights_close(p.files);
        cases++;
    }
    if (dir) closedir(dir);
    CHECK(cases > 0);
}

TEST_MAIN(TEST_ENTRY(as_pytorch))
