"""Vectors for initData: name, raw text, who verifies, and the verdict a strict reader gives.

Signed here by hand (not with `dealquest.testing`), so that a field can be signed in one shape and sent in another.
"""

# ruff: noqa: RUF001  # characters that look like others are among the attacks

import base64
import hashlib
import hmac
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import quote, quote_plus

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from init_data_oracle import OracleBots

NOW = 1_800_000_000
TOKEN = "7342037359:AAHI25ES8xCOMPokpYoz-p8XVrZUdygo2J4"
OLD_TOKEN = "7342037359:AAFold0ld0ld0ld0ld0ld0ld0ld0ld0ld0"
OTHER_TOKEN = "5000000001:AAGotherBototherBototherBototherB"
BOT_ID = 7342037359
TELEGRAM = Ed25519PrivateKey.from_private_bytes(b"\x07" * 32)
TEST_SERVERS = Ed25519PrivateKey.from_private_bytes(b"\x08" * 32)
PUBLIC = TELEGRAM.public_key().public_bytes_raw()
TEST_PUBLIC = TEST_SERVERS.public_key().public_bytes_raw()

ONE = OracleBots(tokens=(TOKEN,))
ROTATED = OracleBots(tokens=(OTHER_TOKEN, TOKEN, OLD_TOKEN))
THIRD = OracleBots(public=((BOT_ID, PUBLIC),))
WIDGET = OracleBots(tokens=(TOKEN,), widget=True)

USER = '{"id":279058397,"first_name":"Vladislav + - ? \\/","last_name":"Kibenko","username":"vdkfrost","language_code":"ru"}'
BASE = {"query_id": "AAHdF6IQAAAAAN0XohDhrOrc", "user": USER, "auth_date": str(NOW - 100)}
Spell = Callable[[str], str]


@dataclass(frozen=True)
class Vector:
    """One case of the corpus."""

    name: str
    raw: str
    bots: OracleBots
    verdict: str


def component(text: str) -> str:
    return quote(text, safe="!'()*~")


def lines(fields: dict[str, str]) -> str:
    return "\n".join(f"{name}={fields[name]}" for name in sorted(fields, key=str.encode))


