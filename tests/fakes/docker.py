"""
The Docker SDK in memory, as far as the library uses it: an engine, and what there is on it.
"""

import base64
from collections.abc import Callable, Iterable, Iterator
from types import SimpleNamespace
from typing import Any

from docker.errors import APIError, ImageNotFound
from requests import Response

STACK = "com.docker.stack.namespace"
SERVICE = "com.docker.swarm.service.name"

Json = dict[str, Any]


class Model:
    """
    Whatever has a name, which is its id too: a secret, a config, an image.
    """

    def __init__(self, name: str, labels: Json | None = None, **attrs: object) -> None:
        self.id = self.name = name
        self.labels = labels or {}
        self.attrs: Json = attrs
        self.status = "running"
        self.volumes: list[str] = []

    def matches(self, key: str, value: str | list[str]) -> bool:
        """
        Whether it is one of those that a filter of the Engine API selects.
        """
        match key:
            case "label":
                pairs = [
                    each.partition("=") for each in ([value] if isinstance(value, str) else value)
                ]
                return all(
                    name in self.labels and (not equals or self.labels[name] == wanted)
                    for name, equals, wanted in pairs
                )
            case "name":  # Docker takes a part of a name for the name
                return value in self.name
            case "role":
                return value == self.attrs["Spec"]["Role"]
            case "status":
                return self.status in value
            case "volume":
                return value in self.volumes
        raise NotImplementedError(key)

    def remove(self, force: bool = False) -> None:
        self.collection.remove(self)


class Node(Model):
    """
    A node of the Swarm; one that was changed since it was read refuses an update.
    """

    def __init__(self, name: str, *, state: str = "ready", addr: str = "", **spec: object) -> None:
        status = {"State": state, "Addr": addr}
        super().__init__(name, ID=name, Status=status, Spec=spec, ManagerStatus=_managing(spec))
        self._newer: Json | None = None

    def change_meanwhile(self, **spec: object) -> None:
        """
        As another client would: what was read is old until it is read again.
        """
        self._newer = self.attrs["Spec"] | spec

    def reload(self) -> None:
        self.attrs["Spec"], self._newer = self._newer or self.attrs["Spec"], None

    def update(self, spec: Json) -> None:
        if self._newer:
            raise APIError("500", explanation="rpc error: desc = update out of sequence")
        if spec.get("Role") != self.attrs["Spec"].get("Role"):
            self.attrs["ManagerStatus"] = _managing(spec)
        self.attrs["Spec"] = spec
        self.engine.node_updates.append((self.name, spec))


def _managing(spec: Json) -> Json:
    return {"Reachability": "reachable"} if spec.get("Role") == "manager" else {}


class Volume(Model):
    """
    A volume, a stack's own by its name; it is not removed while a container holds it.
    """

    def __init__(self, name: str, labels: Json | None = None) -> None:
        super().__init__(name, labels or _stack(name))

    def remove(self, force: bool = False) -> None:
        users = [c.name for c in self.engine.containers if self.name in c.volumes]
        assert not users, f"{self.name} is in use by {users}"
        super().remove()


def _stack(name: str) -> Json:
    stack, underscore, _ = name.partition("_")
    return {STACK: stack} if underscore else {}


class Service(Model):
    """
    A service of the stack that its name begins with.
    """

    def __init__(self, name: str, spec: Json | None = None, **attrs: object) -> None:
        spec = spec or {}
        labels = _stack(name) | spec.get("Labels", {})
        super().__init__(name, labels, Spec=spec, **attrs)

    def tasks(self, filters: Json) -> list[Json]:
        return self.engine.api.tasks({"service": self.name, **filters})


class Container(Model):
    """
    A container of a service; it says the same to every command, but nothing to the `silent` first.
    """

    def __init__(
        self,
        name: str,
        *,
        service: str = "",
        status: str = "running",
        volumes: Iterable[str] = (),
        says: tuple[int, bytes] = (0, b""),
        silent: int = 0,
    ) -> None:
        super().__init__(name, {SERVICE: service} if service else {})
        self.status, self.volumes = status, list(volumes)
        self._says, self._silent = says, silent

    def exec_run(self, _command: list[str], environment: object = None) -> tuple[int, bytes]:
        self._silent -= 1
        return self._says if self._silent < 0 else (0, b"")


