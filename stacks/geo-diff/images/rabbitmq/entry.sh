#!/bin/sh
# Write the two Docker secrets to the files that RabbitMQ reads, then become RabbitMQ.
# The password is only ever in files and pipes (printf is a builtin), never in argv, env or log.
set -eu
umask 077

password_file=${RABBITMQ_PASSWORD_FILE:-/run/secrets/rabbitmq_password}
cookie_file=${RABBITMQ_ERLANG_COOKIE_FILE:-/run/secrets/rabbitmq_erlang_cookie}
missing=
for file in "$password_file" "$cookie_file"; do
  [ -s "$file" ] && [ -r "$file" ] || missing="$missing $file"
done
if [ -n "$missing" ]; then
  echo "expected a password and an Erlang cookie as secrets; missing or empty:$missing" >&2
  exit 78
fi

# One broker at a time on this data: while brokers are exchanged, the next one may start too early.
# All processes of the broker inherit the lock.
exec 9> "$HOME/.in-use"
flock 9

rm -f "$HOME/.erlang.cookie"
printf '%s' "$(cat "$cookie_file")" > "$HOME/.erlang.cookie"
chmod 400 "$HOME/.erlang.cookie"

# rabbit_password_hashing_sha256: base64(salt + sha256(salt + password)), salt of four bytes.
# The policy: by default, a quorum queue of RabbitMQ 4 silently drops a message after twenty
# redeliveries.
work=$(mktemp -d)
head -c 4 /dev/urandom > "$work/salt"
{ cat "$work/salt"; printf '%s' "$(cat "$password_file")"; } | openssl dgst -sha256 -binary > "$work/digest"
cat > /tmp/definitions.json <<JSON
{"vhosts": [{"name": "/"}],
 "users": [{"name": "geodiff", "tags": ["administrator"],
            "password_hash": "$(cat "$work/salt" "$work/digest" | base64 -w0)",
            "hashing_algorithm": "rabbit_password_hashing_sha256"}],
 "permissions": [{"user": "geodiff", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}],
 "policies": [{"name": "nothing-dropped", "vhost": "/", "pattern": ".*", "apply-to": "quorum_queues",
               "definition": {"delivery-limit": -1}, "priority": 0}]}
JSON
rm -rf "$work"

[ -z "${CLUSTER_NODES:-}" ] || . /opt/join.sh
exec /usr/lib/rabbitmq/bin/rabbitmq-server "$@"
