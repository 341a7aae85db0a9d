"""The WebSockets: who may listen, what they are sent, and what they missed."""
