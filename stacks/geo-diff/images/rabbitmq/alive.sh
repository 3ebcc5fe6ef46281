#!/bin/bash
# A node of a cluster is alive while its Erlang answers the handshake of another node. Swarm gives a
# name an address only while the container is healthy, and the others must find a node that boots or
# pauses in a minority. Whether it serves clients is checked by the proxy.
exec 3<>/dev/tcp/127.0.0.1/25672 || exit 1
# length, N, the capabilities of Erlang 27, creation, length of the name, name
printf '\0\26N\0\0\0\15\7\337\177\275\0\0\0\1\0\7look@me' >&3
[ "$(timeout 4 head -c 5 <&3 | tail -c 3)" = sok ]
