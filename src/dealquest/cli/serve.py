"""`dealquest serve`: accounts, records, functions and health over HTTP. The adapter is a package of its own and loads only here."""

from dealquest.errors import SettingsError
from dealquest.settings import load_settings


def serve(*, host: str = "127.0.0.1", port: int = 7130, workers: int = 1, reload: bool = False) -> None:
    """Serve over HTTP until it is told to stop.

    Args:
        host: The address to listen on.
        port: The port to listen on.
        workers: Processes that share the port and the database.
        reload: Start anew when a source file changes, for development.
    """
    try:
        from dealquest_http import serve as run
    except ModuleNotFoundError as exc:
        raise SettingsError(
            "The HTTP adapter is not installed: pip install 'dealquest[http]'; in a clone, scripts/test installs everything.",
            code="http.missing",
        ) from exc
    run(load_settings(), host=host, port=port, workers=workers, reload=reload)
