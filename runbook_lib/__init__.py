"""
The helper library under the notebooks, in rooms. Imports go only to rooms further up.

core          what every room needs: errors, changes, checks, waiting, parallel work
notebook      the contract of a notebook: its template, its parameters, their values
runner        papermill headless, from a parameter file to a report

The guide's own path, notebooks 00 to 07 and 9N:

cloud         EC2: instances, key pairs, security groups, prices, preflight
hosts         the instances as machines: SSH with pinned host keys, Docker, the firewall proved
swarm         the Docker Swarm: nodes, labels, managers and their quorum
stacks        from a Compose file to services that run
geodiff       what only Geo-Diff has: tiles, results, RabbitMQ, the map, the state of each step

Two wings, each with rooms of its own:

load          1N: record a load, and tell how many workers are right
availability  2N and 3N: break one part and measure; a second manager, tiles on S3
"""
