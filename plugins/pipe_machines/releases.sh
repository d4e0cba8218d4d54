# Release folders on a machine: TO/releases/N, links to them, and TO/.pipe, which is ours alone.
#
# The first argument is what to do. Variables: TO, OWNER (application/environment), TOKEN, RELEASE,
# VERSION, and those that are named below. Whatever is done may be done again with no other effect.
set -eu
umask 022
export LC_ALL=C
case $TO in /*) ;; *) TO=$PWD/$TO ;; esac
state=$TO/.pipe
part=$TO/releases/.$RELEASE-$TOKEN
FOLDER=$TO/releases/$RELEASE
export FOLDER

fail() {
    echo "$1" >&2
    exit 1
}

# Who changes something does it alone, and never after somebody who took over from them.
fence() {
    refuse_others
    mkdir -p "$state/releases" "$TO/releases"
    exec 9>>"$state/lock"
    flock -w 60 9 || fail "another deployment is still busy in $TO"
    refuse_others
    [ -e "$state/owner" ] || replace "$state/owner" "$OWNER"
    seen=$(cat "$state/token" 2>/dev/null || echo 0)
    [ "$TOKEN" -ge "$seen" ] || fail "this call holds token $TOKEN of $OWNER, and $seen has been \
in $TO since: somebody else has taken over"
    [ "$TOKEN" -eq "$seen" ] || replace "$state/token" "$TOKEN"
}

refuse_others() {
    found=$(cat "$state/owner" 2>/dev/null || echo "$OWNER")
    [ "$found" = "$OWNER" ] || fail "$TO belongs to $found: choose another \`to\`"
}

# replace FILE TEXT: in one step, and on the disk when it returns.
replace() {
    printf '%s\n' "$2" >"$1.new"
    sync "$1.new" 2>/dev/null || sync
    mv -f "$1.new" "$1"
    sync "$(dirname "$1")" 2>/dev/null || sync
}

ready() {
    [ -e "$state/releases/$RELEASE" ] && [ -d "$FOLDER" ]
}

# at LINK: the release that it leads to.
at() {
    to=$(readlink "$TO/$1" 2>/dev/null) || return 0
    case $to in releases/*) echo "${to#releases/}" ;; esac
}

# point LINK: a link that is made anew takes the place of the old one, so that one is always there.
point() {
    [ "$(at "$1")" != "$RELEASE" ] || return 0
    [ -L "$TO/$1" ] || [ ! -e "$TO/$1" ] || fail "$TO/$1 is no link: move it away"
    rm -f "$TO/.$1.new"
    ln -s "releases/$RELEASE" "$TO/.$1.new"
    mv -fT "$TO/.$1.new" "$TO/$1"
    sync "$TO" 2>/dev/null || sync
}

# script TEXT FOLDER: one of the user's, with the variables that are exported in SETTINGS. What it
# prints is told; what it leaves running keeps nobody out.
script() {
    [ -n "$1" ] || return 0
    (cd "$2" && eval "$SETTINGS" && exec sh -ec "$1" </dev/null >&2 9>&-)
}

# -- what a release consists of

# Prints where to put its files, or nothing when all is there.
begin() {
    fence
    ! ready || return 0
    rm -rf "$TO"/releases/.[0-9]* "$FOLDER"
    mkdir -m 700 "$part"
    echo "$part"
}

# Variables: MODE, USER_GROUP, SHARED, ASSETS, LINKS, SCRIPT.
complete() {
    fence
    ! ready || return 0
    [ -d "$part" ] || fail "the files of release $RELEASE are gone from $TO"
    refuse_special
    [ "$LINKS" = free ] || refuse_links
    chmod -R "$MODE" "$part"
    chmod -R ug-s "$part"
    [ -z "$USER_GROUP" ] || chown -R -h "$USER_GROUP" "$part"
    carry
    each_line "$SHARED" share
    sync -f "$part" 2>/dev/null || sync
    mv -T "$part" "$FOLDER"
    script "$SCRIPT" "$FOLDER"
    sync -f "$FOLDER" 2>/dev/null || sync
    replace "$state/releases/$RELEASE" "$VERSION"
}

# each_line LINES FUNCTION
each_line() {
    old_ifs=$IFS
    IFS='
'
    set -f
    for line in $1; do
        IFS=$old_ifs
        set +f
        "$2" "$line"
    done
    IFS=$old_ifs
    set +f
}

# Who packs a box's files may have made devices of them, which open up a machine to all.
refuse_special() {
    found=$(find "$part" ! -type f ! -type d ! -type l -print | head -n 1)
    [ -z "$found" ] || fail "\`${found#"$part/"}\` is neither a file nor a folder"
}

refuse_links() {
    # shellcheck disable=SC2016
    find "$part" -type l -exec sh -c '
        real=$(cd "$1" && pwd -P) part=$1
        shift
        for link; do
            case $(readlink -f "$link")/ in
            "$real"/*) ;;
            *) echo "\`${link#"$part/"}\` is a link that leads out of the release" >&2; exit 1 ;;
            esac
        done' sh "$part" {} +
}

# Files that pages of the release before still ask for; what that one carried itself is let go.
carry() {
    before=$(at current)
    rm -f "$state/carried-$RELEASE"
    [ -n "$before" ] && [ -d "$TO/releases/$before" ] || return 0
    each_line "$ASSETS" carry_matching
}

carry_matching() {
    # shellcheck disable=SC2016
    (cd "$TO/releases/$before" && find . -type f -path "./$1" -exec sh -c '
        new=$1 old=$2 list=$3
        shift 3
        for file; do
            [ ! -e "$new/$file" ] || continue
            ! grep -qxF -e "$file" "$old" 2>/dev/null || continue
            mkdir -p "$(dirname "$new/$file")" || exit
            ln "$file" "$new/$file" 2>/dev/null || cp -p "$file" "$new/$file" || exit
            printf "%s\n" "$file" >>"$list"
        done' sh "$part" "$state/carried-$before" "$state/carried-$RELEASE" {} +)
}

# share PATH: a folder, with a slash at its end, or a file that outlives releases.
share() {
    lasting=$TO/shared/${1%/}
    place=$part/${1%/}
    case $1 in
    */) [ -d "$lasting" ] || make_shared "$lasting" ;;
    *) [ -e "$lasting" ] || fail "$lasting is not there: it is in \`shared\`, so put it there" ;;
    esac
    parent=$(dirname "$place")
    while [ ! -e "$parent" ]; do parent=$(dirname "$parent"); done
    case $(cd "$parent" && pwd -P)/ in
    "$(cd "$part" && pwd -P)"/*) ;;
    *) fail "\`$1\` in \`shared\` is behind a link that leads out of the release" ;;
    esac
    mkdir -p "$(dirname "$place")"
    rm -rf "$place"
    ln -s "$lasting" "$place"
}

make_shared() {
    mkdir -p "$1"
    [ -z "$USER_GROUP" ] || chown "$USER_GROUP" "$1"
}

available() {
    refuse_others
    if ready; then echo yes; fi
}

# -- what is live

# Prints its release and version.
observe() {
    refuse_others
    live=$(at current)
    [ -z "$live" ] || echo "$live $(cat "$state/releases/$live" 2>/dev/null || true)"
}

# Variables: BEFORE and AFTER, scripts.
activate() {
    fence
    ready || fail "release $RELEASE is not in $TO any more"
    script "$BEFORE" "$FOLDER"
    point current
    script "$AFTER" "$FOLDER"
}

# Variables: SCRIPT. Release 0 is any.
deactivate() {
    fence
    live=$(at current)
    [ "$RELEASE" = 0 ] || [ "$live" = "$RELEASE" ] || [ -z "$live" ] || return 0
    script "$SCRIPT" "$TO"
    [ ! -L "$TO/current" ] || rm -f "$TO/current"
}

# Variables: SCRIPT.
halt() {
    fence
    script "$SCRIPT" "$TO"
}

# Variables: KEEP, numbers of releases. Prints those that are gone.
prune() {
    fence
    rm -rf "$TO"/releases/.[0-9]*
    for found in "$TO"/releases/* "$state"/releases/*; do
        number=${found##*/}
        case $number in *[!0-9]*) continue ;; esac
        case " $KEEP $(at current) $(slots_hold) " in *" $number "*) continue ;; esac
        [ -e "$found" ] || continue
        rm -f "$state/releases/$number" "$state/carried-$number" "$state/unit-$number"
        rm -rf "$TO/releases/$number"
        echo "$number"
    done
}

