#!/bin/bash
# Valkey reads its configuration and the password from a pipe (printf is a builtin): the password is
# never in argv, the environment or a file of the container.
set -eu
password=$(cat /run/secrets/notice_board_password)
exec valkey-server - < <(cat /etc/valkey/board.conf; printf 'requirepass %s\n' "$password")
