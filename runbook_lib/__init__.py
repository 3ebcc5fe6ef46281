"""
The helper library of the notebooks, in rooms. A room imports only from rooms listed above it.

core          the basis of every room: errors, recorded changes and checks, waiting, parallel work
notebook      the contract of a notebook: its cells, and the parameters it declares and checks
runner        headless runs with papermill: parameter file checked, secrets masked, report written;
              runs listed, verified against their seal, and told of when they end

The guide's own path, notebooks 00 to 07 and 9N:

cloud         AWS: instances and roles, keys, security groups, the tiles' bucket, prices, preflight
hosts         the instances as machines: the cluster handle, SSH with pinned host keys, Docker, and
              the firewall tested by connecting; hosts/agents are the programs that run on instances
swarm         the Docker Swarm: nodes, labels, managers and their quorum
stacks        from a Compose file to running services: images published, stack deployed or removed
              compose reads the file with its values, as Docker does; building has what a stack
              builds and pulls; running, what the Swarm runs of it, and whether it has converged;
              deployment, its files, secrets, plan and history; lint checks it against the cluster
geodiff       specific to Geo-Diff: tiles, results, RabbitMQ, the web map, the state of 00 to 07

Two wings, each with rooms of its own:

load          1N, from a load test to the number of workers
  recordings    recorded load in one schema: our own recordings and the authors' published logs
  experiment    the work stack under load, and the recorder
  analysis      throughput, bottlenecks, CPU credits, costs, and how many workers to use
  autoscaling   the autoscaler's policy replayed and simulated; the recommended parameter file
availability  2N, failures; 3N, the guide's answers to them
  standby       a second manager: the tiles backed up, failover and failback
  tiles_on_s3   the tiles moved to the bucket and back, and what that costs
  drills        one part broken under load, recovery measured, every tile accounted for
"""
