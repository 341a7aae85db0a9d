"""The assistant under a prefix of somebody else's site: pages, scripts, files, sockets and links stay under it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests import files
from tests.embedded import EmbeddedProject
from tests.provider import ProviderProcess

from .viewer import Viewer
from .windows import Window

pytestmark = pytest.mark.long

USERS = (
    "from django.contrib.auth import get_user_model as g;"
    "[g().objects.create_user(name, password='correct horse') for name in ('alice', 'bob')]"
)


@pytest.fixture(scope="module")
def project(provider: ProviderProcess) -> Iterator[EmbeddedProject]:
    environment = {"OPENAI_API_BASE": provider.base_url, "OPENAI_API_KEY": "x"}
    with EmbeddedProject("prefixed_settings", **environment) as made:
        made.shell(USERS)
        with made.running(ready="/chat/readyz"):
            yield made


@pytest.fixture(scope="module")
def http(project: EmbeddedProject) -> Iterator[httpx.Client]:
    token = project.manage("create_token", "alice").split()[-1]
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=project.url, headers=headers, trust_env=False, timeout=30) as client:
        yield client


def asked_by(page: Page) -> list[str]:
    """The paths that a page asks for from here on, of sockets too."""
    paths: list[str] = []
    page.on("request", lambda request: paths.append(urlsplit(request.url).path))
    page.on("websocket", lambda socket: paths.append(urlsplit(socket.url).path))
    return paths


def test_programs_find_everything_under_the_prefix_and_nothing_at_the_root(
    project: EmbeddedProject, http: httpx.Client
) -> None:
    assert "no issues" in project.manage("check", "--fail-level", "WARNING")
    assert http.get("/").text == "A page of the project's own."
    assert http.get("/login/").status_code == http.get("/api/sessions").status_code == 404
    assert "/chat/api/sessions/{session_id}" in http.get("/chat/api/openapi.json").json()["paths"]
    assert 'href="/chat/"' in http.get("/chat/login/").text
    session = http.post("/chat/api/sessions", json={}).json()["id"]
    file = http.post(f"/chat/api/sessions/{session}/attachments", files={"file": ("a.txt", b"Words")}).json()
    assert file["url"].startswith("/chat/api/attachments/") and http.get(file["url"]).content == b"Words"
    invitation = http.post(f"/chat/api/sessions/{session}/invitations", json={}).json()["url"]
    assert invitation.startswith(f"{project.url}/chat/invite/")
    token = str(http.headers["authorization"]).split()[-1]
    with Viewer(project.url.replace("http", "ws") + "/chat", token, session) as viewer:
        assert viewer.view.session["id"] == session
    with Viewer(project.url.replace("http", "ws") + "/chat", "wrong", session) as stranger:
        assert stranger.codes == [4401]


def test_errors_are_the_api_s_under_the_prefix_and_the_project_s_beside_it(http: httpx.Client) -> None:
    ours, theirs = http.get("/chat/api/nothing"), http.get("/api/things")
    assert (ours.status_code, ours.json()["code"]) == (404, "not_found")
    assert theirs.status_code == 404 and theirs.headers["content-type"].startswith("text/html")
    assert "/chat/api/docs" in http.put("/chat/api/sessions").json()["detail"]


@pytest.mark.browser
def test_a_person_does_everything_under_the_prefix(project: EmbeddedProject, browser: Browser) -> None:
    with Window.opened(browser, project.url + "/chat") as hers:
        page, paths = hers.page, asked_by(hers.page)
        hers.open("/")
        expect(page).to_have_url(re.compile("/chat/login/$"))
        hers.sign_in("bob")
        expect(page).to_have_url(re.compile("/chat/new/$"))
        page.wait_for_load_state()  # so that the scripts run

        with page.expect_file_chooser() as chooser:
            page.get_by_role("button", name="Attach files").click()
        picture = {"name": "sunset.png", "mimeType": "image/png", "buffer": files.png(90, 60, "orange")}
        chooser.value.set_files([picture])  # type: ignore[arg-type]
        expect(page.locator("[data-files-said]")).to_have_text(re.compile("is attached"))
        hers.ask("What is this?")
        expect(page).to_have_url(re.compile(r"/chat/s/[0-9a-f-]{36}/"))
        hers.expect_answer(" ".join(f"w{number}" for number in range(20)))
        expect(page.locator(".message.is-question .attachment img")).to_have_js_property("naturalWidth", 90)
        page.reload()
        expect(page.locator(".message.is-question .attachment img")).to_have_js_property("naturalWidth", 90)
        expect(page.locator(".session-item a")).to_have_attribute("href", re.compile("^/chat/s/"))

        page.get_by_role("button", name="Invite").click()
        page.get_by_role("button", name="Make a link").click()
        page.get_by_label("Anybody with the link reads along").check()
        urls = []
        for name in ("Invitation link", "Link to read along"):
            expect(page.get_by_label(name, exact=True)).to_have_value(re.compile(f"^{project.url}/chat/"))
            urls.append(page.get_by_label(name, exact=True).input_value())
        invitation, link = urls
        with Window.opened(browser, project.url + "/chat") as reader:
            seen = asked_by(reader.page)
            reader.page.goto(link)
            expect(reader.page.get_by_text("You are reading along")).to_be_visible()
            shown = reader.page.locator(".message.is-question .attachment img")
            expect(shown).to_have_js_property("naturalWidth", 90)
            reader.page.get_by_label("Parley", exact=True).click()
            expect(reader.page).to_have_url(re.compile("/chat/login/$"))
            assert_under_prefix(seen)
            assert reader.complaints == []
        with Window.opened(browser, project.url + "/chat") as guest:
            guest.page.goto(invitation)
            guest.make_account("dora", "Make the account and join")
            expect(guest.page).to_have_url(page.url.partition("#")[0])
            expect(page.get_by_role("list", name="Who takes part")).to_contain_text("dora")
        page.keyboard.press("Escape")

        with page.expect_download() as download:
            page.get_by_role("button", name="Actions for this session").click()
            page.get_by_role("menuitem", name="Export as Markdown").click()
        assert "What is this?" in Path(download.value.path()).read_text()
        page.locator("[data-thread]").press("n")
        expect(page).to_have_url(re.compile("/chat/new/$"))
        hers.open("/usage/")
        expect(page.get_by_role("heading", name="Usage")).to_be_visible()
        assert hers.complaints == []

        hers.open("/new/")
        hers.context.clear_cookies()  # signed out meanwhile, in another tab
        hers.ask("Am I still here?")
        expect(page).to_have_url(re.compile(r"/chat/login/\?next=(%2F|/)chat(%2F|/)new"))
        assert_under_prefix(paths)


def assert_under_prefix(paths: list[str]) -> None:
    assert any("/chat/api/" in path or "/chat/ws/" in path for path in paths)
    assert [path for path in paths if not path.startswith(("/chat/", "/static/")) and path != "/favicon.ico"] == []
