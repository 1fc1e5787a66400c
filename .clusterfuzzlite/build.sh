#!/bin/bash -eu
# For each target a fuzzer, its options, dictionary and seeds in $OUT; what they are is in
# vmgexit_fuzz.fleets.

# The packages run as they stand here. What they need is checked against the lock; atheris and the packer
# are the image's own.
pip3 install --constraint requirements.lock construct
export PYTHONPATH="$PWD/protocol:$PWD/fuzz"

for target in $(python3 -m vmgexit_fuzz.fleets targets); do
  name=fuzz_${target//-/_}
  python3 -m vmgexit_fuzz.fleets source "$target" > "$WORK/$name.py"
  compile_python_fuzzer "$WORK/$name.py" --additional-hooks-dir "$PWD/.clusterfuzzlite"
  python3 -m vmgexit_fuzz.fleets options "$target" > "$OUT/$name.options"
  python3 -m vmgexit_fuzz.fleets dictionary "$target" > "$OUT/$name.dict"
  python3 -m vmgexit_fuzz.fleets seeds "$target" "$OUT/${name}_seed_corpus.zip"
done
