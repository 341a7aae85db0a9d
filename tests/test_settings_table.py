"""Each setting stands on one line of a table; reading, environment, checks and documents are made from it."""

import re
from pathlib import Path

import pytest
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from assistant import conf
from assistant.checks import setting_values
from assistant.conf import environment, of, validation
from assistant.conf.kinds import Choice, Flag, Models, Number, Prices, Text, Whole, Words
from project import settings_page
from project.variables import Variables

ROOT = Path(__file__).parents[1]
ALL = of(conf.Settings)
FROM_ENVIRONMENT = [setting for setting in ALL if not setting.is_given_by_project]
BOUNDED = [setting for setting in ALL if isinstance(setting, Number | Whole)]


def named(setting):
    return setting.name


# --- reading ---


def test_a_setting_is_django_s_of_now_and_its_default_where_there_is_none(settings):
    with override_settings(ASSISTANT_LEASE=77):
        assert conf.settings.lease == 77
    settings.ASSISTANT_LEASE = 78
    assert conf.settings.lease == 78
    del settings.ASSISTANT_LEASE
    assert conf.settings.lease == conf.Settings.lease.default == 10


def test_the_table_s_settings_can_t_be_assigned():
    with pytest.raises(AttributeError, match="ASSISTANT_LEASE"):
        conf.settings.lease = 3


def test_a_slice_is_half_of_the_deadline_of_now_unless_it_is_set(settings):
    assert not hasattr(settings, "ASSISTANT_SLICE")
    assert conf.settings.slice == 300
    settings.ASSISTANT_DEADLINE = 120
    assert conf.settings.slice == 60
    settings.ASSISTANT_SLICE = 7
    assert conf.settings.slice == 7


@pytest.mark.parametrize("setting", ALL, ids=named)
def test_every_setting_is_read_somewhere(setting):
    attribute = setting.name.removeprefix(conf.Settings.PREFIX).lower()
    used = re.compile(rf"\bconf\.settings\.{attribute}\b|[^.\w]settings\.{attribute}\b")
    assert any(used.search(path.read_text()) for path in (ROOT / "assistant").rglob("*.py"))


# --- the environment ---


def test_what_the_environment_does_not_set_stays_as_settings_py_has_it():
    """The guide has `globals().update(environment.given())`, and settings of its own may stand above it."""
    above = {"ASSISTANT_TOOLS": ["mine.tools"], "ASSISTANT_MODELS": [("Owl", "test/owl")], "ASSISTANT_TITLES": False}
    variables = {"ASSISTANT_MODELS": "test/cat", "ASSISTANT_TITLES": " "}
    assert environment.given({}) == {}
    assert above | environment.given(variables) == above | {"ASSISTANT_MODELS": [("cat", "test/cat")]}


@pytest.mark.parametrize("setting", ALL, ids=named)
def test_every_setting_has_its_default_where_nothing_is_set(setting, settings):
    if hasattr(settings, setting.name):
        delattr(settings, setting.name)
    assert getattr(conf.settings, setting.name.removeprefix(conf.Settings.PREFIX).lower()) == setting.fallback()
    assert validation.wrong() == []


def test_a_heartbeat_alone_is_not_held_against_the_default_lease():
    """settings.py may have a lease of its own above; the check E006 knows both."""
    assert environment.given({"ASSISTANT_HEARTBEAT": "9"}) == {"ASSISTANT_HEARTBEAT": 9}


@pytest.mark.parametrize("setting", BOUNDED, ids=named)
def test_a_number_may_be_its_least_and_nothing_below_it_from_either_side(setting):
    below = setting.least - 1 if isinstance(setting, Whole) else setting.least - 0.001
    assert setting.read({setting.name: f"{setting.least:g}"}) == setting.least
    with pytest.raises(
        ImproperlyConfigured, match=f"^{setting.name} must be .* of at least {setting.least:g}; it is"
    ):
        setting.read({setting.name: f"{below:g}"})
    with override_settings(**{setting.name: below}):
        [sentence] = [sentence for sentence in validation.wrong() if sentence.startswith(f"{setting.name} ")]
    assert sentence.endswith(f" of at least {setting.least:g}; it is {below!r}.")


