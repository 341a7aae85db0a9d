"""The product's settings, with the app that lets tests name the point at which a process dies."""

from project.settings import *  # noqa: F403
from project.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.e2e.mortal.Mortal"]
