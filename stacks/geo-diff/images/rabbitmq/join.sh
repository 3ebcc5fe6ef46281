# Read by entry.sh on a node of a cluster. CLUSTER_NODES are the hostnames of all, the founder first.
# A node without data must never found a second cluster: it waits for a node that serves, and has
# the cluster forget the previous node of its name. Only the founder may start alone. (RabbitMQ's own
# discovery, with all three in the list, can end in two clusters if a name is not known everywhere at
# once, and Swarm's names are not.)
me=$(hostname)
founder=${CLUSTER_NODES%% *}
serving=

look() {
  for node in $CLUSTER_NODES; do
    if [ "$node" != "$me" ] && bash /opt/healthy.sh "$node" 2> /dev/null; then serving=$node; fi
  done
}

if [ ! -d "$data/mnesia/rabbit@$me" ]; then
  look
  while [ -z "$serving" ] && [ "$me" != "$founder" ]; do sleep 1; look; done
  if [ -n "$serving" ]; then
    # it fails if no node had the name: then there is nothing to forget
    /usr/lib/rabbitmq/bin/rabbitmqctl -q -n "rabbit@$serving" forget_cluster_node "rabbit@$me" || true
  fi
fi

# Erlang resolves names in the process that also answers peers (and alive.sh): the name of a lost
# node must not block it for longer than a health check waits
export RES_OPTIONS="timeout:1 attempts:1"
# count the messages of quorum queues every second, as for other queues: a wait for empty queues must
# not see a count that is five seconds old (the configuration file has no such option)
export RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="$RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS -rabbit quorum_tick_interval 1000"
export RABBITMQ_CONFIG_FILES=/tmp/cluster.d
mkdir -p "$RABBITMQ_CONFIG_FILES"
{
  cat /opt/cluster.conf
  echo "cluster_formation.classic_config.nodes.1 = rabbit@$me"
  [ -z "$serving" ] || echo "cluster_formation.classic_config.nodes.2 = rabbit@$serving"
} > "$RABBITMQ_CONFIG_FILES/cluster.conf"
