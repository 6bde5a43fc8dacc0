/* metrics.c: streaming figures over batches. Definitions and conventions are scikit-learn's with all classes
 * as labels and zero_division=0; R² of several outputs is the plain mean over them
 * (multioutput="uniform_average"); MAE and RMSE are over all numbers. */

#include "train/metrics.h"

#include <math.h>

#include "core/mem.h"
#include "train/auc.h"

/* Sums of one regression output; shifted by the first target, which keeps the variance accurate. */
typedef struct output_sums {
    double shift, targets, squared_targets, squared_errors;
} output_sums;

struct glia_metrics {
    const glia_allocator *allocator;
    int64_t classes;   /* 0: regression; at least 2 otherwise (one unit counts as two classes) */
    int64_t positions; /* of an example, each with a class */
    int64_t width;     /* numbers of a position */
    glia_metrics_layout layout;
    int top_k;
    glia_metrics_sums sums;
    int64_t in_top_k;
    double absolute_errors, relative_errors, log_loss;
    double naive_errors,
        beside_naive;     /* absolute, of the seasonal-naive forecast and of the model where there is one */
    int64_t naive_known;  /* examples that have one */
    float *naive;         /* [width]: room for one */
    float *probabilities; /* of a position, [width] */
    float *scores;        /* [room, width]: of class 1, or of each; NULL unless they are kept */
    int64_t *labels;      /* [room] */
    glia_scored *scored;  /* [room]: for sorting them */
    int64_t room;
    int64_t *hits, *support, *predicted; /* [classes]: right ones, true ones, those that the model found */
    int64_t *confusion;                  /* [classes, classes]; NULL: too many */
    output_sums *outputs;                /* [width] */
    glia_metrics_part *parts;            /* several outputs: only the loss is of all */
    int n_parts;
    int64_t *classes_of_part; /* room for the targets of an example of one */
    int64_t most_targets;
};

enum { MOST_CONFUSED = 2048 /* classes: 32 MB */ };

/* Of the table and of the three counts. */
static size_t confusion_bytes(int64_t classes) {
    return classes > MOST_CONFUSED ? 0 : (size_t)(classes * classes) * sizeof(int64_t);
}
static size_t count_bytes(int64_t classes) {
    return 3 * (size_t)classes * sizeof(int64_t);
}
size_t glia__metrics_bytes(int64_t classes) {
    return confusion_bytes(classes) + count_bytes(classes);
}

glia_metrics *glia_metrics_new(int64_t classes, int64_t outputs, int top_k, const glia_allocator *allocator) {
    const int64_t most = 1 << 20;
    if (classes < 0 || classes > most || (classes == 0 && (outputs < 1 || outputs > INT32_MAX))) return NULL;
    glia_metrics *m = glia__calloc(allocator, 1, sizeof *m);
    if (!m) return NULL;
    m->allocator = allocator;
    m->classes = classes == 1 ? 2 : classes;
    m->positions = classes ? GLIA_MAX(outputs, 1) : 1;
    m->width = classes ? classes : outputs;
    m->layout = (glia_metrics_layout){.ignored = GLIA_IGNORED, .pitch = m->positions * m->width};
    m->top_k = top_k > 0 ? top_k : 5;
    const bool confused = m->classes && confusion_bytes(m->classes);
    if (m->classes) m->probabilities = glia__alloc(allocator, (size_t)m->width * sizeof *m->probabilities);
    if (m->classes)
        m->hits = glia__calloc(allocator, 1, count_bytes(m->classes));
    else
        m->outputs = glia__calloc(allocator, (size_t)m->width, sizeof *m->outputs);
    if (!m->classes) m->naive = glia__alloc(allocator, (size_t)m->width * sizeof *m->naive);
    if (confused) m->confusion = glia__calloc(allocator, 1, confusion_bytes(m->classes));
    if ((!m->hits && !m->outputs) || (confused && !m->confusion) ||
        (m->classes ? !m->probabilities : !m->naive)) {
        glia_metrics_free(m);
        return NULL;
    }
    m->support = m->hits ? m->hits + m->classes : NULL;
    m->predicted = m->hits ? m->support + m->classes : NULL;
    return m;
}

static void free_scores(glia_metrics *m) {
    glia__free(m->allocator, m->scores, (size_t)(m->room * m->width) * sizeof *m->scores);
    glia__free(m->allocator, m->labels, (size_t)m->room * sizeof *m->labels);
    glia__free(m->allocator, m->scored, (size_t)m->room * sizeof *m->scored);
}

