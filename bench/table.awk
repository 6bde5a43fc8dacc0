# table.awk MACHINE ROWS: the rows of run.sh as an aligned Markdown table; with -v kind=sweep those of its sweep.

# Three digits.
function digits(x) { return sprintf(x < 10 ? "%.2f" : x < 100 ? "%.1f" : "%.0f", x) }
function seconds(x) {
    if (x == "") return "–"
    return x < 1e-3 ? digits(x * 1e6) " µs" : x < 1 ? digits(x * 1e3) " ms" : digits(x) " s"
}
# Columns that a text takes, for an awk that counts characters or bytes.
function width(text) {
    gsub(/×|µ|–|²|→/, "x", text)
    return length(text)
}
function add(text) {
    cell[rows, ++column] = text
    if (width(text) > widest[column]) widest[column] = width(text)
}
# Heads of columns, those of numbers with a ">" before them.
function head(text,   names, c) {
    columns = split(text, names, "|")
    rows = column = 0
    for (c = 1; c <= columns; c++) {
        number[c] = sub(/^>/, "", names[c])
        add(names[c])
    }
}
function peak(name) {
    match(machine, "\"" name "_gflops\":[0-9.]+")
    return substr(machine, RSTART + length(name) + 10, RLENGTH - length(name) - 10)
}
function smaller(a, b) { return a == "" || (b != "" && b < a) ? b : a }

BEGIN {
    FS = "|"
    if (kind == "sweep") head("network|>batch|>Glia, 1 thread|>all|>PyTorch, 1 thread|>all|>times faster")
    else head("job||>Glia|>PyTorch|>times faster|>memory|>PyTorch's|>GFLOP/s|>of peak|>FLOP a byte|first losses|PyTorch's settings")
}
FNR == NR {
    machine = $0
    next
}
{
    rows++
    column = 0
}
# network, batch, then seconds an example: Glia with one thread and all, PyTorch with one and all
kind == "sweep" {
    add($1)
    add($2)
    for (c = 3; c <= 6; c++) add(seconds($c))
    add($5 == "" ? "–" : sprintf("%.1f", smaller($5, $6) / smaller($3, $4)))
    next
}
# job, title, seconds of both, ratio, megabytes of both, FLOPs, bytes, losses, settings
{
    rate = $8 / $3 / 1e9
    most = peak($2 ~ /bf16/ ? "bf16" : "f32")
    add($1)
    add($2)
    add(seconds($3))
    add(seconds($4))
    add($5 == "" ? "–" : sprintf("%.1f", $5))
    add(sprintf("%.0f MB", $6))
    add($7 == "" ? "–" : sprintf("%.0f MB", $7))
    add(digits(rate))
    add(most > 0 ? sprintf("%.0f %%", 100 * rate / most) : "–")
    add(digits($8 / $9))
    add($10 == "" ? "–" : $10)
    add($11 == "" ? "–" : $11)
}
END {
    for (r = 0; r <= rows; r++) {
        line = ""
        rule = "|"
        for (c = 1; c <= columns; c++) {
            pad = sprintf("%" (widest[c] - width(cell[r, c])) "s", "")
            line = line (c == 1 ? "| " : " | ") (number[c] ? pad cell[r, c] : cell[r, c] pad)
            rule = rule (number[c] ? "--:|" : "---|")
        }
        print line " |"
        if (r == 0) print rule
    }
}
