# TODO: close it
if true; then
