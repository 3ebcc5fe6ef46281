#!/bin/bash
# Healthy: the tile server answers, and can read the tiles.
exec 3<>/dev/tcp/127.0.0.1/5000 || exit 1
printf 'GET /health HTTP/1.0\r\n\r\n' >&3
[[ $(timeout 2 head -n 1 <&3) == *" 200 "* ]]
