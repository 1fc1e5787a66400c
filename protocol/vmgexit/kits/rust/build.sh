#!/bin/sh
# Makes ./adapter. RUSTC names another compiler, RUSTFLAGS adds options.
set -eu
cd "$(dirname "$0")"
${RUSTC:-rustc} --edition 2021 -O ${RUSTFLAGS:-} -o adapter main.rs
