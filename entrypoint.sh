#!/bin/sh
# Runs kiln as a child. The kernel drops a SIGTERM to process 1 that has no handler yet: a container that is told to end
# while Node still loads would not hear of it, and stay for its whole grace period.
child=
told=
tell() {
  told=1
  if [ -n "$child" ]; then kill -TERM "$child" 2>/dev/null; fi
}
trap tell TERM INT

# A shell gives what it runs in the background no input, unless it is told otherwise.
exec 3<&0
node /kiln/dist/bin/kiln.js "$@" <&3 3<&- &
child=$!
if [ -n "$told" ]; then kill -TERM "$child" 2>/dev/null; fi

# A signal ends the wait, not the child.
while :; do
  wait "$child"
  code=$?
  kill -0 "$child" 2>/dev/null || exit "$code"
done
