"""
The helper library under the notebooks, in rooms. Imports go only to rooms further up.

core          what every room needs: errors, recorded changes and checks, waiting, parallel work
notebook      the contract of a notebook: its cells, and the parameters it declares and checks
runner        headless with papermill: a parameter file checked, secrets masked, a report written

The guide's own path, notebooks 00 to 07 and 9N:

cloud         AWS: instances and roles, keys, security groups, the tiles' bucket, prices, preflight
hosts         the instances as machines: the cluster handle, SSH with pinned host keys, Docker, and
              the firewall tested by connecting; hosts/agents are the programs that run on instances
swarm         the Docker Swarm: nodes, labels, managers and their quorum
stacks        from a Compose file to running services: images built and pushed, stack deployed
geodiff       what only Geo-Diff has: tiles, results, RabbitMQ, the web map, the state of 00 to 07

Two wings, each with rooms of its own:

load          1N, from a load test to the number of workers
  recordings    recorded load read into one schema: ours, and the logs that the authors published
  experiment    put the work stack under load, and record it
  analysis      throughput, bottlenecks, CPU credits, costs, and how many workers to use
  autoscaling   the autoscaler's policy replayed and simulated; the recommended parameter file
availability  2N, failures; 3N, the guide's answers to them
  standby       a second manager: the tiles backed up, failover and failback
  tiles_on_s3   the tiles moved to the bucket and back, and what that costs
  drills        break one part under load, measure the recovery, account for every tile
"""