def hash_of(fields: dict[str, str], token: str = TOKEN, *, widget: bool = False, message: str | None = None) -> str:
    key = hashlib.sha256(token.encode()).digest() if widget else hmac.new(b"WebAppData", token.encode(), hashlib.sha256).digest()
    return hmac.new(key, (lines(fields) if message is None else message).encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def spell(fields: dict[str, str], how: Spell = quote_plus) -> str:
    return "&".join(f"{name}={how(value)}" for name, value in fields.items())


def signed(changes: dict[str, str | None] | None = None, *, token: str = TOKEN, how: Spell = quote_plus) -> str:
    fields = {name: value for name, value in {**BASE, **(changes or {})}.items() if value is not None}
    return spell({**fields, "hash": hash_of(fields, token)}, how)


def by_telegram(
    changes: dict[str, str | None] | None = None, *, key: Ed25519PrivateKey = TELEGRAM, bot_id: int = BOT_ID, given: str | None = "0" * 64
) -> dict[str, str]:
    fields = {name: value for name, value in {**BASE, **(changes or {})}.items() if value is not None}
    signature = key.sign(f"{bot_id}:WebAppData\n{lines(fields)}".encode())
    fields["signature"] = base64.urlsafe_b64encode(signature).decode().rstrip("=")
    return fields if given is None else {**fields, "hash": given}


def widget(changes: dict[str, str | None] | None = None, *, token: str = TOKEN, as_widget: bool = True) -> str:
    base = {"id": "279058397", "first_name": "Vladislav", "username": "vdkfrost", "auth_date": str(NOW - 100)}
    fields = {name: value for name, value in {**base, **(changes or {})}.items() if value is not None}
    return spell({**fields, "hash": hash_of(fields, token, widget=as_widget)})


def vectors() -> list[Vector]:
    """Every vector; names are unique."""
    found = [
        Vector(name, raw, bots, verdict)
        for family in (_valid, _proof, _folding, _spelling, _duplicates, _dates, _users, _nested, _third_party, _login_widget, _sizes)
        for name, raw, bots, verdict in family()
    ]
    assert len({vector.name for vector in found}) == len(found), "a name appears twice"
    return found


Case = tuple[str, str, OracleBots, str]


def _valid() -> Iterator[Case]:
    shapes: dict[str, dict[str, str | None]] = {
        "desktop": {},
        "direct-link": {"query_id": None, "chat_instance": "-8134722200314281151", "chat_type": "private", "start_param": "ref_42"},
        "smallest": {"query_id": None},
        "can-send-after": {"can_send_after": "10000"},
        "can-send-at-once": {"can_send_after": "0"},
        "signature-inside-the-hash": {"signature": "aA9-_" * 17 + "A"},
        "blank-signature": {"signature": ""},
        "blank-start-param": {"start_param": ""},
        "new-field": {"x_new": "1"},
        "new-field-with-digit": {"user2": "1", "user_2": "2"},
        "new-field-upper-case": {"Zeta": "1", "alpha": "2"},
        "new-field-hyphen-prefix": {"chat-type": "1", "chat": '{"id":-100,"type":"group"}'},
        "new-field-dot-prefix": {"user.x": "1", "user-x": "2", "user0": "3"},
        "value-with-equals-escaped": {"start_param": "a=b&c=d"},
        "value-with-percent": {"start_param": "100%25 %41"},
        "value-with-plus-and-space": {"start_param": "a+b c"},
        "unknown-nested": {"user": '{"id":7,"first_name":"A","badge":{"level":[1,2.5,null]}}'},
        "deepest": {"user": '{"id":7,"x":' + "[" * 63 + "]" * 63 + "}"},
        "brackets-in-a-name": {"user": '{"id":7,"first_name":"\\"' + "[{" * 40 + '"}'},
        "null-option": {"user": '{"id":7,"first_name":"A","username":null}'},
        "spaces-in-json": {"user": '{ "id" : 7 , "first_name" : "A" }'},
        "escaped-pair": {"user": '{"id":7,"first_name":"\\ud83d\\ude00"}'},
        "emoji": {"user": '{"id":7,"first_name":"😀 Ж ü العربية"}'},
        "smallest-id": {"user": '{"id":1}'},
        "largest-id": {"user": '{"id":9007199254740992}'},
        "name-that-looks-like-json": {"user": '{"id":7,"first_name":"a%22,%22id%22:777000,%22x%22:%22"}'},
        "escaped-newline-in-json": {"user": '{"id":7,"first_name":"a\\nb"}'},
        "premium": {"user": '{"id":7,"is_bot":false,"is_premium":true,"allows_write_to_pm":true}'},
        "receiver": {"receiver": '{"id":8,"first_name":"B","is_bot":true}'},
        "chat": {"chat": '{"id":-1001234567890,"type":"supergroup","title":"T","forum":true}'},
        "chat-smallest-id": {"chat": '{"id":-1,"type":"group"}'},
        "chat-largest-id": {"chat": '{"id":-9007199254740992,"type":"group"}'},
        "unknown-chat-type": {"chat_type": "newkind"},
        "age-of-exactly-an-hour": {"auth_date": str(NOW - 3600)},
        "skew-of-exactly-a-minute": {"auth_date": str(NOW + 60)},
        "this-second": {"auth_date": str(NOW)},
    }
    for name, changes in shapes.items():
        yield f"valid-{name}", signed(changes), ONE, "ok"
    for name, how in {"component": component, "quote": quote, "quote-all": lambda text: quote(text, safe="")}.items():
        yield f"valid-spelled-by-{name}", signed(how=how), ONE, "ok"
    yield "valid-tilde-raw", signed({"start_param": "~"}, how=quote), ONE, "ok"
    yield "valid-tilde-escaped", signed({"start_param": "~"}).replace("=~", "=%7E"), ONE, "ok"
    pairs = signed().split("&")
    yield "valid-reversed", "&".join(pairs[::-1]), ONE, "ok"
    yield "valid-hash-first", "&".join([pairs[-1], *pairs[:-1]]), ONE, "ok"
    yield "valid-second-bot", signed(), ROTATED, "ok"
    yield "valid-retired-token", signed(token=OLD_TOKEN), ROTATED, "ok"
    yield "valid-other-bot", signed(token=OTHER_TOKEN), ROTATED, "ok"


def _proof() -> Iterator[Case]:
    good = hash_of(BASE)
    shapes = {
        "upper-case": (good.upper(), "malformed"),
        "short": (good[:-1], "malformed"),
        "long": (good + "0", "malformed"),
        "blank": ("", "malformed"),
        "not-hex": ("g" + good[1:], "malformed"),
        "non-ascii": ("é" * 64, "malformed"),
        "fullwidth-digits": ("\uff11" * 64, "malformed"),
        "leading-blank": (" " + good[1:], "malformed"),
        "zeros": ("0" * 64, "forged"),
        "first-digit": (("0" if good[0] != "0" else "1") + good[1:], "forged"),
        "last-digit": (good[:-1] + ("0" if good[-1] != "0" else "1"), "forged"),
        "base64": (base64.b64encode(bytes.fromhex(good)).decode(), "malformed"),
        "prefixed": ("0x" + good[2:], "malformed"),
    }
    for name, (text, verdict) in shapes.items():
        yield f"hash-{name}", spell({**BASE, "hash": text}), ONE, verdict
    yield "hash-missing", spell(BASE), ONE, "unsigned"
    yield "hash-name-upper-case", spell({**BASE, "Hash": good}), ONE, "unsigned"
    yield "hash-of-other-bot", signed(token=OTHER_TOKEN), ONE, "forged"
    yield "hash-of-retired-token", signed(token=OLD_TOKEN), ONE, "forged"
    yield "hash-of-empty-token", spell({**BASE, "hash": hash_of(BASE, "")}), ONE, "forged"
    yield "hash-by-widget-key", spell({**BASE, "hash": hash_of(BASE, widget=True)}), ONE, "forged"
    swapped = hmac.new(hmac.new(TOKEN.encode(), b"WebAppData", hashlib.sha256).digest(), lines(BASE).encode(), hashlib.sha256).hexdigest()
    yield "hash-key-arguments-swapped", spell({**BASE, "hash": swapped}), ONE, "forged"
    yield "hash-plain-sha256", spell({**BASE, "hash": hashlib.sha256(lines(BASE).encode()).hexdigest()}), ONE, "forged"
    yield "hash-without-signature-line", spell({**BASE, "signature": "x", "hash": good}), ONE, "forged"
    lined = {**BASE, "user-x": "1"}
    by_line = "\n".join(sorted(f"{name}={value}" for name, value in lined.items()))
    yield "hash-sorted-by-line", spell({**lined, "hash": hash_of({}, message=by_line)}), ONE, "forged"
    mixed = {**BASE, "Zeta": "1"}
    folded = "\n".join(f"{name}={mixed[name]}" for name in sorted(mixed, key=str.casefold))
    yield "hash-sorted-without-case", spell({**mixed, "hash": hash_of({}, message=folded)}), ONE, "forged"
    encoded = {name: quote_plus(value) for name, value in BASE.items()}
    yield "hash-over-encoded-values", spell({**BASE, "hash": hash_of(encoded)}), ONE, "forged"
    rebuilt = {**BASE, "user": USER.replace("\\/", "/")}
    yield "user-json-rebuilt", spell({**rebuilt, "hash": good}), ONE, "forged"
    for name, change in {
        "changed-id": {"user": USER.replace("279058397", "777000")},
        "changed-date": {"auth_date": str(NOW - 99)},
        "added-field": {"start_param": "x"},
        "added-blank-field": {"start_param": ""},
        "changed-query-id": {"query_id": "AAHdF6IQAAAAAN0XohDhrOrd"},
        "case-of-a-value": {"query_id": "aAHdF6IQAAAAAN0XohDhrOrc"},
        "blank-after-a-value": {"query_id": "AAHdF6IQAAAAAN0XohDhrOrc "},
    }.items():
        yield f"body-{name}", spell({**BASE, **change, "hash": good}), ONE, "forged"
    yield "body-removed-field", spell({"user": USER, "auth_date": BASE["auth_date"], "hash": good}), ONE, "forged"
    yield "body-renamed-field", spell({**BASE, "hash": good}).replace("query_id", "Query_id"), ONE, "forged"


def _folding() -> Iterator[Case]:
    date, query = f"auth_date={BASE['auth_date']}", f"query_id={BASE['query_id']}"
    user, proof = "user=" + quote_plus(USER), "hash=" + hash_of(BASE)
    start = {**BASE, "start_param": "promo"}
    start_proof = "hash=" + hash_of(start)
    cases = {
        "query-into-date": f"{date}%0A{query}&{user}&{proof}",
        "query-into-date-by-name": f"auth_date%3D{BASE['auth_date']}%0Aquery_id={BASE['query_id']}&{user}&{proof}",
        "user-into-query": f"{date}&{query}%0A{user}&{proof}",
        "start-param-into-signature": f"{date}&{query}&signature=%0Astart_param%3Dpromo&{user}&{start_proof}",
        "start-param-into-query": f"{date}&{query}%0Astart_param%3Dpromo&{user}&{start_proof}",
        "date-into-chat-type": f"auth_date={NOW}&{query}&{user}&{proof}",
        "everything-into-one": f"{date}%0A{query}%0A{user}&{proof}",
        "raw-line-feed": f"{date}\n{query}&{user}&{proof}",
        "carriage-return": f"{date}%0D&{query}&{user}&{proof}",
        "tab": f"{date}&{query}%09&{user}&{proof}",
        "nul": f"{date}&{query}%00&{user}&{proof}",
        "delete": f"{date}&{query}%7F&{user}&{proof}",
        "unit-separator": f"{date}&{query}%1F&{user}&{proof}",
        "escape": f"{date}&{query}%1B&{user}&{proof}",
        "equals-in-name": f"{date}&a%3Db=c&{query}&{user}&{proof}",
        "ampersand-in-name": f"{date}&a%26b=c&{query}&{user}&{proof}",
        "blank-in-name": f"{date}&a+b=c&{query}&{user}&{proof}",
        "raw-equals-in-value": f"{date}&{query}&{user}&a=b=c&{proof}",
        "name-without-equals": f"{date}&{query}&{user}&flag&{proof}",
        "nameless": f"{date}&{query}&{user}&=x&{proof}",
        "empty-pair": f"{date}&&{query}&{user}&{proof}",
        "leading-ampersand": f"&{date}&{query}&{user}&{proof}",
        "trailing-ampersand": f"{date}&{query}&{user}&{proof}&",
        "semicolon-in-name": f"{date};{query}&{user}&{proof}",
        "question-mark": f"?{date}&{query}&{user}&{proof}",
        "fragment": f"#{date}&{query}&{user}&{proof}",
        "fragment-at-the-end": f"{date}&{query}&{user}&{proof}#",
        "blank-at-the-end": f"{date}&{query}&{user}&{proof} ",
        "line-feed-at-the-end": f"{date}&{query}&{user}&{proof}\n",
        "escaped-name": f"{date}&{query}&%75ser={quote_plus(USER)}&{proof}",
        "unicode-name": f"{date}&{query}&{user}&%C3%A4=1&{proof}",
        "bracket-name": f"{date}&{query}&{user}&a[]=1&{proof}",
        "empty": "",
        "only-hash": proof,
        "header-left-on": f"tma {date}&{query}&{user}&{proof}",
    }
    for name, raw in cases.items():
        verdict = {"semicolon-in-name": "malformed", "only-hash": "forged", "date-into-chat-type": "forged"}.get(name, "malformed")
        yield f"folding-{name}", raw, ONE, verdict


def _spelling() -> Iterator[Case]:
    raw = signed()
    cases = {
        "lower-case-escape": raw.replace("%7B", "%7b"),
        "escaped-letter": raw.replace("vdkfrost", "%76dkfrost"),
        "escaped-digit": raw.replace("279058397", "%3279058397"),
        "escaped-hyphen": raw.replace("+-+", "+%2D+"),
        "escaped-underscore": raw.replace("first_name", "first%5Fname"),
        "escaped-dot": signed({"start_param": "a.b"}).replace("a.b", "a%2Eb"),
        "lone-percent": raw.replace("query_id=", "query_id=%"),
        "percent-at-the-end": raw + "%",
        "half-escape": raw + "%4",
        "not-an-escape": raw.replace("%7B", "%GG"),
        "percent-u": raw.replace("%7B", "%u007B"),
        "invalid-utf8": raw.replace("Kibenko", "%FF"),
        "overlong-slash": raw.replace("Kibenko", "%C0%AF"),
        "surrogate-bytes": raw.replace("Kibenko", "%ED%A0%80"),
        "truncated-utf8": raw.replace("Kibenko", "%E2%82"),
        "beyond-unicode": raw.replace("Kibenko", "%F4%90%80%80"),
        "latin-1": raw.replace("Kibenko", "%E9"),
        "decoded-already": "&".join(f"{name}={value}" for name, value in {**BASE, "hash": hash_of(BASE)}.items()),
        "encoded-twice": quote_plus(raw),
        "values-encoded-twice": "&".join(f"{name}={quote_plus(quote_plus(value))}" for name, value in BASE.items())
        + "&hash="
        + hash_of(BASE),
        "raw-quote": raw.replace("%22", '"', 1),
        "raw-brace": raw.replace("%7B", "{"),
        "raw-backslash": raw.replace("%5C", "\\"),
        "raw-non-ascii": signed({"start_param": "é"}, how=lambda text: text if text == "é" else quote_plus(text)),
        "raw-emoji": signed({"start_param": "😀"}, how=lambda text: text if text == "😀" else quote_plus(text)),
        "raw-nul": raw.replace("Kibenko", "\0"),
        "raw-blank": raw.replace("+", " "),
        "quoted-printable": raw.replace("%", "="),
    }
    for name, text in cases.items():
        verdict = "forged" if name == "values-encoded-twice" else "malformed"
        yield f"spelling-{name}", text, ONE, verdict


def _duplicates() -> Iterator[Case]:
    raw = signed()
    for name in ("user", "hash", "auth_date", "query_id"):
        pair = next(pair for pair in raw.split("&") if pair.startswith(name + "="))
        yield f"duplicate-{name}-same", f"{raw}&{pair}", ONE, "duplicate"
        yield f"duplicate-{name}-blank", f"{name}=&{raw}", ONE, "duplicate"
        yield f"duplicate-{name}-at-the-end", f"{raw}&{name}=", ONE, "duplicate"
    yield "duplicate-forged-user", f"{raw}&user=" + quote_plus('{"id":777000}'), ONE, "duplicate"
    yield "duplicate-unknown", f"{raw}&x=1&x=1", ONE, "duplicate"
    both = "\n".join(["auth_date=" + BASE["auth_date"], "query_id=Q", "query_id=R", "user=" + USER])
    proof = hash_of({}, message=both)
    yield (
        "duplicate-signed-as-lines",
        f"auth_date={BASE['auth_date']}&query_id=Q&query_id=R&user={quote_plus(USER)}&hash={proof}",
        ONE,
        "duplicate",
    )
    yield "duplicate-differs-in-case", signed({"User": USER}), ONE, "ok"


def _dates() -> Iterator[Case]:
    cases: dict[str, tuple[str | None, str]] = {
        "missing": (None, "auth_date"),
        "blank": ("", "auth_date"),
        "zero": ("0", "auth_date"),
        "negative": ("-1", "auth_date"),
        "plus": (f"+{NOW}", "auth_date"),
        "exponent": ("1e9", "auth_date"),
        "letters": ("abc", "auth_date"),
        "letters-after": (f"{NOW}abc", "auth_date"),
        "blank-before": (f" {NOW}", "auth_date"),
        "blank-after": (f"{NOW} ", "auth_date"),
        "underscore": ("1_800_000_000", "auth_date"),
        "point": (f"{NOW}.0", "auth_date"),
        "hex": ("0x6b49d200", "auth_date"),
        "leading-zero": (f"0{NOW}", "auth_date"),
        "arabic-digits": ("١٨٠٠٠٠٠٠٠٠", "auth_date"),
        "fullwidth-digits": ("１８００００００００", "auth_date"),
        "superscript": ("¹⁸", "auth_date"),
        "milliseconds": (f"{NOW}000", "auth_date"),
        "huge": ("9" * 400, "auth_date"),
        "nan": ("NaN", "auth_date"),
        "infinity": ("Infinity", "auth_date"),
        "iso": ("2027-01-15T08:00:00Z", "auth_date"),
        "one-second-too-old": (str(NOW - 3601), "expired"),
        "a-day-old": (str(NOW - 86400), "expired"),
        "one": ("1", "expired"),
        "one-second-too-new": (str(NOW + 61), "future"),
        "far-future": ("9999999999", "future"),
    }
    for name, (text, verdict) in cases.items():
        yield f"date-{name}", signed({"auth_date": text}), ONE, verdict


def _users() -> Iterator[Case]:
    texts: dict[str, str | None] = {
        "missing": None,
        "blank": "",
        "null": "null",
        "list": '[{"id":7}]',
        "string": '"7"',
        "number": "7",
        "true": "true",
        "empty-object": "{}",
        "truncated": '{"id":7',
        "trailing-comma": '{"id":7,}',
        "trailing-text": '{"id":7}x',
        "two-objects": '{"id":7}{"id":8}',
        "comment": '{"id":7/*x*/}',
        "single-quotes": "{'id':7}",
        "byte-order-mark": '\ufeff{"id":7}',
        "nan": '{"id":7,"x":NaN}',
        "infinity": '{"id":7,"x":-Infinity}',
        "too-large-float": '{"id":7,"x":1e999}',
        "twice-id": '{"id":7,"id":777000}',
        "twice-id-same": '{"id":7,"id":7}',
        "twice-nested": '{"id":7,"x":{"a":1,"a":1}}',
        "twice-by-escape": '{"id":7,"\\u0069d":777000}',
        "half-pair": '{"id":7,"first_name":"\\ud800"}',
        "half-pair-upper": '{"id":7,"first_name":"\\uDFFF"}',
        "half-pair-in-name": '{"id":7,"\\udc00":1}',
        "id-string": '{"id":"7"}',
        "id-true": '{"id":true}',
        "id-null": '{"id":null}',
        "id-float": '{"id":7.0}',
        "id-exponent": '{"id":7e0}',
        "id-list": '{"id":[7]}',
        "id-zero": '{"id":0}',
        "id-negative": '{"id":-7}',
        "id-minus-zero": '{"id":-0}',
        "id-beyond-2-53": '{"id":9007199254740993}',
        "id-beyond-64-bits": '{"id":18446744073709551623}',
        "id-of-5000-digits": '{"id":' + "9" * 5000 + "}",
        "id-leading-zero": '{"id":07}',
        "id-plus": '{"id":+7}',
        "id-hex": '{"id":0x7}',
        "id-other-case": '{"ID":7}',
        "a-bot": '{"id":7,"is_bot":true}',
        "bot-as-string": '{"id":7,"is_bot":"false"}',
        "bot-as-number": '{"id":7,"is_bot":0}',
        "name-number": '{"id":7,"first_name":7}',
        "name-list": '{"id":7,"first_name":["A"]}',
        "username-false": '{"id":7,"username":false}',
        "premium-string": '{"id":7,"is_premium":"yes"}',
        "deep": '{"id":7,"x":' + "[" * 2500 + "]" * 2500 + "}",
        "a-level-too-deep": '{"id":7,"x":' + "[" * 64 + "]" * 64 + "}",
        "invalid-escape": '{"id":7,"first_name":"\\x41"}',
    }
    for name, text in texts.items():
        raw = signed({"user": text}, how=component) if name == "deep" else signed({"user": text})
        yield f"user-{name}", raw, ONE, "user"


def _nested() -> Iterator[Case]:
    for name, text in {"list": "[]", "blank": "", "no-id": "{}", "id-string": '{"id":"8"}', "twice": '{"id":8,"id":9}'}.items():
        yield f"receiver-{name}", signed({"receiver": text}), ONE, "content"
    for name, text in {
        "null": "null",
        "no-id": '{"type":"group"}',
        "no-type": '{"id":-100}',
        "type-number": '{"id":-100,"type":1}',
        "id-zero": '{"id":0,"type":"group"}',
        "id-string": '{"id":"-100","type":"group"}',
        "id-beyond-2-53": '{"id":-9007199254740993,"type":"group"}',
        "title-number": '{"id":-100,"type":"group","title":1}',
        "broken": '{"id":-100,"type":"group"',
    }.items():
        yield f"chat-{name}", signed({"chat": text}), ONE, "content"
    for name, text in {"blank": "", "negative": "-1", "float": "1.5", "letters": "soon", "leading-zero": "01", "huge": "9" * 10}.items():
        yield f"can-send-after-{name}", signed({"can_send_after": text}), ONE, "content"


def _third_party() -> Iterator[Case]:
    good = by_telegram()
    mark = good["signature"]
    yield "third-valid", spell(good), THIRD, "ok"
    yield "third-valid-without-hash", spell(by_telegram(given=None)), THIRD, "ok"
    yield "third-valid-other-hash", spell({**good, "hash": "f" * 64}), THIRD, "ok"
    yield "third-valid-test-servers", spell(by_telegram(key=TEST_SERVERS)), OracleBots(public=((BOT_ID, TEST_PUBLIC),)), "ok"
    yield "third-valid-second-bot", spell(good), OracleBots(public=((5, PUBLIC), (BOT_ID, PUBLIC))), "ok"
    yield "third-valid-beside-token", spell(good), OracleBots(tokens=(OTHER_TOKEN,), public=((BOT_ID, PUBLIC),)), "ok"
    hashed = {**BASE, "signature": "x"}
    yield (
        "third-token-wins-over-bad-signature",
        spell({**hashed, "hash": hash_of(hashed)}),
        OracleBots(tokens=(TOKEN,), public=((BOT_ID, PUBLIC),)),
        "ok",
    )
    yield "third-same-bot-beside-token", spell(good), OracleBots(tokens=(TOKEN,), public=((BOT_ID, PUBLIC),)), "forged"
    yield "third-no-hash-beside-token", spell(by_telegram(given=None)), OracleBots(tokens=(TOKEN,), public=((BOT_ID, PUBLIC),)), "unsigned"
    yield (
        "third-malformed-beside-token",
        spell({**hashed, "hash": "0" * 64}),
        OracleBots(tokens=(OTHER_TOKEN,), public=((BOT_ID, PUBLIC),)),
        "malformed",
    )
    yield "third-hash-upper-case", spell({**good, "hash": "F" * 64}), THIRD, "malformed"
    yield "third-hash-blank", spell({**good, "hash": ""}), THIRD, "malformed"
    yield "third-test-key-in-production", spell(by_telegram(key=TEST_SERVERS)), THIRD, "forged"
    yield "third-other-bot", spell(by_telegram(bot_id=5)), THIRD, "forged"
    yield "third-signed-with-hash-line", spell({**good, "signature": by_telegram({"hash": "0" * 64})["signature"]}), THIRD, "forged"
    yield "third-changed-user", spell({**good, "user": USER.replace("279058397", "777000")}), THIRD, "forged"
    yield "third-added-field", spell({**good, "start_param": "x"}), THIRD, "forged"
    yield "third-removed-field", spell({name: text for name, text in good.items() if name != "query_id"}), THIRD, "forged"
    yield "third-zeros", spell({**good, "signature": "A" * 86}), THIRD, "forged"
    yield "third-missing", spell({**BASE, "hash": hash_of(BASE)}), THIRD, "unsigned"
    yield "third-blank", spell({**BASE, "signature": "", "hash": hash_of(BASE)}), THIRD, "unsigned"
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    shapes = {
        "padded": mark + "==",
        "padded-once": mark + "=",
        "junk-inside": mark[:40] + "!" + mark[40:],
        "blank-inside": mark[:40] + " " + mark[40:],
        "short": mark[:-1],
        "long": mark + "A",
        "hex": base64.urlsafe_b64decode(mark + "==").hex(),
        "standard-alphabet": "+/" + mark[2:],
        "unused-bits": mark[:-1] + last[last.index(mark[-1]) + 1],
        "non-ascii": "é" + mark[1:],
    }
    for name, text in shapes.items():
        yield f"third-signature-{name}", spell({**good, "signature": text}), THIRD, "malformed"
    yield "third-expired", spell(by_telegram({"auth_date": str(NOW - 3601)})), THIRD, "expired"
    yield "third-future", spell(by_telegram({"auth_date": str(NOW + 61)})), THIRD, "future"
    yield "third-user-missing", spell(by_telegram({"user": None})), THIRD, "user"
    yield "third-folded", spell(good).replace("&user=", "%0Auser%3D"), THIRD, "malformed"
    yield "third-duplicate", spell(good) + "&signature=" + mark, THIRD, "duplicate"


def _login_widget() -> Iterator[Case]:
    yield "widget-valid", widget(), WIDGET, "ok"
    yield "widget-valid-smallest", widget({"first_name": None, "username": None}), WIDGET, "ok"
    yield "widget-valid-photo", widget({"photo_url": "https://t.me/i/userpic/320/x.jpg", "last_name": "Ж"}), WIDGET, "ok"
    yield "widget-new-field", widget({"x": "1"}), WIDGET, "ok"
    yield "widget-by-mini-app-key", widget(as_widget=False), WIDGET, "forged"
    yield "widget-as-mini-app", widget(), ONE, "forged"
    yield "widget-other-bot", widget(token=OTHER_TOKEN), WIDGET, "forged"
    yield "widget-changed-id", widget().replace("279058397", "777000"), WIDGET, "forged"
    yield "widget-no-hash", widget().partition("&hash")[0], WIDGET, "unsigned"
    yield "widget-expired", widget({"auth_date": str(NOW - 3601)}), WIDGET, "expired"
    yield "widget-future", widget({"auth_date": str(NOW + 61)}), WIDGET, "future"
    yield "widget-twice", widget() + "&id=1", WIDGET, "duplicate"
    ids = {
        "missing": None,
        "blank": "",
        "zero": "0",
        "negative": "-1",
        "letters": "7x",
        "leading-zero": "07",
        "huge": "9" * 17,
        "beyond": str(2**53 + 1),
    }
    for name, text in ids.items():
        yield f"widget-id-{name}", widget({"id": text}), WIDGET, "user"


def _sizes() -> Iterator[Case]:
    room = 16384 - len(signed({"start_param": ""}))
    yield "size-just-fits", signed({"start_param": "a" * room}), ONE, "ok"
    yield "size-one-too-many", signed({"start_param": "a" * (room + 1)}), ONE, "too_large"
    yield "size-10-megabytes", "user=" + "a" * 10_000_000, ONE, "too_large"
    yield "fields-64", signed({f"x{number}": "" for number in range(60)}), ONE, "ok"
    yield "fields-65", signed({f"x{number}": "" for number in range(61)}), ONE, "too_large"
    yield "fields-100000", "&".join(["a=b"] * 100_000), ONE, "too_large"
    yield "fields-all-empty", "&" * 16000, ONE, "too_large"
