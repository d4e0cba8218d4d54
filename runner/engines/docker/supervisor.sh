# The first process of every box, for any POSIX shell. It reads one command a line and never waits
# for a step. Nothing in the box can kill it; when its input ends, the runner is gone or done, and
# everything in the box ends with it, unless the runner has asked to keep the box.
#
#   run FOLDER TOKEN      have a launcher of its own session wait at FOLDER/go, then run FOLDER/start
#   kill SIGNAL GROUP     signal a process group
#   sweep SIGNAL ID [GROUP]  signal every process whose environment carries PIPE_STEP=ID, except
#                         those of GROUP
#   alive TOKEN PID       answer "TOKEN alive PID" or "TOKEN gone PID"
#   reap                  let orphans that have ended go; a shell does while it waits for a child
#   done TOKEN            answer "TOKEN done", after all that was asked for before
#   keep TOKEN            answer "TOKEN kept"; the box then outlives the end of the input, if its
#                         image has `sleep`
#   oom TOKEN             answer "TOKEN oom COUNT": how often the kernel killed for memory
#
# A step is started by `setsid setsid`: the inner one is a group leader already, so it forks and its
# parent returns at once. With `&` instead, the shell would make the step ignore SIGINT for good.
# Replies begin with a line end, because a step may have written half a line before.
set -f
# A shell that was given its script as an argument would die of SIGINT, even as the first process.
trap '' HUP INT QUIT TERM
PATH=${PATH:-/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin}
export PATH

find_setsid() {
  if command -v setsid >/dev/null 2>&1; then echo setsid
  elif busybox setsid true >/dev/null 2>&1; then echo 'busybox setsid'
  fi
}

find_shells() {
  for shell in bash sh pwsh python; do
    if command -v "$shell" >/dev/null 2>&1; then printf ' %s' "$shell"; fi
  done
}

reply() { printf '\n%s\n' "$*"; }

field() { # 1: the state letter of process $2, 3: its group; nothing when there is no such process
  if read -r stat 2>/dev/null <"/proc/$2/stat"; then
    echo "${stat##*) }" | cut -d ' ' -f "$1"
  fi
}

sweep() {
  set +f
  for environ in /proc/[0-9]*/environ; do
    process=${environ#/proc/}
    process=${process%/environ}
    if [ "$process" != 1 ] && grep -q "PIPE_STEP=$2" "$environ" 2>/dev/null; then
      if [ -z "$3" ] || [ "$(field 3 "$process")" != "$3" ]; then
        kill "-$1" "$process" 2>/dev/null
      fi
    fi
  done
  set -f
}

memory_kills() {
  for file in /sys/fs/cgroup/memory.events /sys/fs/cgroup/memory/memory.oom_control; do
    if [ -r "$file" ]; then
      while read -r key value; do
        if [ "$key" = oom_kill ]; then echo "$value"; return; fi
      done <"$file"
    fi
  done
  echo 0
}

# It leads the step's process group and reports on it. It catches signals instead of ignoring them:
# what is ignored stays ignored in the step, what is caught is the default there.
launcher='
read -r PIPE_TOKEN
trap : HUP INT QUIT TERM
printf "\n%s\n" "$PIPE_TOKEN pid $$"
read -r PIPE_GO <"$1/go"
. "$1/start"
'
setsid=$(find_setsid)
nonce=
if [ -r /github/pipe/nonce ]; then read -r nonce </github/pipe/nonce; fi
machine=$(uname -m 2>/dev/null)
reply "ready ${nonce:--} ${machine:--}$(find_shells)"
kept=
if [ -p /github/pipe/hello ]; then (echo hello >/github/pipe/hello) & fi

while read -r verb first second; do
  case $verb in
    run)
      if [ -n "$setsid" ]; then
        (trap - HUP INT QUIT TERM && exec $setsid $setsid sh -c "$launcher" launcher "$first") <<END
$second
END
      else
        (trap - HUP INT QUIT TERM && exec sh -c "$launcher" launcher "$first") <<END &
$second
END
      fi
      ;;
    kill) kill "-$first" "-$second" 2>/dev/null ;;
    sweep) sweep "$first" $second ;;
    alive)
      (:)
      case $(field 1 "$second") in
        '' | Z | X) reply "$first gone $second" ;;
        *) reply "$first alive $second" ;;
      esac
      ;;
    reap) (:) ;;
    done) reply "$first done" ;;
    keep) kept=yes; reply "$first kept" ;;
    oom) reply "$first oom $(memory_kills)" ;;
    *) reply "unknown $verb" ;;
  esac
done
# A signal may end a `sleep`, but not the box.
while [ -n "$kept" ]; do
  sleep 3600 || [ $? -gt 128 ] || exit
done
