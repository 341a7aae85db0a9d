"""`python -m assistant.web`: the web server."""

from assistant.web.server import main

main()
