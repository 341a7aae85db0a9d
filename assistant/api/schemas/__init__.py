"""The shapes of the HTTP API, as OpenAPI shows them: here those that its calls name. docs/events.md explains the fields."""

from assistant.api.schemas.attachments import Attachment
from assistant.api.schemas.base import Problem, Text, UserIdInPath
from assistant.api.schemas.messages import (
    Message,
    Messages,
    NewContent,
    NewMessage,
    Pair,
    Place,
    Reply,
    Resent,
    Retry,
    Settings,
)
from assistant.api.schemas.people import Me, NewOwner, NewRole, Participant, Participants
from assistant.api.schemas.resources import ChosenResource, Resources
from assistant.api.schemas.search import Found
from assistant.api.schemas.sessions import Models, NewSession, Reading, Session, SessionChanges, Sessions
from assistant.api.schemas.sharing import Invitation, Invitations, NewInvitation, Share, SharedMessages
from assistant.api.schemas.tools import Allowed, Denied, FilledForm, Services
from assistant.api.schemas.usage import OwnUsage, SessionUsage

__all__ = [
    "Allowed",
    "Attachment",
    "ChosenResource",
    "Denied",
    "FilledForm",
    "Found",
    "Invitation",
    "Invitations",
    "Me",
    "Message",
    "Messages",
    "Models",
    "NewContent",
    "NewInvitation",
    "NewMessage",
    "NewOwner",
    "NewRole",
    "NewSession",
    "OwnUsage",
    "Pair",
    "Participant",
    "Participants",
    "Place",
    "Problem",
    "Reading",
    "Reply",
    "Resent",
    "Resources",
    "Retry",
    "Services",
    "Session",
    "SessionChanges",
    "SessionUsage",
    "Sessions",
    "Settings",
    "Share",
    "SharedMessages",
    "Text",
    "UserIdInPath",
]
