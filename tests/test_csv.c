/* Tables: cells, headers, targets, and what is refused, by line and column. */
#include "test.h"

#include "data/csv.h"
#include "failing_allocator.h"
#include "glia/data.h"
#include "scratch.h"

static glia_csv read_cells(const char *text, int64_t limit) {
    glia_csv csv;
    glia_error err = {0};
    CHECK_OK(glia__csv_read(&csv, scratch_text("t.csv", text), limit, NULL, &err), &err);
    return csv;
}

static void check_row(const glia_csv *csv, int64_t row, const char *const *cells) {
    for (int64_t c = 0; c < csv->columns; c++) CHECK_STR(csv->cells[row * csv->columns + c], cells[c]);
}

TEST(cells) {
    scratch_make();
    glia_csv csv = read_cells("\xEF\xBB\xBF"
                              "name, size ,note\r\n"
                              "\"a, \"\"b\"\"\nc\" ,1.5,\r\n"
                              "\n"
                              "  d  ,2,\"\"",
                              0);
    CHECK_INT(csv.rows, 3);
    CHECK_INT(csv.columns, 3);
    CHECK(csv.header == csv.cells); /* words above a row with a number */
    check_row(&csv, 0, (const char *const[]){"name", "size", "note"});
    check_row(&csv, 1, (const char *const[]){"a, \"b\"\nc", "1.5", ""});
    check_row(&csv, 2, (const char *const[]){"d", "2", ""});
    CHECK_INT(csv.lines[1], 2);
    CHECK_INT(csv.lines[2], 5); /* the quoted cell has a line of its own; a blank one is passed over */
    glia__csv_free(&csv);
    csv = read_cells("1;2\n3;4\n", 0);
    CHECK_INT(csv.columns, 2);
    CHECK(csv.header == NULL);
    glia__csv_free(&csv);
    csv = read_cells("1\t2\t3\n\t\t\n\"4\"\t5\t6", 0); /* a row of nothing is a row */
    CHECK_INT(csv.rows, 3);
    check_row(&csv, 1, (const char *const[]){"", "", ""});
    check_row(&csv, 2, (const char *const[]){"4", "5", "6"});
    glia__csv_free(&csv);
    csv = read_cells("a,b\n1,2\n3,4\n5,6\n", 2);
    CHECK_INT(csv.rows, 3); /* and the header */
    glia__csv_free(&csv);
    csv = read_cells("", 0);
    CHECK_INT(csv.rows, 0);
    glia__csv_free(&csv);
    scratch_remove();
}

TEST(weights) {
    glia_dataset *d;
    glia_error err = {0};
    scratch_make();
    char source[600];
    snprintf(source, sizeof source, "csv:%s", scratch_text("t.csv", "a,w,b,y\n1,0.5,2,no\n3,2,4,yes\n"));
    CHECK_OK(glia_dataset_open_with(&d, source, (glia_dataset_options){.weight = "w"}, &err), &err);
    const glia_dataset_info *info = d ? glia_dataset_get_info(d) : NULL;
    CHECK(info && info->weighted && info->input_shape.dim[0] == 2);
    CHECK_STR(info ? info->feature_names[1] : NULL, "b");
    glia_loader *loader;
    glia_batch batch;
    CHECK_OK(glia_loader_new(&loader, d, (glia_loader_options){.batch_size = 2}, &err), &err);
    CHECK_OK(glia_loader_start(loader, 0, &err), &err);
    CHECK_OK(glia_loader_next(loader, &batch, &err), &err);
    CHECK(batch.weights && batch.weights[0] == 0.5f && batch.weights[1] == 2);
    glia_loader_free(loader);
    glia_dataset_free(d);
    CHECK_ERR(glia_dataset_open_with(&d, source, (glia_dataset_options){.weight = "last"}, &err),
              GLIA_INVALID_ARGUMENT, &err, "cannot be both the target and the weight");
    snprintf(source, sizeof source, "csv:%s", scratch_text("t.csv", "a,w,y\n1,-1,no\n3,2,yes\n"));
    err = (glia_error){0};
    CHECK_ERR(glia_dataset_open_with(&d, source, (glia_dataset_options){.weight = "w"}, &err), GLIA_BAD_DATA,
              &err, "column 2 'w': a weight is a number of at least 0");
    scratch_remove();
}

