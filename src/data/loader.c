/* loader.c: batches of a data set. A thread gathers the next batch while the last one is used; without it, several gather
 * a batch when it is asked for. */

#include <pthread.h>
#include <stdatomic.h>

#include "core/threads.h"
#include "data/augment.h"
#include "data/dataset.h"
#include "glia/random.h"

/* One of two buffers: one is the caller's, the other the thread's. */
typedef struct slot {
    float *inputs;
    void *targets;
    float *weights;
    int64_t first, count;
    glia_status status;
    glia_error err;
    bool ready;
} slot;

struct glia_loader {
    const glia_dataset *dataset;
    glia_loader_options options;
    int64_t n, batch_size, epoch;
    int64_t used;   /* of the n examples in an epoch */
    int parts;      /* that a batch is gathered in */
    float *scratch; /* each part's room for augmentation, of an example; NULL: there is none */
    int64_t *order;
    slot slots[2];
    int64_t next;                 /* first example of the batch to gather next */
    int turn;                     /* slot that the caller gets next */
    bool threaded, quit, busy[2]; /* busy: the thread is to fill the slot */
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
};

/* Examples [begin, end) of the slot. */
static glia_status fill_range(const glia_loader *l, slot *s, int64_t begin, int64_t end, float *scratch,
                              glia_error *err) {
    const glia_dataset *d = l->dataset;
    const size_t target_size = glia__dataset_target_bytes(d);
    const int64_t *order = l->order + s->first;
    float *inputs = s->inputs + begin * d->input_elems;
    void *targets = s->targets ? (char *)s->targets + (size_t)begin * target_size : NULL;
    GLIA_TRY(glia_dataset_gather(d, order + begin, end - begin, inputs, targets, err));
    for (int64_t i = begin; s->weights && i < end; i++) s->weights[i] = d->weights[order[i]];
    const glia_random random = {l->options.seed, glia_random_stream("augment") + (uint64_t)l->epoch};
    for (int64_t i = begin; scratch && i < end; i++)
        glia__augment(&l->options.augment, &d->info, random, (uint64_t)order[i],
                      s->inputs + i * d->input_elems, scratch);
    return GLIA_OK;
}

typedef struct fill_job {
    const glia_loader *loader;
    slot *slot;
    atomic_bool failed;
} fill_job;

static void fill_part(void *ctx, int part, int parts) {
    fill_job *job = ctx;
    const glia_loader *l = job->loader;
    int64_t begin, end;
    glia__part_range(job->slot->count, part, parts, &begin, &end);
    float *scratch = l->scratch ? l->scratch + part * l->dataset->input_elems : NULL;
    if (fill_range(l, job->slot, begin, end, scratch, NULL) != GLIA_OK) job->failed = true;
}

/* What fails in parts is done again as a whole, to tell the first error. */
static void fill(glia_loader *l, slot *s) {
    enum { WORTH_A_THREAD = 1 << 13 /* numbers */ };
    fill_job job = {.loader = l, .slot = s};
    const int64_t useful = s->count * l->dataset->input_elems / WORTH_A_THREAD + 1;
    const int parts = (int)GLIA_MIN(useful, l->parts);
    s->err = (glia_error){0};
    s->status = GLIA_OK;
    if (parts > 1) glia__parallel(parts, fill_part, &job);
    if (parts == 1 || job.failed) s->status = fill_range(l, s, 0, s->count, l->scratch, &s->err);
}

static void *work(void *ctx) {
    glia_loader *l = ctx;
    pthread_mutex_lock(&l->mutex);
    for (int turn = 0; !l->quit;) {
        if (!l->busy[turn] && l->busy[!turn]) turn = !turn;
        if (!l->busy[turn]) {
            pthread_cond_wait(&l->changed, &l->mutex);
            continue;
        }
        pthread_mutex_unlock(&l->mutex);
        fill(l, &l->slots[turn]);
        pthread_mutex_lock(&l->mutex);
        l->busy[turn] = false;
        l->slots[turn].ready = true;
        turn = !turn;
        pthread_cond_broadcast(&l->changed);
    }
    pthread_mutex_unlock(&l->mutex);
    return NULL;
}

/* Gives a slot its range and, with a thread, starts it. Called with the mutex held. */
static void request(glia_loader *l, int which) {
    slot *s = &l->slots[which];
    s->first = l->next;
    s->count = GLIA_MIN(l->batch_size, l->used - l->next);
    s->ready = s->count == 0;
    s->status = GLIA_OK;
    l->next += s->count;
    if (!s->count) return;
    l->busy[which] = true;
    pthread_cond_broadcast(&l->changed);
}

static void wait_idle(glia_loader *l) {
    while (l->threaded && (l->busy[0] || l->busy[1])) pthread_cond_wait(&l->changed, &l->mutex);
}

static size_t input_bytes(const glia_loader *l) {
    return (size_t)(l->batch_size * l->dataset->input_elems) * sizeof(float);
}
static size_t target_bytes(const glia_loader *l) {
    return (size_t)l->batch_size * glia__dataset_target_bytes(l->dataset);
}

static size_t weight_bytes(const glia_loader *l) {
    return l->dataset->weights ? (size_t)l->batch_size * sizeof(float) : 0;
}

static size_t scratch_bytes(const glia_loader *l) {
    return (size_t)l->parts * (size_t)l->dataset->input_elems * sizeof(float);
}

