"""
The settings of a service: environment variables and Docker secrets, all checked at once.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

Number = TypeVar("Number", int, float)
SERVICE = r"[A-Za-z0-9_.-]+"


class SettingsError(ValueError):
    """
    One or more variables are missing or wrong; the message names all of them.
    """


@dataclass(frozen=True)
class BrokerSettings:
    host: str
    port: int
    management_port: int
    user: str
    password: str = field(repr=False)
    virtual_host: str
    heartbeat_s: int


@dataclass(frozen=True)
class DealerSettings:
    broker: BrokerSettings
    tiles_dir: Path
    batch: int
    min_batch: int
    wait_s: float
    lease_s: float
    max_queued: int
    audit_dir: Path | None


@dataclass(frozen=True)
class WorkerSettings:
    broker: BrokerSettings
    task_id: str
    node: str
    prefetch: int
    max_attempts: int
    keep_alive_s: float


@dataclass(frozen=True)
class UpdaterSettings:
    broker: BrokerSettings
    tiles_dir: Path
    prefetch: int
    audit_dir: Path | None


@dataclass(frozen=True)
class AdminSettings:
    broker: BrokerSettings
    scaler: str
    reaper_port: int
    refresh_s: float
    max_timeout_s: float
    qty_task: float
    grey: float
    green: float
    yellow: float
    min_scale: int
    max_scale: int
    hold: bool
    batch: int
    min_batch: int
    batch_step: int


@dataclass(frozen=True)
class ReaperSettings:
    docker_socket: str
    worker_service: str
    port: int


@dataclass(frozen=True)
class ScalerSettings(ReaperSettings):
    reaper_service: str
    min_scale: int
    max_scale: int


class Reader:
    """
    Read variables one by one, collect what is wrong, and report all of it at the end.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.problems: list[str] = []

    def text(self, name: str, default: str = "", pattern: str = r".+") -> str:
        value = self._environ.get(name, "").strip() or default
        if not re.fullmatch(pattern, value):
            rule = "must be set" if not value else f"must match {pattern}"
            self.problems.append(f"{name}={value!r} {rule}")
        return value

    def _number(
        self,
        name: str,
        default: Number,
        low: float,
        high: float,
        convert: Callable[[str], Number],
    ) -> Number:
        raw = self._environ.get(name, "").strip()
        try:
            value = convert(raw) if raw else default
        except ValueError:
            self.problems.append(f"{name}={raw!r} must be a number ({convert.__name__})")
            return default
        if not low <= value <= high:
            self.problems.append(f"{name}={raw!r} must be between {low:g} and {high:g}")
            return default
        return value

    def whole(self, name: str, default: int, low: int, high: int) -> int:
        return self._number(name, default, low, high, int)

    def real(self, name: str, default: float, low: float, high: float) -> float:
        return self._number(name, default, low, high, float)

    def directory(self, name: str, default: str, *, writable: bool) -> Path:
        path = Path(self.text(name, default))
        needed = os.R_OK | os.X_OK | (os.W_OK if writable else 0)
        if not path.is_dir() or not os.access(path, needed):
            kind = "writable" if writable else "readable"
            self.problems.append(f"{name}={path} must be a directory {kind} by uid {os.getuid()}")
        return path

    def audit(self) -> Path | None:
        """
        The folder for the audit of a drill; None if there is none.
        """
        if self.text("AUDIT", "no", r"no|/.+") == "no":
            return None
        return self.directory("AUDIT", "no", writable=True)

    def secret(self, name: str, default_file: str) -> str:
        """
        Read the secret in the file that the variable names; its value is never shown.
        """
        path = Path(self.text(name, default_file))
        try:
            value = path.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as exc:
            self.problems.append(f"{name}={path} cannot be read: {exc.__class__.__name__}")
            return ""
        if not value:
            self.problems.append(f"{name}={path} is empty")
        return value

    def broker(self, user: str) -> BrokerSettings:
        return BrokerSettings(
            host=self.text("AMQP_HOST", "rabbitmq", r"[A-Za-z0-9.-]+"),
            port=self.whole("AMQP_PORT", 5672, 1, 65535),
            management_port=self.whole("RABBITMQ_MANAGEMENT_PORT", 15672, 1, 65535),
            user=self.text("AMQP_USER", user),
            password=self.secret("RABBITMQ_PASSWORD_FILE", "/run/secrets/rabbitmq_password"),
            virtual_host=self.text("AMQP_VHOST", "/"),
            heartbeat_s=self.whole("HEARTBEAT", 20, 2, 600),
        )

    def done(self) -> None:
        """
        Raise SettingsError if anything was wrong.
        """
        if self.problems:
            raise SettingsError(
                f"{len(self.problems)} settings are not usable:\n  "
                + "\n  ".join(self.problems)
                + "\n  next: set them in the `environment` of the service in the stack file"
            )


