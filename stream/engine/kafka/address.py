"""Where a Kafka log is, and how to get in: ``kafka://host:port[,host:port]?option=value&...``.

    prefix        before the names of topics, the group and transactional ids: several products on one cluster
    state         a folder for local copies of rows, so that a restart reads only the tail of a changelog
    replication   copies of every topic that ``topics apply`` creates
    compression   zstd (default), gzip, snappy, lz4 or none
    instance      a fixed name for this worker (static membership): a restart within ``session`` moves nothing
    session       seconds of silence after which a worker's partitions go to others
    timeout       seconds that a request may take
    transaction   seconds after which the broker gives up on an open transaction
    largest       bytes of the largest record that the brokers take
    tls           true, or one of: ca, certificate, key (files in PEM), key_password
    mechanism     plain, scram-sha-256, scram-sha-512 with user and password; oauthbearer with token_file

The password stands in the URL only in memory: whoever shows a URL shows it without its options.
"""

from __future__ import annotations

from collections.abc import Callable
from errno import ENOENT
from pathlib import Path
from ssl import SSLError
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

from msgspec import Struct

from stream.engine.log import Mismatch

APP: Final = "linkstream"
COMPRESSION: Final = ("zstd", "gzip", "snappy", "lz4", "none")
MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER")
SECRETS: Final = ("password", "key_password")


class Address(Struct, frozen=True, kw_only=True):
    """A Kafka log's address, checked."""

    servers: tuple[str, ...]
    prefix: str = ""
    state: Path = Path("var/kafka")
    replication: int = -1
    """As the cluster's default says."""
    compression: str = "zstd"
    instance: str = ""
    session: float = 10.0
    timeout: float = 40.0
    transaction: float = 15.0
    largest: int = 1_000_000
    tls: bool = False
    ca: str = ""
    certificate: str = ""
    key: str = ""
    key_password: str = ""
    mechanism: str = ""
    user: str = ""
    password: str = ""
    token_file: str = ""

    def __str__(self) -> str:
        return f"kafka://{','.join(self.servers)}"

    def __repr__(self) -> str:
        return f"Address({self})"

    @property
    def group(self) -> str:
        """The consumer group of the workers; transactional ids and changelogs begin with it."""
        return f"{self.prefix}{APP}"

    def topic(self, name: str) -> str:
        """A topic's name on the cluster."""
        return f"{self.prefix}{name}"

    def changelog(self, agent: str) -> str:
        """The topic that an agent's rows are in."""
        return f"{self.group}-{agent}-changelog"

    @property
    def life(self) -> str:
        """The topic that says which life of the log this is."""
        return f"{self.group}-life"

    @property
    def principal(self) -> str:
        """Whom the brokers take us for, as far as we know."""
        return f"User:{self.user}" if self.user else "User:ANONYMOUS"

    def client(self) -> dict[str, Any]:
        """Arguments of every client: where, how long, who. Raises ``Mismatch`` for a certificate that is none."""
        told: dict[str, Any] = {
            "bootstrap_servers": list(self.servers),
            "request_timeout_ms": round(self.timeout * 1000),
            "security_protocol": f"{'SASL_' if self.mechanism else ''}{'SSL' if self.tls else 'PLAINTEXT'}",
        }
        if self.tls:
            told["ssl_context"] = self._context()
        if self.mechanism:
            told["sasl_mechanism"] = self.mechanism
        if self.mechanism == "OAUTHBEARER":
            told["sasl_oauth_token_provider"] = _provider(Path(self.token_file))
        elif self.mechanism:
            told |= {"sasl_plain_username": self.user, "sasl_plain_password": self.password}
        return told

    def _context(self) -> Any:
        from aiokafka.helpers import create_ssl_context  # noqa: PLC0415 - an address is read without a client

        files = {"ca": self.ca, "certificate": self.certificate, "key": self.key}
        for option, file in files.items():
            if file and not Path(file).is_file():
                raise Mismatch(f"{self}: {option}={file}: found no such file; one in PEM would be right")
        try:
            return create_ssl_context(
                cafile=self.ca or None,
                certfile=self.certificate or None,
                keyfile=self.key or None,
                password=self.key_password or None,
            )
        except (SSLError, OSError, ValueError) as error:
            named = ", ".join(f"{option}={file}" for option, file in files.items() if file)
            reason = getattr(error, "reason", None) or type(error).__name__
            raise Mismatch(f"{self}: {named}: {reason}; certificates and their key in PEM would be right") from None


def _provider(file: Path) -> Any:
    """OAUTHBEARER with a token that something else keeps fresh in a file, as Kubernetes does."""
    from aiokafka.abc import AbstractTokenProvider  # noqa: PLC0415

    class TokenFile(AbstractTokenProvider):  # type: ignore[misc]  # aiokafka's types are not looked at
        async def token(self) -> str:
            try:
                found = file.read_text(encoding="ascii").strip()  # noqa: ASYNC240 - a line, now and then
            except (OSError, UnicodeDecodeError):
                found = ""
            if not found:  # as if no broker were there: the client tries again, and dies of any other error
                raise OSError(ENOENT, f"token_file={file}: found no token there; a readable file would be right")
            return found

    return TokenFile()


