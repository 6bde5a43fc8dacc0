# table.awk MACHINE ROWS: what run.sh measured, as an aligned Markdown table.

# Text of a number of seconds, or of megabytes, with three digits.
function digits(x, unit) {
    return sprintf(x < 10 ? "%.2f %s" : x < 100 ? "%.1f %s" : "%.0f %s", x, unit)
}
function seconds(x) {
    if (x == "") return "–"
    return x < 1e-3 ? digits(x * 1e6, "µs") : x < 1 ? digits(x * 1e3, "ms") : digits(x, "s")
}
# Columns that a text takes, for an awk that counts characters or bytes.
function width(text) {
    gsub(/×|µ|–|²/, "x", text)
    return length(text)
}
function add(column, text) {
    cell[rows, column] = text
    if (width(text) > widest[column]) widest[column] = width(text)
}
function key(line, name) {
    match(line, "\"" name "\":[0-9.]+")
    return substr(line, RSTART + length(name) + 3, RLENGTH - length(name) - 3)
}
BEGIN {
    FS = "|"
    columns = split("job||Glia|PyTorch|times faster|memory|PyTorch's|GFLOP/s|of peak|first losses|PyTorch's settings", head, "|")
    rows = 0
    for (c = 1; c <= columns; c++) {
        number[c] = c > 2 && c < 10
        add(c, head[c])
    }
}
FNR == NR {
    peak["f32"] = key($0, "f32_gflops")
    peak["bf16"] = key($0, "bf16_gflops")
    next
}
{
    rows++
    precision = $2 ~ /bf16/ ? "bf16" : "f32"
    rate = $8 / $3 / 1e9
    add(1, $1)
    add(2, $2)
    add(3, seconds($3))
    add(4, seconds($4))
    add(5, $5 == "" ? "–" : sprintf("%.1f", $5))
    add(6, sprintf("%.0f MB", $6))
    add(7, $7 == "" ? "–" : sprintf("%.0f MB", $7))
    add(8, sprintf("%.0f", rate))
    add(9, peak[precision] ? sprintf("%.0f %%", 100 * rate / peak[precision]) : "–")
    add(10, $10 == "" ? "–" : $10)
    add(11, $11 == "" ? "–" : $11)
}
END {
    for (r = 0; r <= rows; r++) {
        line = ""
        for (c = 1; c <= columns; c++) {
            pad = sprintf("%" (widest[c] - width(cell[r, c])) "s", "")
            line = line (c == 1 ? "| " : " | ") (number[c] ? pad cell[r, c] : cell[r, c] pad)
        }
        print line " |"
        if (r > 0) continue
        line = ""
        for (c = 1; c <= columns; c++) line = line (number[c] ? "|--:" : "|---")
        print line "|"
    }
}
