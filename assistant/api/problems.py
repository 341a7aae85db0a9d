"""What can go wrong with a call, as the API's schema documents it: every code, and which calls answer with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from ninja.operation import Operation

View = TypeVar("View", bound=Callable[..., Any])

MEANINGS = {
    "already_decided": "This call has been allowed or denied already, or its answer has ended.",
    "already_filled": "This form has been answered already, or is not asked for any more.",
    "already_finished": "The answer had ended already.",
    "already_owner": "This person owns the session already.",
    "already_promoted": "The message waits no longer: it was answered.",
    "already_sent": "The file has been sent with a message.",
    "already_withdrawn": "The message has been withdrawn already.",
    "attachments_off": "Files can't be attached here.",
    "busy": "No worker could look into it just now.",
    "client_id_used": "One has sent another message with this client_id.",
    "closed_account": "This person's account is closed.",
    "empty": "There is nothing in the message.",
    "empty_file": "There is nothing in the file.",
    "forbidden": "One's role in the session does not allow it; or a browser's CSRF token is missing or wrong.",
    "internal": "Something went wrong here; the operator's log has the details.",
    "invalid": "A field or parameter is missing, unknown or of the wrong kind; the sentence names it.",
    "invalid_arguments": "A tool can't be run with what was given; the sentence says why.",
    "invalid_form": "What was given does not fit the form; the sentence names the field.",
    "invalid_model": "There is no such model here.",
    "invalid_service": "There is no such service here.",
    "last_person": "Nobody else takes part in the session: delete it instead.",
    "no_such_attachment": "There is no such file of one's own that was not sent yet.",
    "no_such_resource": "The server can't be reached, or has nothing to read there.",
    "not_an_answer": "The message is a question.",
    "not_answerable": "The question waits, was withdrawn, or was asked anew.",
    "not_finished": "The message has not ended yet, or was withdrawn.",
    "not_found": "There is nothing here for you.",
    "not_last": "The question is not one's last one, or somebody has said more since.",
    "not_signed_in": "There is no cookie of somebody signed in, and no valid token.",
    "not_waiting": "The message before which it should go waits no longer.",
    "not_yours": "It is somebody else's.",
    "over_quota": "The budget of today is used up.",
    "owner_must_hand_over": "The owner hands the session over before leaving it.",
    "owner_stays": "An owner becomes something else only by handing the session over.",
    "queue_full": "Too many messages wait in the session.",
    "quota_full": "There is no room for more files, of one's own or of the session's.",
    "session_busy": "An answer is being written in the session.",
    "storage": "The file could not be stored.",
    "too_big": "The request, or the file in it, is too big.",
    "too_fast": "One did this too often within a minute.",
    "too_long": "The message is too long; the sentence has the number.",
    "too_many_attachments": "The message has too many files.",
    "too_many_invitations": "Too many invitations into the session are open.",
    "too_many_requests": "Too many people read along by this link.",
    "unavailable": "The database is away, or its disk is full. Nothing is lost.",
    "wrong_type": "The file is none of the kinds that can be attached.",
}

# What asking may be refused for, wherever it is done.
ASKING = ("409 session_busy client_id_used", "422 empty too_long invalid_model", "429 too_fast over_quota queue_full")
UPLOADING = ("422 attachments_off too_big empty_file wrong_type", "429 too_fast quota_full", "503 storage")

_UNSAFE = {"POST", "PUT", "PATCH", "DELETE"}


def refuses(*problems: str) -> Callable[[View], View]:
    """Notes what a call may be refused for, beside what every call of its kind may: `refuses("409 already_finished")`."""

    def note(view: View) -> View:
        view.refuses = problems  # type: ignore[attr-defined]
        return view

    return note


def problems_of(operation: Operation) -> dict[int, list[str]]:
    """The codes with which a call may answer, by the HTTP status that each comes with."""
    found: dict[int, set[str]] = {}
    for problem in (*_of_every_call(operation), *getattr(operation.view_func, "refuses", ())):
        status, *codes = problem.split()
        found.setdefault(int(status), set()).update(codes)
    return {status: sorted(found[status]) for status in sorted(found)}


def _of_every_call(operation: Operation) -> list[str]:
    sources = {model.__ninja_param_source__ for model in operation.models}
    problems = ["500 internal", "503 unavailable"]
    if operation.auth_callbacks:
        problems.append("401 not_signed_in")
        if _UNSAFE.intersection(operation.methods):
            problems.append("403 forbidden")
    if sources:
        problems.append("422 invalid")
    if "path" in sources:
        problems.append("404 not_found")
    if sources & {"body", "file", "form"}:
        problems.append("413 too_big")
    return problems
