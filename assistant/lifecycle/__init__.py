"""The verbs that change a message's status. Nothing else does.

`asking` is what people do, `ordering` what they do about the queue's order, `steering` what joins a running answer,
`claiming` how workers take answers, `answering` what they do with them, `recovery` what is done for the dead. Each verb
is one transaction around conditional UPDATEs, and says whether it won; the legal edges are
`assistant.models.message.EDGES`.
"""