void glia_metrics_free(glia_metrics *m) {
    if (!m) return;
    glia__free(m->allocator, m->hits, count_bytes(m->classes));
    glia__free(m->allocator, m->confusion, confusion_bytes(m->classes));
    glia__free(m->allocator, m->probabilities, (size_t)m->width * sizeof *m->probabilities);
    free_scores(m);
    for (int i = 0; m->parts && i < m->n_parts; i++) glia_metrics_free(m->parts[i].metrics);
    glia__free(m->allocator, m->parts, ((size_t)m->n_parts + 1) * sizeof *m->parts);
    glia__free(m->allocator, m->classes_of_part, (size_t)m->most_targets * sizeof(int64_t));
    glia__free(m->allocator, m->naive, (size_t)m->width * sizeof *m->naive);
    glia__free(m->allocator, m->outputs, (size_t)m->width * sizeof *m->outputs);
    glia__free(m->allocator, m, sizeof *m);
}

void glia_metrics_reset(glia_metrics *m) {
    m->sums = (glia_metrics_sums){0};
    m->in_top_k = 0;
    m->absolute_errors = m->relative_errors = m->log_loss = m->naive_errors = m->beside_naive = 0;
    m->naive_known = 0;
    for (int i = 0; i < m->n_parts; i++) {
        if (m->parts[i].metrics) glia_metrics_reset(m->parts[i].metrics);
        m->parts[i].loss = m->parts[i].examples = m->parts[i].label_errors = m->parts[i].labels = 0;
    }
    if (m->hits) memset(m->hits, 0, count_bytes(m->classes));
    if (m->confusion) memset(m->confusion, 0, confusion_bytes(m->classes));
    if (m->outputs) memset(m->outputs, 0, (size_t)m->width * sizeof *m->outputs);
}

void glia__metrics_set_layout(glia_metrics *m, glia_metrics_layout layout) {
    m->layout = layout;
}

/* --- adding -------------------------------------------------------------------------------------------- */

/* Scores lie `step` apart. */
static int64_t argmax(const float *x, int64_t n, int64_t step) {
    int64_t best = 0;
    for (int64_t i = 1; i < n; i++)
        if (x[i * step] > x[best * step]) best = i;
    return best;
}

/* How many classes come before `target`: the more probable ones, and equal ones with a smaller number. */
static int64_t rank_of(const float *x, int64_t n, int64_t step, int64_t target) {
    const float score = x[target * step];
    int64_t before = 0;
    for (int64_t i = 0; i < n; i++) before += x[i * step] > score || (x[i * step] == score && i < target);
    return before;
}

static void add_class(glia_metrics *m, const float *x, int64_t step, int64_t target) {
    bool one_unit = m->width == 1;
    int64_t found = one_unit ? x[0] > m->layout.threshold : argmax(x, m->width, step);
    m->sums.right += found == target;
    m->in_top_k += one_unit ? found == target || m->top_k > 1 : rank_of(x, m->width, step, target) < m->top_k;
    m->hits[target] += found == target;
    m->support[target]++;
    m->predicted[found]++;
    if (m->confusion) m->confusion[target * m->classes + found]++;
}

/* The probabilities of a position; of class 1 where there is one unit. */
static void find_probabilities(glia_metrics *m, const float *x, int64_t step) {
    float *p = m->probabilities, top = x[0], sum = 0;
    for (int64_t k = 0; k < m->width; k++) top = fmaxf(top, p[k] = x[k * step]);
    if (!m->layout.logits) return;
    if (m->width == 1) {
        p[0] = 1 / (1 + expf(-p[0]));
        return;
    }
    for (int64_t k = 0; k < m->width; k++) sum += p[k] = expf(p[k] - top);
    for (int64_t k = 0; k < m->width; k++) p[k] /= sum;
}

/* By the logits, so that what is improbable keeps its digits; probabilities are cut as in scikit-learn. */
static double log_loss_of(const glia_metrics *m, const float *x, int64_t step, int64_t target) {
    const double least = 2.220446049250313e-16;
    if (m->layout.logits && m->width == 1) {
        const double h = target ? (double)x[0] : -(double)x[0];
        return h > 0 ? log1p(exp(-h)) : log1p(exp(h)) - h;
    }
    if (m->layout.logits) {
        double top = (double)x[0], sum = 0;
        for (int64_t k = 1; k < m->width; k++) top = fmax(top, (double)x[k * step]);
        for (int64_t k = 0; k < m->width; k++) sum += exp((double)x[k * step] - top);
        return log(sum) + top - (double)x[target * step];
    }
    double p = m->width == 1 ? (target ? (double)x[0] : 1 - (double)x[0]) : (double)x[target * step];
    return -log(fmin(fmax(p, least), 1));
}

