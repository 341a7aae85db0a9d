"""MCP servers that want a sign-in: an administrator connects them, over real HTTP, and workers keep the tokens fresh."""

import asyncio
import sys
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import httpx
import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from assistant import sealing
from assistant.database import Database
from assistant.mcp import bearer, configured, connections, grants, oauth
from assistant.models import McpGrant, McpServer
from assistant.tools import Context, ToolError
from tests.test_mcp import serving

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]


@pytest.fixture(scope="module")
def vault():
    """The address of the server."""
    with serving("tests.mcp_sign_in") as (url, _):
        yield url


@pytest.fixture
def tell(vault):
    """`tell("expire")`: something happens to the authorization server; returns what it has counted."""
    yield lambda what: httpx.post(f"{vault.removesuffix('/mcp')}/tests/{what}").json()
    httpx.post(f"{vault.removesuffix('/mcp')}/tests/away?on=0")


@pytest.fixture
def server(vault, transactional_db):
    return McpServer.objects.create(name="vault", title="Vault", url=vault, uses_oauth=True)


@pytest.fixture
def admin(transactional_db):
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("root"))
    return client


@pytest.fixture
def way(admin, server):
    """`way()`: presses Connect; returns the address to go on to."""

    def press():
        page = admin.post(f"/admin/assistant/mcpserver/{server.pk}/connect/").content.decode()
        assert "Go on to 127.0.0.1" in page, page
        return page.partition('class="button" href="')[2].partition('"')[0].replace("&amp;", "&")

    return press


def come_back(admin, address):
    """Allows it there, and comes back; returns what the page says."""
    back = httpx.get(address, follow_redirects=False).headers["location"]
    assert back.startswith("http://testserver/mcp/oauth/callback?")
    return admin.get(back.removeprefix("http://testserver"), follow=True).content.decode()


@pytest.fixture
def connected(admin, way, server):
    assert "Vault is connected." in come_back(admin, way())
    return server


@pytest.fixture
def call(loop, server):
    """`call()`: a worker uses the server's tool; `call(n)` that many workers at once, each with a connection of its own."""

    def happen(count=1):
        databases = [Database("test") for _ in range(count)]
        wanted = configured.servers()["vault"]

        async def one(database):
            connection = connections._Connection(wanted, database)
            try:
                tools = {tool.name: tool for tool in await connection.tools(60)}
                context = Context(uuid4(), uuid4(), uuid4(), None, {})
                return (await tools["vault__open_vault"].run(context, {})).text
            except connections.Away as away:
                return away.why
            finally:
                await connection.close()

        async def all_at_once():
            return await asyncio.gather(*map(one, databases))

        try:
            return loop.run(all_at_once())
        finally:
            for database in databases:
                database.close(wait=True)

    return happen


def test_an_administrator_connects_a_server_for_all(connected, admin, call):
    grant = McpGrant.objects.get()
    assert grant.is_usable and grant.connected_by.username == "root" and not grant.pending
    assert call() == ["Open."]
    assert "connected by root" in admin.get("/admin/assistant/mcpserver/").content.decode()


def test_what_is_secret_is_sealed_and_never_shown(connected, admin, settings):
    grant = McpGrant.objects.get()
    tokens = grants.held(grant.pk).tokens
    assert tokens["access"] not in grant.tokens and tokens["refresh"] not in grant.tokens
    page = admin.get(f"/admin/assistant/mcpserver/{connected.pk}/change/").content.decode()
    assert grant.tokens not in page and tokens["access"] not in page
    settings.SECRET_KEY = "another"
    assert grants.held(grant.pk).tokens is None, "then somebody has to sign in again"
    settings.SECRET_KEY_FALLBACKS = []
    assert sealing.unseal("nonsense") is None


def test_before_it_is_connected_its_tools_are_missing_and_nothing_is_sent(server, call, loop):
    assert call() == ["unauthorized"]
    database = Database("test")
    found = loop.run(connections.offered([configured.servers()["vault"]], database))
    loop.run(connections.close())
    database.close(wait=True)
    assert found == ({}, [connections.Missing("vault", "Vault", "unauthorized")])


def test_a_token_that_has_expired_is_renewed_by_one_of_many(connected, call, tell):
    before = tell("expire")["renewals"]
    assert call(4) == ["Open."] * 4, "a second use of a refresh token would have ended the grant"
    assert tell("look")["renewals"] == before + 1
    assert McpGrant.objects.get().renewing_until is None and call() == ["Open."]


def test_a_token_that_expires_under_an_open_connection_is_renewed(connected, loop, tell, monkeypatch):
    monkeypatch.setattr(connections, "START_WAIT_SECONDS", 60)
    database = Database("test")
    wanted = configured.servers()["vault"]

    async def scenario():
        tools, _ = await connections.offered([wanted], database)
        context = Context(uuid4(), uuid4(), uuid4(), None, {})
        await asyncio.to_thread(tell, "expire")
        again = await tools["vault__open_vault"].run(context, {})
        await asyncio.to_thread(tell, "end")
        with pytest.raises(ToolError, match="connected again by an administrator"):
            await tools["vault__open_vault"].run(context, {})
        _, missing = await connections.offered([wanted], database)
        await connections.close()
        return again.text, missing[0].why

    assert loop.run(scenario()) == ("Open.", "unauthorized")
    database.close(wait=True)
    assert McpGrant.objects.get().is_lost and configured.servers()["vault"].needs_sign_in


