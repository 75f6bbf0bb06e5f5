"""Session tokens: what they say, what they never accept, and the attack rows J1 to J8."""

import base64
import hashlib
import hmac
import itertools
import json
import os
import pickle
import time
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dealquest.auth import Session, Tokens, check_signing_secret
from dealquest.auth.tokens import AUDIENCE, ISSUER, MAX_TTL_S, PURPOSES, Purpose
from dealquest.errors import DeniedError, InputError, SettingsError
from dealquest.values import ROLES, Principal, Secret

SECRET = Secret("q8Zr2vXc7Lw1Tn5Yb9Kd3Gh6Jm4Pf0Rs")
OLD = Secret("M3xVt8Qb1Zp6Wc9Ln2Hk5Rg7Yd4Sj0Fa")
NOW = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)
NOW_S = int(NOW.timestamp())
TOKENS = Tokens([SECRET])


def mint(**changes: Any) -> str:
    return TOKENS.mint_session("17", **{"now": NOW, "token_id": "j1", "telegram_id": 7, **changes})


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


HEADER = json.loads(base64.urlsafe_b64decode(mint().split(".")[0] + "=="))


def forge(payload: bytes | Mapping[str, Any], header: Any = None, key: bytes | None = None) -> str:
    """A token signed with the right secret over anything at all."""
    data = payload if isinstance(payload, bytes) else json.dumps(payload, separators=(",", ":")).encode()
    head = header if isinstance(header, bytes) else json.dumps(HEADER if header is None else header, separators=(",", ":")).encode()
    message = f"{b64(head)}.{b64(data)}"
    return f"{message}.{b64(hmac.digest(key or SECRET.reveal().encode(), message.encode(), 'sha256'))}"


def claims(**changes: Any) -> dict[str, Any]:
    base = {"sub": "17", "telegram_id": 7, "role": "authenticated", "iss": ISSUER, "aud": AUDIENCE}
    base |= {"iat": NOW_S, "exp": NOW_S + 3600, "jti": "j1", "typ": "access"}
    return {name: value for name, value in {**base, **changes}.items() if value is not ...}


def refusal(token: str, purpose: Purpose = "access", tokens: Tokens = TOKENS, now: datetime = NOW) -> str:
    with pytest.raises(DeniedError) as caught:
        tokens.verify_session(token, now=now) if purpose == "access" else tokens.verify(purpose, token, now=now)
    return caught.value.code.removeprefix("auth.token.")


def test_a_session_says_who_and_until_when() -> None:
    """What was minted comes back typed, and as a Principal."""
    session = TOKENS.verify_session(mint(claims={"team": "x"}), now=NOW)
    assert session == Session(
        subject="17",
        role="authenticated",
        token_id="j1",
        issued_at=NOW,
        expires_at=NOW + timedelta(hours=1),
        telegram_id=7,
        claims={"team": "x"},
    )
    assert session.principal == Principal(role="authenticated", subject="17", claims={"team": "x", "telegram_id": 7})
    assert session.principal.to_claims() == {"sub": "17", "role": "authenticated", "team": "x", "telegram_id": 7}


def test_a_session_without_telegram() -> None:
    """Users who never saw Telegram have sessions too."""
    session = TOKENS.verify_session(mint(telegram_id=None, role="anon"), now=NOW)
    assert (session.telegram_id, session.role, session.principal.claims) == (None, "anon", {})


def test_another_library_accepts_our_access_token() -> None:
    """A remote PostgREST checks HS256 under JWT_SECRET itself; so does plain PyJWT here."""
    body = jwt.decode(
        mint(), SECRET.reveal(), algorithms=["HS256"], audience=AUDIENCE, issuer=ISSUER, options={"verify_exp": False, "verify_iat": False}
    )
    assert body == claims()


def test_forge_makes_what_mint_makes() -> None:
    """The attack helper is right: its honest token is accepted."""
    assert TOKENS.verify_session(forge(claims()), now=NOW).subject == "17"
    assert TOKENS.verify_session(forge(claims(nbf=NOW_S + 30)), now=NOW).subject == "17"


