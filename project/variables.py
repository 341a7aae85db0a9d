"""The environment's variables beside the app's own ASSISTANT_ ones, one line each."""

from __future__ import annotations

from assistant.conf.kinds import Choice, Flag, Folder, Hosts, Text, Words


class Variables:
    """The project"""

    database_url = Text("", "`postgres://user:password@host/name`", shown="SQLite in the data dir")
    redis_url = Text("", "`redis://host:6379/0`", shown="an embedded Valkey")
    secret_key = Text("", "Django's.", shown="made once, in the data dir")
    debug = Flag(False, "Django's. Never on where strangers come by.")
    allowed_hosts = Hosts(["localhost", "127.0.0.1", "[::1]"], "Host names that people use.")
    csrf_trusted_origins = Words([], "`https://chat.example.org`, behind a proxy that ends TLS.")
    secure_cookies = Flag(False, "On: cookies only over HTTPS.")
    sentry_dsn = Text("", "Failures go to Sentry too, without secrets or texts.")
    log_level = Choice("info", "Of Parley's own log.", choices=("debug", "info", "warning", "error"))
    assistant_data_dir = Folder(
        None, "The database, the secret key, the embedded Valkey's socket; a folder of its owner's.", shown="`var/`"
    )
    assistant_media_dir = Folder(
        None,
        "Where attached files are kept. Web servers and workers on several machines must share it.",
        shown="`media` in the data dir",
    )
    assistant_pool_connections = Flag(
        False, "On: connections to PostgreSQL are pooled. The web server switches it on for itself."
    )
