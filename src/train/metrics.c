/* metrics.c: streaming figures over batches. Definitions and conventions are scikit-learn's with all classes
 * as labels and zero_division=0; R² of several outputs is the plain mean over them
 * (multioutput="uniform_average"); MAE and RMSE are over all numbers. */

#include "train/metrics.h"

#include <math.h>

#include "core/mem.h"

/* Sums of one regression output; shifted by the first target, which keeps the variance accurate. */
typedef struct output_sums {
    double shift, targets, squared_targets, squared_errors;
} output_sums;

struct glia_metrics {
    const glia_allocator *allocator;
    int64_t classes; /* 0: regression; at least 2 otherwise (one unit counts as two classes) */
    int64_t width;   /* numbers of a prediction */
    int top_k;
    float threshold;
    int64_t examples, right, in_top_k;
    double loss, absolute_errors;
    int64_t *confusion;   /* [classes, classes] */
    output_sums *outputs; /* [width] */
};

glia_metrics *glia_metrics_new(int64_t classes, int64_t outputs, int top_k, const glia_allocator *allocator) {
    const int64_t most = 1 << 20;
    if (classes < 0 || classes > most || (classes == 0 && (outputs < 1 || outputs > INT32_MAX))) return NULL;
    glia_metrics *m = glia__calloc(allocator, 1, sizeof *m);
    if (!m) return NULL;
    m->allocator = allocator;
    m->classes = classes == 1 ? 2 : classes;
    m->width = classes ? classes : outputs;
    m->top_k = top_k > 0 ? top_k : 5;
    if (m->classes)
        m->confusion = glia__calloc(allocator, (size_t)(m->classes * m->classes), sizeof *m->confusion);
    else
        m->outputs = glia__calloc(allocator, (size_t)m->width, sizeof *m->outputs);
    if (!m->confusion && !m->outputs) {
        glia_metrics_free(m);
        return NULL;
    }
    return m;
}

void glia_metrics_free(glia_metrics *m) {
    if (!m) return;
    glia__free(m->allocator, m->confusion, (size_t)(m->classes * m->classes) * sizeof *m->confusion);
    glia__free(m->allocator, m->outputs, (size_t)m->width * sizeof *m->outputs);
    glia__free(m->allocator, m, sizeof *m);
}

void glia_metrics_reset(glia_metrics *m) {
    m->examples = m->right = m->in_top_k = 0;
    m->loss = m->absolute_errors = 0;
    if (m->confusion) memset(m->confusion, 0, (size_t)(m->classes * m->classes) * sizeof *m->confusion);
    if (m->outputs) memset(m->outputs, 0, (size_t)m->width * sizeof *m->outputs);
}

void glia__metrics_set_threshold(glia_metrics *m, float threshold) {
    m->threshold = threshold;
}

/* --- adding -------------------------------------------------------------------------------------------- */

static int64_t argmax(const float *x, int64_t n) {
    int64_t best = 0;
    for (int64_t i = 1; i < n; i++)
        if (x[i] > x[best]) best = i;
    return best;
}

/* How many classes come before `target`: the more probable ones, and equal ones with a smaller number. */
static int64_t rank_of(const float *x, int64_t n, int64_t target) {
    int64_t before = 0;
    for (int64_t i = 0; i < n; i++) before += x[i] > x[target] || (x[i] == x[target] && i < target);
    return before;
}

static void add_class(glia_metrics *m, const float *x, int64_t target) {
    bool one_unit = m->width == 1;
    int64_t found = one_unit ? x[0] > m->threshold : argmax(x, m->width);
    m->right += found == target;
    m->in_top_k += one_unit ? found == target || m->top_k > 1 : rank_of(x, m->width, target) < m->top_k;
    m->confusion[target * m->classes + found]++;
}

static void add_values(glia_metrics *m, const float *x, const float *target) {
    for (int64_t i = 0; i < m->width; i++) {
        output_sums *o = &m->outputs[i];
        double error = (double)x[i] - (double)target[i];
        if (m->examples == 0) o->shift = (double)target[i];
        double y = (double)target[i] - o->shift;
        o->targets += y;
        o->squared_targets += y * y;
        o->squared_errors += error * error;
        m->absolute_errors += fabs(error);
    }
}