static glia_status reserve_scores(glia_metrics *m, int64_t wanted, glia_error *err) {
    if (wanted <= m->room) return GLIA_OK;
    const int64_t room = GLIA_MAX(wanted, 2 * m->room);
    float *scores = glia__alloc(m->allocator, (size_t)(room * m->width) * sizeof *scores);
    int64_t *labels = glia__alloc(m->allocator, (size_t)room * sizeof *labels);
    glia_scored *scored = glia__alloc(m->allocator, (size_t)room * sizeof *scored);
    if (!scores || !labels || !scored) {
        glia__free(m->allocator, scores, (size_t)(room * m->width) * sizeof *scores);
        glia__free(m->allocator, labels, (size_t)room * sizeof *labels);
        glia__free(m->allocator, scored, (size_t)room * sizeof *scored);
        return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory for %lld scores of %lld classes",
                              (long long)room, (long long)m->classes);
    }
    if (m->scores) memcpy(scores, m->scores, (size_t)(m->sums.known * m->width) * sizeof *scores);
    if (m->labels) memcpy(labels, m->labels, (size_t)m->sums.known * sizeof *labels);
    free_scores(m);
    m->scores = scores;
    m->labels = labels;
    m->scored = scored;
    m->room = room;
    return GLIA_OK;
}

/* What depends on the probabilities themselves. */
static void add_probabilities(glia_metrics *m, const float *x, int64_t step, int64_t target) {
    if (m->layout.probabilities) m->log_loss += log_loss_of(m, x, step, target);
    if (!m->layout.scores) return;
    find_probabilities(m, x, step);
    memcpy(m->scores + m->sums.known * m->width, m->probabilities, (size_t)m->width * sizeof(float));
    m->labels[m->sums.known] = target;
}

/* The classes of an example's positions. */
static void add_classes(glia_metrics *m, const float *x, const int64_t *targets) {
    const bool first = m->layout.classes_first;
    const int64_t step = first ? m->positions : 1, next = first ? 1 : m->width;
    for (int64_t p = 0; p < m->positions; p++) {
        if (targets[p] == GLIA_IGNORED || targets[p] == m->layout.ignored) continue;
        add_class(m, x + p * next, step, targets[p]);
        add_probabilities(m, x + p * next, step, targets[p]);
        m->sums.known++;
    }
}

static void add_values(glia_metrics *m, const float *x, const float *target) {
    for (int64_t i = 0; i < m->width; i++) {
        output_sums *o = &m->outputs[i];
        double error = (double)x[i] - (double)target[i];
        if (m->sums.examples == 0) o->shift = (double)target[i];
        double y = (double)target[i] - o->shift;
        o->targets += y;
        o->squared_targets += y * y;
        o->squared_errors += error * error;
        m->absolute_errors += fabs(error);
        m->relative_errors += fabs(error) / fmax(fabs((double)target[i]), 2.220446049250313e-16);
    }
}

float *glia__metrics_naive_room(glia_metrics *m) {
    return m->naive;
}

void glia__metrics_add_naive(glia_metrics *m, const float *x, const float *target, const float *naive) {
    for (int64_t i = 0; i < m->width; i++) {
        m->naive_errors += fabs((double)naive[i] - (double)target[i]);
        m->beside_naive += fabs((double)x[i] - (double)target[i]);
    }
    m->naive_known++;
}

static glia_status check_targets(const glia_metrics *m, const int64_t *classes, int64_t count,
                                 glia_error *err) {
    for (int64_t i = 0; i < count * m->positions; i++)
        if ((classes[i] < 0 || classes[i] >= m->classes) && classes[i] != GLIA_IGNORED)
            return glia_error_set(err, GLIA_BAD_DATA,
                                  "the target of example %lld is class %lld; expected 0 to %lld",
                                  (long long)(m->sums.examples + i / m->positions), (long long)classes[i],
                                  (long long)m->classes - 1);
    return GLIA_OK;
}

/* --- several outputs ------------------------------------------------------------------------------------ */

glia_metrics_part *glia__metrics_set_parts(glia_metrics *m, int count) {
    m->parts = glia__calloc(m->allocator, (size_t)count + 1, sizeof *m->parts); /* there may be none */
    m->n_parts = count;
    return m->parts;
}

void glia__metrics_add_part_loss(glia_metrics *m, int part, double loss, int64_t count) {
    m->parts[part].loss += loss * (double)count;
    m->parts[part].examples += (double)count;
}

