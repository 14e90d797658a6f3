"""Getting into a cluster, and the topics on it: what is refused says what would be right, and never a secret."""

from __future__ import annotations

import asyncio
import json
import shlex
import subprocess
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

import pytest
from aiokafka.admin import NewPartitions

from connectors.auth import Secret
from stream.engine.backends import log_at, open_reader, secrets_of, shown
from stream.engine.kafka import cluster as topics
from stream.engine.kafka import errors
from stream.engine.kafka.address import address_of
from stream.engine.kafka.errors import Unreachable
from stream.engine.kafka.log import KafkaLog
from stream.engine.lanes import Lane
from stream.engine.log import EngineError, Mismatch, Outgoing, TopicSettings
from stream.errors import BadTopology
from stream.topology import parse_topology
from tests.engine.contract import PARTITIONS, TOPICS, lane_of, sent, until
from tests.kafka.broker import Cluster

CANARY = "s3cret&canary="
QUOTED = "s3cret%26canary%3D"


# The address


def test_an_address_is_read_whole() -> None:
    address = address_of(
        f"kafka://a:1,b/?prefix=x.&state=/s&compression=lz4&session=20&user=u&password={QUOTED}&ca=/ca.pem&largest=5000"
    )
    assert address.servers == ("a:1", "b:9092")
    assert (address.prefix, address.group, address.changelog("join")) == (
        "x.",
        "x.linkstream",
        "x.linkstream-join-changelog",
    )
    assert (address.mechanism, address.tls, address.password) == ("SCRAM-SHA-512", True, CANARY)
    assert address.client()["security_protocol"] == "SASL_SSL" if Path("/ca.pem").exists() else True


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("kafka://", "found ''; host:port would be right"),
        ("kafka://a:x", "found 'a:x'; host:port would be right"),
        ("kafka://me:pw@a:1", "would be right"),
        ("kafka://a:1?colour=red", "found option 'colour'; one of prefix,"),
        ("kafka://a:1?compression=rar", "compression: found 'rar'; zstd, gzip"),
        ("kafka://a:1?session=0", "session: found '0'; a number of 1 to 1800 would be right"),
        ("kafka://a:1?user=u", "user and password beside it would be right"),
        (
            f"kafka://a:1?mechanism=plain&user=u&password={QUOTED}",
            "which sends the password open; tls=true would be right",
        ),
        ("kafka://a:1?mechanism=oauthbearer", "token_file=/path beside it would be right"),
        ("kafka://a:1?certificate=/c.pem", "found one of certificate and key; both would be right"),
        (f"kafka://a:1?password={QUOTED}&prefix=a b", "prefix: found 'a b'; up to 60 letters"),
    ],
)
def test_a_wrong_address_is_told_without_its_secrets(url: str, words: str) -> None:
    with pytest.raises(Mismatch) as caught:
        address_of(url)
    assert words in str(caught.value)
    assert CANARY not in str(caught.value)
    assert "pw" not in str(caught.value)


def test_certificates_that_are_none_are_named(tmp_path: Path) -> None:
    with pytest.raises(Mismatch, match="ca=/no/where: found no such file"):
        address_of("kafka://a:1?ca=/no/where").client()
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(Mismatch, match=r"certificates and their key in PEM would be right"):
        address_of(f"kafka://a:1?ca={tmp_path}/ca.pem").client()


async def test_a_token_is_read_from_its_file_each_time(tmp_path: Path) -> None:
    provider = address_of(f"kafka://a:1?token_file={tmp_path}/token&tls=true").client()["sasl_oauth_token_provider"]
    for text in (None, "\n"):
        if text:
            (tmp_path / "token").write_text(text)
        with pytest.raises(FileNotFoundError, match="found no token there; a readable file would be right"):
            await provider.token()
    for token in ("one", "two"):
        (tmp_path / "token").write_text(f"{token}\n")
        assert await provider.token() == token


def test_secrets_of_an_address_are_known_and_not_shown() -> None:
    url = f"kafka://a:1?user=u&password={QUOTED}&tls=true"
    assert set(secrets_of(url)) == {CANARY, QUOTED}
    assert shown(url) == "kafka://a:1"
    assert CANARY not in repr(address_of(url))
    assert CANARY not in str(address_of(url))


def test_topics_yaml_takes_a_mapping_and_keeps_its_secrets() -> None:
    text = (
        "broker: {kafka: 'a:1,b:2', user: u, password: '${PASSWORD}', tls: true, session: 20}\n"
        "systems: {}\ntopics: {}\n"
    )
    topology = parse_topology(text.encode(), {"PASSWORD": CANARY})
    address = address_of(topology.broker)
    assert (address.servers, address.password, address.session, address.tls) == (("a:1", "b:2"), CANARY, 20.0, True)
    assert CANARY in [secret.reveal() for secret in topology.secrets() if isinstance(secret, Secret)]
    with pytest.raises(BadTopology) as caught:
        parse_topology(text.replace("session: 20", "session: -1").encode(), {"PASSWORD": CANARY})
    assert CANARY not in str(caught.value)


