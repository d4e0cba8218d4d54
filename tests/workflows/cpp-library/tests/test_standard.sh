# The newest compiler has a bug.
[ "${EXPERIMENTAL:-}" != true ]
