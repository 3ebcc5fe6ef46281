"""
A confirmed AMQP channel for asyncio.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pika
from pika.adapters.asyncio_connection import AsyncioConnection
from pika.channel import Channel
from pika.exceptions import AMQPConnectionError
from pika.frame import Method
from pika.spec import Basic, BasicProperties

from geodiff.settings import BrokerSettings

PERSISTENT = 2


class LinkLostError(ConnectionError):
    """
    The connection is lost. No message is: everything unacknowledged is redelivered.
    """


@dataclass(frozen=True)
class Delivery:
    tag: int
    message_id: str
    headers: Mapping[str, Any]
    body: bytes
    redelivered: bool

    def number(self, header: str) -> int:
        """
        Return a header's whole number, as a time; 0 if it is none.
        """
        value = self.headers.get(header)
        return value if isinstance(value, int) and 0 <= value < 2**63 else 0


def _plain(reason: object) -> str:
    """
    The cause of a failure, without the list of attempts that pika wraps around it.
    """
    if causes := getattr(reason, "exceptions", None):
        return _plain(causes[-1])
    wrapped = reason.args[0] if isinstance(reason, AMQPConnectionError) and reason.args else None
    if isinstance(wrapped, Exception):
        return _plain(wrapped)
    return repr(getattr(reason, "exception", reason))


class Link:
    """
    One connection with one channel with publisher confirms. After a failure it stays broken.

    A message that the broker refuses or cannot route breaks it too. On a new link, everything
    unacknowledged comes again.
    """

    def __init__(self, connection: AsyncioConnection, channel: Channel) -> None:
        self._connection = connection
        self._channel = channel
        self._published = 0
        self._unconfirmed: dict[int, asyncio.Future[None]] = {}
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        channel.add_on_close_callback(lambda _, reason: self._break(_plain(reason)))
        channel.add_on_return_callback(
            lambda _channel, method, _properties, _body: self._break(
                f"returned by {method.exchange or 'the default exchange'}: {method.reply_text}"
            )
        )

    @classmethod
    async def open(cls, settings: BrokerSettings) -> "Link":
        """
        Connect and enable confirms; LinkLostError if any of it fails.
        """
        opened: asyncio.Future[AsyncioConnection] = asyncio.get_running_loop().create_future()
        closed: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def refuse(_: AsyncioConnection, reason: object) -> None:
            if not opened.done():
                at = f"{settings.host}:{settings.port}"
                opened.set_exception(LinkLostError(f"{at}: {_plain(reason)}"))
            if not closed.done():
                closed.set_result(_plain(reason))

        connection = AsyncioConnection(
            pika.ConnectionParameters(
                host=settings.host,
                port=settings.port,
                virtual_host=settings.virtual_host,
                credentials=pika.PlainCredentials(settings.user, settings.password),
                heartbeat=settings.heartbeat_s,
                socket_timeout=5,
                stack_timeout=10,
            ),
            on_open_callback=opened.set_result,
            on_open_error_callback=refuse,
            on_close_callback=refuse,
        )
        await opened
        ready: asyncio.Future[Channel] = asyncio.get_running_loop().create_future()
        connection.channel(on_open_callback=ready.set_result)
        await asyncio.wait({ready, closed}, return_when=asyncio.FIRST_COMPLETED, timeout=10)
        if not ready.done():
            raise LinkLostError(closed.result() if closed.done() else "no channel within 10 s")
        link = cls(connection, ready.result())
        closed.add_done_callback(lambda future: link._break(future.result()))
        await link._call(link._channel.confirm_delivery, ack_nack_callback=link._on_confirm)
        return link

    async def _call(self, method: Callable[..., object], **arguments: object) -> Method:
        """
        Call a method of the channel that answers by callback, and wait for the answer.
        """
        self.check()
        answer: asyncio.Future[Method] = asyncio.get_running_loop().create_future()
        method(callback=answer.set_result, **arguments)
        await asyncio.wait({answer, self.lost}, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            await self.lost
        return answer.result()

    def check(self) -> None:
        """
        Raise LinkLostError if the link is gone.
        """
        if self.lost.done():
            self.lost.result()

    def _break(self, reason: str) -> None:
        if self.lost.done():
            return
        error = LinkLostError(reason)
        for future in (self.lost, *self._unconfirmed.values()):
            if not future.done():
                future.set_exception(error)
                future.exception()  # retrieved, so that asyncio does not warn if nothing awaits it
        self._unconfirmed.clear()

    def _on_confirm(self, frame: Method) -> None:
        if isinstance(frame.method, Basic.Nack):
            self._break("the broker refused a message")
            return
        tag = frame.method.delivery_tag
        tags = [t for t in self._unconfirmed if t <= tag] if frame.method.multiple else [tag]
        for confirmed in tags:
            future = self._unconfirmed.pop(confirmed, None)
            if future is not None and not future.done():
                future.set_result(None)

    def publish(
        self,
        exchange: str,
        body: bytes,
        *,
        message_id: str | None = None,
        headers: Mapping[str, object] | None = None,
        mandatory: bool = True,
    ) -> asyncio.Future[None]:
        """
        Send a persistent message; the future is done once the broker has confirmed it.
        """
        self.check()
        properties = BasicProperties(
            delivery_mode=PERSISTENT, message_id=message_id, headers=dict(headers or {})
        )
        confirmed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._channel.basic_publish(exchange, "", body, properties, mandatory=mandatory)
        self._published += 1
        self._unconfirmed[self._published] = confirmed
        return confirmed

    async def consume(
        self, queue: str, prefetch: int, handler: Callable[[Delivery], None]
    ) -> Callable[[], Awaitable[object]]:
        """
        Pass each delivery to `handler`; return the function that stops it.
        """

        def receive(
            _: Channel, method: Basic.Deliver, properties: BasicProperties, body: bytes
        ) -> None:
            handler(
                Delivery(
                    method.delivery_tag,
                    str(properties.message_id or ""),  # bytes, if they are no text
                    properties.headers or {},
                    body,
                    method.redelivered,
                )
            )

        await self._call(self._channel.basic_qos, prefetch_count=prefetch)
        frame = await self._call(
            self._channel.basic_consume, queue=queue, on_message_callback=receive
        )
        tag = frame.method.consumer_tag
        self._channel.add_on_cancel_callback(lambda _: self._break(f"{queue} was deleted"))
        return lambda: self._call(self._channel.basic_cancel, consumer_tag=tag)

    def ack(self, delivery: Delivery) -> None:
        self.check()
        self._channel.basic_ack(delivery.tag)

    async def ready(self, queue: str) -> int:
        """
        Return how many messages are ready in a queue, unacknowledged ones not counted.
        """
        frame = await self._call(self._channel.queue_declare, queue=queue, passive=True)
        return int(frame.method.message_count)

    async def close(self) -> None:
        if self._connection.is_open:
            self._connection.close()
        with suppress(LinkLostError, TimeoutError):
            await asyncio.wait_for(asyncio.shield(self.lost), 5)