def test_a_grant_that_has_ended_can_be_had_again(connected, call, tell, admin, way):
    registrations = tell("end")["registrations"]
    assert call() == ["unauthorized"]
    assert "not connected" in admin.get("/admin/assistant/mcpserver/").content.decode()
    assert "Vault is connected." in come_back(admin, way())
    assert call() == ["Open."]
    assert tell("look")["registrations"] == registrations, "we are known there already"


def test_while_the_authorization_server_is_away_nothing_is_lost(connected, call, tell, monkeypatch):
    tell("expire")
    tell("away?on=1")
    assert call() == ["away"]
    assert not McpGrant.objects.get().is_lost and McpGrant.objects.get().renewing_until is None
    tell("away?on=0")
    assert call() == ["Open."]


def test_who_dies_over_a_renewal_holds_it_no_longer_than_a_while(connected, call, tell):
    tell("expire")
    refused = grants.held(McpGrant.objects.get().pk).tokens["access"]
    assert grants.to_renew(McpGrant.objects.get().pk, refused).is_mine  # and dies
    assert grants.to_renew(McpGrant.objects.get().pk, refused) is None
    McpGrant.objects.update(renewing_until="2020-01-01T00:00Z")
    assert call() == ["Open."]


def test_only_the_browser_that_began_a_sign_in_may_end_it(admin, way, server):
    back = httpx.get(way(), follow_redirects=False).headers["location"].removeprefix("http://testserver")
    stranger = Client()
    assert stranger.get(back).status_code == 404
    stranger.force_login(get_user_model().objects.create_superuser("other"))
    assert "was not begun here" in stranger.get(back, follow=True).content.decode()
    forged = back.replace("state=", "state=x")
    assert "was not begun here" in admin.get(forged, follow=True).content.decode()
    assert "was not begun here" in admin.get(back, follow=True).content.decode(), "a state is good for one try"
    assert not McpGrant.objects.get().tokens


def test_a_refusal_there_is_told(admin, way, server):
    state = parse_qs(urlsplit(way()).query)["state"][0]
    told = admin.get(
        f"/mcp/oauth/callback?state={state}&error=access_denied&error_description=Not+today", follow=True
    ).content.decode()
    assert "Vault is not connected: access_denied. Not today" in told and not McpGrant.objects.get().tokens


def test_a_code_without_our_verifier_is_worth_nothing(way, admin, server, loop):
    address = way()
    code = parse_qs(urlsplit(httpx.get(address, follow_redirects=False).headers["location"]).query)["code"][0]
    begun = grants.pending(server)
    with pytest.raises(oauth.NotConnected, match="incorrect code_verifier"):
        loop.run(oauth.finish(oauth.Begun(**begun | {"verifier": "x" * 64}), code, None))
    with pytest.raises(oauth.NotConnected, match="iss mismatch"):
        loop.run(oauth.finish(oauth.Begun(**begun), code, "https://evil.example"))


def test_a_server_that_moves_gets_no_token_of_the_old_one(connected):
    McpServer.objects.update(url="http://127.0.0.1:9/mcp")
    wanted = configured.servers()["vault"]
    assert wanted.needs_sign_in and grants.held(wanted.grant_id).tokens is None


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/mcp", "open"])
def test_what_can_not_be_connected_says_why(admin, server, url):
    if url == "open":
        with serving() as (open_url, _):
            McpServer.objects.update(url=open_url)
            page = admin.post(f"/admin/assistant/mcpserver/{server.pk}/connect/").content.decode()
        assert "This server wants no sign-in" in page
    else:
        McpServer.objects.update(url=url)
        page = admin.post(f"/admin/assistant/mcpserver/{server.pk}/connect/").content.decode()
        assert "The sign-in could not begin" in page
    assert not McpGrant.objects.exists()


def test_where_the_extra_is_not_installed_it_is_named(admin, server, monkeypatch):
    """As without `parley[mcp]`: the module is loaded anew, and finds less."""
    monkeypatch.delattr("assistant.mcp.oauth")
    monkeypatch.delitem(sys.modules, "assistant.mcp.oauth")
    monkeypatch.setitem(sys.modules, "httpx2", None)
    page = admin.post(f"/admin/assistant/mcpserver/{server.pk}/connect/").content.decode()
    assert "pip install &#x27;parley[mcp]&#x27;" in page and not McpGrant.objects.exists()


def test_only_superusers_connect_servers(server, charlie):
    charlie.is_staff = True
    charlie.save()
    client = Client()
    client.force_login(charlie)
    assert client.get(f"/admin/assistant/mcpserver/{server.pk}/connect/").status_code == 404


def test_a_worker_without_a_grant_signs_nothing(loop, transactional_db):
    database = Database("test")
    one = bearer.Bearer(7, database)

    async def scenario():
        request = bearer.httpx2.Request("GET", "http://x")
        flow = one.async_auth_flow(request)
        await flow.__anext__()
        await flow.aclose()
        return "Authorization" in request.headers, one.is_refused

    assert loop.run(scenario()) == (False, True)
    database.close(wait=True)
