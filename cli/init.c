/* init.c: `glia init`: a commented model file to begin with. */
#include <stdio.h>
#include <unistd.h>

#include "cli.h"
#include "core/file.h"

/* In the order of the flag's choices. */
#define TASKS                                                                                 \
    "image-classification|tabular-classification|regression|time-series|text-classification|" \
    "language-model"
static const char *const starters[] = {
    "# A small convolutional network that says what a picture shows.\n"
    "# Train it:   glia train THIS_FILE        All keys: glia help model-file\n"
    "data:\n"
    "  source: mnist                 # a named set (glia data list), or your own:\n"
    "  # source: {folder: pictures}  # PNG or JPEG files of one size, in a folder a class\n"
    "  # source: {idx: {images: images.gz, labels: labels.gz}}\n"
    "  # source: {npy: {inputs: images.npy, targets: labels.npy}}   # images: N×channels×height×width\n"
    "  scale: 1/255                  # bytes 0 … 255 become 0 … 1\n"
    "  split: {validation: 0.1}      # a tenth of the training pictures watches the training\n"
    "model:                          # one layer after the other\n"
    "  - conv2d: {filters: 32, kernel: 3, activation: relu}\n"
    "  - max_pool2d: 2\n"
    "  - conv2d: {filters: 64, kernel: 3, activation: relu}\n"
    "  - max_pool2d: 2\n"
    "  - flatten\n"
    "  - dropout: 0.3                # against over-fitting\n"
    "  - dense: 10                   # one number a class; no softmax here: the loss has it\n"
    "loss: softmax_cross_entropy\n"
    "optimizer: {adam: {learning_rate: 0.001}}\n"
    "metrics: [accuracy, f1]\n"
    "train:\n"
    "  epochs: 10\n"
    "  batch_size: 128\n"
    "  early_stopping: {patience: 3} # stop when the validation loss no longer falls\n"
    "  seed: 0                       # same seed, same result\n",
    "# A small network that says to which class a row of a table belongs.\n"
    "# Train it:   glia train THIS_FILE        All keys: glia help model-file\n"
    "data:\n"
    "  source: {csv: table.csv}      # numbers in columns, with or without a first line of names\n"
    "  label: last                   # the column to predict: its name, its number from 1, or last\n"
    "  # missing: mean               # what an empty cell becomes; by default it is an error\n"
    "  normalize: yes                # columns of any unit become comparable\n"
    "  split: {validation: 0.15, test: 0.15, stratified: yes}\n"
    "model:\n"
    "  - dense: {units: 32, activation: relu}\n"
    "  - dense: {units: 32, activation: relu}\n"
    "  - dense: 3                    # the number of classes\n"
    "loss: softmax_cross_entropy     # has the softmax in it\n"
    "optimizer: {adam: {learning_rate: 0.01}}\n"
    "metrics: [accuracy, f1]\n"
    "train:\n"
    "  epochs: 200\n"
    "  batch_size: 16\n"
    "  early_stopping: {patience: 20}\n"
    "  seed: 0\n",
    "# A small network that predicts a number from a row of a table.\n"
    "# Train it:   glia train THIS_FILE        All keys: glia help model-file\n"
    "data:\n"
    "  source: {csv: table.csv}      # numbers in columns, with or without a first line of names\n"
    "  label: last                   # the column to predict: its name, its number from 1, or last\n"
    "  target: values                # it holds numbers, not classes\n"
    "  normalize: yes                # columns of any unit become comparable\n"
    "  split: {validation: 0.15, test: 0.15}\n"
    "model:\n"
    "  - dense: {units: 64, activation: relu}\n"
    "  - dense: {units: 64, activation: relu}\n"
    "  - dense: 1                    # one number\n"
    "loss: mse                       # huber is less moved by outliers\n"
    "optimizer: {adam: {learning_rate: 0.003}}\n"
    "metrics: [mae, rmse, r2]\n"
    "train:\n"
    "  epochs: 300\n"
    "  batch_size: 32\n"
    "  early_stopping: {patience: 30}\n"
    "  seed: 0\n",
    "# A small recurrent network that forecasts a series from its last steps.\n"
    "# Train it:   glia train THIS_FILE        then: glia evaluate RUN, glia predict RUN table.csv\n"
    "data:\n"
    "  source: {series: table.csv}   # rows in the order of time; dates are left out\n"
    "  label: last                   # the column to predict: its name, its number from 1, or last\n"
    "  series: {length: 24, horizon: 1, season: 12}   # steps seen, predicted, of a season\n"
    "  # missing: previous           # what an empty cell becomes; by default it is an error\n"
    "  normalize: yes                # measured on the training part alone\n"
    "  split: {validation: 0.1, test: 0.2}   # the last steps, never shuffled with the others\n"
    "model:\n"
    "  - lstm: 32\n"
    "  - dense: 1                    # one number for each step of the horizon\n"
    "  - denormalize                 # back to the unit of the series\n"
    "loss: mse\n"
    "optimizer: {adam: {learning_rate: 0.003}}\n"
    "metrics: [mae, rmse, naive_mae, mae_to_naive]   # beside the forecast that repeats the last season\n"
    "train:\n"
    "  epochs: 100\n"
    "  batch_size: 32\n"
    "  early_stopping: {patience: 10}\n"
    "  seed: 0\n",
    "# A small recurrent network that says to which class a text belongs.\n"
    "# Train it:   glia train THIS_FILE        All keys: glia help model-file\n"
    "data:\n"
    "  source: {text_table: texts.tsv}   # a text and its label a line, with a tab between them; or CSV\n"
    "  label: last                       # the column of the labels: its name, its number from 1, or last\n"
    "  text: {length: 64, vocabulary: 20000}   # words of a text, longer ones are cut; words that are known\n"
    "  split: {validation: 0.1, test: 0.1}\n"
    "model:\n"
    "  - embedding: {vocabulary: 20000, units: 64, mask_zero: yes}   # a vector a word; 0 is padding\n"
    "  - dropout: 0.5                    # against over-fitting\n"
    "  - lstm: {units: 64, bidirectional: yes}\n"
    "  - dropout: 0.5\n"
    "  - dense: 2                        # the number of classes\n"
    "loss: softmax_cross_entropy         # has the softmax in it\n"
    "optimizer: {adam: {learning_rate: 0.002}}\n"
    "metrics: [accuracy, f1]\n"
    "train:\n"
    "  epochs: 10\n"
    "  batch_size: 64\n"
    "  early_stopping: {patience: 2}\n"
    "  seed: 0\n",
    "# A small GPT that learns to go on with a text, character by character.\n"
    "# Train it:   glia train THIS_FILE        then: glia generate RUN --prompt TEXT\n"
    "data:\n"
    "  source: tinyshakespeare           # or your own: {text: input.txt}, UTF-8\n"
    "  text: {length: 64, stride: 1}     # characters that the network sees; windows begin at every one\n"
    "  split: {validation: 0.1}          # the last tenth of the text\n"
    "model:\n"
    "  - gpt2: {vocabulary: 65, length: 64, layers: 4, heads: 4, width: 128}   # 65: different characters\n"
    "loss: softmax_cross_entropy\n"
    "optimizer: {adamw: {learning_rate: 0.002, beta2: 0.99, weight_decay: 0.1, clip_norm: 1}}\n"
    "metrics: [loss, accuracy]\n"
    "train:\n"
    "  epochs: 8\n"
    "  steps_per_epoch: 250              # windows are drawn anew in each epoch\n"
    "  batch_size: 12\n"
    "  schedule: {kind: cosine, warmup: 0.4, final: 0.1}\n"
    "  seed: 0\n",
};

