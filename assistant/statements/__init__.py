"""Statements of the hot path: written with the ORM, compiled once for each database, run again with other values.

Django compiles a query anew each time it is run, which takes ten to thirty times as long as the database needs for it. A
statement is declared at the top of a module, with `p(name)` where a value is to come:

    ANSWER = Select(Message, lambda p: Message.objects.filter(pk=p("id")))
    message = ANSWER.one(id=message_id)

What a statement says must not depend on a value's being None or empty: `field = NULL` finds nothing. Each is compared
with the plain ORM by the tests (`declared`, `plainly`).
"""

from assistant.statements.delete import Delete
from assistant.statements.insert import Insert, insert
from assistant.statements.select import Select, Values
from assistant.statements.statement import Value, declared
from assistant.statements.update import Update, store

__all__ = ["Delete", "Insert", "Select", "Update", "Value", "Values", "declared", "insert", "store"]