static bool allocate(glia_loader *l, bool augments) {
    const glia_allocator *a = l->options.allocator;
    if (augments && !(l->scratch = glia__alloc(a, scratch_bytes(l)))) return false;
    l->order = glia__alloc(a, (size_t)l->n * sizeof *l->order);
    if (!l->order) return false;
    for (int i = 0; i < 2; i++) {
        l->slots[i].inputs = glia__alloc_aligned(a, input_bytes(l), 64);
        if (!l->slots[i].inputs) return false;
        if (weight_bytes(l) && !(l->slots[i].weights = glia__alloc_aligned(a, weight_bytes(l), 64)))
            return false;
        if (l->dataset->info.target == GLIA_TARGET_NONE) continue;
        l->slots[i].targets = glia__alloc_aligned(a, target_bytes(l), 64);
        if (!l->slots[i].targets) return false;
    }
    return true;
}

glia_status glia_loader_new(glia_loader **out, const glia_dataset *dataset, glia_loader_options options,
                            glia_error *err) {
    *out = NULL;
    if (options.batch_size < 0)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT, "expected a batch size of at least 1, found %lld",
                              (long long)options.batch_size);
    bool augments;
    GLIA_TRY(glia__augment_check(&options.augment, &dataset->info, &augments, err));
    glia_loader *l = glia__calloc(options.allocator, 1, sizeof *l);
    if (!l) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory for a loader");
    l->dataset = dataset;
    l->options = options;
    l->parts = options.prefetch == GLIA_NO ? GLIA_MAX(options.threads, 1) : 1;
    l->n = dataset->info.count;
    l->batch_size = GLIA_MIN(options.batch_size > 0 ? options.batch_size : 32, GLIA_MAX(l->n, 1));
    l->used = l->n;
    if (options.batches > 0 && options.batches < l->n / l->batch_size)
        l->used = options.batches * l->batch_size;
    l->next = l->used; /* nothing to come before an epoch is started */
    pthread_mutex_init(&l->mutex, NULL);
    pthread_cond_init(&l->changed, NULL);
    if (!allocate(l, augments)) {
        long long rows = (long long)l->batch_size;
        glia_loader_free(l);
        return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory for a batch of %lld examples", rows);
    }
    /* Without a thread (none to be had) batches are gathered when asked for. */
    l->threaded = options.prefetch != GLIA_NO && pthread_create(&l->thread, NULL, work, l) == 0;
    *out = l;
    return GLIA_OK;
}

/* The first examples of stretches, then the second ones, …; the last batch has the rows of those that are one longer. Epochs of
 * fewer batches go through the stretches in turns. */
static void order_stretches(glia_loader *l, int64_t epoch) {
    const int64_t length = l->n / l->batch_size, longer = l->n % l->batch_size;
    const int64_t batches = GLIA_MIN(glia_loader_batches(l), length);
    const int64_t turns = batches ? (length + batches - 1) / batches : 1;
    const int64_t first = GLIA_MIN(epoch % turns * batches, length - batches);
    for (int64_t i = 0; i < l->used; i++) {
        const int64_t batch = first + i / l->batch_size, row = i % l->batch_size;
        l->order[i] = row * length + GLIA_MIN(row, longer) + batch;
    }
}

glia_status glia_loader_start(glia_loader *l, int64_t epoch, glia_error *err) {
    (void)err;
    pthread_mutex_lock(&l->mutex);
    wait_idle(l);
    if (l->options.stretches == GLIA_YES && !l->options.order)
        order_stretches(l, epoch);
    else if (l->options.shuffle == GLIA_YES && !l->options.order)
        glia_random_permutation((glia_random){l->options.seed, glia_random_stream("epoch") + (uint64_t)epoch},
                                l->order, l->n);
    else
        for (int64_t i = 0; i < l->n; i++) l->order[i] = l->options.order ? l->options.order[i] : i;
    l->next = 0;
    l->turn = 0;
    l->epoch = epoch;
    request(l, 0);
    pthread_mutex_unlock(&l->mutex);
    return GLIA_OK;
}

glia_status glia_loader_next(glia_loader *l, glia_batch *batch, glia_error *err) {
    pthread_mutex_lock(&l->mutex);
    slot *s = &l->slots[l->turn];
    if (l->threaded) {
        while (l->busy[l->turn]) pthread_cond_wait(&l->changed, &l->mutex);
    } else if (s->count && !s->ready) {
        fill(l, s);
        l->busy[l->turn] = false;
    }
    *batch = (glia_batch){.count = s->count,
                          .order = l->order + s->first,
                          .inputs = s->inputs,
                          .targets = s->targets,
                          .weights = s->weights};
    glia_status status = s->status;
    if (status != GLIA_OK && err && err->status == GLIA_OK) *err = s->err;
    l->turn = !l->turn;
    request(l, l->turn); /* the buffer before last is free now */
    pthread_mutex_unlock(&l->mutex);
    return status;
}

const glia_dataset *glia__loader_dataset(const glia_loader *l) {
    return l->dataset;
}

int64_t glia_loader_batches(const glia_loader *l) {
    return (l->used + l->batch_size - 1) / l->batch_size;
}

void glia_loader_free(glia_loader *l) {
    if (!l) return;
    if (l->threaded) {
        pthread_mutex_lock(&l->mutex);
        l->quit = true;
        pthread_cond_broadcast(&l->changed);
        pthread_mutex_unlock(&l->mutex);
        pthread_join(l->thread, NULL);
    }
    const glia_allocator *a = l->options.allocator;
    for (int i = 0; i < 2; i++) {
        glia__free(a, l->slots[i].inputs, input_bytes(l));
        glia__free(a, l->slots[i].targets, target_bytes(l));
        glia__free(a, l->slots[i].weights, weight_bytes(l));
    }
    glia__free(a, l->scratch, scratch_bytes(l));
    glia__free(a, l->order, (size_t)l->n * sizeof *l->order);
    pthread_mutex_destroy(&l->mutex);
    pthread_cond_destroy(&l->changed);
    glia__free(a, l, sizeof *l);
}
