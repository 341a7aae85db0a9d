"""Users whose key is a text of any kind, as it came out of another system."""

from django.contrib.auth.models import AbstractUser
from django.db import models


class Member(AbstractUser):
    number = models.CharField(primary_key=True, max_length=40)

    def save(self, *args: object, **kwargs: object) -> None:
        self.number = self.number or f"clubs/north:{self.username} #1"
        super().save(*args, **kwargs)  # type: ignore[arg-type]
