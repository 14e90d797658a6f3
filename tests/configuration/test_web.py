"""The section ``web``: off this machine only with a token, and no token in the file."""

from __future__ import annotations

import pytest

from tests.configuration.test_topology import file, problems, read

LONG = {"TOKEN": "canary-4711-do-not-show", "URL": "http://u", "SHORT": "canary-short"}


def web(**lines: str) -> str:
    return "web: {" + ", ".join(f"{name}: {value}" for name, value in lines.items()) + "}\n" + file()


def test_without_it_nothing_is_served() -> None:
    assert read(file()).web is None


def test_empty_it_is_this_machine_alone() -> None:
    found = read(web()).web
    assert found is not None
    assert (found.host, found.port, found.token, found.write_token) == ("127.0.0.1", 8900, None, None)


@pytest.mark.parametrize("listen", ["0.0.0.0:8900", "'[::]:8900'", "10.0.0.1:80", "host.example.com:80", "127.1:80"])
def test_off_this_machine_a_token_is_wanted(listen: str) -> None:
    (said,) = problems(web(listen=listen), LONG)
    assert "without a token; token: ${NAME}, or 127.0.0.1:" in said
    found = read(web(listen=listen, token='"${TOKEN}"'), LONG).web
    assert found is not None
    assert found.token is not None
    assert found.token.reveal() == LONG["TOKEN"]


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "'[::1]:8900'", "localhost:80", "127.8.8.8:80"])
def test_on_this_machine_none_is(listen: str) -> None:
    assert read(web(listen=listen)).web is not None


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ({"listen": "'8900'"}, "an address with its port, as 127.0.0.1:8900, would be right"),
        ({"listen": "127.0.0.1:99999"}, "found port 99999; 0 to 65535 would be right"),
        ({"token": "written-in-the-file-itself"}, "found a secret in the file itself"),
        ({"token": '"${SHORT}"'}, "found fewer than 16 characters"),
        ({"write_token": '"${SHORT}"'}, "found fewer than 16 characters"),
        ({"tokn": "x"}, "found 'tokn'; 'token' would be right"),
        ({"hosts": "[a b]"}, "would be right"),
    ],
)
def test_what_is_wrong_is_said_without_the_secret(lines: dict[str, str], said: str) -> None:
    told = problems(web(**lines), LONG)
    assert any(said in line for line in told), told
    assert not any("canary" in line for line in told)


def test_tokens_are_among_the_secrets_that_logs_leave_out() -> None:
    found = read(web(token='"${TOKEN}"', write_token='"${TOKEN}"'), LONG)
    assert [secret.reveal() for secret in found.secrets()].count(LONG["TOKEN"]) == 3


def test_where_a_browser_shows_records_is_an_address_with_a_topic() -> None:
    link = "http://127.0.0.1:8080/ui/clusters/local/all-topics/{topic}/messages?partitions={partition}&offset={offset}"
    found = read(web(topic_link=f"'{link}'")).web
    assert found is not None
    assert found.topic_link == link
    for wrong in ("javascript:alert({topic})", "http://host/", "http://{topic}/", "http://h/{topic}{nonsense}", "x"):
        (said,) = problems(web(topic_link=f"'{wrong}'"))
        assert "http://host/... with {topic}, and where they belong" in said
