from assistant.models.attachment import Attachment, StoredFile
from assistant.models.invitation import Invitation
from assistant.models.mcp_server import McpGrant, McpProblem, McpServer
from assistant.models.message import Message, UnfinishedAnswer
from assistant.models.participant import Participant, Removal
from assistant.models.provider_state import ProviderState
from assistant.models.session import ChatSession
from assistant.models.share import ShareLink
from assistant.models.summary import Summary
from assistant.models.system_prompt import SystemPrompt
from assistant.models.token import ApiToken
from assistant.models.tool_call import ToolCall
from assistant.models.usage import Budget, UsageRecord
from assistant.models.worker import WorkerProcess

__all__ = [
    "ApiToken",
    "Attachment",
    "Budget",
    "ChatSession",
    "Invitation",
    "McpGrant",
    "McpProblem",
    "McpServer",
    "Message",
    "Participant",
    "ProviderState",
    "Removal",
    "ShareLink",
    "StoredFile",
    "Summary",
    "SystemPrompt",
    "ToolCall",
    "UnfinishedAnswer",
    "UsageRecord",
    "WorkerProcess",
]