SAID = {
    Text: ("some words", "some words"),
    Flag: ("off", False),
    Number: ("12.5", 12.5),
    Whole: ("1234", 1234),
    Choice: ("OPEN", "open"),
    Words: ("text/plain, ,image/png", ["text/plain", "image/png"]),
    Models: ("Owl=test/owl,test/cat", [("Owl", "test/owl"), ("cat", "test/cat")]),
    Prices: ("test/owl=1/2", {"test/owl": (1, 2, 1)}),
}


@pytest.mark.parametrize("setting", FROM_ENVIRONMENT, ids=named)
def test_every_setting_can_come_from_the_environment_and_is_then_right(setting):
    raw, value = SAID[type(setting)]
    others = {"ASSISTANT_LEASE": "60"} if setting.name == "ASSISTANT_HEARTBEAT" else {}
    found = environment.given({**others, setting.name: f" {raw} "})[setting.name]
    assert found == value and type(found) is type(value) and setting.problem(found) is None


def test_an_empty_flag_is_as_good_as_none():
    assert environment.given({"ASSISTANT_FAST_LANE": ""}) == {}


def test_a_variable_of_an_unknown_name_comes_along_for_the_checks_unless_it_is_the_project_s():
    variables = {"ASSISTANT_LEESE": "5", "ASSISTANT_MEDIA_DIR": "/x", "PATH": "/bin"}
    assert environment.given(variables, but=["ASSISTANT_MEDIA_DIR"]) == {"ASSISTANT_LEESE": "5"}


# --- the checks ---


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("ASSISTANT_LEASE", "abc", "ASSISTANT_LEASE must be a number of at least 0.3; it is 'abc'."),
        ("ASSISTANT_LEASE", None, "ASSISTANT_LEASE must be a number of at least 0.3; it is None."),
        ("ASSISTANT_LEASE", float("nan"), "ASSISTANT_LEASE must be a number of at least 0.3; it is nan."),
        ("ASSISTANT_WORKERS", 1.5, "ASSISTANT_WORKERS must be a whole number of at least 1; it is 1.5."),
        ("ASSISTANT_WORKERS", True, "ASSISTANT_WORKERS must be a whole number of at least 1; it is True."),
        ("ASSISTANT_TITLES", "off", "ASSISTANT_TITLES must be True or False; it is 'off'."),
        ("ASSISTANT_SIGNUP", "perhaps", "ASSISTANT_SIGNUP must be one of open, closed; it is 'perhaps'."),
        ("ASSISTANT_SYSTEM_PROMPT", 5, "ASSISTANT_SYSTEM_PROMPT must be a text; it is 5."),
        ("ASSISTANT_TOOLS", "clock", "ASSISTANT_TOOLS must be a list of texts; it is 'clock'."),
        ("ASSISTANT_TOOLS", 5, "ASSISTANT_TOOLS must be a list of texts; it is 5."),
        ("ASSISTANT_ATTACHMENT_STORAGE", [], "ASSISTANT_ATTACHMENT_STORAGE must be a text; it is []."),
        ("ASSISTANT_MODELS", ["openai/x"], "ASSISTANT_MODELS must be a list of (label, litellm id); it is ['openai/x']."),
        ("ASSISTANT_DATA_DIR", 5, "ASSISTANT_DATA_DIR must be a path; it is 5."),
    ],
)  # fmt: skip
def test_a_wrong_value_is_an_error_of_the_check_and_no_other_check_stumbles_over_it(settings, name, value, sentence):
    assert setting_values.settings_are_right(None) == []
    setattr(settings, name, value)
    assert (sentence, "assistant.E006") in [(found.msg, found.id) for found in checks.run_checks()]


