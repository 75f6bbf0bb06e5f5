"""The vault: what is sealed opens for its owner and purpose only; attack rows V1 to V4."""

import base64
import copy
import json
import logging
import pickle
import traceback
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import attrs
import pytest
from cryptography.fernet import Fernet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dealquest.errors import DealQuestError, DeniedError, InputError, SettingsError
from dealquest.values import Secret
from dealquest.vault import Resealed, SealedRow, Vault, generate_key, rotate_rows

NEW, OLD, LOST = (Secret(base64.urlsafe_b64encode(bytes(range(start, start + 32))).decode()) for start in (10, 110, 210))
NOW = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)
VAULT = Vault([NEW, OLD])
CANARY = "sk-canary-0123456789abcdef"


def seal(text: str = CANARY, vault: Vault = VAULT, **changes: Any) -> str:
    return vault.seal(Secret(text), **{"owner": "17", "purpose": "openrouter", "now": NOW, **changes})


def unseal(token: Any, vault: Vault = VAULT, **changes: Any) -> str:
    return vault.open(token, **{"owner": "17", "purpose": "openrouter", "now": NOW, **changes}).reveal()


def refuse(token: Any, vault: Vault = VAULT, **changes: Any) -> None:
    with pytest.raises(DeniedError) as caught:
        unseal(token, vault, **changes)
    error = caught.value
    assert (error.code, str(error)) == ("vault.sealed.refused", "the stored secret cannot be opened here; enter it again")
    assert error.status == 403, "the caller's session is fine, so it is not 401"
    assert error.__cause__ is None
    assert error.__context__ is None


TEXTS = st.text(min_size=1, max_size=40)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(text=TEXTS, owner=TEXTS, purpose=TEXTS)
def test_seal_and_open_are_inverse(text: str, owner: str, purpose: str) -> None:
    """What was sealed opens unchanged for the same owner and purpose."""
    assert unseal(seal(text, owner=owner, purpose=purpose), owner=owner, purpose=purpose) == text


def test_a_token_tells_nothing() -> None:
    """A token holds neither text, owner nor purpose, and no two are alike."""
    token = seal(owner="owner-canary", purpose="purpose-canary")
    raw = base64.urlsafe_b64decode(token)
    assert not any(word.encode() in raw + token.encode() for word in (CANARY, "owner-canary", "purpose-canary"))
    assert token != seal(owner="owner-canary", purpose="purpose-canary")


def test_it_is_plain_fernet() -> None:
    """The cryptography is Fernet's own: its library decrypts our token and finds the binding inside."""
    assert json.loads(Fernet(NEW.reveal()).decrypt(seal())) == ["17", "openrouter", CANARY]


def test_the_first_key_seals_and_all_open() -> None:
    """During a rotation both keys open; the old one alone does not open what the new one sealed."""
    assert unseal(seal(vault=Vault([OLD]))) == CANARY
    assert unseal(seal(), Vault([NEW])) == CANARY
    refuse(seal(), Vault([OLD]))


def test_rotate_keeps_owner_purpose_and_time() -> None:
    """A rotated token opens with the new key alone, for the same owner, and is as old as it was."""
    token = seal(vault=Vault([OLD]))
    assert not VAULT.is_current(token)
    rotated = VAULT.rotate(token)
    assert VAULT.is_current(rotated)
    later = NOW + timedelta(seconds=100)
    assert unseal(rotated, Vault([NEW]), now=later, max_age_s=100) == CANARY
    refuse(rotated, now=later, max_age_s=99)
    refuse(rotated, owner="18")


def test_generated_keys_are_good() -> None:
    """`generate_key` draws a key that the vault takes, another one each time."""
    keys = [generate_key() for _ in range(50)]
    assert len({key.reveal() for key in keys}) == 50
    assert unseal(seal(vault=Vault(keys)), Vault(keys)) == CANARY


