"""The environment as one frozen value: the only file that reads it.

Each field names its variable, what it is for and what its absence switches off; the docs table and
`dealquest doctor` are made from these fields. All problems are reported at once.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import attrs

from dealquest.errors import SettingsError
from dealquest.values import Secret

OPENROUTER_BASE_URL = "https://openrouter.ai/api/v1"
ANTHROPIC_BASE_URL = "https://api.anthropic.com"
ASSEMBLYAI_BASE_URL = "https://api.assemblyai.com"
TELEGRAM_API_BASE = "https://api.telegram.org"
MINIMUM_JWT_SECRET = 32
DB_PROXY_TABLES = ("users", "user_memory", "scenarios_seen", "attempts", "track_progress", "support_sessions", "casebook")


def _text(raw: str) -> str:
    return raw


def _secret(raw: str) -> Secret:
    if any(character.isspace() or not character.isprintable() for character in raw):
        raise ValueError("holds blanks or control characters; paste the key alone")
    return Secret(raw)


def _url(raw: str) -> str:
    parts = urlsplit(raw)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0:  # a port beyond 65535 raises by itself
        raise ValueError("is not an http(s) address, such as https://host/path")
    if parts.username is not None:
        raise ValueError("holds a user or a password; keys have variables of their own")
    return raw.rstrip("/")


def _database_url(raw: str) -> Secret:
    if urlsplit(raw).scheme not in {"postgres", "postgresql"}:
        raise ValueError("is not a PostgreSQL address, such as postgresql://user:password@host:5432/database")
    return Secret(raw)


def _names(raw: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for item in raw.split(",") if (name := item.strip().removeprefix("@").casefold())))


def _bot_token(raw: str) -> Secret:
    if re.fullmatch(r"[0-9]{1,20}:[A-Za-z0-9_-]{8,128}", raw) is None:
        raise ValueError("is not a bot token; BotFather gives them in the form 123456:ABC...")
    return Secret(raw)


def _fernet_keys(raw: str) -> tuple[Secret, ...]:
    keys = tuple(item.strip() for item in raw.split(",") if item.strip())
    if not keys or any(re.fullmatch(r"[A-Za-z0-9_-]{43}=", key) is None for key in keys):
        raise ValueError("is not a Fernet key (44 characters, url-safe base64); several are separated by commas, newest first")
    return tuple(Secret(key) for key in keys)


def _jwt_secret(raw: str) -> Secret:
    if len(raw.encode()) < MINIMUM_JWT_SECRET or len(set(raw)) < 8:
        raise ValueError(f"is too weak: at least {MINIMUM_JWT_SECRET} bytes of chance, such as `openssl rand -hex 32` prints")
    return Secret(raw)


def _whole(raw: str) -> int:
    if re.fullmatch(r"[0-9]{1,12}", raw) is None:
        raise ValueError("is not a whole number of digits")
    return int(raw)


def _usd(raw: str) -> Decimal:
    try:
        amount = Decimal(raw)
    except InvalidOperation as exc:
        raise ValueError("is not an amount of USD, such as 2.50") from exc
    if not amount.is_finite() or not 0 <= amount <= 1_000_000:
        raise ValueError("is not an amount of USD from 0 to 1,000,000")
    return amount


def _switch(raw: str) -> bool:
    word = raw.casefold()
    if word not in {"on", "off", "true", "false", "yes", "no", "1", "0"}:
        raise ValueError("is neither on nor off")
    return word in {"on", "true", "yes", "1"}


def _origins(raw: str) -> tuple[str, ...]:
    origins = tuple(dict.fromkeys(item.strip().rstrip("/").casefold() for item in raw.split(",") if item.strip()))
    for origin in origins:
        parts = urlsplit(origin)
        if parts.scheme not in {"http", "https"} or not parts.hostname or origin != f"{parts.scheme}://{parts.netloc}" or "@" in origin:
            raise ValueError("holds what is no origin; write scheme://host or scheme://host:port, separated by commas")
    return origins


def _password(raw: str) -> Secret:
    if len(raw) < 8 or raw in {"change-this-password", "password"}:
        raise ValueError("is too weak: at least 8 characters, and none that an example file shows")
    if len(raw.encode("utf-8", "surrogatepass")) > 72:
        raise ValueError("is longer than 72 bytes, which is all that bcrypt reads")
    return Secret(raw)


def _email(raw: str) -> str:
    if re.fullmatch(r"[^@\s]{1,64}@[^@\s]{1,190}", raw) is None:
        raise ValueError("is not an e-mail address")
    return raw.casefold()


def _folder(raw: str) -> Path:
    try:
        return Path(raw).expanduser().absolute()
    except RuntimeError as exc:
        raise ValueError("names the home of a user who is not known here") from exc


def _tokens(raw: str) -> int:
    if not raw.isascii() or not raw.isdigit() or not 500 <= int(raw) <= 200_000:
        raise ValueError("is not a whole number from 500 to 200000")
    return int(raw)


def _level(raw: str) -> str:
    if raw.upper() not in {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"}:
        raise ValueError("is none of DEBUG, INFO, WARNING, ERROR, CRITICAL")
    return raw.upper()


def _flag(raw: str) -> bool:
    known = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    if raw.casefold() not in known:
        raise ValueError("is neither yes nor no")
    return known[raw.casefold()]


def _port(raw: str) -> int:
    if re.fullmatch(r"[0-9]{1,5}", raw) is None or not 0 < int(raw) < 65536:
        raise ValueError("is not a port from 1 to 65535")
    return int(raw)


def _webhook_secret(raw: str) -> Secret:
    if re.fullmatch(r"[A-Za-z0-9_-]{16,256}", raw) is None:
        raise ValueError("is not 16 to 256 of A-Z a-z 0-9 _ -")
    return Secret(raw)


def _default_home() -> Path:
    """The user's data folder; root has no place of its own, so the machine's."""
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return Path("/var/lib/dealquest")
    base = Path(os.environ.get("XDG_DATA_HOME", ""))
    if base.is_absolute():  # the specification says to ignore a relative one
        return base / "dealquest"
    return Path("~/.local/share/dealquest").expanduser().absolute()


def _variable(
    name: str,
    parse: Callable[[str], Any],
    *,
    default: Any,
    purpose: str,
    without: str = "",
    secret: bool = False,
    brings_model: bool = False,
) -> Any:
    told = {"variable": name, "parse": parse, "purpose": purpose, "without": without, "secret": secret, "brings_model": brings_model}
    return attrs.field(default=default, repr=not secret, metadata=told)


@attrs.frozen(kw_only=True)
class Settings:
    """What the operator decided. Build it with `load_settings()`; tests build it directly."""

    home: Path = _variable(
        "DEALQUEST_HOME", _folder, default=attrs.Factory(_default_home), purpose="data folder: embedded PostgreSQL, trace spool"
    )
    log_level: str = _variable("LOG_LEVEL", _level, default="INFO", purpose="least level that is logged")

    database_url: Secret | None = _variable(
        "DATABASE_URL",
        _database_url,
        default=None,
        secret=True,
        purpose="an existing PostgreSQL (or POSTGRES_HOST, _PORT, _USER, _PASSWORD, _DB)",
        without="the embedded PostgreSQL is used",
    )
    insforge_base_url: str | None = _variable(
        "INSFORGE_BASE_URL", _url, default=None, purpose="remote records over PostgREST", without="records stay in PostgreSQL"
    )
    postgrest_base_url: str | None = _variable(
        "POSTGREST_BASE_URL",
        _url,
        default=None,
        purpose="a PostgREST of your own, over a database that `dealquest db migrate` has prepared; JWT_SECRET must be its `jwt-secret`",
        without="records stay in PostgreSQL",
    )
    insforge_anon_key: Secret | None = _variable("INSFORGE_ANON_KEY", _secret, default=None, secret=True, purpose="its public key")
    access_api_key: Secret | None = _variable(
        "ACCESS_API_KEY", _secret, default=None, secret=True, purpose="API key (ik_...) that acts as project_admin on the remote records"
    )

    openrouter_api_key: Secret | None = _variable(
        "OPENROUTER_API_KEY",
        _secret,
        default=None,
        secret=True,
        purpose="the team's shared model key",
        without="answers are scored offline by signals",
        brings_model=True,
    )
    openrouter_base_url: str = _variable("OPENROUTER_BASE_URL", _url, default=OPENROUTER_BASE_URL, purpose="where OpenRouter is reached")
    default_openrouter_model: str = _variable(
        "DEFAULT_OPENROUTER_MODEL", _text, default="openai/gpt-oss-120b", purpose="model of users who chose none"
    )
    anthropic_api_key: Secret | None = _variable(
        "ANTHROPIC_API_KEY",
        _secret,
        default=None,
        secret=True,
        purpose="the operator's Anthropic key",
        without="Anthropic only by users' keys",
        brings_model=True,
    )
    anthropic_base_url: str = _variable("ANTHROPIC_BASE_URL", _url, default=ANTHROPIC_BASE_URL, purpose="where Anthropic is reached")
    openai_base_url: str | None = _variable(
        "OPENAI_BASE_URL",
        _url,
        default=None,
        purpose="any OpenAI-compatible server (Ollama, vLLM, llama.cpp)",
        without="no local model",
        brings_model=True,
    )
    openai_api_key: Secret | None = _variable("OPENAI_API_KEY", _secret, default=None, secret=True, purpose="its key, if it wants one")
    assemblyai_api_key: Secret | None = _variable(
        "ASSEMBLYAI_API_KEY", _secret, default=None, secret=True, purpose="speech to text", without="voice messages are declined"
    )
    assemblyai_base_url: str = _variable("ASSEMBLYAI_BASE_URL", _url, default=ASSEMBLYAI_BASE_URL, purpose="where AssemblyAI is reached")
    whisper_base_url: str | None = _variable(
        "WHISPER_BASE_URL",
        _url,
        default=None,
        purpose="a speech server of your own with OpenAI's /audio/transcriptions, such as http://host/v1",
    )
    whisper_api_key: Secret | None = _variable("WHISPER_API_KEY", _secret, default=None, secret=True, purpose="its key, if it wants one")
    whisper_model: str = _variable("WHISPER_MODEL", _text, default="whisper-1", purpose="its model")

    knowledge_dir: Path | None = _variable(
        "KNOWLEDGE_DIR",
        _folder,
        default=None,
        purpose="folder of Markdown files on how you sell and what, shown to the model",
        without="the small playbook that ships is used",
    )
    knowledge_tokens: int = _variable("KNOWLEDGE_TOKENS", _tokens, default=6_000, purpose="most tokens of them that one question shows")

    telegram_bot_token: Secret | None = _variable(
        "TELEGRAM_BOT_TOKEN", _bot_token, default=None, secret=True, purpose="the bot's token", without="no Telegram, the terminal works"
    )
    telegram_api_base: str = _variable("TELEGRAM_API_BASE", _url, default=TELEGRAM_API_BASE, purpose="where the Bot API is reached")
    telegram_webhook_url: str | None = _variable(
        "TELEGRAM_WEBHOOK_URL", _url, default=None, purpose="public https address to push updates to", without="updates are polled"
    )
    telegram_webhook_secret: Secret | None = _variable(
        "TELEGRAM_WEBHOOK_SECRET",
        _webhook_secret,
        default=None,
        secret=True,
        purpose="shown by Telegram with every pushed update",
        without="it is derived from the token",
    )
    telegram_webhook_host: str = _variable(
        "TELEGRAM_WEBHOOK_HOST", _text, default="127.0.0.1", purpose="address to listen on for pushed updates; 0.0.0.0 in a container"
    )
    telegram_webhook_port: int = _variable("TELEGRAM_WEBHOOK_PORT", _port, default=8443, purpose="port to listen on for pushed updates")
    telegram_health_port: int | None = _variable(
        "TELEGRAM_HEALTH_PORT", _port, default=None, purpose="port of GET /health for a host's checks", without="only a file is touched"
    )
    telegram_careful: bool = _variable(
        "TELEGRAM_CAREFUL",
        _flag,
        default=False,
        purpose="yes makes every answer an edit of a placeholder, so that no crash shows one twice",
    )
    mini_app_url: str | None = _variable(
        "MINI_APP_URL", _url, default=None, purpose="the Mini App behind the button beside the message field", without="no button"
    )
    allowed_usernames: tuple[str, ...] = _variable(
        "ALLOWED_USERNAMES", _names, default=(), purpose="who may use the bot: ids (preferred) or names", without="everyone may use the bot"
    )
    admin_usernames: tuple[str, ...] = _variable(
        "ADMIN_USERNAMES", _names, default=(), purpose="who sees the admin views: ids (preferred) or names", without="nobody is admin"
    )

    encryption_keys: tuple[Secret, ...] = _variable(
        "ENCRYPTION_KEY",
        _fernet_keys,
        default=(),
        secret=True,
        purpose="Fernet keys for stored secrets, newest first",
        without="users cannot store a key of their own",
    )
    jwt_secret: Secret | None = _variable(
        "JWT_SECRET", _jwt_secret, default=None, secret=True, purpose="signs session tokens (HS256)", without="no sign-in over HTTP"
    )

    # HTTP
    http_trusted_hops: int = _variable(
        "HTTP_TRUSTED_HOPS", _whole, default=0, purpose="proxies in front whose X-Forwarded-For entry is believed"
    )
    http_cors_origins: tuple[str, ...] = _variable(
        "HTTP_CORS_ORIGINS",
        _origins,
        default=(),
        purpose="origins whose pages may call with cookies",
        without="pages of the same origin only",
    )
    http_max_body_bytes: int = _variable("HTTP_MAX_BODY_BYTES", _whole, default=8 * 1024 * 1024, purpose="largest request body, in bytes")
    http_request_limit: int = _variable(
        "HTTP_REQUEST_LIMIT", _whole, default=1000, purpose="requests of one address in 15 minutes, for each worker; 0 for no limit"
    )
    admin_email: str = _variable("ADMIN_EMAIL", _email, default="admin@example.com", purpose="who signs in as project_admin over HTTP")
    admin_password: Secret | None = _variable(
        "ADMIN_PASSWORD",
        _password,
        default=None,
        secret=True,
        purpose="its password",
        without="one is made at the first start and shown once",
    )
    db_proxy_tables: tuple[str, ...] = _variable(
        "DB_PROXY_TABLES", _names, default=DB_PROXY_TABLES, purpose="tables that POST /functions/db-proxy answers for"
    )
    ai_caller_budget_usd: Decimal = _variable(
        "AI_CALLER_BUDGET_USD", _usd, default=Decimal(1), purpose="USD that one signed-in caller may spend on models in 24 hours over HTTP"
    )
    ai_total_budget_usd: Decimal = _variable(
        "AI_TOTAL_BUDGET_USD",
        _usd,
        default=Decimal(20),
        purpose="USD that all callers but the admin together may spend on models in 24 hours over HTTP",
    )
    ai_anon_budget_usd: Decimal = _variable(
        "AI_ANON_BUDGET_USD",
        _usd,
        default=Decimal(0),
        purpose="the same for all callers with the public key together",
        without="models answer signed-in callers only",
    )
    coach_events_a_day: int = _variable(
        "COACH_EVENTS_A_DAY", _whole, default=500, purpose="messages that one person may send the coach in 24 hours over HTTP"
    )
    dev_sign_in: bool = _variable(
        "DEV_SIGN_IN",
        _switch,
        default=False,
        purpose="on: the Mini App signs anybody in without Telegram, for development on one's own machine",
    )

    given: frozenset[str] = attrs.field(default=frozenset(), metadata={})
    """Names of the variables that were set, for `dealquest doctor`."""

    @property
    def remote_records(self) -> str | None:
        """The address of the records, where they are not in a database that this process opens."""
        return self.insforge_base_url or self.postgrest_base_url

    @property
    def has_model(self) -> bool:
        """Whether any model can be asked with the operator's own settings."""
        return any(getattr(self, field.name) for field in attrs.fields(Settings) if field.metadata.get("brings_model"))