@pytest.mark.parametrize("purpose", [purpose for purpose in PURPOSES if purpose != "access"])
def test_every_purpose_round_trips(purpose: Purpose) -> None:
    """Each purpose mints and verifies its own tokens, at most for its own time."""
    token = TOKENS.mint(purpose, "17", now=NOW, token_id="j", ttl_s=MAX_TTL_S[purpose], claims={"path": "a/b"})
    proven = TOKENS.verify(purpose, token, now=NOW + timedelta(seconds=1))
    assert (proven.purpose, proven.subject, proven.token_id, dict(proven.claims)) == (purpose, "17", "j", {"path": "a/b"})
    assert (proven.issued_at, proven.expires_at) == (NOW, NOW + timedelta(seconds=MAX_TTL_S[purpose]))


def test_lifetimes() -> None:
    """A session lives an hour at most, other purposes as tabled."""
    assert dict(MAX_TTL_S) == {"access": 3600, "refresh": 2592000, "oauth_state": 3600, "presign": 604800, "reset": 86400}


@example(-31)
@example(-30)
@example(3629)
@example(3630)
@given(after_s=st.integers(-100, 4000))
def test_a_session_counts_for_its_hour_and_the_leeway(after_s: int) -> None:
    """It is accepted from 30 s before it was issued until 30 s after it ends, and not a second longer."""
    token, now, tokens = mint(), NOW + timedelta(seconds=after_s), Tokens([SECRET])
    if -30 <= after_s < 3630:
        assert tokens.verify_session(token, now=now).subject == "17"
    else:
        assert refusal(token, tokens=tokens, now=now) == ("future" if after_s < 0 else "expired")


def test_the_leeway_is_a_parameter() -> None:
    """Without leeway the times are exact."""
    exact = Tokens([SECRET], leeway_s=0)
    assert exact.verify_session(mint(), now=NOW + timedelta(seconds=3599)).subject == "17"
    assert refusal(mint(), tokens=exact, now=NOW + timedelta(seconds=3600)) == "expired"
    assert refusal(mint(), tokens=exact, now=NOW - timedelta(seconds=1)) == "future"


def test_rotation_by_kid() -> None:
    """The first secret signs; tokens of the older one count until it is taken away."""
    old, both = Tokens([OLD]), Tokens([SECRET, OLD])
    token = old.mint_session("17", now=NOW, token_id="j")
    assert both.verify_session(token, now=NOW).subject == "17"
    assert refusal(token) == "header"
    assert TOKENS.verify_session(both.mint_session("17", now=NOW, token_id="j"), now=NOW).subject == "17"
    assert {**HEADER, "kid": ""} == {"alg": "HS256", "kid": "", "typ": "JWT"}
    assert len(HEADER["kid"]) == 12


def test_a_kid_does_not_tell_the_secret() -> None:
    """The kid is derived, and differs from a plain digest of the secret."""
    digest = hashlib.sha256(SECRET.reveal().encode()).digest()
    assert base64.urlsafe_b64decode(HEADER["kid"]) not in digest
    assert (
        HEADER["kid"]
        != json.loads(base64.urlsafe_b64decode(Tokens([OLD]).mint_session("1", now=NOW, token_id="j").split(".")[0] + "=="))["kid"]
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"ttl_s": 0},
        {"ttl_s": -1},
        {"ttl_s": 3601},
        {"role": "postgres"},
        {"role": ""},
        {"token_id": ""},
        {"token_id": "a b"},
        {"claims": {"exp": 1}},
        {"claims": {"nbf": 1}},
        {"claims": {"role": "project_admin"}},
        {"claims": {"telegram_id": 1}},
        {"claims": {"x": "y" * 8192}},
    ],
)
def test_what_cannot_be_verified_is_not_minted(changes: dict[str, Any]) -> None:
    """Odd lifetimes, roles off the list, reserved claims and oversize are refused at minting."""
    with pytest.raises(InputError) as caught:
        mint(**changes)
    assert caught.value.code == "auth.token.unmintable"


@pytest.mark.parametrize("subject", ["", "a b", "é", "x" * 256, "a\n"])
def test_odd_subjects_are_not_minted(subject: str) -> None:
    """A subject is 1 to 255 visible ASCII characters."""
    with pytest.raises(InputError, match="visible ASCII"):
        TOKENS.mint_session(subject, now=NOW, token_id="j")


def test_limits_of_minting_hold_exactly() -> None:
    """A lifetime of one second, a subject of 255 characters and a token of 8 KiB are fine."""
    assert TOKENS.verify_session(mint(ttl_s=1), now=NOW).expires_at == NOW + timedelta(seconds=1)
    assert TOKENS.mint_session("x" * 255, now=NOW, token_id="j" * 255)
    sizes = {len(token): token for size in range(5850, 5980) if (token := largest("y" * size))}
    assert max(sizes) == 8192
    assert TOKENS.verify_session(sizes[8192], now=NOW).claims["x"].startswith("yyy")


