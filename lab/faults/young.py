"""
Eventual consistency: what was just created is not found yet, by its id or in a list.

https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
"""

from __future__ import annotations

import re
import threading
import xml.etree.ElementTree as ET

from lab.faults.armed import Fault
from lab.faults.requests import Call

# Where EC2's answer to a create has the new id.
MADE = {
    "RunInstances": ("InstanceId", rb"<instanceId>(i-\w+)</instanceId>"),
    "CreateSecurityGroup": ("GroupId", rb"<groupId>(sg-\w+)</groupId>"),
    "AssociateIamInstanceProfile": ("AssociationId", rb"<associationId>([\w-]+)</associationId>"),
}
# Those whose request has the new name.
NAMED = {
    "ImportKeyPair": "KeyName",
    "CreateKeyPair": "KeyName",
    "CreateRole": "RoleName",
    "CreateInstanceProfile": "InstanceProfileName",
    "CreateBucket": "Bucket",
}
# The element that names a listed thing, and the one that holds the list.
LISTED = {
    "InstanceId": ("instanceId", "instancesSet"),
    "GroupId": ("groupId", "securityGroupInfo"),
    "KeyName": ("keyName", "keySet"),
}
LISTS = ("DescribeInstances", "DescribeSecurityGroups", "DescribeKeyPairs")


class Young:
    """
    New things that requests do not find yet, each with how many requests more.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left: dict[tuple[str, str], tuple[Fault, int]] = {}

    def born(self, fault: Fault, call: Call, occasion: int, answer: bytes) -> None:
        """
        Hide what a create made from the next one to three requests, as the seed says.
        """
        name = NAMED.get(call.action, "")
        made = [(name, value) for parameter, value in call.names if parameter == name]
        if call.action in MADE:
            kind, pattern = MADE[call.action]
            made += [(kind, found.decode()) for found in re.findall(pattern, answer)]
        with self._lock:
            for one in made:
                self._left[one] = (fault, fault.dice(call.action, occasion).randint(1, 3))

    def hidden(self, call: Call) -> tuple[Fault, str, str] | None:
        """
        The first young thing that a request names, and which it does not find.
        """
        for name in call.names:
            if fault := self._take(name):
                return fault, *name
        return None

    def leave_out(self, call: Call, answer: bytes) -> tuple[bytes, list[tuple[Fault, str]]]:
        """
        A list without the young things, and which these are.
        """
        with self._lock:
            known = [(kind, name) for kind, name in self._left if kind in LISTED]
        if not known or call.service != "ec2" or call.action not in LISTS:
            return answer, []
        root = ET.fromstring(answer)  # noqa: S314 (moto's own)
        gone = []
        for kind, name in known:
            tag, holder = LISTED[kind]
            items = [
                (items, item)
                for items in root.iterfind(f".//{{*}}{holder}")
                for item in items.iterfind("{*}item")
                if item.findtext(f"{{*}}{tag}") == name
            ]
            if items and (fault := self._take((kind, name))):
                gone.append((fault, name))
                for parent, item in items:
                    parent.remove(item)
        if not gone:
            return answer, []
        return ET.tostring(root, xml_declaration=True, encoding="UTF-8"), gone

    def _take(self, name: tuple[str, str]) -> Fault | None:
        with self._lock:
            fault, left = self._left.pop(name, (None, 0))
            if fault is not None and left > 1:
                self._left[name] = (fault, left - 1)
            return fault