static int write_file(const char *path, const char *text) {
    glia_error err = {0};
    if (access(path, F_OK) == 0) {
        glia_error_set(&err, GLIA_IO, "%.300s is there already; choose another name", path);
        return cli_fail(&err);
    }
    if (glia__file_write(path, text, strlen(text), &err) != GLIA_OK) return cli_fail(&err);
    fprintf(stderr, "wrote %s; next: glia train %s\n", path, path);
    return CLI_OK;
}

static int run_init(const cli_options *options, char **arguments, int count) {
    const char *text = starters[options->task];
    if (count) return write_file(arguments[0], text);
    glia_text out;
    glia__text_init(&out, NULL);
    glia__text_add(&out, text);
    return cli_print(&out);
}

const cli_command cli_init = {
    .name = "init",
    .arguments = "[FILE.yaml]",
    .summary = "Write a commented model file to begin with (to standard output without FILE)",
    .examples = "glia init --task image-classification digits.yaml\n"
                "glia init --task tabular-classification iris.yaml\n"
                "glia init --task regression > prices.yaml\n"
                "glia init --task time-series sales.yaml\n"
                "glia init --task language-model novel.yaml",
    .flags = (const glia_field[]){CLI_FLAG(task, CHOICE, "image-classification",
                                           "image-classification, tabular-classification, regression, "
                                           "time-series, text-classification or language-model",
                                           .choices = TASKS),
                                  {.name = NULL}},
    .max_arguments = 1,
    .run = run_init,
};
