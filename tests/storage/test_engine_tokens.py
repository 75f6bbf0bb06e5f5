"""Whose a request is, from its token alone: keys of every kind, claims that lie, and roles at any place in the claims."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import jwt as pyjwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from dealquest.errors import DealQuestError, SettingsError
from dealquest.storage.engine import EngineConfig
from dealquest.storage.engine.jwt import TokenReader
from dealquest.values import Secret

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SECRET = "0123456789-abcdefghijklmnopqrstuv"
ALLOWED = frozenset({"anon", "writer"})


def reader(secret: str | None = SECRET, **options: Any) -> TokenReader:
    return TokenReader(EngineConfig(jwt_secret=Secret(secret) if secret else None, **{"db_anon_role": "anon", **options}))


def token(claims: Any = None, *, key: Any = SECRET, algorithm: str = "HS256", **headers: Any) -> str:
    claims = {"role": "writer"} if claims is None else claims
    if isinstance(claims, dict):
        return "Bearer " + pyjwt.encode(claims, key, algorithm, headers=headers)
    return "Bearer " + pyjwt.PyJWS().encode(json.dumps(claims).encode(), key, algorithm)


def role(found: TokenReader, authorization: str | None) -> str:
    return found.read(authorization, now=NOW, allowed=ALLOWED).role


def refusal(found: TokenReader, authorization: str | None) -> str:
    with pytest.raises(DealQuestError) as caught:
        found.read(authorization, now=NOW, allowed=ALLOWED)
    return caught.value.message


def test_no_token_is_the_anonymous_role_or_nobody() -> None:
    """Without a bearer token the anonymous role speaks; where there is none, nobody does."""
    for authorization in (None, "Basic YTpi"):
        assert role(reader(), authorization) == "anon"
        assert "Anonymous access is disabled" in refusal(reader(db_anon_role=None), authorization)
    assert "Anonymous access is disabled" in refusal(reader(db_anon_role=None), token({"sub": "x"}))
    assert role(reader(), token({"sub": "x"})) == "anon"
    assert "Empty JWT" in refusal(reader(), "Bearer  ")
    assert "lacks JWT secret" in refusal(reader(None), token())


@pytest.mark.parametrize(
    ("authorization", "words"),
    [
        ("Bearer a.b", "Expected 3 parts in JWT; got 2"),
        ("Bearer a.b.c", "cryptographic operation failed"),
        (token(key="", algorithm="none"), "Wrong or unsupported encoding algorithm"),
        (token(key="another-secret-of-thirty-two-bytes!"), "No suitable key"),
        (token(algorithm="ES256", key=ec.generate_private_key(ec.SECP256R1())), "No suitable key"),
        (token([1]), "Parsing claims failed"),
        (token({"role": "owner"}), "does not exist"),
        (token({"role": "writer", "exp": "soon"}), "claim must be a number"),
        (token({"role": "writer", "nbf": True}), "claim must be a number"),
        (token({"role": "writer", "aud": 3}), "must be a string or an array"),
        (token({"role": "writer", "exp": NOW.timestamp() - 31}), "JWT expired"),
        (token({"role": "writer", "nbf": NOW.timestamp() + 31}), "not yet valid"),
        (token({"role": "writer", "iat": NOW.timestamp() + 31}), "issued at future"),
        (token({"role": "writer", "aud": ["other"]}), "not in audience"),
    ],
)
def test_a_token_that_lies_is_refused(authorization: str, words: str) -> None:
    """Shape, signature, claims, times and audience are each checked, and the refusal says which."""
    assert words in refusal(reader(jwt_aud="here"), authorization)


def test_a_few_seconds_of_difference_are_forgiven() -> None:
    """Clocks differ by some seconds; an audience of ours among others is enough."""
    claims = {"role": "writer", "exp": NOW.timestamp() - 20, "nbf": NOW.timestamp() + 20, "aud": ["other", "here"]}
    assert role(reader(jwt_aud="here"), token(claims)) == "writer"


def test_known_tokens_are_remembered_and_forgotten() -> None:
    """A cache of one holds the newest token; without a cache each is verified anew; the times are checked either way."""
    for size in (0, 1):
        found = reader(jwt_cache_max_entries=size)
        for name in ("a", "b", "a", "a"):
            assert role(found, token({"role": "writer", "sub": name})) == "writer"
        old = token({"role": "writer", "exp": NOW.timestamp() - 31})
        assert refusal(found, old) == refusal(found, old)


def test_keys_may_be_a_set_of_public_ones() -> None:
    """A key id chooses among keys, never one without an id; a token signed with the public key as a shared secret opens nothing."""
    private = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    keys = [json.loads(pyjwt.algorithms.ECAlgorithm.to_jwk(key.public_key())) | {"kid": str(n)} for n, key in enumerate(private)]
    several, alone = reader(json.dumps({"keys": keys})), reader(json.dumps(keys[0]))
    assert role(several, token(key=private[1], algorithm="ES256", kid="1")) == "writer"
    assert role(several, token(key=private[1], algorithm="ES256")) == "writer"
    assert role(alone, token(key=private[0], algorithm="ES256", kid="0")) == "writer"
    assert "No suitable key" in refusal(several, token(key=private[1], algorithm="ES256", kid="0"))
    assert "No suitable key" in refusal(alone, token(key=private[0], algorithm="ES256", kid="9"))
    assert "No suitable key" in refusal(alone, token(key=keys[0]["x"] + keys[0]["y"]))
    nameless = {name: value for name, value in keys[0].items() if name != "kid"}
    for one in (nameless, {"keys": [nameless]}):
        assert role(reader(json.dumps(one)), token(key=private[0], algorithm="ES256")) == "writer"
        assert "No suitable key" in refusal(reader(json.dumps(one)), token(key=private[0], algorithm="ES256", kid="0"))
    others = [{"kty": "OKP", "crv": "Ed25519", "x": "AA"}, {"kty": "RSA", "use": "enc", "n": "AA", "e": "AQAB"}]
    assert role(reader(json.dumps({"keys": [*others, keys[0]]})), token(key=private[0], algorithm="ES256", kid="0")) == "writer"


def test_a_shared_secret_has_no_name() -> None:
    """A token that names its secret is verified by the only one there is, as tokens of our own are; with HMAC-SHA256 and nothing else."""
    assert role(reader(), token(kid="of the issuer")) == "writer"
    assert "No suitable key" in refusal(reader(SECRET * 2), token(key=SECRET * 2, algorithm="HS512"))


def test_secrets_that_cannot_be_used_stop_the_start() -> None:
    """A broken JWK, no base64 and a short secret are the operator's mistakes, with a code, before the first request."""
    packed = base64.b64encode(SECRET.encode()).decode()
    assert role(reader(packed, jwt_secret_is_base64=True), token()) == "writer"
    for secret, options in (
        ('{"keys": [{"kty": "oct"', {}),
        ('{"kty": "nobody-knows"}', {}),
        ('{"keys": [{"kty": "nobody-knows"}, {"kty": "RSA", "use": "enc"}]}', {}),
        ('{"keys": [{"use": "sig"}]}', {}),
        ("%%%" * 20, {"jwt_secret_is_base64": True}),
        ("short", {}),
    ):
        with pytest.raises(SettingsError) as caught:
            reader(secret, **options)
        assert caught.value.code == "engine.jwt.secret"