def secrets_of(url: str) -> tuple[str, ...]:
    """What in a URL must never be seen, as written and as meant."""
    raw = [part.partition("=") for part in url.partition("?")[2].split("&")]
    hidden = [value for name, _, value in raw if name in SECRETS and value]
    return tuple(dict.fromkeys(form for value in hidden for form in (unquote(value.replace("+", " ")), value)))


def address_of(url: str) -> Address:
    """Parse a URL. Raises ``Mismatch`` for what it does not know; no message has an option's value if it is secret."""
    scheme, mark, rest = url.partition("://")
    where = f"{scheme}{mark}{rest.partition('?')[0].rpartition('@')[2]}"
    rest = url.partition("?")[0].removeprefix("kafka://").rstrip("/")
    if not url.startswith("kafka://") or "@" in rest:
        raise Mismatch(f"{where}: found no address of a Kafka log; kafka://host:9092?user=... would be right")
    servers = tuple(_server(server, where) for server in rest.split(","))
    options: dict[str, Any] = {}
    for name, value in parse_qsl(url.partition("?")[2], keep_blank_values=True):
        if name not in _OPTIONS:
            raise Mismatch(f"{where}: found option {name!r}; one of {', '.join(_OPTIONS)} would be right")
        try:
            options[name] = _OPTIONS[name](value)
        except ValueError as error:
            found = "a value" if name in SECRETS else repr(value)
            raise Mismatch(f"{where}: {name}: found {found}; {error} would be right") from None
    return _whole(Address(servers=servers, **_implied(options)), where)


def _implied(options: dict[str, Any]) -> dict[str, Any]:
    if any(options.get(name) for name in ("ca", "certificate", "key")):
        options.setdefault("tls", True)
    if options.get("user"):
        options.setdefault("mechanism", "SCRAM-SHA-512")
    if options.get("token_file"):
        options.setdefault("mechanism", "OAUTHBEARER")
    return options


def _whole(address: Address, where: str) -> Address:
    """The address, when nothing is missing in it."""
    if address.mechanism == "OAUTHBEARER" and not address.token_file:
        raise Mismatch(f"{where}: found mechanism=oauthbearer alone; token_file=/path beside it would be right")
    if address.mechanism in MECHANISMS[:3] and not (address.user and address.password):
        raise Mismatch(
            f"{where}: found mechanism={address.mechanism.lower()}; user and password beside it would be right"
        )
    if address.mechanism == "PLAIN" and not address.tls and not _loopback(address):
        raise Mismatch(
            f"{where}: found mechanism=plain without tls, which sends the password open; tls=true would be right"
        )
    if bool(address.certificate) != bool(address.key):
        raise Mismatch(f"{where}: found one of certificate and key; both would be right")
    return address


def _loopback(address: Address) -> bool:
    hosts = {server.rpartition(":")[0] for server in address.servers}
    return hosts <= {"127.0.0.1", "localhost", "[::1]"}


def _server(text: str, where: str) -> str:
    host, colon, port = text.rpartition(":")
    if not colon:
        host, port = text, "9092"
    if not host or not port.isdigit() or not 0 < int(port) < 1 << 16:
        raise Mismatch(f"{where}: found {text!r}; host:port would be right")
    return f"{host}:{port}"


def _number(least: float, most: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = least - 1
        if not least <= number <= most:
            raise ValueError(f"a number of {least:g} to {most:g}")
        return number

    return read


def _whole_number(least: int, most: int) -> Callable[[str], int]:
    return lambda text: int(_number(least, most)(text))


def _one_of(*words: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        for word in words:
            if text.lower() == word.lower():
                return word
        raise ValueError(", ".join(word.lower() for word in words))

    return read


def _prefix(text: str) -> str:
    if len(text) > 60 or not all((sign.isalnum() and sign.isascii()) or sign in "._-" for sign in text):  # noqa: PLR2004
        raise ValueError("up to 60 letters, digits, ., _ and -")
    return text


_OPTIONS: Final[dict[str, Callable[[str], Any]]] = {
    "prefix": _prefix,
    "state": Path,
    "replication": _whole_number(1, 9),
    "compression": _one_of(*COMPRESSION),
    "instance": _prefix,
    "session": _number(1, 1800),
    "timeout": _number(1, 600),
    "transaction": _number(1, 900),
    "largest": _whole_number(1000, 1 << 30),
    "tls": lambda text: _one_of("true", "false")(text) == "true",
    "ca": str,
    "certificate": str,
    "key": str,
    "key_password": str,
    "mechanism": _one_of(*MECHANISMS),
    "user": str,
    "password": str,
    "token_file": str,
}
