"""Clients for the tour: redis-py where it is installed, our own small one where not."""

from typing import Any, Protocol

from harness import resp

try:
    import redis
except ImportError:
    redis = None  # type: ignore[assignment]

NAME = f"redis-py {redis.__version__}" if redis else "the built-in client (redis-py is missing)"


class Client(Protocol):
    """What the tour needs of a client. Lost connections are raised, error replies returned."""

    def call(self, *args: resp.Argument) -> Any: ...

    def close(self) -> None: ...


class _BuiltIn:
    def __init__(self, port: int, protocol: int) -> None:
        self.connection = resp.Connection(port, protocol=protocol)

    def call(self, *args: resp.Argument) -> Any:
        try:
            return self.connection.call(*args)
        except resp.ReplyError as error:
            return error

    def close(self) -> None:
        self.connection.close()


class _RedisPy:
    def __init__(self, port: int, protocol: int) -> None:
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        self.client = redis.Redis(
            port=port, protocol=protocol, socket_timeout=60, retry=Retry(NoBackoff(), 0),
            single_connection_client=True,
        )
        self.client.response_callbacks.clear()

    def call(self, *args: resp.Argument) -> Any:
        try:
            return self.client.execute_command(*args)
        except redis.ResponseError as error:
            return error

    def close(self) -> None:
        self.client.close()


def connect(port: int, protocol: int) -> Client:
    return _RedisPy(port, protocol) if redis else _BuiltIn(port, protocol)


def lost_connection(error: Exception) -> bool:
    """Whether an exception says that the connection broke."""
    if isinstance(error, OSError | resp.Disconnected):
        return True
    return redis is not None and isinstance(error, redis.ConnectionError | redis.TimeoutError)
