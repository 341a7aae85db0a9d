"""Settings of the app, one line each: kind, default, sentence, bounds; `conf.settings.lease` is ASSISTANT_LEASE now."""

from __future__ import annotations

from typing import Any

from assistant.conf.kinds import Choice, Flag, Folder, Models, Number, Prices, Setting, Text, Whole, Words

__all__ = ["Setting", "Settings", "settings"]

FILE_TYPES = ("image/png", "image/jpeg", "image/gif", "image/webp", "application/pdf", "text/plain")
TOOLS = ("assistant.tools.clock", "assistant.tools.calculator", "assistant.tools.recall", "assistant.tools.web")
ANY = "0: any number"


def half_of_deadline() -> float:
    return settings.deadline / 2


class Table:
    PREFIX = "ASSISTANT_"


class ModelSettings(Table):
    """Models"""

    models = Models(
        [],
        "litellm ids; `Label=id` names one, `openai/*` offers all that begin so. The first is the default.",
        shown="by the provider's key that is there, else the demo",
    )
    system_prompt = Text("", "Told to every model first, before a session's own.")
    fallback_models = Words([], "Asked in this order when a model's provider fails.")
    escalation_model = Text("", "Asked once when a model says nothing about its tools' results.")
    vision_models = Words(
        [], "Ids, or beginnings of ids and `*`: models that see images though litellm doesn't know it."
    )
    history_tokens = Whole(100_000, "Tokens of a conversation for a model whose limit nobody knows.", least=1_000)
    prices = Prices(
        {},
        "US dollars for a million tokens, of models that litellm has no price for, or another one; `*` at an id's end. "
        "Who has a budget in dollars can ask no model without a price.",
    )
    fast_lane = Flag(True, "Off: litellm reads every protocol; a worker then takes about twice the CPU.")


class TurnSettings(Table):
    """Turns"""

    deadline = Number(600.0, "Seconds for one whole turn.", least=0.1)
    timeout = Number(60.0, "Seconds without a byte from the provider.", least=0.1)
    retries = Whole(2, "Times that a busy or broken provider is asked again, with growing pauses.", least=0)
    max_attempts = Whole(3, "Workers that may die over one answer alone before it is given up.", least=1)
    queue_limit = Whole(32, "Messages that may wait in one session.", least=0)
    queue_pause = Number(30.0, "Seconds that a session's queue rests after a failed answer.", least=0)
    titles = Flag(True, "The session's model names it after its first answer. Off: its first question's words stay.")


class WorkerSettings(Table):
    """Workers"""

    workers = Whole(2, "Worker processes.", least=1)
    concurrency = Whole(200, "Turns at once in one process.", least=1)
    heartbeat = Number(2.0, "Seconds between a worker's signs of life.", least=0.1)
    lease = Number(10.0, "Seconds of silence after which a worker's answers are recovered.", least=0.3)
    grace = Number(5.0, "Seconds a stopping worker lets turns finish before it hands them over.", least=0)


class ToolSettings(Table):
    """Tools"""

    tools = Words(TOOLS, "Modules with tools.", shown="the four that come with it")
    services = Words([], "Services of tools that new sessions begin with, such as `clock,calculator`.")
    mcp = Text("", "A JSON file that names MCP servers.")
    user_context = Text("", "The dotted path of a function that tells tools and models who asks.")
    approval_timeout = Number(
        0.0,
        "Seconds after which a call that nobody has allowed is denied, and its answer goes on; 0: never.",
        least=0,
    )
    rounds = Whole(8, "Rounds of tools in one job.", least=1)
    slice = Number(
        half_of_deadline, "Seconds of one job with tools.", least=0.1, shown="half of `ASSISTANT_DEADLINE`"
    )
    continuations = Whole(5, "Fresh jobs that may follow one that used up its rounds or seconds.", least=0)
    result_length = Whole(20_000, "Characters of a tool's result that the model is told.", least=100)


class FileSettings(Table):
    """Files"""

    attachment_max_mb = Number(20.0, "MB of a file.", least=0.001)
    attachment_max_count = Whole(10, "Files in a message; 0 switches files off.", least=0)
    attachment_types = Words(FILE_TYPES, "The types that can be attached.", choices=FILE_TYPES, shown="all six")
    attachment_max_text = Whole(100_000, "Characters of a text or PDF that models read.", least=1)
    attachment_user_quota_mb = Number(2_000.0, "MB of all that a user has uploaded.", least=0)
    attachment_session_quota_mb = Number(1_000.0, "MB of all that is in a session.", least=0)
    attachment_keep_hours = Number(24.0, "Hours that an upload waits to be sent.", least=0.01)
    attachment_storage = Text("default", "The name in Django's STORAGES of the storage for files.")


class PeopleSettings(Table):
    """People"""

    signup = Choice("closed", "`open`: anyone can make an account.", choices=("open", "closed"))
    max_length = Whole(10_000, "Characters in a message.", least=1)
    budget_tokens = Whole(
        0, "Tokens that a user may use in a day; 0: no limit. Admins can give each their own.", least=0
    )
    budget_cost = Number(0.0, "US dollars that a user may use in a day; 0: no limit.", least=0)
    rate_limit = Whole(30, f"Messages and retries of a user in a minute; {ANY}.", least=0)
    upload_rate = Whole(60, f"Files that a user may upload in a minute; {ANY}.", least=0)
    sign_in_rate = Whole(
        10,
        f"Attempts of one address in five minutes to sign in by one name, and ten times that by any; {ANY}.",
        least=0,
    )
    behind_proxy = Flag(False, "On: the last address in `X-Forwarded-For` tells who comes from where.")
    presence = Number(
        30.0, "Seconds after which a viewer of whom nothing is heard no longer counts as here.", least=1
    )
    share_readers = Whole(100, "People who may read along by one link at a time.", least=0)
    share_rate = Whole(600, "Pages and files a minute that one link gives out.", least=1)


class ServeSettings(Table):
    """`manage.py serve`"""

    data_dir = Folder(
        None, "The folder of `manage.py serve`: its lock, and the embedded Valkey's socket.", is_given_by_project=True
    )
    embedded_valkey = Flag(
        False, "`manage.py serve` starts a Valkey of its own, in the data dir.", is_given_by_project=True
    )


class Settings(
    ModelSettings, TurnSettings, WorkerSettings, ToolSettings, FileSettings, PeopleSettings, ServeSettings
):
    """All of them, read-only: they are set in Django's settings."""


settings = Settings()


def of(table: type) -> list[Setting[Any]]:
    """The settings of a table, in its order."""
    return [
        setting for part in reversed(table.__mro__) for setting in vars(part).values() if isinstance(setting, Setting)
    ]