def test_an_address_from_a_variable_is_told_as_it_is_written() -> None:
    with pytest.raises(BadTopology) as caught:
        parse_topology(b"broker: ${B}\nsystems: {}\ntopics: {}\n", {"B": f"kafka://a:1?user=u&passwort={CANARY}"})
    [problem] = caught.value.problems
    assert problem.startswith("topics.yaml:1:9: found ${B}; ")
    assert CANARY not in problem


# Getting in


async def test_no_broker_is_told_and_tried_again_later() -> None:
    with pytest.raises(
        Unreachable, match=r"kafka://127.0.0.1:1: no broker answers .*one that runs would be right"
    ) as caught:
        await log_at("kafka://127.0.0.1:1?timeout=2").open()
    assert caught.value.exit_code == 75


@pytest.mark.process
@pytest.mark.timeout(170)
async def test_who_may_not_is_told_what_is_missing_and_who_may_can_work(
    cluster: Callable[..., Cluster], name: str, tmp_path: Path
) -> None:
    secured = await asyncio.to_thread(lambda: cluster(users={"ann": "right"}))
    await topics.apply(
        (plain := address_of(f"kafka://{secured.bootstrap}?prefix={name}.")),
        (wanted := topics.wanted(plain, TOPICS, ["join", "witness"], PARTITIONS, 1)),
    )

    def url(password: str, mechanism: str = "scram-sha-512") -> str:
        options = f"prefix={name}.&state={tmp_path}&user=ann&password={password}&mechanism={mechanism}&timeout=10"
        return f"kafka://{secured.secured}?{options}"

    for mechanism in ("scram-sha-256", "scram-sha-512", "plain"):
        with pytest.raises(Mismatch, match="found a user or password that the broker refuses") as refused:
            await log_at(url("wr0ng-canary", mechanism)).open()
        assert "wr0ng-canary" not in str(refused.value)
        log = KafkaLog(url("right", mechanism))
        await log.open()  # who one is, is believed; what one may do, is another matter
        await log.close()

    log = KafkaLog(url("right"))
    await log.open()
    with pytest.raises(Mismatch, match=r"found no topic .*, or none that User:ann may see"):
        await log.declare(TOPICS, PARTITIONS, ["join"])
    topic, group, transactions = [
        shlex.split(line)[4:] for line in topics.acls(address_of(url("right")), wanted, "User:ann")
    ]
    await asyncio.to_thread(secured.allow, "ann", *topic)
    await log.declare(TOPICS, PARTITIONS, ["join"])
    with pytest.raises(Mismatch, match=r"User:ann is not allowed to; an ACL would be right for transactional ids"):
        await lane_of(log)
    await asyncio.to_thread(secured.allow, "ann", *transactions)
    await log.publish(sent("a"))
    lane = await lane_of(log)
    unit = lane.take(1)
    unit.emit("out", b"a", b"")
    await lane.finish(unit)
    await lane.settled()

    async def nothing(*_: object) -> None: ...

    with pytest.raises(Mismatch, match=r"an ACL would be right for group"):
        await log.share(["in"], nothing, nothing)
    await log.close()
    await asyncio.to_thread(secured.allow, "ann", *group)
    log = KafkaLog(url("right"))
    await log.open()
    await log.declare(TOPICS, PARTITIONS, ["join"])
    await log.share(["in"], nothing, nothing)
    await log.close()


