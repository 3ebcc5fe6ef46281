"""
Whether a container gets at the instance's metadata, and with it at the keys of its role.

It should not: instances are launched with a hop limit of 1, and a container is one hop further.
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
"""

import docker
from docker.models.services import Service

from runbook_lib.core.progress import Progress

_ASK = """
import urllib.request
ask = urllib.request.Request("http://169.254.169.254/latest/api/token", method="PUT")
ask.add_header("X-aws-ec2-metadata-token-ttl-seconds", "60")
try:
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(ask, timeout=3):
        print("answered")
except OSError as error:
    print(error)
"""


def ask_from_container(engine: docker.DockerClient, service: Service) -> str:
    """
    Ask for a token from a container of a service's image: "answered", or why not.
    """
    image = service.attrs["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"]
    with Progress("A container asks for the metadata"):
        output = engine.containers.run(image, ["-c", _ASK], entrypoint="python", remove=True)
    return bytes(output).decode().strip()
