"""Moved to `assistant.delivery.queue`. This path works until 1.0, for projects whose Q_CLUSTER names it."""

from assistant.delivery.queue import DoorbellBroker as DoorbellBroker
