#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# A tree of processes as agents leave it behind: most of it would outlive a plain kill of this shell
# and of its process group.
#
# usage: agent-tree.sh PORT      tells `ready` on descriptor 3 where that is open, then waits

python=/usr/bin/python3 # the system's own: others on PATH may be shell scripts in front of it
[ -x "$python" ] || python=python3

# a plain child
sleep 3001 &

# a server that detached itself
setsid nohup "$python" -m http.server "$1" --bind 127.0.0.1 </dev/null >/dev/null 2>&1 3>&- &

# a daemon: forked twice, a session and an environment of its own
(env -i setsid /bin/sh -c 'cd / && exec /bin/sleep 3002' </dev/null >/dev/null 2>&1 3>&- &)

# one that will not hear of it
(trap '' HUP TERM && exec sleep 3003) 3>&- &

# what an agent does all day
for name in one two three four five; do
    date >/dev/null
    expr "$name" : '.*' >/dev/null
    basename /usr/share/"$name" >/dev/null
done

{ echo ready >&3; } 2>/dev/null
exec 3>&-
wait
