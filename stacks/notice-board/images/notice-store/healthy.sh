#!/bin/bash
# Healthy: it takes the password, and has read its data.
exec 3<>/dev/tcp/127.0.0.1/6379 || exit 1
printf 'AUTH %s\r\nPING\r\n' "$(cat /run/secrets/notice_board_password)" >&3
[[ $(timeout 2 head -n 2 <&3) == *PONG* ]]