slots_hold() {
    for slot in "$state"/slot-*; do
        [ ! -e "$slot" ] || cut -d ' ' -f 1 "$slot"
    done | tr '\n' ' '
}

# watch and probe: scripts that change nothing, and that nobody has to wait for. Variables: SCRIPT.
watch() {
    cd "$TO" 2>/dev/null || cd /
    eval "$SETTINGS"
    exec sh -ec "$SCRIPT" </dev/null
}

# Prints something if the script ends with 0.
probe() {
    ! script "$SCRIPT" "$FOLDER" || echo yes
}

# -- what speaks against it; prints a line for each

# Variables: USER_GROUP, SHARED.
preflight() {
    for program in flock tar find readlink sync; do
        command -v "$program" >/dev/null || echo "\`$program\` is not installed"
    done
    found=$(cat "$state/owner" 2>/dev/null || echo "$OWNER")
    [ "$found" = "$OWNER" ] || echo "$TO belongs to $found: choose another \`to\`"
    parent=$TO
    while [ ! -e "$parent" ]; do parent=$(dirname "$parent"); done
    [ -d "$parent" ] && [ -w "$parent" ] || echo "$parent may not be written to by $(id -un)"
    [ -L "$TO/current" ] || [ ! -e "$TO/current" ] || echo "$TO/current is no link: move it away"
    [ -z "$USER_GROUP" ] || [ "$(id -u)" = 0 ] || echo "only root may give files to $USER_GROUP"
    each_line "$SHARED" miss
}

miss() {
    case $1 in
    */) ;;
    *) [ -e "$TO/shared/$1" ] || echo "$TO/shared/$1 is not there: it is in \`shared\`" ;;
    esac
}
