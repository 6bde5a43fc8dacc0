# roofline.awk MACHINE PAGE: the rows in the tables of a page (table.awk) as a roofline picture (SVG): what a job computes a
# second against what it computes for each byte it moves, both by the book (bench/jobs.c), under what the machine can do at best.

function log10(x) { return log(x) / log(10) }
function key(name) {
    match(machine, "\"" name "\":[0-9.]+")
    return substr(machine, RSTART + length(name) + 3, RLENGTH - length(name) - 3) + 0
}
function across(intensity) { return left + wide * (log10(intensity) - x0) / (x1 - x0) }
function up(gflops) { return top + high * (y1 - log10(gflops)) / (y1 - y0) }
function text(x, y, class, words) {
    gsub(/&/, "\\&amp;", words)
    gsub(/</, "\\&lt;", words)
    printf "<text x=\"%.1f\" y=\"%.1f\" class=\"%s\">%s</text>\n", x, y, class, words
}
function line(xa, ya, xb, yb, class) {
    printf "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" class=\"%s\"/>\n", xa, ya, xb, yb, class
}
# A roof that rises with `gbs` GB/s from the left to `peak` GFLOP/s.
function slope(gbs, peak, name,   from, to) {
    from = 10 ^ x0
    if (gbs * from < 10 ^ y0) from = 10 ^ y0 / gbs
    to = peak / gbs
    line(across(from), up(gbs * from), across(to), up(peak), "roof")
    printf "<text transform=\"translate(%.1f %.1f) rotate(%.1f)\" class=\"name\">%s</text>\n", across(from * 1.5) - 4,
        up(gbs * from * 1.5) - 6, -atan2(high / (y1 - y0), wide / (x1 - x0)) * 180 / 3.14159265, name
}
# A flat roof, from where the slope of `gbs` meets it.
function flat(gflops, gbs, name) {
    if (gflops <= 0) return
    line(across(gflops / gbs), up(gflops), left + wide, up(gflops), "roof")
    text(left + wide - 4, up(gflops) - 6, "name end", name)
}
function axes(   e) {
    for (e = x0; e <= x1; e++) {
        line(across(10 ^ e), top, across(10 ^ e), top + high, "grid")
        text(across(10 ^ e), top + high + 18, "tick middle", 10 ^ e)
    }
    for (e = y0; e <= y1; e++) {
        line(left, up(10 ^ e), left + wide, up(10 ^ e), "grid")
        text(left - 8, up(10 ^ e) + 4, "tick end", 10 ^ e)
    }
    text(left + wide / 2, top + high + 40, "middle", "FLOP a byte")
    text(left, top - 14, "", "GFLOP/s")
}
# A job: a disc for Glia, a ring for PyTorch under or over it, and its number.
function point(n,   x, y) {
    x = across(intensity[n])
    if (theirs[n] > 0) {
        line(x, up(ours[n]), x, up(theirs[n]), "pair")
        printf "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"5\" class=\"theirs\"/>\n", x, up(theirs[n])
    }
    y = up(ours[n])
    printf "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"9\" class=\"ours\"/>\n", x, y
    text(x, y + 4, "on middle", n)
}

BEGIN {
    FS = " *[|] *"
    left = 70; top = 50; wide = 520; high = 400
    tall = top + high + 60
    x0 = 0; x1 = 3; y0 = 0; y1 = 4
}
FNR == NR {
    machine = $0
    next
}
# |job|title|seconds of both|ratio|memory of both|GFLOP/s|of peak|FLOP a byte|losses|settings|
/^\| J[0-9]/ && NF == 14 {
    n++
    title[n] = $2 ": " $3
    intensity[n] = $11 + 0
    ours[n] = $9 + 0
    theirs[n] = $6 > 0 ? $9 / $6 : 0
    while (intensity[n] < 10 ^ x0) x0--
    while (intensity[n] > 10 ^ x1) x1++
    while (ours[n] < 10 ^ y0 || (theirs[n] > 0 && theirs[n] < 10 ^ y0)) y0--
}
END {
    f32 = key("f32_gflops"); bf16 = key("bf16_gflops"); memory = key("memory_gbs"); cache = key("cache_gbs")
    printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"1050\" height=\"%d\" font-family=\"sans-serif\" font-size=\"13\">\n", (tall > top + 22 * n + 30 ? tall : top + 22 * n + 30)
    print "<style>text{fill:#222}.tick{fill:#666;font-size:12px}.name{fill:#555;font-size:12px}.middle{text-anchor:middle}"
    print ".end{text-anchor:end}.on{fill:#fff;font-size:11px}.grid{stroke:#e4e4e4}.roof{stroke:#444;stroke-width:2}"
    print ".pair{stroke:#aaa;stroke-dasharray:3 3}.ours{fill:#0b6e99}.theirs{fill:#fff;stroke:#d1495b;stroke-width:2.5}</style>"
    print "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>"
    axes()
    slope(memory, bf16 > f32 ? bf16 : f32, sprintf("memory %.0f GB/s", memory))
    slope(cache, bf16 > f32 ? bf16 : f32, sprintf("L2 cache %.0f GB/s", cache))
    flat(f32, cache, sprintf("f32 %.0f GFLOP/s", f32))
    flat(bf16, cache, sprintf("bf16 (AMX) %.0f GFLOP/s", bf16))
    for (i = 1; i <= n; i++) point(i)
    x = left + wide + 30
    printf "<circle cx=\"%d\" cy=\"%d\" r=\"9\" class=\"ours\"/>\n", x, top
    text(x + 18, top + 4, "", "Glia")
    printf "<circle cx=\"%d\" cy=\"%d\" r=\"5\" class=\"theirs\"/>\n", x + 80, top
    text(x + 94, top + 4, "", "PyTorch")
    for (i = 1; i <= n; i++) text(x - 9, top + 14 + 22 * i, "", i "  " title[i])
    print "</svg>"
}