def largest(text: str) -> str | None:
    try:
        return mint(claims={"x": text})
    except InputError:
        return None


def test_the_keys_are_derived_as_written() -> None:
    """Purpose and kid come from HKDF-SHA256 under their own labels; access is signed with the secret itself."""
    secret = SECRET.reveal().encode()
    extracted = hmac.digest(bytes(32), secret, "sha256")
    tokens = Tokens([SECRET])
    kid = hmac.digest(extracted, b"dealquest token kid v1\x01", "sha256")[:9]
    for purpose in PURPOSES:
        derived = hmac.digest(extracted, f"dealquest token {purpose} v1\x01".encode(), "sha256")
        token = (
            tokens.mint_session("1", now=NOW, token_id="j")
            if purpose == "access"
            else tokens.mint(purpose, "1", now=NOW, token_id="j", ttl_s=1)
        )
        message, _, mark = token.rpartition(".")
        assert mark == b64(hmac.digest(secret if purpose == "access" else derived, message.encode(), "sha256"))
        header = json.loads(base64.urlsafe_b64decode(token.split(".")[0] + "=="))
        assert header == {"alg": "HS256", "kid": base64.urlsafe_b64encode(kid).decode(), "typ": "JWT"}


def test_a_session_without_telegram_has_no_such_claim() -> None:
    """A claim that is not there is left out, not null."""
    assert "telegram_id" not in json.loads(base64.urlsafe_b64decode(mint(telegram_id=None).split(".")[1] + "=="))


def test_access_tokens_have_one_door() -> None:
    """`mint` refuses the access purpose, so that none lacks a role."""
    with pytest.raises(InputError, match="mint_session"):
        TOKENS.mint("access", "17", now=NOW, token_id="j", ttl_s=60)


def test_a_naive_clock_is_refused() -> None:
    """Neither minting nor verifying guesses a time zone."""
    for call in (lambda: mint(now=NOW.replace(tzinfo=None)), lambda: TOKENS.verify_session(mint(), now=NOW.replace(tzinfo=None))):
        with pytest.raises(InputError) as caught:
            call()
        assert caught.value.code == "auth.now.naive"


def test_nothing_shows_the_secret() -> None:
    """Reprs, attributes, pickles and captured locals hold no secret."""
    with pytest.raises(DeniedError) as caught:
        TOKENS.verify_session(mint()[:-4] + "AAAA", now=NOW)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert SECRET.reveal() not in shown + repr(TOKENS) + repr([getattr(TOKENS, name) for name in Tokens.__slots__])
    with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
        pickle.dumps(TOKENS)


# Attack rows


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none", "typ": "JWT"},
        {**HEADER, "alg": "none"},
        {**HEADER, "alg": "None"},
        {**HEADER, "alg": "NONE"},
        {**HEADER, "alg": None},
        {**HEADER, "alg": "HS384"},
        {**HEADER, "alg": "HS512"},
        {**HEADER, "alg": "RS256"},
        {**HEADER, "alg": "ES256"},
        {**HEADER, "alg": ["HS256"]},
        {"typ": "JWT", "kid": HEADER["kid"]},
        [],
        "HS256",
        b"null",
        1,
        b"[" * 3000,
        b'{"alg":"HS256"',
        b"",
    ],
    ids=str,
)
def test_j1_other_algorithms_and_headers_are_refused(header: Any) -> None:
    """HS256 only, said in the one header that we write."""
    assert refusal(forge(claims(), header)) in {"header", "malformed"}


def test_j1_unsigned_tokens_are_refused() -> None:
    """A token without its signature is no token."""
    head, body, _ = mint().split(".")
    for token in (f"{head}.{body}.", f"{head}.{body}", f"{head}.{body}..", body, "", "."):
        assert refusal(token) == "malformed"
    assert refusal(jwt.encode(claims(), None, algorithm="none")) == "malformed"


def test_j1_a_deep_header_is_refused_quickly() -> None:
    """10^5 levels of nesting are refused unread."""
    start = time.perf_counter()
    assert refusal(forge(claims(), b'{"a":' * 100_000)) == "malformed"
    assert time.perf_counter() - start < 0.5


