#!/bin/bash
# ctest --test-dir BUILD: runs all objects that are tests.
set -euo pipefail
[ "$1" = --test-dir ] && cd "$2"
. ./settings
status=0
for file in test_*.o; do
    if BUILD_TYPE=$BUILD_TYPE SANITIZE=$SANITIZE sh -eu "$file"; then echo "Passed  ${file%.o}"; else echo "Failed  ${file%.o}"; status=8; fi
done | tee LastTest.log
! grep -q Failed LastTest.log || exit 8
