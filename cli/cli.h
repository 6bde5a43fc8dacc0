/* cli.h: what the subcommands of `glia` share. Results go to stdout, everything else to stderr. */
#ifndef GLIA_CLI_H
#define GLIA_CLI_H

#include <signal.h>

#include "core/field.h"
#include "glia/glia.h"
#include "train/loss.h"

enum { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2 };

/* Every flag of every command; a command's table says which it takes. */
typedef struct cli_options {
    glia_bool help, json, quiet;
    int64_t seed, threads; /* -1: not given */
    const char *out, *data, *input, *weights, *map;
    int part, task, mode, precision; /* choices */
    glia_bool resume, force, invert, profile, trace, partial, tta, check;
    int64_t top, index, batch, runs, tokens, top_k;
    double temperature;
    const char *prompt;
    const char *format;
    struct {
        const glia_field *flag;
        const char *value;
    } others[16]; /* flags of the command's other tables, in the order given */
    int n_others;
} cli_options;

typedef struct cli_command {
    const char *name, *arguments; /* "MODEL.yaml [key=value ...]" */
    const char *summary;          /* one line */
    const char *details;          /* more lines, or NULL */
    const char *examples;         /* one a line */
    const glia_field *flags;
    int min_arguments, max_arguments; /* max -1: any number */
    int (*run)(const cli_options *options, char **arguments, int count);
    /* Tables beside `flags`, such as those of the formats of `glia export`: table i and its heading; NULL after the last.
     * Their values go unparsed to options->others. NULL: none. */
    const glia_field *(*other_flags)(size_t i, const char **heading);
} cli_command;

/* Every command, in the order of the help: `cli_NAME` is defined in cli/NAME.c. This is the one list of them. */
#define CLI_COMMANDS(X) \
    X(train)            \
    X(evaluate)         \
    X(predict) X(generate) X(export) X(import) X(convert) X(summary) X(plan) X(data) X(init) X(doctor) X(help)

#define CLI_DECLARE(name) extern const cli_command cli_##name;
CLI_COMMANDS(CLI_DECLARE)
extern const cli_command *const cli_commands[]; /* ends with NULL */

/* Flags that several commands take, to be listed in their tables. */
#define CLI_FLAG(flag, type, value, words, ...)                                                            \
    {                                                                                                      \
        .name = #flag, .kind = GLIA_FIELD_##type, .offset = offsetof(cli_options, flag), .initial = value, \
        .doc = words, __VA_ARGS__                                                                          \
    }
#define CLI_JSON    CLI_FLAG(json, BOOL, "no", "results as JSON", .count = 0)
#define CLI_QUIET   CLI_FLAG(quiet, BOOL, "no", "no progress, no hints; errors and warnings only", .count = 0)
#define CLI_THREADS CLI_FLAG(threads, INT, NULL, "workers; default every core", .min = 1, .max = 1024)
#define CLI_TTA                                                                                      \
    CLI_FLAG(tta, BOOL, "no", "test-time augmentation: mean over each picture and its mirror image", \
             .count = 0)
#define CLI_INPUT CLI_FLAG(input, STRING, "", "shape of one example, e.g. 1x28x28; reads no data", .count = 0)
#define CLI_SEED  CLI_FLAG(seed, INT, NULL, "seed of everything random", .min = 0, .max = 9e15)

/* args.c: parses what follows the command. Returns CLI_OK, or CLI_USAGE having said why. The positional
 * words move to the front of `words`; *count is set. */
int cli_parse(const cli_command *command, cli_options *options, char **words, int *count);
/* Prints a usage error and the way to the help; returns CLI_USAGE. */
int cli_usage(const char *command, const char *format, ...) GLIA_PRINTF(2, 3);
/* "--name VALUE" of a flag. */
const char *cli_flag_text(const glia_field *flag, char *out, size_t capacity);

/* signals.c: the first Ctrl-C, or SIGTERM, sets cli_stop, so that the command ends in order (a training is saved, a text ends
 * after a whole character); the second ends the program as usual. */
extern volatile sig_atomic_t cli_stop;
void cli_catch_signals(void);

/* model.c: a trained run to use, with what --tta says; `source` NULL, or what takes the place of its test data. Returns CLI_OK,
 * or CLI_FAILED having said why. */
int cli_open_run(const cli_options *options, const char *path, const char *source, glia_run *run);
/* A network to look at, and its targets. */
typedef struct cli_model {
    glia_recipe *recipe;
    glia_model *model;
    glia_dataset *data; /* that targets of several arrays are those of; or NULL */
    glia_target target;
} cli_model;
/* Opens a model file with its overrides, or a run; the input is --input's, the run's or the data's. Returns CLI_OK, or
 * CLI_FAILED having said why. */
int cli_open_model(const cli_options *options, char **arguments, int count, cli_model *model);
void cli_close_model(cli_model *model);
/* "1x28x28" or "1,28,28" */
bool cli_parse_shape(const char *text, glia_shape *out);

/* print.c */
/* Prints "file:line:column: error: message"; returns CLI_FAILED. */
int cli_fail(const glia_error *err);
/* Lines to stderr; quiet: warnings and errors only. Valid for ever. */
const glia_logger *cli_logger(bool quiet);
/* Ends `out`: prints it to stdout and frees it. Returns CLI_OK, or CLI_FAILED having said why. */
int cli_print(glia_text *out);
/* "54,410" */
const char *cli_count(int64_t count, char *out, size_t capacity);
/* How many blanks fill `text`, UTF-8, up to `width` characters. */
int cli_pad(const char *text, int width);
/* "21 MB" */
const char *cli_bytes(double bytes, char *out, size_t capacity);
/* The figures of a report that the recipe or the kind of target asks for, as "accuracy 0.9842, macro F1 …".
 */
void cli_add_figures(glia_text *out, const glia_recipe *recipe, const glia_report *report);
/* All finite figures as members of a JSON object (without braces). */
void cli_add_report_json(glia_text *out, const glia_report *report);
/* A class: its name, or its number. */
const char *cli_class(const glia_run *run, int64_t index, char *out, size_t capacity);

#endif