@pytest.mark.parametrize("text", ["", "x" * 16385, "\ud800"])
def test_unfit_secrets_are_not_sealed(text: str) -> None:
    """Blank, huge and broken texts are refused with words for a user."""
    with pytest.raises(InputError, match="paste it again") as caught:
        seal(text)
    assert caught.value.code == "vault.secret.unfit"


def test_the_largest_secret_fits() -> None:
    """Sixteen thousand characters of any kind come back."""
    for text in ("😀" * 16384, "\x00" * 16384):
        assert unseal(seal(text)) == text


@pytest.mark.parametrize(("owner", "purpose"), [("", "x"), ("x", ""), ("\ud800", "x"), ("x", "\udfff")])
def test_a_binding_is_never_blank(owner: str, purpose: str) -> None:
    """Without an owner and a purpose nothing is sealed or opened."""
    for call in (lambda: seal(owner=owner, purpose=purpose), lambda: unseal(seal(), owner=owner, purpose=purpose)):
        with pytest.raises(InputError) as caught:
            call()
        assert caught.value.code == "vault.binding.unfit"


def test_a_naive_clock_is_refused() -> None:
    """Neither sealing nor opening guesses a time zone."""
    for call in (lambda: seal(now=NOW.replace(tzinfo=None)), lambda: unseal(seal(), now=NOW.replace(tzinfo=None))):
        with pytest.raises(InputError) as caught:
            call()
        assert caught.value.code == "vault.now.naive"


# Attack rows


@pytest.mark.parametrize(
    "token", ["", " ", "=", "====", "x", "gAAAAA", "é" * 100, "\0", "A" * 101, "A" * 300_000, None, b"", 5, [], seal().encode()]
)
def test_v1_anything_else_is_refused_in_one_way(token: Any) -> None:
    """Empty, None, bytes, non-ASCII and junk give the one error, in open and in rotate."""
    refuse(token)
    with pytest.raises(DeniedError) as caught:
        VAULT.rotate(token)
    assert caught.value.code == "vault.sealed.refused"
    assert not VAULT.is_current(token)


def test_v1_no_bit_may_flip() -> None:
    """Every flipped bit, cut and doubled byte of the sealed bytes is refused."""
    raw = base64.urlsafe_b64decode(seal())
    for position in range(len(raw)):
        for bit in range(8):
            changed = bytearray(raw)
            changed[position] ^= 1 << bit
            refuse(base64.urlsafe_b64encode(changed).decode())
        refuse(base64.urlsafe_b64encode(raw[:position]).decode())
        refuse(base64.urlsafe_b64encode(raw[:position] + raw[position : position + 1] + raw[position:]).decode())


def test_v1_a_token_has_one_spelling() -> None:
    """Junk, blanks, padding, the other alphabet and line feeds are refused."""
    token = next(token for token in iter(seal, None) if "-" in token and "_" in token)
    bare = token.rstrip("=")
    forms = [
        f"{token}=",
        f"{token}\n",
        f" {token}",
        f"{token[:40]}\n{token[40:]}",
        f"{token[:40]}!{token[40:]}",
        token.replace("-", "+").replace("_", "/"),
        f"{token}AAAA",
    ]
    forms += [bare] if bare != token else [f"{token}=="]
    for form in forms:
        refuse(form)
        assert not VAULT.is_current(form)
        with pytest.raises(DeniedError):
            VAULT.rotate(form)


def test_v1_unused_bits_are_zero() -> None:
    """Of the spellings of the last character only one counts."""
    token = next(token for size in range(60) if (token := seal("x" * size + "x")).endswith("="))
    bare = token.rstrip("=")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    refuse(bare[:-1] + alphabet[alphabet.index(bare[-1]) + 1] + token[len(bare) :])


def test_v1_wrong_and_lost_keys_are_refused() -> None:
    """Without the key there is the same one error."""
    refuse(seal(vault=Vault([LOST])))
    with pytest.raises(DeniedError):
        VAULT.rotate(seal(vault=Vault([LOST])))


