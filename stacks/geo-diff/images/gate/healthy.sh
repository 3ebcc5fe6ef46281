#!/bin/bash
# Healthy: the gate itself answers, however many clients it has.
exec 3<>/dev/tcp/127.0.0.1/8404 || exit 1
printf 'GET /healthy HTTP/1.0\r\n\r\n' >&3
[[ $(timeout 2 head -n 1 <&3) == HTTP/* ]]