@pytest.mark.parametrize(
    "extra",
    [
        {"kid": "../../etc/passwd"},
        {"kid": "' or 1=1 --"},
        {"kid": "http://127.0.0.1:1/key"},
        {"kid": ""},
        {"kid": None},
        {"kid": [HEADER["kid"]]},
        {"jku": "http://127.0.0.1:1/jwks"},
        {"x5u": "http://127.0.0.1:1/cert"},
        {"jwk": {"kty": "oct", "k": "AAAA"}},
        {"crit": ["x"], "x": 1},
        {"crit": []},
        {"b64": False, "crit": ["b64"]},
        {"b64": True},
        {"zip": "DEF"},
        {"cty": "JWT"},
        {"typ": "at+jwt"},
    ],
    ids=str,
)
def test_j2_no_header_is_followed(extra: dict[str, Any]) -> None:
    """A kid is looked up among ours and nowhere else, and no other header field is known."""
    assert refusal(forge(claims(), {**HEADER, **extra})) == "header"


@pytest.mark.parametrize("value", [..., None, "1800000000", 1.5, True, [NOW_S + 60], {}, float("nan"), float("inf"), "soon"])
@pytest.mark.parametrize("name", ["exp", "iat"])
def test_j3_times_are_whole_seconds(name: str, value: Any) -> None:
    """exp and iat are integers, both required."""
    assert refusal(forge(claims(**{name: value}))) == "claims"


@pytest.mark.parametrize("value", [None, "0", 0.5, True, [0]])
def test_j3_not_before_is_a_whole_second(value: Any) -> None:
    """nbf, where somebody adds it, is an integer."""
    assert refusal(forge(claims(nbf=value))) == "claims"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"exp": 10**400}, "claims"),
        ({"exp": -(10**400)}, "claims"),
        ({"exp": 0}, "claims"),
        ({"exp": NOW_S}, "claims"),
        ({"exp": NOW_S + 3601}, "claims"),
        ({"iat": NOW_S + 31, "exp": NOW_S + 60}, "future"),
        ({"iat": 10**400, "exp": 10**400 + 1}, "future"),
        ({"iat": -(10**400), "exp": 1 - 10**400}, "expired"),
        ({"nbf": NOW_S + 31}, "future"),
        ({"iat": NOW_S - 3700, "exp": NOW_S - 100}, "expired"),
        ({"iat": 0}, "claims"),
    ],
    ids=str,
)
def test_j3_times_that_make_no_session(changes: dict[str, Any], code: str) -> None:
    """Endless, ended, unborn and inverted lifetimes are refused."""
    assert refusal(forge(claims(**changes))) == code


def test_j3_digits_without_end() -> None:
    """A number of 5000 digits is refused, not computed."""
    assert refusal(forge(json.dumps(claims(exp="X")).replace('"X"', "9" * 5000).encode())) == "claims"


@pytest.mark.parametrize(
    "value", [..., None, "", [], {}, 1, ISSUER[:-1], ISSUER + "x", ISSUER.upper(), [ISSUER], AUDIENCE[:-1], [AUDIENCE], AUDIENCE + " "]
)
@pytest.mark.parametrize("name", ["iss", "aud"])
def test_j4_issuer_and_audience_are_exact(name: str, value: Any) -> None:
    """Absent, listed, cut or longer names are refused; both are required."""
    assert refusal(forge(claims(**{name: value}))) == "claims"


def test_j4_another_installation_is_refused() -> None:
    """The same secret under another issuer or audience makes other tokens."""
    assert refusal(mint(), tokens=Tokens([SECRET], issuer="other")) == "claims"
    assert refusal(mint(), tokens=Tokens([SECRET], audience="other")) == "claims"
    other = Tokens([SECRET], issuer="i", audience="a")
    assert other.verify_session(other.mint_session("1", now=NOW, token_id="j"), now=NOW).subject == "1"


@pytest.mark.parametrize(("minted", "asked"), list(itertools.permutations(PURPOSES, 2)))
def test_j5_purposes_are_never_mixed(minted: Purpose, asked: Purpose) -> None:
    """A token of one purpose fails the key of every other."""
    tokens = Tokens([SECRET])
    token = mint() if minted == "access" else tokens.mint(minted, "17", now=NOW, token_id="j", ttl_s=60, claims={"role": "authenticated"})
    assert refusal(token, asked, tokens) == "forged"


