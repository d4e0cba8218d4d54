test "$(printf 'hay\nneedle\n' | "$GROPE" needle)" = "2: needle"
