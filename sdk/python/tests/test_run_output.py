"""What a run's process writes: whole lines, bounded, without secrets."""

import pytest

from omium.isolation.output import Output, redacted, secrets_of


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("key is hunter2hunter2!", "key is [redacted]!"),
        ("Authorization: Bearer abcdefgh12345", "Authorization: [redacted]"),
        ("sk-proj-0123456789abcdef and om_live_0123456789ab", "[redacted] and [redacted]"),
        ("postgres://user:pass@host/db", "postgres://[redacted]@host/db"),
        ("AKIAABCDEFGHIJKLMNOP", "[redacted]"),
        ("a task-based skill", "a task-based skill"),
    ],
)
def test_secrets_are_left_out(text: str, said: str) -> None:
    assert (
        redacted(text, secrets_of({"DB_PASSWORD": "hunter2hunter2", "HOME": "a task-based", "A_KEY": "none"})) == said
    )


def test_lines_come_whole_and_the_last_are_kept() -> None:
    shown: list[str] = []
    output = Output(shown.append)
    output.feed(b"first\nsec")
    output.feed(b"ond\n\nthi\xff")
    assert shown == ["first", "second"]
    output.end()
    assert output.last_lines == "first\nsecond\nthi\ufffd"


def test_a_flood_is_cut_in_the_log_and_its_end_is_kept() -> None:
    shown: list[str] = []
    output = Output(shown.append)
    for number in range(3000):
        output.feed(b"%d %s\n" % (number, b"x" * 1000))
    assert 1000 < len(shown) < 1100 and shown[-1].startswith("(what follows")
    assert output.last_lines.startswith("…") and len(output.last_lines) <= 1500
    output.feed(b"y" * 1_000_000 + b"\n")
    assert len(output.last_lines) <= 1500
