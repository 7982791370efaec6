#!/bin/bash
# hold.sh PIDS SECONDS COMMAND...: runs a command in a session of its own until it creates the file PIDS.ready, or ends, or the
# seconds are over; then stops its processes, which stay so, and writes the pids of those that have memory into the file PIDS.
# A descendant belongs to it if it is in the session or a child of one that belongs to it.
PIDS=$1; SECONDS_MOST=$2; shift 2
rm -f "$PIDS" "$PIDS.ready"
setsid "$@" </dev/null >"$PIDS.log" 2>&1 & LEADER=$!
for ((i = 0; i < SECONDS_MOST * 20; i++)); do
    [ -e "$PIDS.ready" ] && break
    kill -0 $LEADER 2>/dev/null || break
    sleep 0.05
done
sleep 0.3                                      # until the program sleeps, or does nothing new
family() {
    local known="$LEADER $(ps -o pid= -s $LEADER)" more
    while :; do
        more=$( (ps -o pid= --ppid "$(echo $known | tr ' ' ,)" | tr -d ' '; echo $known | tr ' ' '\n') | sort -nu | tr '\n' ' ')
        [ "$more" = "$known" ] && break
        known=$more
    done
    echo $known
}
for round in 1 2 3; do                         # what one of them has forked before it was stopped
    FAMILY=$(family)
    kill -STOP $FAMILY 2>/dev/null
    sleep 0.15
done
for pid in $FAMILY; do
    [ -n "$(head -c1 /proc/$pid/maps 2>/dev/null)" ] && echo $pid
done >"$PIDS"