@pytest.mark.parametrize(
    ("path", "claims"),
    [
        ("$.app.role", {"app": {"role": "writer"}}),
        ("$ .app [ 'role' ]", {"app": {"role": "writer"}}),
        ('$["my app"].role', {"my app": {"role": "writer"}}),
        ("$['https://www.example.com/role'].key", {"https://www.example.com/role": {"key": "writer"}}),
        (r"$['it\'s \"mine\"']", {'it\'s "mine"': "writer"}),
        ("$.roles[1]", {"roles": ["x", "writer"]}),
        ("$.roles[-1]", {"roles": ["x", "writer"]}),
        ("$.roles[7, 1]", {"roles": ["x", "writer"]}),
        ("$.roles[1:]", {"roles": ["x", "writer"]}),
        ("$.roles[::-1]", {"roles": ["x", "writer"]}),
        ("$.roles[*]", {"roles": ["writer", "x"]}),
        ("$.roles.*", {"roles": {"first": "writer"}}),
        ("$..role", {"app": [{"deep": {"role": "writer"}}]}),
        ("$..[?@.main].name", {"roles": [{"name": "x"}, {"name": "writer", "main": None}]}),
        ('$.roles[?(@ == "writer")]', {"roles": ["x", 3, "writer"]}),
        ("$.roles[?@ != 'x']", {"roles": ["x", "writer"]}),
        ("$.roles[?search(@, '^wri')]", {"roles": ["x", 3, "writer"]}),
        (
            "$.roles[?search(@.name, 'ite') && !(@.rank < 2)].name",
            {"roles": [{"name": "writes", "rank": 1}, {"name": "writer", "rank": 2}]},
        ),
        ("$.roles[?@.rank >= 2 || @.rank == null].name", {"roles": [{"name": "x", "rank": 1}, {"name": "writer", "rank": None}]}),
        ("$.roles[?@.app == $.azp].name", {"azp": "b", "roles": [{"app": "a", "name": "x"}, {"app": "b", "name": "writer"}]}),
        ("$.roles[?@.on == true].name", {"roles": [{"on": 1, "name": "x"}, {"on": True, "name": "writer"}]}),
        ("$.roles[?@.rank <= 1.5e0].name", {"roles": [{"rank": "1", "name": "x"}, {"rank": 1, "name": "writer"}]}),
    ],
)
def test_the_role_may_stand_anywhere(path: str, claims: dict[str, Any]) -> None:
    """A JSON Path finds the role in nested claims and lists, the first of several; claims without it are the anonymous role's."""
    found = reader(jwt_role_claim_key=path)
    assert role(found, token(claims)) == "writer"
    for other in ({}, {"app": 3, "roles": 3, "my app": []}, {"roles": []}):
        assert role(found, token(other)) == "anon"


