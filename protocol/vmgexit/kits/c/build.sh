#!/bin/sh
# Makes ./adapter. CC names another compiler, CFLAGS adds options: CFLAGS="-fsanitize=address,undefined -g".
set -eu
cd "$(dirname "$0")"
${CC:-cc} -std=c11 -O2 -Wall -Wextra ${CFLAGS:-} -Ikit -o adapter ./*.c
