"""
The rehearsal cloud: an AWS endpoint on this machine whose instances are real machines.

It implements AWS's API and knows nothing of the runbook; the runbook knows nothing of it. In rooms;
imports go only to rooms further up.

core      what every room needs: the lab's configuration, its error, processes, files, mounts
engine    the host for it: Docker found or started, its network, packages, the kernel's features
images    what instances start from, built without a registry: Debian bases, the registry mirror
machines  instances as containers with systemd: their life cycle, network and firewall; no moto
iam       the permissions that a request needs, and the policies that grant them
faults    what fails on purpose: the API, and hosts; armed, bounded, repeatable
aws       the AWS endpoint: moto behind two endpoints, with the behaviour that moto lacks
sample    the sample data set: NASA's Blue Marble as tiles, zipped in parts
commands  the command line: up, status, down, and the preflight check before them
"""