@pytest.mark.parametrize(
    ("path", "claims"),
    [
        (".role", {"role": "writer"}),
        ('."my app"."role"', {"my app": {"role": "writer"}}),
        ('.app["my role"]', {"app": {"my role": "writer"}}),
        (".roles[1]", {"roles": ["x", "writer"]}),
        (".role[-6:]", {"role": "my-writer"}),
        ('.roles[?(@ == "writer")]', {"roles": ["x", "writer"]}),
        ('.roles[?(@ != "x")]', {"roles": ["x", "writer"]}),
        ('.roles[?(@ ^== "wri")]', {"roles": ["x", 3, "writer"]}),
        ('.roles[?(@ ==^ "ter")]', {"roles": ["x", "writer"]}),
        ('.roles[?(@ *== "ite")]', {"roles": ["x", "writer"]}),
    ],
)
def test_the_older_notation_of_a_path_still_counts(path: str, claims: dict[str, Any]) -> None:
    """Without `$` a path is in the notation of before version 16, with its own comparisons."""
    found = reader(jwt_role_claim_key=path)
    assert role(found, token(claims)) == "writer"
    for other in ({}, {"app": 3, "roles": 3, "my app": []}, {"roles": []}):
        assert role(found, token(other)) == "anon"


@pytest.mark.parametrize(
    "path",
    [
        "role",
        "$.",
        "$.role[",
        "$.a b",
        "$.a]",
        "$[b]",
        '$."x"',
        "$['x",
        "$[?]",
        "$[?1]",
        "$[?@ == ]",
        "$[?(@.a]",
        "$[?search(@, 1)]",
        "$[?search(@ 'x')]",
        "$[?match(@, 'x')]",
        "$[?search(@, '(')]",
        "@.role",
        ".a-b",
        '.roles[?(@ < "a")]',
    ],
)
def test_what_is_no_path_stops_the_start(path: str) -> None:
    """A mistake in the path is told before the first request, with its code."""
    with pytest.raises(SettingsError) as caught:
        reader(jwt_role_claim_key=path)
    assert caught.value.code == "engine.jwt.role_claim_key"