@pytest.mark.parametrize("typ", [..., None, "", "refresh", "oauth_state", "presign", "reset", "ACCESS", ["access"]])
def test_j5_typ_is_checked_beside_the_key(typ: Any) -> None:
    """Even with the right key a token of another `typ` is refused."""
    assert refusal(forge(claims(typ=typ))) == "claims"


def certificate(key: ec.EllipticCurvePrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    signed = builder.not_valid_before(NOW).not_valid_after(NOW + timedelta(days=1)).sign(key, SHA256())
    return signed.public_bytes(Encoding.DER)


def public_keys() -> dict[str, str]:
    keys = {
        "rsa": rsa.generate_private_key(65537, 2048),
        "ec": ec.generate_private_key(ec.SECP256R1()),
        "ed25519": ed25519.Ed25519PrivateKey.generate(),
    }
    found = {}
    for name, key in keys.items():
        der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        found[f"{name}-pem"] = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        found[f"{name}-ssh"] = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
        found[f"{name}-der-base64"] = base64.b64encode(der).decode()
        found[f"{name}-der-base64url"] = b64(der)
        found[f"{name}-der-hex"] = der.hex()
        found[f"{name}-ssh-body"] = found[f"{name}-ssh"].split()[1]
    found["certificate"] = base64.b64encode(certificate(keys["ec"])).decode()
    found["jwk"] = '{"kty":"RSA","e":"AQAB","n":"' + b64(os.urandom(64)) + '"}'
    return found


@pytest.mark.parametrize(("form", "text"), list(public_keys().items()), ids=lambda value: value if len(value) < 22 else "")
def test_j6_public_keys_are_no_secret(form: str, text: str) -> None:
    """A public key in any form is refused as signing secret."""
    with pytest.raises(SettingsError, match="key file") as caught:
        Tokens([Secret(text)])
    assert caught.value.code == "auth.secret.public"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "short",
        SECRET.reveal()[:31],
        "a" * 64,
        "0" * 32,
        "abcabcab" * 8,
        "abcdefgh" * 4,
        SECRET.reveal()[:16] * 2,
        "your-super-secret-jwt-token-with-at-least-32-characters-long",
        "dev-secret-please-change-in-production-0123456789",
        "CHANGE_ME_0123456789abcdefghijklmnop",
        "my default password for everything!",
        SECRET.reveal() + "\udc80",
    ],
)
def test_j6_weak_secrets_stop_the_start(text: str) -> None:
    """Short, uniform, repeating and example secrets are refused, and never shown."""
    with pytest.raises(SettingsError) as caught:
        Tokens([Secret(text)])
    assert caught.value.code == "auth.secret.weak"
    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert len(text) < 8 or text not in shown.replace(repr(text), "", 1)


def test_j6_no_secret_stops_the_start() -> None:
    """Without a secret there are no tokens."""
    with pytest.raises(SettingsError) as caught:
        Tokens([])
    assert caught.value.code == "auth.secret.missing"


def test_j6_the_vault_key_is_not_reused() -> None:
    """The same bytes under another name or spelling are refused, in any of several secrets."""
    key = base64.urlsafe_b64encode(hashlib.sha256(b"x").digest()).decode()
    for text, other in itertools.product((key, hashlib.sha256(b"x").hexdigest(), key.rstrip("=")), (key,)):
        with pytest.raises(SettingsError) as caught:
            Tokens([SECRET, Secret(text)], other_secrets=[Secret("x"), Secret(other)])
        assert caught.value.code == "auth.secret.shared"
    check_signing_secret(SECRET, other_secrets=[Secret(key), OLD, Secret("no text: \udc80")])


def test_j6_eight_distinct_characters_are_enough() -> None:
    """The limits of the check: 32 bytes, eight distinct characters, no repetition."""
    check_signing_secret(Secret("abcdefgh" + "hgfedcba" + "aabbccddeeffgghh"))
    check_signing_secret(Secret("abcdefghijklmnopqrstuvwxyz01234é"))


@given(secret=st.binary(min_size=32, max_size=64).filter(lambda data: len(set(data)) > 20))
def test_j6_drawn_secrets_are_accepted(secret: bytes) -> None:
    """What a generator prints, in hex or base64, is good enough."""
    check_signing_secret(Secret(secret.hex() + "g"))
    check_signing_secret(Secret(base64.b64encode(secret).decode()), other_secrets=[SECRET])


