from __future__ import annotations

from django.contrib import admin

from assistant.models import ApiToken, ChatSession, Invitation, Message, Participant, WorkerProcess

for model in (ApiToken, ChatSession, Invitation, Message, Participant, WorkerProcess):
    admin.site.register(model)