TEST(malformed) {
    static const struct {
        const char *text, *message;
        int64_t line;
    } cases[] = {
        {"1,2\n3,4,5\n", "expected 2 cells as in the first row, found 3", 2},
        {"1,2\n\n\"x\ny\",4\n3\n", "expected 2 cells as in the first row, found 1", 5},
        {"1,2\n3,\"4\n5,6\n", "cell 2: a quoted cell does not end", 2},
        {"1,2\n\"3\"4,5\n", "cell 1: text follows the closing quote of a cell", 2},
    };
    scratch_make();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        glia_csv csv;
        glia_error err = {0};
        glia_status status = glia__csv_read(&csv, scratch_text("t.csv", cases[i].text), 0, NULL, &err);
        CHECK_INT(err.line, cases[i].line);
        CHECK_HAS(err.file, "t.csv");
        CHECK_ERR(status, GLIA_BAD_FORMAT, &err, cases[i].message);
    }
    glia_csv csv;
    glia_error err = {0};
    CHECK_ERR(glia__csv_read(&csv, scratch_put("t.csv", "1,2\n3\0,4\n", 9), 0, NULL, &err), GLIA_BAD_FORMAT,
              &err, "not a text file: it holds a zero byte at 5");
    CHECK_ERR(glia__csv_read(&csv, scratch_path("none.csv"), 0, NULL, &err), GLIA_NOT_FOUND, &err,
              "none.csv: No such file");
    scratch_remove();
}

static glia_status open_table(glia_dataset **out, const char *text, glia_dataset_options options,
                              glia_error *err) {
    char source[600];
    snprintf(source, sizeof source, "csv:%s", scratch_text("t.csv", text));
    return glia_dataset_open_with(out, source, options, err);
}

TEST(as_data_set) {
    scratch_make();
    glia_error err = {0};
    glia_dataset *d;
    float x[8];
    int64_t y[4];
    CHECK_OK(open_table(&d, "w,h,kind\n1,2,pear\n3,4,apple\n5,6,pear\n", (glia_dataset_options){0}, &err),
             &err);
    const glia_dataset_info *info = glia_dataset_get_info(d);
    CHECK_INT(info->count, 3);
    CHECK_INT(info->classes, 2);
    CHECK_STR(info->class_names[0], "apple");
    CHECK_STR(info->class_names[1], "pear");
    CHECK_STR(info->feature_names[1], "h");
    CHECK_OK(glia_dataset_gather(d, NULL, 3, x, y, &err), &err);
    CHECK(x[0] == 1 && x[3] == 4 && x[5] == 6);
    CHECK(y[0] == 1 && y[1] == 0 && y[2] == 1);
    glia_dataset_free(d);
    /* By name, among the features, sorted as numbers. */
    CHECK_OK(open_table(&d, "k,a\n10,1\n9,2\n10,3\n", (glia_dataset_options){.label = "k", .limit = 2}, &err),
             &err);
    CHECK_INT(glia_dataset_get_info(d)->count, 2);
    CHECK_STR(glia_dataset_get_info(d)->class_names[0], "9");
    glia_dataset_free(d);
    float value[3];
    CHECK_OK(
        open_table(&d, "1,2,-0.5\n3,4,1e3\n", (glia_dataset_options){.label = "3", .target = "values"}, &err),
        &err);
    CHECK_OK(glia_dataset_gather(d, NULL, 2, x, value, &err), &err);
    CHECK(value[0] == -0.5f && value[1] == 1000);
    CHECK_INT(glia_dataset_get_info(d)->target, GLIA_TARGET_VALUES);
    glia_dataset_free(d);
    CHECK_OK(
        open_table(&d, "1,2\n?,4\n5,\n", (glia_dataset_options){.label = "none", .missing = "mean"}, &err),
        &err);
    CHECK_OK(glia_dataset_gather(d, NULL, 3, x, NULL, &err), &err);
    CHECK(x[2] == 3 && x[5] == 3); /* means of 1 5 and of 2 4 */
    CHECK_INT(glia_dataset_get_info(d)->target, GLIA_TARGET_NONE);
    CHECK(glia_dataset_get_info(d)->fill[0] == 3 && glia_dataset_get_info(d)->fill[1] == 3);
    glia_dataset *part;
    const int64_t first_two[] = {0, 1};
    CHECK_OK(glia_dataset_take(&part, d, first_two, 2, &err), &err);
    glia_dataset_free(d);
    CHECK(glia_dataset_get_info(part)->fill[0] == 3); /* the whole table's, until it is said otherwise */
    CHECK_OK(glia_dataset_set_fill(part, NULL, &err), &err);
    CHECK_OK(glia_dataset_gather(part, NULL, 2, x, NULL, &err), &err);
    CHECK(x[0] == 1 && x[2] == 1 && glia_dataset_get_info(part)->fill[0] == 1);
    glia_dataset_free(part);
    const float fill[] = {-1, -2}; /* of other data */
    const glia_dataset_options filled = {.label = "none", .missing = "mean", .fill = fill, .n_fill = 2};
    CHECK_OK(open_table(&d, "1,2\n?,\n", filled, &err), &err);
    CHECK_OK(glia_dataset_gather(d, NULL, 2, x, NULL, &err), &err);
    CHECK(x[2] == -1 && x[3] == -2 && glia_dataset_get_info(d)->fill[1] == -2);
    glia_dataset_free(d);
    scratch_remove();
}