@pytest.mark.parametrize(
    "content",
    [b"", b"sk-bare", b'"x"', b'["17","openrouter"]', b'["17","openrouter",1]', b'["17","openrouter","k","x"]', b"{}", b"[", b"\xff"],
)
def test_v1_foreign_fernet_tokens_are_refused(content: bytes) -> None:
    """A token under our key that `seal` did not write opens nothing."""
    refuse(Fernet(NEW.reveal()).encrypt_at_time(content, int(NOW.timestamp())).decode())


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_v1_changed_texts_are_refused(data: st.DataObject) -> None:
    """However the text of a token is changed, it does not open."""
    token = seal()
    start = data.draw(st.integers(0, len(token)))
    changed = token[:start] + data.draw(st.text(alphabet="Aa0-_=+/ \n!", max_size=3)) + token[start + data.draw(st.integers(0, 3)) :]
    if changed != token:
        refuse(changed)


@pytest.mark.parametrize(
    ("owner", "purpose"),
    [
        ("18", "openrouter"),
        ("17", "anthropic"),
        ("1", "7openrouter"),
        ("17openrouter", "x"),
        ("17 ", "openrouter"),
        ("17", "OpenRouter"),
        ("openrouter", "17"),
    ],
)
def test_v2_a_copied_ciphertext_does_not_open(owner: str, purpose: str) -> None:
    """Stored for another user or provider it is refused, before and after a rotation."""
    refuse(seal(), owner=owner, purpose=purpose)
    refuse(VAULT.rotate(seal()), owner=owner, purpose=purpose)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(owner=TEXTS, purpose=TEXTS, other=st.tuples(TEXTS, TEXTS))
def test_v2_bindings_never_collide(owner: str, purpose: str, other: tuple[str, str]) -> None:
    """Two different bindings never open each other's tokens."""
    if (owner, purpose) != other:
        refuse(seal(owner=owner, purpose=purpose), owner=other[0], purpose=other[1])


@pytest.mark.parametrize(
    ("after_s", "max_age_s", "opens"),
    [
        (0, None, True),
        (10**9, None, True),
        (-60, None, True),
        (-61, None, False),
        (100, 100, True),
        (101, 100, False),
        (-61, 100, False),
        (0, 0, True),
        (1, 0, False),
    ],
)
def test_v3_future_and_age(after_s: int, max_age_s: int | None, opens: bool) -> None:
    """A token from the future is refused with and without an age limit, an old one by the limit."""
    now = NOW + timedelta(seconds=after_s)
    if opens:
        assert unseal(seal(), now=now, max_age_s=max_age_s) == CANARY
    else:
        refuse(seal(), now=now, max_age_s=max_age_s)


def rendering(error: BaseException) -> str:
    return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())


def test_v4_no_traceback_shows_key_or_secret() -> None:
    """Captured locals of a refused opening, a refused sealing and a refused key show nothing."""
    secret = Secret(base64.b64decode("c2staGlkZGVu").decode())  # a traceback quotes source lines, so it stands in none
    token = VAULT.seal(secret, owner="17", purpose="p", now=NOW)
    failures = [
        lambda: VAULT.open(token, owner="18", purpose="p", now=NOW),
        lambda: VAULT.open(token, owner="17", purpose="p", now=NOW + timedelta(days=9), max_age_s=1),
        lambda: VAULT.seal(Secret(secret.reveal() * 9999), owner="17", purpose="p", now=NOW),
        lambda: Vault([LOST]).rotate(token),
        lambda: Vault([NEW, NEW]),
        lambda: Vault([NEW], other_secrets=[NEW]),
        lambda: Vault([NEW, secret]),
    ]
    for fail in failures:
        with pytest.raises((DeniedError, InputError, SettingsError)) as caught:
            fail()
        shown = rendering(caught.value)
        for hidden in (secret.reveal(), NEW.reveal(), OLD.reveal(), LOST.reveal(), repr(base64.urlsafe_b64decode(NEW.reveal()))):
            assert hidden not in shown


