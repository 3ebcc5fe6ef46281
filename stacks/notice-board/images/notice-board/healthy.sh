#!/bin/bash
# Healthy: the server itself answers. Replacing it would not help if the store does not.
exec 3<>/dev/tcp/127.0.0.1/8090 || exit 1
printf 'GET /health HTTP/1.0\r\n\r\n' >&3
[[ $(timeout 2 head -n 1 <&3) == *" 200 "* ]]