TEST(refused) {
    static const struct {
        const char *text;
        glia_dataset_options options;
        glia_status status;
        const char *message;
        int64_t line;
    } cases[] = {
        {"w,h,kind\n1,2,a\n3,,b\n",
         {0},
         GLIA_BAD_DATA,
         "column 2 'h': the value is missing (`missing: mean` fills",
         3},
        {"1,2,0\n3,?,1\n", {0}, GLIA_BAD_DATA, "column 2: the value is missing", 2},
        {"w,h,kind\n1,2,a\nx1,4,b\n", {0}, GLIA_BAD_DATA, "column 1 'w': expected a number, found 'x1'", 3},
        {"1,2,0\n3,4 5,1\n", {0}, GLIA_BAD_DATA, "column 2: expected a number, found '4 5'", 2},
        {"1,nan,0\n", {0}, GLIA_BAD_DATA, "column 2: expected a number, found 'nan'", 1},
        {"1,2,0\n3,1e39,1\n",
         {0},
         GLIA_BAD_DATA,
         "column 2: expected a number within ±3.4e38, found '1e39'",
         2},
        {"1,2,a\n3,4,\n", {0}, GLIA_BAD_DATA, "column 3: the label is missing", 2},
        {"1,2,\n3,4,5\n",
         {.target = "values", .missing = "mean"},
         GLIA_BAD_DATA,
         "column 3: the value is missing",
         1},
        {"", {0}, GLIA_BAD_DATA, "t.csv: the table is empty", 0},
        {"\n \n", {0}, GLIA_BAD_DATA, "t.csv: the table is empty", 0},
        {"1\n2\n", {0}, GLIA_BAD_DATA, "t.csv: one column only; expected features beside the target", 0},
        {"w,kind\n1,a\n", {.label = "kin"}, GLIA_NOT_FOUND, "no column 'kin' (did you mean 'kind'?)", 0},
        {"1,2\n", {.label = "3"}, GLIA_NOT_FOUND, "no column '3' (expected its name, a number from 1 to", 0},
        {"1,2\n",
         {.missing = "median"},
         GLIA_INVALID_ARGUMENT,
         "missing: expected error or mean, found 'median'",
         0},
        {"1,2\n",
         {.target = "value"},
         GLIA_INVALID_ARGUMENT,
         "target: expected class or values, found 'value'",
         0},
    };
    scratch_make();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        glia_dataset *d;
        glia_error err = {0};
        glia_status status = open_table(&d, cases[i].text, cases[i].options, &err);
        CHECK_INT(err.line, cases[i].line);
        if (cases[i].line) CHECK_HAS(err.file, "t.csv");
        CHECK_ERR(status, cases[i].status, &err, cases[i].message);
        CHECK(d == NULL);
        glia_dataset_free(d);
    }
    scratch_remove();
}

TEST(memory) {
    scratch_make();
    for (int values = 0; values < 2; values++) {
        char source[600];
        snprintf(source, sizeof source, "csv:%s", scratch_text("t.csv", "w,h,k\n1,2,7\n3,,8\n5,6,9\n"));
        FOR_EACH_FAILURE(memory) {
            glia_error err = {0};
            glia_dataset *d;
            glia_dataset_options options = {.missing = "mean",
                                            .target = values ? "values" : "class",
                                            .normalize = GLIA_YES,
                                            .allocator = &memory.allocator};
            glia_status status = glia_dataset_open_with(&d, source, options, &err);
            CHECK_FAILED_ONCE(memory, status);
            if (status != GLIA_OK) CHECK_HAS(err.message, "out of memory");
            if (status == GLIA_OK && !values)
                for (int k = 0; k < 3; k++) CHECK_INT(glia_dataset_get_info(d)->class_names[k][0], '7' + k);
            glia_dataset_free(d);
        }
    }
    scratch_remove();
}

TEST_MAIN(TEST_ENTRY(cells), TEST_ENTRY(weights), TEST_ENTRY(malformed), TEST_ENTRY(as_data_set),
          TEST_ENTRY(refused), TEST_ENTRY(memory))