def test_v4_a_vault_does_not_show_its_keys(caplog: pytest.LogCaptureFixture) -> None:
    """repr, attributes, json, attrs.asdict, logs and notes show no key; pickling and copying fail."""

    @attrs.frozen
    class Holder:
        vault: Vault
        key: Secret

    holder = Holder(VAULT, NEW)
    error = ValueError("x")
    error.add_note(f"while using {holder} and {NEW}")
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("test").debug("vault %s %r key %s", VAULT, holder, NEW)
    shown = [repr(holder), json.dumps(attrs.asdict(holder), default=repr), caplog.text, rendering(error)]
    shown += [repr(getattr(VAULT, name)) for name in Vault.__slots__]
    assert not any(NEW.reveal() in text for text in shown)
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="does not pickle"):
            attempt(VAULT)


@pytest.mark.parametrize(
    ("texts", "code"),
    [
        ([], "missing"),
        ([""], "malformed"),
        (["x"], "malformed"),
        ([NEW.reveal().rstrip("=")], "malformed"),
        ([NEW.reveal() + "\n"], "malformed"),
        (["+" + NEW.reveal()[1:]], "malformed"),
        ([NEW.reveal()[:-2] + "b="], "malformed"),
        ([NEW.reveal(), "x"], "malformed"),
        ([base64.urlsafe_b64encode(bytes(32)).decode()], "weak"),
        ([base64.urlsafe_b64encode(b"\xffabcdefgh" * 4)[:43].decode() + "="], "malformed"),
        ([base64.urlsafe_b64encode(bytes(range(15)) + bytes(17)).decode()], "weak"),
        ([base64.urlsafe_b64encode(b"correct horse battery staple 123").decode()], "weak"),
        (["cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4="], "weak"),
        ([NEW.reveal(), base64.urlsafe_b64encode(bytes(32)).decode()], "weak"),
        ([NEW.reveal(), NEW.reveal()], "repeated"),
    ],
)
def test_v5_bad_keys_stop_the_start(texts: list[str], code: str) -> None:
    """Missing, malformed, undrawn, published and repeated keys are errors of the operator."""
    with pytest.raises(SettingsError, match="dealquest keys generate") as caught:
        Vault([Secret(text) for text in texts])
    assert caught.value.code == f"vault.key.{code}"


def test_v5_sixteen_distinct_bytes_are_enough() -> None:
    """The limit of the chance check is sixteen distinct bytes of thirty-two."""
    key = Secret(base64.urlsafe_b64encode(bytes(range(16)) * 2).decode())
    assert unseal(seal(vault=Vault([key])), Vault([key])) == CANARY


def test_v5_the_jwt_secret_is_not_the_key() -> None:
    """A key that also signs sessions is refused, as text or as its bytes, wherever it stands."""
    text = base64.urlsafe_b64encode(("é" + "abcdefghijklmnopqrstuvwxyz0123").encode()).decode()
    for keys, other in (([NEW, Secret(text)], text), ([Secret(text)], "é" + "abcdefghijklmnopqrstuvwxyz0123"), ([OLD], OLD.reveal())):
        with pytest.raises(SettingsError) as caught:
            Vault(keys, other_secrets=[Secret("other"), Secret(other)])
        assert caught.value.code == "vault.key.shared"
    assert Vault([NEW], other_secrets=[OLD]).is_current(seal())


