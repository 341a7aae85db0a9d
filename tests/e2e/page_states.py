"""Every page of the product in every state that looks different: for the tests of accessibility and of the policy.

A state is a function that brings a window there; its name says what it shows. Add one for each page, sheet or part you add:
`test_pages_for_everyone.py` then looks at it light and wide, and dark and at 360 px.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from playwright.sync_api import FilePayload, Page, expect

from tests.files import pdf, png
from tests.provider import ProviderProcess, expected_text

from .people import Person, tagged
from .running import Product
from .windows import Window

STATES: dict[str, Callable[[Stage], None]] = {}
SIGNED_OUT: set[str] = set()


@dataclass
class Stage:
    """A window (of Alice, unless the state is one of nobody's) and the people who can prepare what it shows."""

    window: Window
    alice: Person
    bob: Person
    product: Product
    provider: ProviderProcess

    @property
    def page(self) -> Page:
        return self.window.page

    def session(self, script: str = "words", title: str = "") -> str:
        """The id of a new session of Alice's, whose model does what the script says."""
        session = self.alice.new_session(tagged(script))
        if title:
            self.alice.http.patch(f"/api/sessions/{session}", json={"title": title})
        return session

    def open(self, session: str) -> None:
        self.window.open(f"/s/{session}/")
        expect(self.page.locator("[data-title]")).to_be_visible()
        expect(self.page.locator("[data-connection]")).to_be_hidden()

    def answered(self, session: str, question: str = "What is a lease?") -> None:
        self.alice.wait_for_end(self.alice.asked(session, question))


def state(show: Callable[[Stage], None]) -> Callable[[Stage], None]:
    STATES[show.__name__] = show
    return show


def of_nobody(show: Callable[[Stage], None]) -> Callable[[Stage], None]:
    """A state in which nobody is signed in."""
    SIGNED_OUT.add(show.__name__)
    return state(show)


# --- pages beside the sessions ---


@of_nobody
def sign_in(stage: Stage) -> None:
    stage.window.open("/login/")


@of_nobody
def sign_in_refused(stage: Stage) -> None:
    stage.window.open("/login/")
    stage.page.get_by_label("Name", exact=True).fill("alice")
    stage.page.get_by_label("Password", exact=True).fill("wrong")
    stage.page.get_by_role("button", name="Sign in").click()
    expect(stage.page.get_by_role("alert")).to_be_visible()


@of_nobody
def sign_up(stage: Stage) -> None:
    stage.window.open("/signup/")
    expect(stage.page.get_by_role("heading", name="Make an account")).to_be_visible()


@of_nobody
def invitation_for_nobody(stage: Stage) -> None:
    stage.page.goto(_invitation(stage))


@state
def invitation(stage: Stage) -> None:
    stage.page.goto(_invitation(stage))


@state
def invitation_over(stage: Stage) -> None:
    stage.window.open(f"/invite/{uuid.uuid4().hex}/")


@state
def not_found(stage: Stage) -> None:
    stage.window.open(f"/s/{uuid.uuid4()}/")
    expect(stage.page.get_by_role("heading", name="There is nothing here")).to_be_visible()


def _invitation(stage: Stage) -> str:
    answer = stage.bob.http.post(f"/api/sessions/{stage.bob.new_session()}/invitations", json={"role": "editor"})
    return str(answer.json()["url"])


# --- a session ---


@state
def new_session(stage: Stage) -> None:
    stage.window.open("/new/")


@state
def new_session_with_a_model_named_by_its_id(stage: Stage) -> None:
    stage.window.open("/new/")
    stage.page.get_by_label("Model", exact=True).select_option("openai/*")
    expect(stage.page.get_by_label("Id of the model")).to_be_visible()


@state
def session_empty(stage: Stage) -> None:
    stage.open(stage.session())
    expect(stage.page.get_by_role("heading", name="Nothing said yet")).to_be_visible()


@state
def session_with_markdown(stage: Stage) -> None:
    session = stage.session("markdown")
    stage.answered(session)
    stage.open(session)
    expect(stage.page.get_by_role("table").first).to_be_visible()


@state
def session_streaming_with_a_queue(stage: Stage) -> None:
    session = stage.session("words-n30-hold=20")
    stage.alice.invite(session, stage.bob)
    stage.alice.asked(session, "First")
    stage.alice.ask(session, "Second, which waits")
    stage.bob.ask(session, "Bob’s question waits as well")
    stage.open(session)
    stage.window.expect_answer(expected_text("words-n20"))
    expect(stage.page.locator(".queued")).to_have_count(2)


@state
def session_thinking(stage: Stage) -> None:
    session = stage.session("words-think=400-hold=300")
    stage.alice.asked(session, "Is it a prime?")
    stage.open(session)
    stage.page.locator(".reasoning.is-live summary").click()
    expect(stage.page.get_by_role("group", name="What the model thought")).to_contain_text("r299")


@state
def answer_with_thoughts(stage: Stage) -> None:
    session = stage.session("words-think=40")
    stage.answered(session, "Is it a prime?")
    stage.open(session)
    expect(stage.page.get_by_text("Thought for")).to_be_visible()


@state
def answer_with_sources_and_a_picture(stage: Stage) -> None:
    session = stage.session("words-n12-cite=9-picture")
    stage.answered(session)
    stage.open(session)
    expect(stage.page.get_by_role("link", name="Source 0")).to_be_visible()
    stage.page.get_by_text("4 more").click()
    expect(stage.page.get_by_role("link", name="image-1.png")).to_be_visible()


@state
def session_failed(stage: Stage) -> None:
    session = stage.session("words-cut=4")
    stage.answered(session)
    stage.open(session)
    expect(stage.window.note).to_be_visible()


@state
def session_sending(stage: Stage) -> None:
    stage.open(stage.session())
    stage.page.route("**/api/sessions/*/messages", lambda route: None)  # which is never answered
    stage.window.ask("This takes its time")
    expect(stage.page.locator(".message.is-sending")).to_be_visible()


@state
def session_unsent(stage: Stage) -> None:
    stage.open(stage.session())
    stage.page.route("**/api/sessions/*/messages", lambda route: route.fulfill(status=503, json={}))
    stage.window.ask("This can’t be sent")
    expect(stage.page.get_by_role("button", name="Send again")).to_be_visible()
    stage.window.complaints.clear()


@state
def session_reading_only(stage: Stage) -> None:
    session = stage.bob.new_session(tagged("words"))
    stage.bob.invite(session, stage.alice, role="viewer")
    stage.bob.wait_for_end(stage.bob.asked(session))
    stage.open(session)
    expect(stage.page.get_by_text("You are reading along")).to_be_visible()


@state
def menu_of_a_session(stage: Stage) -> None:
    stage.open(stage.session())
    stage.page.get_by_role("button", name="Actions for this session").click()
    expect(stage.page.get_by_role("menuitem").first).to_be_visible()


@state
def menu_of_a_message(stage: Stage) -> None:
    session = stage.session("words-n3")
    stage.answered(session)
    stage.open(session)
    stage.page.get_by_role("button", name="More for this message").last.click()
    expect(stage.page.get_by_role("menuitem", name="Fork from here")).to_be_visible()


@state
def sheet_how_it_was_asked(stage: Stage) -> None:
    session = stage.session("words-n3")
    settings = {"parameters": {"temperature": 0.5, "max_tokens": 900}, "system_prompt": "Be brief.\nBe kind."}
    stage.alice.http.patch(f"/api/sessions/{session}", json=settings).raise_for_status()
    stage.answered(session)
    stage.alice.http.patch(f"/api/sessions/{session}", json={"system_prompt": "Be long."}).raise_for_status()
    stage.open(session)
    stage.page.get_by_role("button", name="More for this message").last.click()
    stage.page.get_by_role("menuitem", name="How it was asked").click()
    sheet = stage.page.get_by_role("dialog", name="How this answer was asked")
    expect(sheet).to_contain_text("Be brief.\nBe kind.", use_inner_text=True)
    expect(sheet).to_contain_text("Temperature: 0.5")


@state
def question_being_asked_anew(stage: Stage) -> None:
    session = stage.session("words-n3")
    stage.answered(session)
    stage.open(session)
    stage.page.locator(".message.is-question").hover()
    stage.page.get_by_role("button", name="Edit, and ask again").click()
    expect(stage.page.get_by_label("Your question")).to_be_focused()


@state
def session_with_an_earlier_version(stage: Stage) -> None:
    session = stage.session("words-n3")
    answer = stage.alice.asked(session)
    stage.alice.wait_for_end(answer)
    stage.alice.wait_for_end(stage.alice.retry(answer))
    stage.open(session)
    stage.page.get_by_role("button", name="Version before").click()
    expect(stage.page.locator(".version-note:not([hidden])")).to_be_visible()


@state
def question_asked_anew(stage: Stage) -> None:
    session = stage.session("words-n3")
    stage.answered(session, "What is a leese?")
    question = stage.alice.messages(session)[0]["id"]
    anew = {"client_id": uuid.uuid4().hex, "content": "What is a lease?"}
    sent = stage.alice.http.post(f"/api/messages/{question}/resend", json=anew).json()
    stage.alice.wait_for_end(sent["reply"]["id"])
    stage.open(session)
    stage.page.get_by_role("button", name="Version before").first.click()
    expect(stage.page.locator(".is-question .version-note:not([hidden])")).to_be_visible()


@state
def gap_in_the_history(stage: Stage) -> None:
    session = stage.session(title="A long talk")
    stage.alice.http.patch(f"/api/sessions/{session}", json={"replies": "mention"}).raise_for_status()
    ids = [stage.alice.ask(session, f"Message number {i}")["message"]["id"] for i in range(110)]
    stage.window.open(f"/s/{session}/#message-{ids[3]}")
    stage.page.locator(".gap").scroll_into_view_if_needed()
    expect(stage.page.get_by_role("button", name="Go on from above")).to_be_in_viewport()


@state
def archived_sessions(stage: Stage) -> None:
    session = stage.session(title="Plans for last summer")
    stage.alice.http.post(f"/api/sessions/{session}/archive").raise_for_status()
    stage.open(stage.session())
    if stage.page.get_by_role("button", name="Open the list of sessions").is_visible():
        stage.page.get_by_role("button", name="Open the list of sessions").click()
    stage.page.get_by_role("button", name="Archived").click()
    expect(stage.page.get_by_text("Plans for last summer").first).to_be_visible()


@state
def sheet_search(stage: Stage) -> None:
    session = stage.session("words-n3")
    stage.answered(session, "Where is the needle in this haystack?")
    stage.open(session)
    stage.page.keyboard.press("Control+k")
    stage.page.get_by_label("Search in all of your sessions").fill("needle")
    expect(stage.page.locator(".found").first).to_be_visible()


@state
def sheet_help(stage: Stage) -> None:
    stage.open(stage.session())
    stage.page.locator("[data-thread]").press("?")
    expect(stage.page.get_by_role("dialog", name="Keys")).to_be_visible()


@state
def sheet_people(stage: Stage) -> None:
    session = stage.session()
    stage.alice.invite(session, stage.bob)
    stage.open(session)
    stage.page.locator("[data-thread]").press("p")
    expect(stage.page.get_by_role("dialog", name="People")).to_be_visible()


@state
def sheet_people_with_links(stage: Stage) -> None:
    session = stage.session()
    stage.alice.invite(session, stage.bob)
    stage.alice.http.post(f"/api/sessions/{session}/share")
    stage.open(session)
    stage.page.locator("[data-thread]").press("p")
    stage.page.get_by_role("button", name="Make a link").click()
    expect(stage.page.get_by_label("Invitation link")).to_be_visible()
    expect(stage.page.get_by_label("Link to read along", exact=True)).to_be_visible()


@state
def sheet_hand_over(stage: Stage) -> None:
    sheet_people(stage)
    stage.page.get_by_role("button", name="Hand over…").click()
    expect(stage.page.get_by_role("heading", name="Hand the session over?")).to_be_visible()


@of_nobody
def shared_session(stage: Stage) -> None:
    session = stage.session("markdown", title="A session that anybody may read")
    stage.answered(session)
    url = stage.alice.http.post(f"/api/sessions/{session}/share").json()["url"]
    stage.window.open(urlsplit(url).path)
    expect(stage.page.locator(".message.is-answer")).to_be_visible()


@of_nobody
def shared_no_longer(stage: Stage) -> None:
    stage.window.open("/shared/gone/")
    expect(stage.page.get_by_role("heading", name="This link doesn’t work any more")).to_be_visible()


@state
def sheet_rename(stage: Stage) -> None:
    menu_of_a_session(stage)
    stage.page.get_by_role("menuitem", name="Rename").click()
    expect(stage.page.get_by_role("dialog")).to_be_visible()


@state
def sheet_delete(stage: Stage) -> None:
    menu_of_a_session(stage)
    stage.page.get_by_role("menuitem", name="Delete").click()
    expect(stage.page.get_by_role("dialog")).to_be_visible()


@state
def sheet_settings(stage: Stage) -> None:
    session = stage.session()
    parameters = {"parameters": {"temperature": 0.5}, "system_prompt": "Be brief."}
    assert stage.alice.http.patch(f"/api/sessions/{session}", json=parameters).status_code == 200
    stage.open(session)
    stage.page.locator("[data-thread]").press(",")
    expect(stage.page.get_by_role("dialog", name="Settings of this session")).to_be_visible()
    expect(stage.page.get_by_label("Temperature")).to_have_value("0.5")


@state
def menu_of_sending(stage: Stage) -> None:
    session_streaming_with_a_queue(stage)
    stage.page.get_by_role("button", name="Sending now").click()
    expect(stage.page.get_by_role("menuitemradio")).to_have_count(3)


@state
def queue_paused(stage: Stage) -> None:
    failing = tagged("words-n9-hold=2-cut=3")
    session = stage.session()
    answer = stage.alice.asked(session, "First", model=failing)
    stage.alice.ask(session, "Second, which waits")
    stage.provider.release(failing)
    stage.alice.wait_for_end(answer)
    stage.open(session)
    expect(stage.page.get_by_role("button", name="Resume")).to_be_visible()


@state
def names_to_complete(stage: Stage) -> None:
    session = stage.session()
    stage.alice.invite(session, stage.bob)
    stage.alice.http.patch(f"/api/sessions/{session}", json={"replies": "mention"})
    stage.alice.ask(session, "@bob shall we ask @assistant, or `@nobody`?")
    stage.open(session)
    expect(stage.page.locator(".mention")).to_have_count(2)
    stage.window.composer.press_sequentially("Well, @")
    expect(stage.page.locator(".mention-option")).to_have_count(2)


@state
def files_to_send_and_sent(stage: Stage) -> None:
    session = stage.session()
    given = {
        "file": ("red.png", png(400, 300)),
        "pdf": ("report.pdf", pdf("Revenue")),
        "txt": ("notes.txt", b"Words"),
    }
    ids = [
        stage.alice.http.post(f"/api/sessions/{session}/attachments", files={"file": one}).json()["id"]
        for one in given.values()
    ]
    body = {"client_id": uuid.uuid4().hex, "content": "Look", "attachments": ids}
    sent = stage.alice.http.post(f"/api/sessions/{session}/messages", json=body).json()
    stage.alice.wait_for_end(sent["reply"]["id"])
    stage.open(session)
    expect(stage.page.locator(".attachment")).to_have_count(3)
    with stage.page.expect_file_chooser() as chooser:
        stage.page.get_by_role("button", name="Attach files").click()
    chooser.value.set_files(FilePayload(name="a.txt", mimeType="text/plain", buffer=b"Words"))
    expect(stage.page.locator(".file .file-detail")).to_have_text("5 bytes")


@state
def usage_of_an_answer(stage: Stage) -> None:
    session = stage.session()
    stage.answered(session)
    stage.open(session)
    stage.page.get_by_role("button", name="Tokens and cost").click()
    expect(stage.page.locator("[data-part=usage]:not([hidden])")).to_have_text(re.compile("tokens? read"))


@state
def usage_page(stage: Stage) -> None:
    session = stage.session()
    stage.answered(session)
    stage.window.open("/usage/")
    stage.page.locator("details summary").first.click()
    expect(stage.page.get_by_role("heading", name="Your usage")).to_be_visible()
