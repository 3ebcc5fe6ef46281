#!/bin/bash
# Healthy is: the API's front page answers on the port.
exec 3<>"/dev/tcp/127.0.0.1/$1" || exit 1
printf 'GET /v2/ HTTP/1.0\r\n\r\n' >&3
[[ $(timeout 2 head -n 1 <&3) == *" 200 "* ]]