GENERATE = "; make one with `dealquest keys generate`"
WORDS: list[tuple[Callable[[], object], str, str]] = [
    (lambda: Vault([]), "vault.key.missing", "ENCRYPTION_KEY is not set" + GENERATE),
    (
        lambda: Vault([Secret("x")]),
        "vault.key.malformed",
        "ENCRYPTION_KEY is not a Fernet key (44 characters of url-safe base64)" + GENERATE,
    ),
    (
        lambda: Vault([Secret(base64.urlsafe_b64encode(bytes(32)).decode())]),
        "vault.key.weak",
        "ENCRYPTION_KEY was not drawn by chance, or is a published one" + GENERATE,
    ),
    (lambda: Vault([NEW, NEW]), "vault.key.repeated", "ENCRYPTION_KEY names one key twice" + GENERATE),
    (
        lambda: Vault([NEW], other_secrets=[NEW]),
        "vault.key.shared",
        "ENCRYPTION_KEY is also used for something else (JWT_SECRET?); one leak would open both" + GENERATE,
    ),
    (lambda: seal(""), "vault.secret.unfit", "the secret is blank, too long, or no text; paste it again"),
    (lambda: seal(owner=""), "vault.binding.unfit", "a sealed secret needs an owner and a purpose, at most 1024 characters together"),
    (lambda: seal(now=NOW.replace(tzinfo=None)), "vault.now.naive", "now has no time zone, or lies before 1970; pass an aware datetime"),
    (lambda: anyio.run(lambda: rotate_rows(VAULT, Nothing(), batch=0)), "vault.batch.size", "a batch has at least one row"),
    (lambda: pickle.dumps(VAULT), "", "a Vault does not pickle; build it from the settings"),
]


class Nothing:
    """A store without rows."""

    async def read(self, *, after: str | None, limit: int) -> list[SealedRow]:
        return []

    async def write(self, changes: Sequence[Resealed]) -> int:
        return 0


@pytest.mark.parametrize(("call", "code", "words"), WORDS, ids=[code or "pickle" for _, code, _ in WORDS])
def test_refusals_say_what_to_do(call: Callable[[], object], code: str, words: str) -> None:
    """The code and the words are those that the docs and the users know."""
    with pytest.raises((DealQuestError, TypeError)) as caught:
        call()
    assert (getattr(caught.value, "code", ""), str(caught.value)) == (code, words)


def test_v5_other_secrets_may_be_broken_texts() -> None:
    """A shared secret that is no text is compared, not crashed on."""
    assert Vault([NEW], other_secrets=[Secret("\udc80")]).is_current(seal())


@pytest.mark.parametrize("content", [b"sk-\xff\xfe", b'["17","openrouter","\xff"]', b'["17","openrouter",null]', b"[" * 100_000, b""])
def test_v1_v4_what_another_program_sealed_is_refused_without_its_content(content: bytes) -> None:
    """A row that the same key sealed without our envelope does not open, and no error carries what was in it."""
    refuse(Fernet(NEW.reveal()).encrypt_at_time(content, int(NOW.timestamp())).decode())


def test_what_can_be_sealed_can_be_opened() -> None:
    """The longest secret in its longest spelling opens again; a binding that would not fit is refused while sealing."""
    longest = "\x01" * 16384
    assert unseal(seal(longest, owner="\x01" * 1000, purpose="p" * 24), owner="\x01" * 1000, purpose="p" * 24) == longest
    with pytest.raises(InputError) as caught:
        seal(owner="o" * 1025)
    assert caught.value.code == "vault.binding.unfit"


def test_the_first_second_of_1970_is_a_time() -> None:
    """The format counts from it, so it seals and opens."""
    first = datetime(1970, 1, 1, tzinfo=UTC)
    assert unseal(seal(now=first), now=first, max_age_s=0) == CANARY


def test_v4_a_clock_before_1970_seals_nothing_and_shows_nothing() -> None:
    """The format counts from 1970; an earlier clock is refused, and nothing that the error holds shows the secret."""
    secret = Secret(base64.b64decode("c2staGlkZGVu").decode())
    with pytest.raises(InputError) as caught:
        VAULT.seal(secret, owner="17", purpose="openrouter", now=datetime(1969, 12, 31, tzinfo=UTC))
    shown = rendering(caught.value)
    assert secret.reveal() not in shown
    assert caught.value.code == "vault.now.naive"
