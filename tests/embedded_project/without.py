"""URLs as a check refuses them: without the assistant's."""

urlpatterns: list[object] = []
