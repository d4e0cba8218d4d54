. ./ring.o
[ "$(ring 3 4)" = 0 ]
[ "$(ring 1 4)" = 2 ]
