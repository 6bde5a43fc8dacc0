#!/bin/sh
# Texts through the program: a language model trained and gone on with, texts classified, and what is refused.
. "$(dirname "$0")/cli.sh"

i=0
while [ $i -lt 60 ]; do
    echo "the quick brown fox jumps over the lazy dog"
    i=$((i + 1))
done >fox.txt
cat >fox.yaml <<END
data: {source: text:fox.txt, split: {validation: 0.2}, text: {length: 16, stride: 1}}
model:
  - embedding: {vocabulary: 28, units: 16}
  - lstm: {units: 32, return_sequences: yes}
  - dense: 28
optimizer: {adam: {learning_rate: 0.02}}
train: {epochs: 4, steps_per_epoch: 40, batch_size: 16, threads: 1}
END
expect 0 "2,084 train · 33 validation, 16, 28 classes" "$GLIA" train fox.yaml --out runs/fox
expect 0 "next: glia evaluate runs/fox-again · glia generate runs/fox-again --prompt TEXT" \
    "$GLIA" train fox.yaml train.epochs=1 train.steps_per_epoch=1 --out runs/fox-again
expect 0 "the quick brown fox jumps over the lazy dog" \
    "$GLIA" generate runs/fox --prompt "the quick" --tokens 60 --temperature 0
expect 0 '"prompt":"the q","text":"the quick' "$GLIA" generate runs/fox --prompt "the q" --tokens 9 --top-k 1 --json
if command -v cc >/dev/null; then # whole numbers stand in the self-test, though the run's arrays are f32
    expect 0 "checked: compiled, 3 made-up examples" "$GLIA" export runs/fox -o fox.c --check
fi
"$GLIA" generate runs/fox --tokens 30 --temperature 2 --seed 5 >one.txt
"$GLIA" generate runs/fox --tokens 30 --temperature 2 --seed 5 >two.txt
checks=$((checks + 1))
cmp -s one.txt two.txt || say_failed "the same seed gives another text" "$(cat one.txt two.txt)"
sed 's/, stride: 1//; s/lstm: {units: 32/lstm: {units: 32, layers: 2, stateful: yes/; s/epochs: 4, steps_per_epoch: 40, batch_size: 16/epochs: 40, batch_size: 8/' \
    fox.yaml >goes_on.yaml
expect 0 "saved runs/goes-on" "$GLIA" train goes_on.yaml --out runs/goes-on
expect 0 "the quick brown fox jumps over the lazy dog" \
    "$GLIA" generate runs/goes-on --prompt "the quick" --tokens 60 --temperature 0
sed 's/stateful: yes/reverse: yes/' goes_on.yaml >backward.yaml
expect 0 "saved runs/backward" "$GLIA" train backward.yaml train.epochs=1 --out runs/backward
expect 0 "every token costs a run of the whole window of 16: 'lstm" "$GLIA" generate runs/backward --prompt "the" --tokens 2
expect 1 "the prompt holds the character 'X', which the run was not trained on" "$GLIA" generate runs/fox --prompt X
expect 1 "the run is a language model, which goes on with texts: glia generate" "$GLIA" predict runs/fox "the"

i=0
while [ $i -lt 40 ]; do
    printf 'a good and fine film %d\tgood\na bad and dull film %d\tbad\n' $i $i
    i=$((i + 1))
done >films.tsv
cat >films.yaml <<END
data: {source: {text_table: films.tsv}, split: {validation: 0.2}, text: {length: 8, vocabulary: 100}}
model:
  - embedding: {vocabulary: 100, units: 8, mask_zero: yes}
  - lstm: {units: 8, bidirectional: yes}
  - dense: 2
optimizer: {adam: {learning_rate: 0.02}}
train: {epochs: 8, batch_size: 8, threads: 1}
END
expect 0 "validation accuracy 1.0000" "$GLIA" train films.yaml --out runs/films
rm films.tsv
expect 0 "what a good thing  good" "$GLIA" predict runs/films "what a good thing"
printf 'dull\ngood!\n' >lines.txt
expect 0 "lines.txt[0]  bad" "$GLIA" predict runs/films lines.txt
expect 0 "lines.txt[1]  good" "$GLIA" predict runs/films lines.txt
expect 1 "is no language model: expected tokens [N, T]" "$GLIA" generate runs/films

# A text a file, in a folder a class.
mkdir -p shelf/good shelf/bad shelf/empty
i=0
while [ $i -lt 30 ]; do
    echo "a fine and good film $i" >shelf/good/$i.txt
    echo "a dull and bad film $i" >shelf/bad/$i.txt
    i=$((i + 1))
done
echo "no class" >shelf/notes.txt
cat >shelf.yaml <<END
data: {source: {text_folder: shelf}, split: {validation: 0.2}, text: {length: 8, vocabulary: 100}}
model:
  - embedding: {vocabulary: 100, units: 8, mask_zero: yes}
  - gru: 8
  - dense: 2
optimizer: {adam: {learning_rate: 0.02}}
train: {epochs: 8, batch_size: 8, threads: 1}
END
expect 0 "48 train · 12 validation, 8, 2 classes" "$GLIA" train shelf.yaml --out runs/shelf
expect 0 "validation accuracy 1.0000" "$GLIA" train shelf.yaml --out runs/shelf --force
expect 0 "a good thing  good" "$GLIA" predict runs/shelf "a good thing"
expect 0 "text_folder:shelf: 60 examples of 64, 2 classes" "$GLIA" data show text_folder:shelf
expect 1 "holds no texts: expected a folder for each class" "$GLIA" data show text_folder:shelf/empty
expect 1 "cannot read the folder nowhere" "$GLIA" data show text_folder:nowhere
printf "\\377\\n" >shelf/bad/x.txt
expect 1 "shelf/bad/x.txt:1: error: not UTF-8" "$GLIA" data show text_folder:shelf
finish
