[[ $DATABASE_URL =~ ^postgres://([^:]*):([^@]*)@([^:]*):([0-9]*)/(.*)$ ]]
exec 3<> "/dev/tcp/${BASH_REMATCH[3]}/${BASH_REMATCH[4]}"
echo "${BASH_REMATCH[1]} ${BASH_REMATCH[2]} ${BASH_REMATCH[5]}" >&3
read -r answer <&3
[ "$answer" = "welcome to ${BASH_REMATCH[5]}" ]
