# Units of systemd, one for each slot. Variables beside those of release folders: UNIT, its name.
units=/etc/systemd/system

# Variables: TEMPLATE. What a unit looks like is part of its release.
keep_template() {
    fence
    replace "$state/unit-$RELEASE" "$TEMPLATE"
}

# Prints it.
template() {
    cat "$state/unit-$RELEASE" 2>/dev/null || fail "release $RELEASE is not in $TO any more"
}

# Variables: SLOT, PORT, TEXT, EXTRA (what is ours of the unit), ENVIRONMENT.
launch() {
    fence
    ready || fail "release $RELEASE is not in $TO any more"
    if [ "$(cat "$state/slot-$SLOT" 2>/dev/null || true)" = "$RELEASE $PORT" ] &&
        systemctl is-active --quiet "$UNIT"; then
        return
    fi
    end
    point "$SLOT"
    mkdir -p "$units/$UNIT.d"
    (umask 077 && replace "$state/environment-$SLOT" "$ENVIRONMENT")
    replace "$units/$UNIT" "$TEXT"
    replace "$units/$UNIT.d/pipe.conf" "$EXTRA"
    replace "$state/slot-$SLOT" "$RELEASE $PORT"
    rm -rf "/run/systemd/system/$UNIT.d"
    systemctl daemon-reload
    systemctl reset-failed "$UNIT" 2>/dev/null || true
    systemctl enable --quiet "$UNIT"
    systemctl start "$UNIT" || explain
}

explain() {
    journalctl --no-pager --quiet --lines 5 --output cat --unit "$UNIT" >&2 || true
    fail "$UNIT does not start: journalctl -u $UNIT says more"
}

# One that is not known is ended already. It stays so when the machine starts again.
end() {
    [ -e "$units/$UNIT" ] || return 0
    systemctl disable --quiet "$UNIT"
    systemctl stop "$UNIT"
}

# Variables: GRACE, seconds.
end_slot() {
    fence
    [ -e "$units/$UNIT" ] || return 0
    mkdir -p "/run/systemd/system/$UNIT.d"
    printf '[Service]\nTimeoutStopSec=%s\n' "$GRACE" >"/run/systemd/system/$UNIT.d/grace.conf"
    systemctl daemon-reload
    end
}

# Variables: SLOT.
forget_slot() {
    fence
    forget
}

forget() {
    end
    rm -rf "$units/$UNIT" "$units/$UNIT.d" "/run/systemd/system/$UNIT.d"
    rm -f "$state/slot-$SLOT" "$state/environment-$SLOT" "$TO/$SLOT"
    systemctl daemon-reload
    systemctl reset-failed "$UNIT" 2>/dev/null || true
}

# Variables: SLOT, KEEP. A release that goes takes its unit along, unless that runs.
forget_old() {
    fence
    [ -e "$state/slot-$SLOT" ] || return 0
    read -r number _ <"$state/slot-$SLOT"
    case " $KEEP " in *" $number "*) return ;; esac
    ! systemctl is-active --quiet "$UNIT" || return 0
    forget
    echo "$UNIT"
}

# Variables: SLOT. Prints lines of `Name=value`.
look() {
    refuse_others
    [ -e "$state/slot-$SLOT" ] || return 0
    read -r number port <"$state/slot-$SLOT"
    echo "Release=$number"
    echo "Port=$port"
    echo "Version=$(cat "$state/releases/$number" 2>/dev/null || true)"
    systemctl show --property=ActiveState --property=NRestarts "$UNIT"
}

systemd_preflight() {
    if ! command -v systemctl >/dev/null || [ ! -d /run/systemd/system ]; then
        echo "systemd does not run"
    elif [ "$(id -u)" != 0 ]; then
        echo "only root may change units, and not $(id -un)"
    fi
    for slot in blue green; do
        [ -L "$TO/$slot" ] || [ ! -e "$TO/$slot" ] || echo "$TO/$slot is no link: move it away"
    done
}
