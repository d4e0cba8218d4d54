#!/bin/bash
# Runs the program, and sets stdout, stderr and exitcode as outputs of the step.
out=$("$TERRAFORM_CLI_PATH/terraform-bin" "$@" 2> "$RUNNER_TEMP/stderr")
code=$?
cat "$RUNNER_TEMP/stderr" >&2
printf '%s\n' "$out"
end=ghadelimiter_$RANDOM
{
    printf 'stdout<<%s\n%s\n%s\n' "$end" "$out" "$end"
    printf 'stderr<<%s\n%s\n%s\n' "$end" "$(cat "$RUNNER_TEMP/stderr")" "$end"
    echo "exitcode=$code"
} >> "$GITHUB_OUTPUT"
# With -detailed-exitcode, 2 is a plan with changes.
[ "$code" = 2 ] && exit 0
exit "$code"
