/* loss.h: what a loss is: one GLIA_LOSS block in src/train/losses*.c; and the loss at the end of a model. */
#ifndef GLIA_TRAIN_LOSS_H
#define GLIA_TRAIN_LOSS_H

#include "core/field.h"
#include "glia/data.h"
#include "glia/graph.h"

/* What a loss is made of. */
typedef struct glia_loss_build {
    glia_value *prediction; /* with its classes, where targets are classes, last */
    glia_value *target;
    const void *options;
    glia_value *class_weights; /* f32 [C], where the loss has that option and it is given; else NULL */
    bool each;                 /* a number for each position is wanted, not the mean */
} glia_loss_build;

typedef struct glia_loss {
    const char *name, *doc;
    const char *source; /* article or library that defines it, where it is not obvious */
    bool classes; /* takes class numbers (i64 [N, …] of predictions [N, …, C]); else arrays shaped as those */
    bool whole;          /* of examples as wholes: no position can be left out */
    const char *twice;   /* takes two numbers for each target: means and these; NULL: one */
    const char *wrong;   /* words with spaces: ops that must not be the model's last, "softmax sigmoid" */
    const char *hint;    /* what to write when one is: a sentence */
    const char *missing; /* the op that the model should end with: "softmax"; NULL: none */
    const glia_field *fields; /* its settings; with `classes` those of glia_class_loss_options at least */
    size_t options_size;
    /* The scalar mean over the batch, if not `each`; or numbers [N, …], whose mean it is. */
    glia_value *(*build)(const glia_loss_build *b);
} glia_loss;

/* How settings of losses over class numbers begin. */
typedef struct glia_class_loss_options {
    int64_t ignore_index;      /* GLIA_IGNORED, which is always ignored, or a class */
    const char *class_weights; /* "1,2,0.5", one a class; "": all are 1 */
} glia_class_loss_options;

#define GLIA_LOSS(loss_name) const glia_loss glia__loss_##loss_name

extern const glia_loss *const glia__losses[];
extern const size_t glia__losses_count;
/* Of a text that begins with the name; NULL: unknown. */
const glia_loss *glia__loss_find(const char *text);

/* A loss with its settings, as "softmax_cross_entropy label_smoothing=0.1" says it. */
typedef struct glia_loss_choice {
    const glia_loss *loss;
    const char *text; /* the name and what differs from the defaults */
    void *options;
    int64_t ignored;      /* this class counts for nothing; GLIA_IGNORED: none does */
    float *class_weights; /* or NULL */
    int64_t n_class_weights;
} glia_loss_choice;
/* What it points to is in the arena. */
GLIA_MUST_CHECK glia_status glia__loss_parse(glia_loss_choice *out, const char *text, glia_arena *arena,
                                             glia_error *err);

/* What the targets of a data set look like. */
typedef struct glia_target {
    glia_target_kind kind;
    glia_shape shape;              /* of one example */
    int64_t classes;               /* 0: unknown, or no classes */
    bool ignores;                  /* some of the classes may be GLIA_IGNORED */
    bool weighted;                 /* examples come with weights */
    const glia_array_info *arrays; /* several, by name; NULL: one */
    int n_arrays;
} glia_target;
glia_target glia__target_of(const glia_dataset_info *info);

/* How a model's output lies to targets that are classes: one score a class, or a single one for yes or no. */
typedef struct glia_class_layout {
    int axis; /* of the output, where classes are; 0: it has a single score a position, and no axis for it */
    int64_t units;      /* scores a position */
    int64_t positions;  /* of an example */
    bool classes_first; /* [N, C, H, W], as pictures are; else [N, …, C] */
} glia_class_layout;
/* False when the output does not fit targets of this shape. */
bool glia__class_layout(glia_class_layout *layout, const glia_value *output, const glia_shape *target);

/* The loss that `text` says (NULL or "": the default for these targets and this model), checked against the model's
 * last layer. Errors name that layer and say what to write. */
GLIA_MUST_CHECK glia_status glia__loss_choose(glia_loss_choice *out, const glia_model *model,
                                              const char *text, const glia_target *target, glia_arena *arena,
                                              glia_error *err);
/* A mistake that trains badly without failing, such as softmax before a loss that expects logits, as a sentence
 * in `out` that names the layer and says what to write; NULL when there is none. */
const char *glia__loss_warning(const glia_model *model, const char *loss, char *out, size_t capacity);

/* Whether the op that gives a value of the model, or its last one, gives probabilities (softmax, sigmoid) rather than logits. */
bool glia__gives_probabilities(const glia_model *model, const glia_value *value);
bool glia__model_gives_probabilities(const glia_model *model);

/* A loss of several that are added up. */
typedef struct glia_loss_part {
    const char *name;                  /* of the layer */
    const struct glia_loss_head *head; /* NULL: the mean of the layer's numbers themselves */
    const glia_value *layer;           /* what the layer gives */
    glia_value *value;                 /* the scalar loss, not yet weighted */
    int64_t target_at, target_elems;   /* its numbers of an example of the targets */
    int64_t prediction_at;             /* of the model's output; -1: they are not in it */
} glia_loss_part;

/* The nodes behind a model's output for one loss and kind of target. They stay in the graph and are made once. */
typedef struct glia_loss_head {
    glia_loss_choice choice;
    const glia_loss *loss;  /* of the choice */
    glia_value *prediction; /* the model's output */
    glia_target target_type;
    glia_class_layout layout; /* where targets are classes */
    glia_value *target;       /* the graph's input for targets */
    glia_value *weights;      /* and for the weights of examples; NULL: they have none */
    glia_value *value;        /* the scalar loss */
    glia_value **gradients;   /* by every parameter; NULL until glia__loss_gradients */
    glia_loss_part *parts;    /* of a model with several losses: `target` is NULL then; NULL: it is one */
    int n_parts;
    struct glia_loss_head *next;
} glia_loss_head;

/* Finds or makes the head; it belongs to the model. After a failure the model is as it was. */
GLIA_MUST_CHECK glia_status glia__loss_head(glia_loss_head **out, glia_model *model, const char *text,
                                            const glia_target *target, glia_error *err);
/* The same for a model with parts (glia__model_set_parts), whatever a text says. */
GLIA_MUST_CHECK glia_status glia__loss_parts(glia_loss_head **out, glia_model *model,
                                             const glia_target *target, glia_error *err);
/* What the mean loss of `count` examples was divided by: the weights of their positions, without those that are ignored. */
double glia__loss_weight(const glia_loss_head *head, const void *targets, const float *weights,
                         int64_t count);
/* Adds the gradient nodes unless they are there. */
GLIA_MUST_CHECK glia_status glia__loss_gradients(glia_model *model, glia_loss_head *head, glia_error *err);

#endif