@attrs.frozen(kw_only=True)
class Variable:
    """One variable of the environment, as documentation and doctor show it."""

    name: str
    purpose: str
    without: str
    secret: bool
    default: str
    field: str


def _variable_fields() -> "list[attrs.Attribute[Any]]":
    return [field for field in attrs.fields(Settings) if "variable" in field.metadata]


def variables() -> Iterator[Variable]:
    """Every variable that is read, in order."""
    for field in _variable_fields():
        default = field.default
        text = "" if default in (None, ()) else "the user's data folder" if isinstance(default, attrs.Factory) else str(default)  # type: ignore[arg-type]
        yield Variable(
            name=field.metadata["variable"],
            purpose=field.metadata["purpose"],
            without=field.metadata["without"],
            secret=field.metadata["secret"],
            default=text,
            field=field.name,
        )


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the environment.

    Args:
        environ: Name to text; the process's own environment when left out. Blank texts count as unset.

    Raises:
        SettingsError: `settings.invalid`, with every problem in one message and no value of a secret.
    """
    source = os.environ if environ is None else environ
    problems: list[str] = []
    found: dict[str, Any] = {}
    given: set[str] = set()
    for field in _variable_fields():
        name, parse = field.metadata["variable"], field.metadata["parse"]
        raw = source.get(name, "").strip()
        if name == "DATABASE_URL" and not raw:
            raw = _url_from_parts(source)
        if not raw:
            continue
        given.add(name)
        try:
            found[field.name] = parse(raw)
        except ValueError as exc:
            problems.append(f"{name} {exc}")
    if found.get("jwt_secret") is not None and found["jwt_secret"] in found.get("encryption_keys", ()):
        problems.append("JWT_SECRET and ENCRYPTION_KEY are the same; one leak would open both, give each its own")
    if problems:
        raise SettingsError("Settings to mend:\n" + "\n".join(f"  - {problem}" for problem in problems), code="settings.invalid")
    return Settings(**found, given=frozenset(given))


def _url_from_parts(source: Mapping[str, str]) -> str:
    host = source.get("POSTGRES_HOST", "").strip()
    if not host:
        return ""
    user, password = source.get("POSTGRES_USER", "postgres"), source.get("POSTGRES_PASSWORD", "")
    port, database = source.get("POSTGRES_PORT", "5432"), source.get("POSTGRES_DB", "postgres")
    name, login = quote(database, safe=""), f"{quote(user, safe='')}:{quote(password, safe='')}"
    if host.startswith("/"):  # a socket's folder
        return f"postgresql://{login}@/{name}?host={quote(host, safe='')}&port={port}"
    return f"postgresql://{login}@{host}:{port}/{name}"
