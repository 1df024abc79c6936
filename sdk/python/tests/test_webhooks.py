"""Proving who sent a webhook."""

import pytest

from omium import OmiumError, verify_webhook

# the example of the Standard Webhooks libraries
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = b'{"test": 2432232314}'
HEADERS = {
    "Webhook-Id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "Webhook-Timestamp": "1614265330",
    "Webhook-Signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}
THEN = 1_614_265_330.0
OLD = "whsec_b2xkIHNlY3JldA=="


@pytest.mark.parametrize(
    ("body", "more", "secret"),
    [
        (BODY, {}, SECRET),
        (BODY.decode(), {}, SECRET),
        (BODY, {}, [OLD, SECRET]),
        (BODY, {"Webhook-Signature": f"v1a,x v1,AAAA v1,§ {HEADERS['Webhook-Signature']}"}, SECRET),
    ],
)
def test_a_message_is_taken(body: bytes | str, more: dict[str, str], secret: str | list[str]) -> None:
    assert verify_webhook(body, {**HEADERS, **more}, secret, now=THEN) == {"test": 2432232314}


@pytest.mark.parametrize(
    ("body", "more", "secret", "later"),
    [
        (BODY.replace(b"4", b"5"), {}, SECRET, 0),
        (BODY, {"Webhook-Id": "msg_other"}, SECRET, 0),
        (BODY, {"Webhook-Timestamp": "1614265331"}, SECRET, 0),
        (BODY, {"Webhook-Timestamp": "now"}, SECRET, 0),
        (BODY, {"Webhook-Signature": ""}, SECRET, 0),
        (BODY, {"Webhook-Signature": "v2,AAAA"}, SECRET, 0),
        (BODY, {}, OLD, 0),
        (BODY, {}, SECRET, 301),
        (BODY, {}, SECRET, -301),
    ],
)
def test_a_message_is_refused(body: bytes, more: dict[str, str], secret: str, later: int) -> None:
    with pytest.raises(OmiumError) as refused:
        verify_webhook(body, {**HEADERS, **more}, secret, now=THEN + later)
    assert refused.value.code == "unauthenticated"


def test_a_secret_that_is_none_is_named() -> None:
    with pytest.raises(OmiumError, match="whsec_") as refused:
        verify_webhook(BODY, HEADERS, "whsec_", now=THEN)
    assert refused.value.code == "settings_invalid"
