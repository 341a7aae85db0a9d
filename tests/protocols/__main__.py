from tests.provider.server import main

from .server import Protocols

main(Protocols)