def task(
    state: str, *, desired: str = "running", node: str = "", error: str = "", **more: object
) -> Json:
    """
    A task as the API describes it.
    """
    status = {"State": state, "Err": error}
    return {"DesiredState": desired, "Status": status, "NodeID": node, **more}


class Collection:
    """
    `client.services` and its like: they are found by the filters of the Engine API.
    """

    def __init__(self, engine: "Engine", items: Iterable[Model], kind: type[Model]) -> None:
        self._engine, self._kind, self._items = engine, kind, []
        for item in items:
            self.add(item)

    def __iter__(self) -> Iterator[Model]:
        return iter(self._items)

    def add(self, item: Model) -> Model:
        item.collection, item.engine = self, self._engine
        self._items.append(item)
        return item

    def remove(self, item: Model) -> None:
        self._items.remove(item)

    def list(self, filters: Json | None = None, **options: object) -> list[Model]:
        found = [one for one in self._items if options.get("all") or one.status == "running"]
        for pair in (filters or {}).items():
            found = [one for one in found if one.matches(*pair)]
        return found

    def get(self, name: str) -> Model:
        for one in self._items:
            if name in (one.id, one.name):
                return one
        raise ImageNotFound(name)  # which is a NotFound

    def create(
        self, name: str = "", labels: Json | None = None, data: bytes = b"", **_: object
    ) -> Model:
        name = name or f"new-{len(self._items)}"
        if self._kind is Model and any(one.name == name for one in self._items):
            answer = Response()
            answer.status_code = 409
            raise APIError(f"rpc error: code = AlreadyExists desc = {name} already exists", answer)
        made = self.add(self._kind(name, labels))
        made.attrs["Spec"] = {"Name": name, "Labels": labels or {}}
        made.attrs["Spec"]["Data"] = base64.b64encode(data).decode()
        return made


class Engine:
    """
    A DockerClient; `tasks` are those of every service, or answer the filters of a request.

    `node_updates` are the specifications that its nodes were given, in order.
    """

    def __init__(
        self,
        *,
        tasks: list[Json] | Callable[[Json], list[Json]] = (),
        swarm: Json | None = None,
        **items: Iterable[Model],
    ) -> None:
        kinds = dict.fromkeys(["nodes", "containers", "images", "secrets", "configs", "networks"])
        for name, kind in (kinds | {"services": Service, "volumes": Volume}).items():
            setattr(self, name, Collection(self, items.pop(name, ()), kind or Model))
        assert not items
        self.node_updates: list[tuple[str, Json]] = []
        self.swarm_info = {"LocalNodeState": "active", "ControlAvailable": True, "Error": ""}
        self.swarm_info |= swarm or {}
        self.api = SimpleNamespace(
            tasks=lambda filters=None: list(tasks(filters)) if callable(tasks) else list(tasks),
            nodes=lambda: [node.attrs for node in self.nodes],
            services=lambda: [service.attrs for service in self.services],
            networks=list,
            volumes=lambda: {"Volumes": [{"Name": volume.name} for volume in self.volumes]},
            containers=lambda **given: [
                {"Id": one.id, "Labels": one.labels} for one in self.containers.list(**given)
            ],
            remove_container=lambda name, **_: self.containers.get(name).remove(),
            inspect_service=lambda name: (
                {**self.services.get(name).attrs, "ID": name} | {"Version": {"Index": 1}}
            ),
            remove_service=lambda name: self.services.get(name).remove(),
            base_url="",
            api_version="1.41",
            post=self._post,
        )

    def _post(self, url: str, json: Json, **_: object) -> SimpleNamespace:
        name = url.split("/")[-2]
        if url.endswith("/services/create"):
            self.services.add(Service(json["Name"], json))
        else:
            self.services.get(name).attrs["Spec"] = json
        return SimpleNamespace(ok=True)

    def info(self) -> Json:
        return {"Swarm": self.swarm_info}


def in_turn(*answers: object) -> Callable[..., Any]:
    """
    A function that gives one answer after the other, and the last for ever; an error is raised.
    """
    left = list(answers)

    def answer(*_: object, **__: object) -> Any:
        given = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(given, Exception):
            raise given
        return given

    return answer