@pytest.mark.parametrize("value", [["image/heic"], ("text/plain", "image/heic")])
def test_a_type_of_file_that_cannot_be_attached_is_named(settings, value):
    settings.ASSISTANT_ATTACHMENT_TYPES = value
    [found] = setting_values.settings_are_right(None)
    assert "'image/heic' is none of them" in found.msg


@pytest.mark.parametrize("value", [[], {"test/a": (1, 2)}, {"test/a": (1, 2, -1)}, {"test/a": 1}, {1: (1, 2, 1)}])
def test_prices_that_are_none_are_an_error(settings, value):
    settings.ASSISTANT_PRICES = value
    [found] = setting_values.settings_are_right(None)
    assert found.msg.startswith("ASSISTANT_PRICES must be a dict of litellm ids")


@pytest.mark.parametrize("model", ["openai/gpt-*-mini", "*/gpt-5", "openai/**"])
def test_a_pattern_that_the_page_would_offer_and_a_send_refuse_is_an_error(settings, model):
    settings.ASSISTANT_MODELS = [("One", "openai/gpt-5"), ("Some", "openai/gpt-*"), ("Others", model)]
    [found] = setting_values.settings_are_right(None)
    assert (
        found.id == "assistant.E006"
        and f"only at the end of an id, as in openai/*, and not as {model!r}" in found.msg
    )
    with pytest.raises(ImproperlyConfigured, match="only at the end of an id"):
        conf.Settings.models.read({"ASSISTANT_MODELS": f"openai/gpt-5,{model}"})


def test_a_lease_that_one_late_heartbeat_ends_is_an_error(settings):
    settings.ASSISTANT_LEASE, settings.ASSISTANT_HEARTBEAT = 5, 2
    [found] = setting_values.settings_are_right(None)
    assert found.id == "assistant.E006" and "three times ASSISTANT_HEARTBEAT (2 s)" in found.msg


def test_an_unknown_name_is_a_warning_with_the_name_that_was_meant(settings):
    assert setting_values.settings_are_known(None) == []
    settings.ASSISTANT_LEESE, settings.ASSISTANT_XYZZY_QUUX = 5, 5
    near, far = setting_values.settings_are_known(None)
    assert near.id == far.id == "assistant.W003"
    assert "ASSISTANT_LEESE" in near.msg and near.hint == "Is ASSISTANT_LEASE meant?"
    assert "ASSISTANT_XYZZY_QUUX" in far.msg and far.hint == "docs/settings.md has them all."


# --- the documents ---


def test_the_page_of_settings_is_what_is_made_from_the_tables():
    assert settings_page.PAGE.read_text() == settings_page.page(), "make settings"


def test_the_page_has_every_setting_once_in_a_table():
    rows = re.findall(r"^\| `([A-Z_]+)` \|", settings_page.page(), re.MULTILINE)
    assert sorted(rows) == sorted(setting.name for setting in [*ALL, *of(Variables)])
    assert len(ALL) == len({setting.name for setting in ALL}) > 40


def test_the_readme_s_table_is_what_is_made_from_the_tables_and_is_short():
    text = settings_page.README.read_text()
    assert settings_page.with_table(text) == text, "make settings"
    assert text.count("\n| `") <= 10


def test_a_readme_without_the_marks_is_refused():
    with pytest.raises(ValueError, match="needs <!-- settings"):
        settings_page.with_table("# Parley")


def test_the_documents_name_no_setting_that_there_is_not():
    known = {setting.name for setting in [*ALL, *of(Variables)]}
    for path in [settings_page.README, *(ROOT / "docs").glob("*.md")]:
        said = set(re.findall(r"\bASSISTANT_[A-Z_]*[A-Z]\b", path.read_text()))
        assert said <= known | {"ASSISTANT_ATTACHMENT"}, path.name
