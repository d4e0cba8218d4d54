exec 3<> "/dev/tcp/${REDIS_ADDR%:*}/${REDIS_ADDR#*:}"
printf 'SET greeting hello\r\n' >&3
read -r answer <&3
[ "$answer" = $'+OK\r' ]
printf 'GET greeting\r\n' >&3
read -r _ <&3
read -r answer <&3
[ "$answer" = $'hello\r' ]