void glia__metrics_add_labels(glia_metrics *m, int part, int64_t errors, int64_t labels) {
    m->parts[part].label_errors += (double)errors;
    m->parts[part].labels += (double)labels;
}

glia_report glia__metrics_part_report(const glia_metrics_part *p) {
    glia_report r = glia_metrics_report(p->metrics);
    r.examples = GLIA_MAX(r.examples, (int64_t)p->examples);
    r.loss = p->examples > 0 ? p->loss / p->examples : NAN;
    r.label_error_rate = p->labels > 0 ? p->label_errors / p->labels : NAN;
    return r;
}

const glia_metrics_part *glia__metrics_parts(const glia_metrics *m, int *count) {
    *count = m ? m->n_parts : 0;
    return m ? m->parts : NULL;
}

static glia_status reserve_classes(glia_metrics *m, glia_error *err) {
    int64_t most = 1;
    for (int i = 0; i < m->n_parts; i++) most = GLIA_MAX(most, m->parts[i].target_elems);
    if (m->classes_of_part) return GLIA_OK;
    m->classes_of_part = glia__alloc(m->allocator, (size_t)most * sizeof(int64_t));
    if (!m->classes_of_part) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    m->most_targets = most;
    return GLIA_OK;
}

/* Predictions and targets of an example have those of each part one behind the other. */
static glia_status add_parts(glia_metrics *m, const float *predictions, const float *targets, int64_t count,
                             glia_error *err) {
    GLIA_TRY(reserve_classes(m, err));
    for (int64_t i = 0; i < count; i++)
        for (int k = 0; k < m->n_parts; k++) {
            const glia_metrics_part *p = &m->parts[k];
            if (!p->metrics) continue;
            const float *x = predictions + i * m->layout.pitch + p->prediction_at;
            const float *y = targets + i * m->width + p->target_at;
            for (int64_t j = 0; p->classes && j < p->target_elems; j++) m->classes_of_part[j] = llrintf(y[j]);
            GLIA_TRY(glia_metrics_add(p->metrics, x, p->classes ? (const void *)m->classes_of_part : y, 1, 0,
                                      err));
        }
    m->sums.examples += count;
    m->sums.known += count;
    m->sums.weight += (double)count;
    return GLIA_OK;
}

glia_status glia_metrics_add(glia_metrics *m, const float *predictions, const void *targets, int64_t count,
                             double loss_sum, glia_error *err) {
    const int64_t *classes = targets, before = m->sums.known;
    if (m->parts) {
        GLIA_TRY(add_parts(m, predictions, targets, count, err));
        m->sums.loss += loss_sum;
        return GLIA_OK;
    }
    if (m->classes) GLIA_TRY(check_targets(m, classes, count, err));
    if (m->layout.scores) GLIA_TRY(reserve_scores(m, m->sums.known + count * m->positions, err));
    for (int64_t i = 0; i < count; i++) {
        if (m->classes)
            add_classes(m, predictions + i * m->layout.pitch, classes + i * m->positions);
        else
            add_values(m, predictions + i * m->layout.pitch, (const float *)targets + i * m->width);
        m->sums.examples++;
    }
    if (!m->classes) m->sums.known += count;
    m->sums.weight += (double)(m->sums.known - before);
    m->sums.loss += loss_sum;
    return GLIA_OK;
}

glia_status glia__metrics_add(glia_metrics *m, const float *predictions, const void *targets, int64_t count,
                              double loss, double weight, glia_error *err) {
    const double before = m->sums.weight;
    GLIA_TRY(glia_metrics_add(m, predictions, targets, count, loss * weight, err));
    m->sums.weight = before + weight;
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
        .balanced_accuracy = NAN,
        .mcc = NAN,
        .mean_iou = NAN,
        .dice = NAN,
        .log_loss = NAN,
        .perplexity = NAN,
        .roc_auc = NAN,
        .pr_auc = NAN,
        .mape = NAN,
        .naive_mae = NAN,
        .mae_to_naive = NAN,
        .label_error_rate = NAN,
    };
}

double glia__metrics_accuracy(const glia_metrics *m) {
    return m->classes && m->sums.known ? (double)m->sums.right / (double)m->sums.known : NAN;
}

double glia__metrics_loss(const glia_metrics *m) {
    return m->sums.weight > 0 ? m->sums.loss / m->sums.weight : NAN;
}

int64_t glia__metrics_count(const glia_metrics *m) {
    return m->sums.examples;
}

glia_metrics_sums glia__metrics_save(const glia_metrics *m) {
    return m->sums;
}

void glia__metrics_restore(glia_metrics *m, glia_metrics_sums sums) {
    m->sums = sums;
}

