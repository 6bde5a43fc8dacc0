/* args.c: flags by table. "--name value", "--name=value", "-o value"; yes/no flags take no value. */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>

#include "cli.h"

/* One letter for the flags that people type most. */
static const struct {
    char letter;
    const char *name;
} letters[] = {{'h', "help"}, {'q', "quiet"}, {'o', "out"}, {'k', "top"}, {'f', "format"}};

static const glia_field help_flag = CLI_FLAG(help, BOOL, "no", "this text", .count = 0);

int cli_usage(const char *command, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fprintf(stderr, "glia%s%s: ", command ? " " : "", command ? command : "");
    vfprintf(stderr, format, args);
    fprintf(stderr, "\nglia %s%s--help says more\n", command ? command : "", command ? " " : "");
    va_end(args);
    return CLI_USAGE;
}

const char *cli_flag_text(const glia_field *flag, char *out, size_t capacity) {
    static const char *const values[] = {
        [GLIA_FIELD_INT] = " N",       [GLIA_FIELD_FLOAT] = " X",     [GLIA_FIELD_BOOL] = "",
        [GLIA_FIELD_STRING] = " TEXT", [GLIA_FIELD_CHOICE] = " WORD", [GLIA_FIELD_INTS] = " N,N",
        [GLIA_FIELD_DIMS] = " N,N",    [GLIA_FIELD_BYTES] = " BYTES"};
    char letter[8] = "";
    for (size_t i = 0; i < GLIA_COUNT(letters); i++)
        if (strcmp(letters[i].name, flag->name) == 0)
            snprintf(letter, sizeof letter, "-%c, ", letters[i].letter);
    snprintf(out, capacity, "%s--%s%s", letter, flag->name, values[flag->kind]);
    for (char *c = out; *c; c++)
        if (*c == '_') *c = '-';
    return out;
}

/* The flag that `word` ("--out", "-o", "--out=x") names, or NULL; *value is what follows '='. */
static const glia_field *find_flag(const cli_command *command, const char *word, const char **value) {
    char name[64];
    size_t length = strcspn(word, "=");
    *value = word[length] ? word + length + 1 : NULL;
    while (*word == '-') word++, length--;
    if (length >= sizeof name) return NULL;
    memcpy(name, word, length);
    name[length] = 0;
    for (char *c = name; *c; c++)
        if (*c == '-') *c = '_';
    for (size_t i = 0; length == 1 && i < GLIA_COUNT(letters); i++)
        if (letters[i].letter == name[0]) snprintf(name, sizeof name, "%s", letters[i].name);
    if (strcmp(name, help_flag.name) == 0) return &help_flag;
    return glia__field_find(command->flags, name);
}

/* The same among the command's other tables. */
static const glia_field *find_other(const cli_command *command, const char *word) {
    char name[64];
    const char *heading;
    const glia_field *table, *found = NULL;
    snprintf(name, sizeof name, "%.*s", (int)strcspn(word, "="), word + strspn(word, "-"));
    name[strcspn(name, "=")] = 0;
    for (char *c = name; *c; c++)
        if (*c == '-') *c = '_';
    for (size_t i = 0; command->other_flags && !found && (table = command->other_flags(i, &heading)); i++)
        found = glia__field_find(table, name);
    return found;
}

static int unknown_flag(const cli_command *command, const char *word) {
    const char *names[64] = {"help"}, *heading;
    char name[64];
    size_t count = 1;
    const glia_field *table = command->flags;
    for (size_t i = 0; table; table = command->other_flags ? command->other_flags(i++, &heading) : NULL)
        for (const glia_field *f = table; f->name && count < GLIA_COUNT(names); f++) names[count++] = f->name;
    snprintf(name, sizeof name, "%.*s", (int)strcspn(word, "="), word);
    const char *nearest = glia__nearest_word(name + strspn(name, "-"), names, count);
    if (nearest) return cli_usage(command->name, "unknown flag '%s' (did you mean --%s?)", name, nearest);
    return cli_usage(command->name, "unknown flag '%s'", name);
}

static bool is_flag(const char *word) {
    return word[0] == '-' && word[1] && !isdigit((unsigned char)word[1]);
}

int cli_parse(const cli_command *command, cli_options *options, char **words, int *count) {
    int kept = 0;
    bool flags_end = false;
    *options = (cli_options){.help = GLIA_DEFAULT};
    glia__fields_init(command->flags, options);
    options->seed = options->threads = -1;
    for (int i = 0; i < *count; i++) {
        const char *value;
        if (flags_end || !is_flag(words[i])) {
            words[kept++] = words[i];
            continue;
        }
        if (strcmp(words[i], "--") == 0) {
            flags_end = true;
            continue;
        }
        const glia_field *flag = find_flag(command, words[i], &value), *other = NULL;
        if (!flag) flag = other = find_other(command, words[i]);
        if (!flag) return unknown_flag(command, words[i]);
        if (flag->kind == GLIA_FIELD_BOOL && value)
            return cli_usage(command->name, "--%s takes no value", flag->name);
        if (flag->kind == GLIA_FIELD_BOOL) value = "yes";
        if (!value && i + 1 < *count) value = words[++i];
        if (!value) return cli_usage(command->name, "--%s needs a value: %s", flag->name, flag->doc);
        if (other) {
            if (options->n_others == (int)GLIA_COUNT(options->others))
                return cli_usage(command->name, "too many flags");
            options->others[options->n_others].flag = other;
            options->others[options->n_others++].value = value;
            continue;
        }
        glia_error err = {0};
        if (glia__field_parse(flag, options, value, NULL, &err) != GLIA_OK)
            return cli_usage(command->name, "--%s", err.message);
    }
    *count = kept;
    if (options->help == GLIA_YES) return CLI_OK;
    if (kept < command->min_arguments)
        return cli_usage(command->name, "too few arguments; expected: glia %s %s", command->name,
                         command->arguments);
    if (command->max_arguments >= 0 && kept > command->max_arguments)
        return cli_usage(command->name, "unexpected '%s'; expected: glia %s %s",
                         words[command->max_arguments], command->name, command->arguments);
    return CLI_OK;
}