glia_status glia_metrics_add(glia_metrics *m, const float *predictions, const void *targets, int64_t count,
                             double loss_sum, glia_error *err) {
    const int64_t *classes = targets;
    for (int64_t i = 0; m->classes && i < count; i++)
        if (classes[i] < 0 || classes[i] >= m->classes)
            return glia_error_set(
                err, GLIA_BAD_DATA, "the target of example %lld is class %lld; expected 0 to %lld",
                (long long)(m->examples + i), (long long)classes[i], (long long)m->classes - 1);
    for (int64_t i = 0; i < count; i++) {
        const float *x = predictions + i * m->width;
        if (m->classes)
            add_class(m, x, classes[i]);
        else
            add_values(m, x, (const float *)targets + i * m->width);
        m->examples++;
    }
    m->loss += loss_sum;
    return GLIA_OK;
}

/* --- reporting ----------------------------------------------------------------------------------------- */

glia_report glia__report_empty(void) {
    return (glia_report){
        .loss = NAN,
        .accuracy = NAN,
        .top_k = NAN,
        .precision = NAN,
        .recall = NAN,
        .f1 = NAN,
        .precision_micro = NAN,
        .recall_micro = NAN,
        .f1_micro = NAN,
        .precision_weighted = NAN,
        .recall_weighted = NAN,
        .f1_weighted = NAN,
        .mae = NAN,
        .rmse = NAN,
        .r2 = NAN,
    };
}

double glia__metrics_accuracy(const glia_metrics *m) {
    return m->classes && m->examples ? (double)m->right / (double)m->examples : NAN;
}

double glia__metrics_loss(const glia_metrics *m) {
    return m->examples ? m->loss / (double)m->examples : NAN;
}

int64_t glia__metrics_count(const glia_metrics *m) {
    return m->examples;
}

void glia__metrics_save(const glia_metrics *m, int64_t *examples, int64_t *right, double *loss_sum) {
    *examples = m->examples;
    *right = m->right;
    *loss_sum = m->loss;
}

void glia__metrics_restore(glia_metrics *m, int64_t examples, int64_t right, double loss_sum) {
    m->examples = examples;
    m->right = right;
    m->loss = loss_sum;
}

static double ratio(double part, double whole) {
    return whole > 0 ? part / whole : 0;
}

static void report_classes(const glia_metrics *m, glia_report *r) {
    double n = (double)m->examples, c = (double)m->classes;
    r->classes = m->classes;
    r->accuracy = r->precision_micro = r->recall_micro = r->f1_micro = (double)m->right / n;
    r->top_k = (double)m->in_top_k / n;
    r->precision = r->recall = r->f1 = r->precision_weighted = r->recall_weighted = r->f1_weighted = 0;
    for (int64_t k = 0; k < m->classes; k++) {
        double hits = (double)m->confusion[k * m->classes + k], support = 0, predicted = 0;
        for (int64_t j = 0; j < m->classes; j++) {
            support += (double)m->confusion[k * m->classes + j];
            predicted += (double)m->confusion[j * m->classes + k];
        }
        double precision = ratio(hits, predicted), recall = ratio(hits, support);
        double f1 = ratio(2 * hits, predicted + support);
        r->precision += precision / c;
        r->recall += recall / c;
        r->f1 += f1 / c;
        r->precision_weighted += precision * support / n;
        r->recall_weighted += recall * support / n;
        r->f1_weighted += f1 * support / n;
        if (k >= GLIA_REPORT_CLASSES) continue;
        r->of_class[k].precision = precision;
        r->of_class[k].recall = recall;
        r->of_class[k].f1 = f1;
        r->of_class[k].support = (int64_t)support;
    }
}

static void report_values(const glia_metrics *m, glia_report *r) {
    double n = (double)m->examples, squared = 0;
    r->r2 = 0;
    for (int64_t i = 0; i < m->width; i++) {
        const output_sums *o = &m->outputs[i];
        double spread = o->squared_targets - o->targets * o->targets / n;
        double r2 = spread > 0 ? 1 - o->squared_errors / spread : o->squared_errors == 0;
        r->r2 += r2 / (double)m->width;
        squared += o->squared_errors;
    }
    r->mae = m->absolute_errors / (n * (double)m->width);
    r->rmse = sqrt(squared / (n * (double)m->width));
}

glia_report glia_metrics_report(const glia_metrics *m) {
    glia_report r = glia__report_empty();
    if (!m || m->examples == 0) return r;
    r.examples = m->examples;
    r.loss = glia__metrics_loss(m);
    if (m->classes)
        report_classes(m, &r);
    else
        report_values(m, &r);
    return r;
}

const int64_t *glia_metrics_confusion(const glia_metrics *m) {
    return m ? m->confusion : NULL;
}
