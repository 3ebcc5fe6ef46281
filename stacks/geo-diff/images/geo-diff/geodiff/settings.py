"""
The settings of each service, from its environment; all that is wrong is named at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from geodiff.environment import Reader

NAME = r"[A-Za-z0-9_.-]+"


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


def broker_settings(read: Reader, user: str) -> BrokerSettings:
    return BrokerSettings(
        host=read.text("AMQP_HOST", "rabbitmq", r"[A-Za-z0-9.-]+"),
        port=read.whole("AMQP_PORT", 5672, 1, 65535),
        management_port=read.whole("RABBITMQ_MANAGEMENT_PORT", 15672, 1, 65535),
        user=read.text("AMQP_USER", user),
        password=read.secret("RABBITMQ_PASSWORD_FILE", "/run/secrets/rabbitmq_password"),
        virtual_host=read.text("AMQP_VHOST", "/"),
        heartbeat_s=read.whole("HEARTBEAT", 20, 2, 600),
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
    return read.done(
        DealerSettings(
            broker=broker_settings(read, "dealer"),
            tiles_dir=read.directory("TILES_DIR", "/tiles", writable=False),
            batch=batch,
            min_batch=min_batch,
            wait_s=read.real("WAIT", 2, 0, 3600),
            lease_s=read.real("LEASE", 60, 1, 86_400),
            max_queued=read.whole("MAX_QUEUED", 20_000, 1, 10_000_000),
            audit_dir=read.audit(),
        )
    )


def worker_settings(environ: Mapping[str, str]) -> WorkerSettings:
    read = Reader(environ)
    return read.done(
        WorkerSettings(
            broker=broker_settings(read, "worker"),
            task_id=read.text("TASK_ID", pattern=NAME),
            node=read.text("NODE", "unknown"),
            prefetch=read.whole("PREFETCH", 4, 1, 100),
            max_attempts=read.whole("MAX_ATTEMPTS", 3, 1, 5),
            keep_alive_s=read.real("KEEP_ALIVE", 5, 0.1, 60),
        )
    )


def updater_settings(environ: Mapping[str, str]) -> UpdaterSettings:
    read = Reader(environ)
    return read.done(
        UpdaterSettings(
            broker=broker_settings(read, "updater"),
            tiles_dir=read.directory("TILES_DIR", "/tiles", writable=True),
            prefetch=read.whole("PREFETCH", 32, 1, 1000),
            audit_dir=read.audit(),
        )
    )


def admin_settings(environ: Mapping[str, str]) -> AdminSettings:
    read = Reader(environ)
    batch, min_batch = _batches(read)
    min_scale, max_scale = _scale(read)
    settings = AdminSettings(
        broker=broker_settings(read, "admin-worker"),
        scaler=read.text("SCALER", "scaler:8000", f"{NAME}:[0-9]+"),
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
    return read.done(settings)


def _docker_socket(read: Reader) -> ReaperSettings:
    return ReaperSettings(
        docker_socket=read.text("DOCKER_SOCKET", "/var/run/docker.sock", r"/.{1,100}"),
        worker_service=read.text("WORKER_SERVICE", pattern=NAME),
        port=read.whole("PORT", 8000, 1, 65535),
    )


def reaper_settings(environ: Mapping[str, str]) -> ReaperSettings:
    read = Reader(environ)
    return read.done(_docker_socket(read))


def scaler_settings(environ: Mapping[str, str]) -> ScalerSettings:
    read = Reader(environ)
    common, (min_scale, max_scale) = _docker_socket(read), _scale(read)
    return read.done(
        ScalerSettings(
            **vars(common),
            reaper_service=read.text("REAPER_SERVICE", pattern=NAME),
            min_scale=min_scale,
            max_scale=max_scale,
        )
    )
