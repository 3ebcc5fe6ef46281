#!/bin/bash
# Healthy: answers in AMQP. rabbitmq-diagnostics would start an Erlang for each check, two seconds of
# the half CPU that the service has. The argument may name another host.
exec 3<>"/dev/tcp/${1:-127.0.0.1}/5672" || exit 1
printf 'AMQP\0\0\11\1' >&3
[ "$(timeout 2 head -c 1 <&3)" = $'\x01' ]
