#!/bin/bash
# Alive, for a node of a cluster, is: its Erlang answers the handshake of another node. Swarm gives
# a name an address only while the container is healthy, and a node that boots, or pauses in a
# minority, must be found by the others to get out of that. Whether it serves is the proxy's question.
exec 3<>/dev/tcp/127.0.0.1/25672 || exit 1
# length, N, what Erlang 27 can do, creation, length of the name, name
printf '\0\26N\0\0\0\15\7\337\177\275\0\0\0\1\0\7look@me' >&3
[ "$(timeout 4 head -c 5 <&3 | tail -c 3)" = sok ]
