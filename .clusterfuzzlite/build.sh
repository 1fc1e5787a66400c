#!/bin/bash -eu
# A fuzzer, its seeds and its dictionary in $OUT for each target; what they are is in vmgexit_fuzz.harness.

pip3 install .

for target in $(python3 -m vmgexit_fuzz.harness targets); do
  name=fuzz_${target//-/_}
  python3 -m vmgexit_fuzz.harness source "$target" > "$WORK/$name.py"
  # Targets are imported by name, which the packer does not see.
  compile_python_fuzzer "$WORK/$name.py" --collect-submodules=vmgexit --collect-submodules=vmgexit_fuzz
  python3 -m vmgexit_fuzz.harness seeds "$target" "$OUT/${name}_seed_corpus.zip"
  python3 -m vmgexit_fuzz.harness dictionary "$target" > "$OUT/$name.dict"
done