@pytest.mark.parametrize("role", [..., None, "", "postgres", "service_role", "Authenticated", "authenticated ", ["authenticated"], {}, 1])
def test_j7_roles_come_from_a_closed_list(role: Any) -> None:
    """A role off the list makes no session, even when signed."""
    assert refusal(forge(claims(role=role))) == "claims"


@pytest.mark.parametrize("role", ROLES)
def test_j7_listed_roles_pass(role: Any) -> None:
    """Each listed role makes a session of that role."""
    assert TOKENS.verify_session(mint(role=role), now=NOW).role == role


@pytest.mark.parametrize("value", ["7", 7.0, True, [7], {}])
def test_telegram_id_is_a_number(value: Any) -> None:
    """A telegram_id of another type makes no session."""
    assert refusal(forge(claims(telegram_id=value))) == "claims"


@pytest.mark.parametrize("value", [..., None, "", 17, "a b", "x" * 256, "é", ["17"]])
@pytest.mark.parametrize("name", ["sub", "jti"])
def test_subject_and_id_are_plain_texts(name: str, value: Any) -> None:
    """sub and jti are required, and plain."""
    assert refusal(forge(claims(**{name: value}))) == "claims"


@pytest.mark.parametrize("payload", [b"[]", b"null", b'"x"', b"1", b"{", b"\xff", b"{}x", b"[" * 4000])
def test_payloads_are_objects(payload: bytes) -> None:
    """Anything but one strict JSON object is refused."""
    assert refusal(forge(payload)) == "claims"


def test_j8_duplicate_claims_are_refused() -> None:
    """A claim that appears twice has two readings, so it has none."""
    body = json.dumps(claims())
    for extra in ('"role":"project_admin"', '"sub":"17"', '"x":{"a":1,"a":1}'):
        assert refusal(forge((body[:-1] + f",{extra}}}").encode())) == "claims"


def test_j8_only_the_canonical_form_counts() -> None:
    """Padding, blanks, line feeds, other alphabets and unused bits are refused."""
    token = mint()
    head, body, mark = token.split(".")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    forms = [
        f"{token}=",
        f" {token}",
        f"{token} ",
        f"{token}\n",
        f"{head}=.{body}.{mark}",
        f"{head}.{body}=.{mark}",
        f"{head}.{body}\n.{mark}",
        f"{head}.{body}.{mark[:-1]}{alphabet[alphabet.index(mark[-1]) + 1]}",
        f"Bearer {token}",
        token.replace(".", "。"),
        f"{token}.x",
        f"{head}.{body}.{mark[:20]}!{mark[20:]}",
    ]
    for form in forms:
        assert refusal(form) == "malformed", form


def test_j8_length_is_checked_first() -> None:
    """Five megabytes are refused unread."""
    start = time.perf_counter()
    assert refusal("a" * 5_000_000) == "malformed"
    assert refusal(mint() + "A" * 8192) == "malformed"
    assert time.perf_counter() - start < 0.1


@settings(max_examples=500, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_no_changed_token_is_accepted(data: st.DataObject) -> None:
    """However an access token is changed, it no longer counts."""
    token = mint()
    position = data.draw(st.integers(0, len(token) - 1))
    patch = data.draw(st.text(alphabet="ABCDEFabcdef0189-_.=+/ \n", max_size=3))
    changed = token[:position] + patch + token[position + data.draw(st.integers(0, 3)) :]
    if changed != token:
        assert refusal(changed) in {"malformed", "header", "forged"}


@pytest.mark.parametrize("token", [None, 5, b"a.b.c", ["a.b.c"], {}])
def test_j8_what_is_no_text_is_no_token(token: Any) -> None:
    """A caller that passes on a member of a JSON body gets our error, whatever that member is."""
    with pytest.raises(DeniedError) as caught:
        TOKENS.verify_session(token, now=NOW)
    assert caught.value.code == "auth.token.malformed"


@pytest.mark.parametrize(
    "changes",
    [
        {"telegram_id": True},
        {"telegram_id": "7"},
        {"ttl_s": 1.5},
        {"claims": {"a": object()}},
        {"claims": {"a": "\ud800"}},
        {"claims": {"a": json.loads("[" * 64 + "]" * 64)}},
    ],
)
def test_what_would_not_verify_is_not_minted(changes: dict[str, Any]) -> None:
    """Types that `verify_session` refuses, and claims that are not JSON, are refused at once and by our error."""
    with pytest.raises(InputError) as caught:
        mint(**changes)
    assert caught.value.code == "auth.token.unmintable"
