#!/bin/sh
# Write the Docker secrets to the files that RabbitMQ reads, then become RabbitMQ.
# A password is only ever in files and pipes (printf is a builtin), never in argv, env or log.
set -eu
umask 077

secrets=/run/secrets
# name:tag of each user. What each may do stands in topology.json; nobody is an administrator.
users="geodiff:monitoring dealer: worker: updater: admin-worker:management"

password_file() {
  [ "$1" = geodiff ] && echo "$secrets/rabbitmq_password" || echo "$secrets/rabbitmq_$(echo "$1" | tr - _)_password"
}

missing=
for file in $secrets/rabbitmq_erlang_cookie $(for user in $users; do password_file "${user%:*}"; done); do
  [ -s "$file" ] && [ -r "$file" ] || missing="$missing $file"
done
if [ -n "$missing" ]; then
  echo "expected a password for each user and an Erlang cookie as secrets; missing or empty:$missing" >&2
  exit 78
fi

# One broker at a time on this data: while brokers are exchanged, the next one may start too early.
# All processes of the broker inherit the lock.
data=/var/lib/rabbitmq
exec 9> "$data/.in-use"
flock 9

# the cookie of older versions: a volume is no place for a secret, HOME is in memory
rm -f "$data/.erlang.cookie"
mkdir -p "$HOME" /tmp/definitions
rm -f "$HOME/.erlang.cookie"
printf '%s' "$(cat $secrets/rabbitmq_erlang_cookie)" > "$HOME/.erlang.cookie"
chmod 400 "$HOME/.erlang.cookie"

# rabbit_password_hashing_sha256: base64(salt + sha256(salt + password)), salt of four bytes.
hash_of() {
  work=$(mktemp -d)
  head -c 4 /dev/urandom > "$work/salt"
  { cat "$work/salt"; printf '%s' "$(cat "$1")"; } | openssl dgst -sha256 -binary > "$work/digest"
  cat "$work/salt" "$work/digest" | base64 -w0
  rm -rf "$work"
}
# RabbitMQ reads the files of the folder in the order of their names
{
  printf '{"vhosts": [{"name": "/"}], "users": ['
  separator=
  for user in $users; do
    printf '%s{"name": "%s", "tags": "%s", "password_hash": "%s", "hashing_algorithm": "%s"}' \
      "$separator" "${user%:*}" "${user#*:}" "$(hash_of "$(password_file "${user%:*}")")" \
      rabbit_password_hashing_sha256
    separator=,
  done
  printf ']}\n'
} > /tmp/definitions/1-users.json
cp /opt/topology.json /tmp/definitions/2-topology.json

[ -z "${CLUSTER_NODES:-}" ] || . /opt/join.sh
exec /usr/lib/rabbitmq/bin/rabbitmq-server "$@"
