#!/bin/sh
# A series through the program: trained, measured beside the seasonal-naive forecast, forecast and exported.
. "$(dirname "$0")/cli.sh"

awk 'BEGIN {
    print "month,noise,sales"
    for (i = 0; i < 240; i++) printf "%d-%02d,%.3f,%.3f\n", 1990 + i / 12, i % 12 + 1, sin(i * i), 500 + i + 80 * sin(i * 0.5236)
}' >sales.csv
cat >sales.yaml <<END
data:
  source: {series: sales.csv}
  series: {features: [sales], length: 12, horizon: 3, season: 12}
  normalize: yes
  split: {validation: 0.1, test: 0.2}
model:
  - gru: 16
  - dense: 3
  - denormalize
optimizer: {adam: {learning_rate: 0.02}}
metrics: [mae, naive_mae, mae_to_naive]
train: {epochs: 30, batch_size: 16, threads: 1}
END
expect 0 "154 train · 23 validation · 45 test, 12×1, to predict: numbers (3)" "$GLIA" train sales.yaml --out runs/sales
expect 0 "seasonal-naive error    11.99" "$GLIA" evaluate runs/sales
better=$("$GLIA" evaluate runs/sales --json | sed 's/.*"mae_to_naive":\([0-9.]*\).*/\1/')
checks=$((checks + 1))
[ "$(echo "$better" | awk '{ print ($1 > 0 && $1 < 1) }')" = 1 ] || say_failed "no better than seasonal-naive" "$better"
# The sum goes on: about 500 + i + …, three numbers.
head -n 200 sales.csv >known.csv
expect 0 "known.csv  " "$GLIA" predict runs/sales known.csv
expect_lines 1 'known.csv  [67][0-9][0-9]\.[0-9]*  [67][0-9][0-9]\.[0-9]*  [67][0-9][0-9]\.[0-9]*$' "no forecast of three numbers"
expect 0 '"index":0,"values":[' "$GLIA" predict runs/sales known.csv --json
head -n 8 sales.csv >short.csv
expect 1 "short.csv has 7 rows; an example needs 12" "$GLIA" predict runs/sales short.csv
expect 0 "runs/sales" "$GLIA" train sales.yaml --out runs/sales --resume train.epochs=31
expect 0 "wrote" "$GLIA" export runs/sales -o sales.onnx
expect 0 '"axis":2}' "$GLIA" summary sales.onnx
expect 0 "saved theirs" "$GLIA" import sales.onnx --out theirs
expect 0 "channel_axis: 1" cat theirs/config.yaml
expect 0 "mean: [" cat theirs/config.yaml
expect 0 "wrote" "$GLIA" export runs/sales -o sales.c

expect 1 "sales.yaml:2:11: error: sales.csv: there is no column 'salse' (did you mean 'sales'?)" \
    "$GLIA" train sales.yaml data.series.features=salse --out runs/x
expect 1 "a text or series is split at a place" "$GLIA" train sales.yaml data.split.stratified=yes --out runs/x
printf 'a,kind\n1,x\n2,y\n3,x\n4,y\n' >kinds.csv
printf 'data: {source: {csv: kinds.csv}}\nmodel: [dense: 2, denormalize]\n' >kinds.yaml
expect 1 "denormalize 'denormalize' gives numbers, but the targets are not" "$GLIA" train kinds.yaml --out runs/x
"$GLIA" init --task time-series ts.yaml
expect 0 "best epoch" "$GLIA" train ts.yaml data.source=series:sales.csv train.epochs=2 --out runs/ts
finish
