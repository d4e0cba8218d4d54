exec awk -v "wanted=$1" 'index($0, wanted) { print NR ": " $0; found = 1 } END { exit !found }'
