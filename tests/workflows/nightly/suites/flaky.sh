echo "flaky $1"; [ "$1" = again ]
