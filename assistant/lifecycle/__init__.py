"""The verbs: whatever changes a session, its messages, calls, files and people. Nothing else writes a status.

Of messages `asking` is what people do, `ordering` what they do about the queue's order, `steering` what joins a running
answer, `claiming` how workers take answers, `answering` what they do with them, `recovery` what is done for the dead. Each
of these is one transaction around conditional UPDATEs, and says whether it won; the legal edges are
`assistant.models.message.EDGES`. Of calls of tools it is `rounds`, `approving`, `form_filling`, `call_endings`; of sessions
and their people `session_changes`, `people`, `own_list`, `forking`, `titling`; of files `attaching`, `stored_files`.
docs/architecture.md names them all.
"""
