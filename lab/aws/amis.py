"""
The public AMIs, and the SSM parameters that name them: Canonical's Ubuntu, by name only.

Each of them starts the lab's own machine image, which is Debian.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

CANONICAL = "099720109477"
ROOT_DEVICE = "/dev/sda1"
# release: (code name, image id, newest disk type in Canonical's name)
RELEASES = {
    "20.04": ("focal", "ami-0aaaaaaaaaaaa2004", "hvm-ssd"),
    "22.04": ("jammy", "ami-0aaaaaaaaaaaa2204", "hvm-ssd"),
    "24.04": ("noble", "ami-0aaaaaaaaaaaa2404", "hvm-ssd-gp3"),
}
PARAMETER = "/aws/service/canonical/ubuntu/server/{}/stable/current/amd64/hvm/{}/ami-id"
PUBLIC_PARAMETERS = {
    PARAMETER.format(release, disk): image_id
    for release, (_, image_id, _) in RELEASES.items()
    for disk in ("ebs-gp2", "ebs-gp3")
}


def image_records() -> list[dict[str, Any]]:
    """
    The images, as arguments of moto's `Ami`.
    """
    records = []
    for release, (code_name, image_id, disk) in RELEASES.items():
        name = f"ubuntu/images/{disk}/ubuntu-{code_name}-{release}-amd64-server-20251001"
        records.append(
            {
                "ami_id": image_id,
                "name": name,
                "description": f"Canonical, Ubuntu, {release} LTS, amd64 {code_name} image",
                "owner_id": CANONICAL,
                "owner_alias": "amazon",
                "public": True,
                "virtualization_type": "hvm",
                "architecture": "x86_64",
                "state": "available",
                "creation_date": datetime(2025, 10, 1, tzinfo=UTC),
                "image_type": "machine",
                "image_location": f"{CANONICAL}/{name}",
                "hypervisor": "xen",
                "root_device_type": "ebs",
                "root_device_name": ROOT_DEVICE,
            }
        )
    return records