def _batches(read: Reader) -> tuple[int, int]:
    batch = read.whole("BATCH", 300, 1, 100_000)
    min_batch = read.whole("MIN_BATCH", min(50, batch), 1, 100_000)
    if min_batch > batch:
        read.problems.append(f"MIN_BATCH={min_batch} must not be above BATCH={batch}")
    return batch, min_batch


def _scale(read: Reader) -> tuple[int, int]:
    low, high = read.whole("MIN_SCALE", 1, 1, 1000), read.whole("MAX_SCALE", 15, 1, 1000)
    if low > high:
        read.problems.append("MIN_SCALE must not be above MAX_SCALE")
    return low, high


def dealer_settings(environ: Mapping[str, str]) -> DealerSettings:
    read = Reader(environ)
    batch, min_batch = _batches(read)
    settings = DealerSettings(
        broker=read.broker("dealer"),
        tiles_dir=read.directory("TILES_DIR", "/tiles", writable=False),
        batch=batch,
        min_batch=min_batch,
        wait_s=read.real("WAIT", 2, 0, 3600),
        lease_s=read.real("LEASE", 60, 1, 86_400),
        max_queued=read.whole("MAX_QUEUED", 20_000, 1, 10_000_000),
        audit_dir=read.audit(),
    )
    read.done()
    return settings


def worker_settings(environ: Mapping[str, str]) -> WorkerSettings:
    read = Reader(environ)
    settings = WorkerSettings(
        broker=read.broker("worker"),
        task_id=read.text("TASK_ID", pattern=r"[A-Za-z0-9_.-]+"),
        node=read.text("NODE", "unknown"),
        prefetch=read.whole("PREFETCH", 4, 1, 100),
        max_attempts=read.whole("MAX_ATTEMPTS", 3, 1, 5),
        keep_alive_s=read.real("KEEP_ALIVE", 5, 0.1, 60),
    )
    read.done()
    return settings


def updater_settings(environ: Mapping[str, str]) -> UpdaterSettings:
    read = Reader(environ)
    settings = UpdaterSettings(
        broker=read.broker("updater"),
        tiles_dir=read.directory("TILES_DIR", "/tiles", writable=True),
        prefetch=read.whole("PREFETCH", 32, 1, 1000),
        audit_dir=read.audit(),
    )
    read.done()
    return settings


def admin_settings(environ: Mapping[str, str]) -> AdminSettings:
    read = Reader(environ)
    batch, min_batch = _batches(read)
    min_scale, max_scale = _scale(read)
    settings = AdminSettings(
        broker=read.broker("admin-worker"),
        scaler=read.text("SCALER", "scaler:8000", r"[A-Za-z0-9_.-]+:[0-9]+"),
        reaper_port=read.whole("REAPER_PORT", 8000, 1, 65535),
        refresh_s=read.real("REFRESH_RATE", 5, 0.1, 3600),
        max_timeout_s=read.real("MAX_TIMEOUT", 120, 1, 86_400),
        qty_task=read.real("QTY_TASK", 50, 0.001, 1_000_000),
        grey=read.real("GREY_LIGHT", 0.2, 0, 1000),
        green=read.real("GREEN_LIGHT", 0.5, 0, 1000),
        yellow=read.real("YELLOW_LIGHT", 0.7, 0, 1000),
        min_scale=min_scale,
        max_scale=max_scale,
        hold=read.text("HOLD", "no", r"yes|no") == "yes",
        batch=batch,
        min_batch=min_batch,
        batch_step=read.whole("BATCH_STEP", 50, 1, 100_000),
    )
    if not settings.grey <= settings.green <= settings.yellow:
        read.problems.append("GREY_LIGHT <= GREEN_LIGHT <= YELLOW_LIGHT must hold")
    read.done()
    return settings


def _docker_socket(read: Reader) -> ReaperSettings:
    return ReaperSettings(
        docker_socket=read.text("DOCKER_SOCKET", "/var/run/docker.sock", r"/.{1,100}"),
        worker_service=read.text("WORKER_SERVICE", pattern=SERVICE),
        port=read.whole("PORT", 8000, 1, 65535),
    )


def reaper_settings(environ: Mapping[str, str]) -> ReaperSettings:
    read = Reader(environ)
    settings = _docker_socket(read)
    read.done()
    return settings


def scaler_settings(environ: Mapping[str, str]) -> ScalerSettings:
    read = Reader(environ)
    common, (min_scale, max_scale) = _docker_socket(read), _scale(read)
    settings = ScalerSettings(
        **vars(common),
        reaper_service=read.text("REAPER_SERVICE", pattern=SERVICE),
        min_scale=min_scale,
        max_scale=max_scale,
    )
    read.done()
    return settings