def certificates(folder: Path) -> tuple[Path, Path, Path]:
    """A certificate for this machine that has signed itself, its key, and both in one file as brokers want them."""
    certificate, key, both = folder / "certificate.pem", folder / "key.pem", folder / "both.pem"
    subject = ["-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*made, *subject], check=True, capture_output=True)
    both.write_text(key.read_text() + certificate.read_text())
    return certificate, key, both


@pytest.mark.process
@pytest.mark.timeout(120)
async def test_tls_with_a_client_certificate_and_a_password(
    cluster: Callable[..., Cluster], name: str, tmp_path: Path
) -> None:
    certificate, key, both = certificates(tmp_path)
    listener = "listener.name.secured.ssl."
    settings = {
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURED:SASL_SSL",
        f"{listener}keystore.type": "PEM",
        f"{listener}keystore.location": str(both),
        f"{listener}truststore.type": "PEM",
        f"{listener}truststore.location": str(certificate),
        f"{listener}client.auth": "required",
        "super.users": "User:ANONYMOUS;User:ann",
    }
    secured = await asyncio.to_thread(lambda: cluster(users={"ann": "right"}, settings=settings))
    tls = (
        f"kafka://{secured.secured}?prefix={name}.&state={tmp_path}&timeout=10&user=ann&password=right&ca={certificate}"
    )
    with pytest.raises(Unreachable, match="no broker answers"):
        await log_at(f"{tls}&mechanism=plain").open()  # without the certificate that it asks for
    with pytest.raises(Unreachable, match=r"self-signed certificate.*one that runs"):
        await log_at(tls.replace(f"ca={certificate}", "tls=true")).open()
    address = address_of(url := f"{tls}&certificate={certificate}&key={key}")
    await topics.apply(address, topics.wanted(address, TOPICS, ["join"], PARTITIONS, 1))
    log = KafkaLog(url)
    await log.open()
    await log.declare(TOPICS, PARTITIONS, ["join"])
    await log.publish(sent("a"))
    assert [record.key for record in (await lane_of(log)).take(1)] == [b"a"]
    await log.close()


def token(user: str, seconds: float) -> str:
    """A token that nobody has signed, as Kafka's own validator for tests takes it."""
    now = int(time.time())
    parts = ({"alg": "none"}, {"sub": user, "iat": now - 60, "exp": now + seconds})
    return ".".join(urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + "."


@pytest.mark.process
@pytest.mark.timeout(90)
async def test_a_token_from_a_file_lets_in_and_one_that_is_over_does_not(
    cluster: Callable[..., Cluster],
    name: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule"
    settings = {
        "listener.name.secured.sasl.enabled.mechanisms": "OAUTHBEARER",
        "listener.name.secured.oauthbearer.sasl.jaas.config": f'{module} required unsecuredLoginStringClaim_sub="x";',
        "super.users": "User:ANONYMOUS;User:ann",
    }
    secured = await asyncio.to_thread(lambda: cluster(users={"ann": "unused"}, settings=settings))
    file = tmp_path / "token"
    url = f"kafka://{secured.secured}?prefix={name}.&state={tmp_path}&timeout=10&token_file={file}"
    file.write_text(expired := token("ann", -30))
    with pytest.raises(
        Unreachable, match="or none takes the token; one that runs, and a fresh token in token"
    ) as refused:
        await log_at(url).open()
    assert expired not in str(refused.value)
    file.write_text(token("ann", 600))
    await topics.apply(address_of(url), topics.wanted(address_of(url), TOPICS, ["join"], PARTITIONS, 1))
    log = KafkaLog(url)
    await log.open()
    await log.declare(TOPICS, PARTITIONS, ["join"])
    await log.publish(sent("a"))
    lane = await lane_of(log)
    assert [record.key for record in lane.take(1)] == [b"a"]
    monkeypatch.setattr(errors, "APART", 0.0)
    file.unlink()  # for a moment, in which connections end
    for connection in [*log._fetches["join"]._client._conns.values()]:
        connection._writer.transport.abort()
    await until(lambda: "found no token there" in caplog.text)
    file.write_text(token("ann", 600))
    await log.publish(sent("b"))
    await until(lambda: lane.claim.head("in") == 2)
    await log.close()
    file.write_text(token("bob", 600))
    log = KafkaLog(url)
    await log.open()  # who it is, is believed
    with pytest.raises(Mismatch, match="found no topic"):
        await log.declare(TOPICS, PARTITIONS, ["join"])
    await log.close()


# Topics


async def test_topics_are_created_as_declared_and_drift_is_told(kafka: str, name: str) -> None:
    address = address_of(f"kafka://{kafka}?prefix={name}.")
    kept = {"in": TopicSettings(3600.0), "out": TopicSettings()}
    plan = topics.wanted(address, kept, ["join"], 2, 1)
    names = [topic.name for topic in plan]
    assert names == [f"{name}.{each}" for each in ("in", "out", "linkstream-join-changelog", "linkstream-life")]
    assert {drift.what for drift in topics.drift(plan, await topics.existing(address, names))} == {"topic"}
    assert len(await topics.apply(address, plan)) == 4
    there = await topics.existing(address, names)
    assert topics.drift(plan, there) == []
    assert [there[each].settings["cleanup.policy"] for each in names] == ["delete", "delete", "compact", "compact"]
    assert [there[each].settings["retention.ms"] for each in names[:2]] == ["3600000", "-1"]

    other = topics.wanted(address, {**kept, "in": TopicSettings(60.0)}, ["join"], 2, 1)
    [drift] = topics.drift(other, await topics.existing(address, names))
    assert str(drift) == f"{name}.in: retention.ms: found 3600000; 60000 would be right"
    assert await topics.apply(address, other) == [drift]
    assert topics.drift(other, await topics.existing(address, names)) == []

    more = topics.wanted(address, kept, ["join"], 4, 1)
    with pytest.raises(Mismatch, match=r"partitions: found 2 partitions; 4 would be right: .*set it back to 2"):
        await topics.apply(address, more)
    with pytest.raises(Mismatch, match="set it back to 2"):
        await log_at(f"kafka://{kafka}?prefix={name}.").declare(kept, 4, ["join"])


async def test_a_changelog_that_is_not_compacted_is_refused(kafka: str, name: str) -> None:
    url = f"kafka://{kafka}?prefix={name}."
    address = address_of(url)
    wrong = {**TOPICS, "linkstream-join-changelog": TopicSettings(60.0)}
    await topics.apply(address, topics.wanted(address, wrong, [], 1, 1))
    log = log_at(url)
    with pytest.raises(Mismatch, match=r"cleanup.policy: found delete; compact would be right: rows would be lost"):
        await log.declare(TOPICS, 1, ["join"])


async def test_partitions_that_were_added_meanwhile_end_a_worker(kafka: str, name: str, tmp_path: Path) -> None:
    url = f"kafka://{kafka}?prefix={name}.&state={tmp_path}"
    address = address_of(url)
    await topics.apply(address, topics.wanted(address, TOPICS, [], 2, 1))
    log = KafkaLog(url)
    await log.open()
    await log.declare(TOPICS, 2)
    async with topics.administering(address) as admin:
        await admin.create_partitions({address.topic("in"): NewPartitions(3)})

    async def never(*_: object) -> None:
        raise AssertionError("it has no rows for them")

    with pytest.raises(Mismatch, match="found 3 partitions or more in a topic; 2 would be right"):
        await log.share(["in"], never, never)
    await log.close()


# Records


async def opened(url: str, partitions: int, really: str = "") -> KafkaLog:
    """A log whose topics are as the address says, or as it would say with what they are ``really`` like."""
    address = address_of(url + really)
    await topics.apply(address, topics.wanted(address, TOPICS, ["join"], partitions, 1))
    log = KafkaLog(url)
    await log.open()
    await log.declare(TOPICS, partitions, ["join"])
    return log


async def test_a_record_that_is_too_large_is_told_before_anything_is_sent(
    kafka: str, name: str, tmp_path: Path
) -> None:
    url = f"kafka://{kafka}?prefix={name}.&state={tmp_path}&largest=20000"
    log = await opened(url, 1)
    with pytest.raises(
        Mismatch, match=r"in: found a record of 30003 bytes \(key b'big'\); at most 20000 would be right"
    ):
        await log.publish([Outgoing("in", b"a", b"", (), 0), Outgoing("in", b"big", bytes(30000), (), 0)])
    await log.close()
    with open_reader(url) as reader:
        assert reader.count("in") == 0


async def both(lane: Lane) -> None:
    async with lane.turn() as unit:
        unit.emit("out", b"small", b"", partition=0)
        unit.emit("in", b"big", bytes(300_000), partition=0)


async def test_a_broker_that_takes_less_than_we_think_fails_the_whole_unit(
    kafka: str, name: str, tmp_path: Path
) -> None:
    url = f"kafka://{kafka}?prefix={name}.&state={tmp_path}&compression=none"
    log = await opened(url, 1, really="&largest=20000")
    lane = await lane_of(log)
    async with asyncio.timeout(30):
        with pytest.raises(EngineError, match="record larger than the broker takes"):
            await both(lane)
    await log.close()
    with open_reader(url) as reader:
        assert (reader.count("out"), reader.count("in")) == (0, 0)


@pytest.mark.parametrize("partitions", [(0,), (0, 1)])
async def test_who_was_refused_a_record_publishes_the_next_one(
    kafka: str, name: str, tmp_path: Path, partitions: Sequence[int]
) -> None:
    url = f"kafka://{kafka}?prefix={name}.&state={tmp_path}&compression=none"
    log = await opened(url, 2, really="&largest=20000")
    for value, taken in ((b"one", True), (bytes(300_000), False), (b"two", True)):
        with nullcontext() if taken else pytest.raises(Mismatch, match="record larger than the broker takes"):
            await log.publish([Outgoing("in", b"k", value, (), partition) for partition in partitions])
    await log.close()
    with open_reader(url) as reader:
        for partition in partitions:
            assert [record.value for record in reader.records("in", partition)] == [b"one", b"two"]


async def test_many_small_records_pass_where_a_large_one_does_not(kafka: str, name: str, tmp_path: Path) -> None:
    url = f"kafka://{kafka}?prefix={name}.&state={tmp_path}&compression=none&largest=20000"
    log = await opened(url, 1)
    lane = await lane_of(log)
    async with lane.turn() as unit:
        for number in range(100):
            unit.put(b"k%d" % number, bytes(1000))
        unit.emit("out", b"large", bytes(19_990), partition=0)
    assert len(list(lane.claim.scan(b"k"))) == 100
    await log.close()
