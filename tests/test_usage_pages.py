"""What models have cost, as pages: one's own, and the operators' with plots and a table beside each."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.utils import timezone

from assistant.models import Budget, UsageRecord
from assistant.pages import plots, usage_plots

pytestmark = pytest.mark.django_db(transaction=True)


def record(user, tokens=100, cost="0.5", days_ago=0, model="test/model", **more):
    day = timezone.localdate() - timedelta(days=days_ago)
    cost = None if cost is None else Decimal(cost)
    return UsageRecord.objects.create(user=user, model=model, prompt_tokens=tokens, cost=cost, day=day, **more)


@pytest.fixture
def own(client, alice):
    def page():
        client.force_login(alice)
        response = client.get("/usage/")
        assert response.status_code == 200
        return response.content.decode()

    return page


@pytest.fixture
def operator(client):
    user = get_user_model().objects.create_user("olga", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_usagerecord"))
    client.force_login(user)
    return client


def test_ones_own_page_tells_ones_own_and_nobody_elses(own, alice, bob):
    record(alice, 1_234)
    record(bob, 777_777)
    html = own()
    assert "1,234" in html and "$0.50" in html and "777" not in html


def test_a_page_without_any_usage_says_so(own):
    assert own().count("Nothing in these days.") == 2


def test_what_is_left_of_a_budget_is_told(own, alice, settings):
    settings.ASSISTANT_BUDGET_TOKENS = 1_000
    record(alice, 250)
    html = own()
    assert "250 of 1,000 tokens used today" in html and 'max="1000" value="250"' in html
    Budget.objects.create(user=alice, is_unlimited=True)
    assert "<meter" not in own()


def test_an_unknown_price_and_an_estimate_are_told(own, alice):
    record(alice, cost=None, is_estimate=True)
    html = own()
    assert "not known" in html and "price of some calls is not known" in html and "estimated from their texts" in html


def test_what_came_from_caches_and_what_was_thought_is_told_apart(own, alice):
    record(alice, 1_234, cached_tokens=1_000, completion_tokens=500, reasoning_tokens=400)
    html = own()
    assert "1,000 from a cache" in html and "400 of it thinking" in html
    alice.usage.update(cached_tokens=0, reasoning_tokens=0)
    assert "from a cache" not in own() and "thinking" not in own()


def test_each_plot_has_its_numbers_as_a_table(own, alice):
    record(alice, 100, days_ago=1)
    record(alice, 50, model="other/model")
    html = own()
    today = timezone.localdate()
    assert html.count("<svg viewBox") >= 2 and html.count("As a table") == 2
    assert f"<title>{today:%b} {today.day}, other/model: 50</title>" in html
    assert '<th scope="row">' in html and "<td>100</td>" in html


def test_nothing_on_the_page_needs_an_inline_style_or_a_foreign_script(own, alice):
    record(alice)
    html = own()
    assert "style=" not in html and "<style" not in html and "http://" not in html


def test_operators_see_all_of_it(operator, alice, bob):
    record(alice, 100, first_token_ms=400, total_ms=2_000)
    record(bob, 200, error_code="timeout")
    html = operator.get("/admin/assistant/usagerecord/plots/").content.decode()
    for title in (
        "Tokens by day",
        "Cost by day",
        "Seconds to the first token",
        "Seconds for a whole",
        "Failed calls by day",
    ):
        assert title in html, title
    assert ">alice<" in html and ">bob<" in html and "timeout" in html
    assert operator.get("/admin/assistant/usagerecord/").status_code == 200
    assert "plots" in operator.get("/admin/assistant/usagerecord/").content.decode()


def test_staff_without_the_right_to_view_it_and_others_do_not(client, alice):
    path = "/admin/assistant/usagerecord/plots/"
    client.force_login(alice)
    assert client.get(path).status_code == 302
    client.force_login(get_user_model().objects.create_user("sam", is_staff=True))
    assert client.get(path).status_code == 403


def test_a_deleted_users_usage_stays_in_the_totals(operator, alice):
    record(alice, 100)
    alice.delete()
    assert "(deleted)" in operator.get("/admin/assistant/usagerecord/plots/?days=7").content.decode()


def test_metrics_count_tokens_cost_and_calls(client, alice):
    record(alice, 100)
    record(alice, 20, error_code="timeout", cost=None, cached_tokens=15)
    text = client.get("/metrics").content.decode()
    assert 'parley_tokens_total{kind="prompt",model="test/model"} 120.0' in text
    assert 'parley_token_parts_total{kind="cached",model="test/model"} 15.0' in text
    assert 'parley_cost_dollars_total{model="test/model"} 0.5' in text
    assert 'parley_model_calls_total{model="test/model",outcome="timeout"} 1.0' in text


# --- shapes ---


def test_a_bar_is_as_high_as_its_value_says():
    plot = plots.stacked("T", ["a", "b"], [plots.Series("x", [1, 2]), plots.Series("y", [1, None])], str)
    by_title = {bar.title: bar for bar in plot.bars}
    assert set(by_title) == {"a, x: 1", "a, y: 1", "b, x: 2"}
    assert by_title["b, x: 2"].height == pytest.approx(2 * by_title["a, x: 1"].height, abs=0.2)
    assert by_title["a, y: 1"].y + by_title["a, y: 1"].height == pytest.approx(by_title["a, x: 1"].y, abs=0.2)
    assert all(plots.TOP <= bar.y <= plot.bottom for bar in plot.bars)


def test_more_series_than_colours_are_drawn_as_one():
    kept = plots.fewer([plots.Series(str(number), [number]) for number in range(10)])
    assert [each.name for each in kept] == ["9", "8", "7", "6", "5", plots.OTHERS]
    assert kept[-1].values == [0 + 1 + 2 + 3 + 4]


def test_nothing_makes_an_empty_plot():
    assert (
        plots.stacked("T", ["a"], [], str).is_empty
        and plots.lines("T", ["a"], [plots.Series("x", [None])], str).is_empty
    )


@pytest.mark.parametrize("highest", [0.0003, 0.7, 1, 9, 42, 1_000, 123_456_789])
def test_ticks_stand_at_round_numbers_up_to_the_highest(highest):
    plot = plots.stacked("T", ["a"], [plots.Series("x", [highest])], "{:g}".format)
    values = [float(text) for _, text in plot.ticks]
    assert values[0] == 0 and values[-1] >= highest * 0.999 and 2 <= len(values) <= 6


def test_percentiles_are_read_off_the_counts():
    edges = usage_plots.EDGES_SECONDS
    counts = [10 if edge > 1 else 0 for edge in edges] + [10]
    assert 1 < usage_plots.percentile(counts, 0.5) <= 1.5
    assert usage_plots.percentile([0] * len(edges) + [3], 0.5) == edges[-1]