static double ratio(double part, double whole) {
    return whole > 0 ? part / whole : 0;
}

static void report_classes(const glia_metrics *m, glia_report *r) {
    double n = (double)m->sums.known, c = (double)m->classes;
    r->classes = m->classes;
    r->accuracy = r->precision_micro = r->recall_micro = r->f1_micro = (double)m->sums.right / n;
    r->top_k = (double)m->in_top_k / n;
    r->precision = r->recall = r->f1 = r->precision_weighted = r->recall_weighted = r->f1_weighted = 0;
    for (int64_t k = 0; k < m->classes; k++) {
        double hits = (double)m->hits[k], support = (double)m->support[k],
               predicted = (double)m->predicted[k];
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

/* Figures of scikit-learn: balanced_accuracy_score, matthews_corrcoef; IoU and dice over the classes that occur. */
static void report_agreement(const glia_metrics *m, glia_report *r) {
    double n = (double)m->sums.known, there = 0, either = 0, recalls = 0, ious = 0, dices = 0;
    double both = 0, predicted_twice = 0, true_twice = 0;
    for (int64_t k = 0; k < m->classes; k++) {
        double hits = (double)m->hits[k], support = (double)m->support[k],
               predicted = (double)m->predicted[k];
        there += support > 0;
        either += support + predicted > 0;
        recalls += ratio(hits, support);
        ious += ratio(hits, support + predicted - hits);
        dices += ratio(2 * hits, support + predicted);
        both += predicted * support;
        predicted_twice += predicted * predicted;
        true_twice += support * support;
    }
    double spread = sqrt(n * n - predicted_twice) * sqrt(n * n - true_twice);
    r->balanced_accuracy = ratio(recalls, there);
    r->mean_iou = ratio(ious, either);
    r->dice = ratio(dices, either);
    r->mcc = spread > 0 ? ((double)m->sums.right * n - both) / spread : 0;
}

/* Of class 1 of two, else the mean over the classes that have both sides. */
static void report_areas(const glia_metrics *m, glia_report *r) {
    const int64_t n = m->sums.known;
    double roc = 0, precision_recall = 0, rocs = 0, precision_recalls = 0;
    for (int64_t k = m->classes == 2; k < m->classes; k++) {
        for (int64_t i = 0; i < n; i++)
            m->scored[i] =
                (glia_scored){m->scores[i * m->width + (m->width == 1 ? 0 : k)], m->labels[i] == k};
        const glia_areas areas = glia__areas(m->scored, n);
        if (!isnan(areas.roc)) roc += areas.roc, rocs++;
        if (!isnan(areas.precision_recall)) precision_recall += areas.precision_recall, precision_recalls++;
    }
    if (rocs > 0) r->roc_auc = roc / rocs;
    if (precision_recalls > 0) r->pr_auc = precision_recall / precision_recalls;
}

static void report_values(const glia_metrics *m, glia_report *r) {
    double n = (double)m->sums.examples, squared = 0;
    r->r2 = 0;
    for (int64_t i = 0; i < m->width; i++) {
        const output_sums *o = &m->outputs[i];
        double spread = o->squared_targets - o->targets * o->targets / n;
        double r2 = spread > 0 ? 1 - o->squared_errors / spread : o->squared_errors == 0;
        r->r2 += r2 / (double)m->width;
        squared += o->squared_errors;
    }
    r->mae = m->absolute_errors / (n * (double)m->width);
    r->mape = m->relative_errors / (n * (double)m->width);
    r->rmse = sqrt(squared / (n * (double)m->width));
    if (!m->naive_known) return;
    r->naive_mae = m->naive_errors / ((double)m->naive_known * (double)m->width);
    r->mae_to_naive = m->naive_errors > 0 ? m->beside_naive / m->naive_errors : NAN;
}

glia_report glia_metrics_report(const glia_metrics *m) {
    glia_report r = glia__report_empty();
    if (!m || m->sums.known == 0) return r;
    r.examples = m->sums.examples;
    r.loss = glia__metrics_loss(m);
    if (m->parts) return r;
    if (!m->classes) {
        report_values(m, &r);
        return r;
    }
    report_classes(m, &r);
    report_agreement(m, &r);
    if (m->layout.probabilities) {
        r.log_loss = m->log_loss / (double)m->sums.known;
        r.perplexity = exp(r.log_loss);
    }
    if (m->layout.scores) report_areas(m, &r);
    return r;
}

const int64_t *glia_metrics_confusion(const glia_metrics *m) {
    return m ? m->confusion : NULL;
}
