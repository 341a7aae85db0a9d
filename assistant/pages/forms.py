"""The forms of the pages: making an account, and the look of Django's own fields."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib.auth import get_user_model
from django.contrib.auth.forms import AuthenticationForm, BaseUserCreationForm
from django.db import IntegrityError, transaction

from assistant import conf
from assistant.access import address_of
from assistant.delivery import rate_limits

User = get_user_model()

TAKEN = "Somebody has this name already."
TOO_FAST = "too_fast"
SIGN_IN_SECONDS = 300.0  # within which so many attempts are taken


# Of whatever user model: what one signs in with, what it requires, and an e-mail address if it has one.
NAME = User.USERNAME_FIELD
EMAIL = getattr(User, "EMAIL_FIELD", "")
_ASKED = tuple(dict.fromkeys([NAME, *User.REQUIRED_FIELDS, *([EMAIL] if EMAIL else [])]))


class AccountForm(BaseUserCreationForm):
    """A new account: a name to sign in with, a password, and an e-mail address if one likes."""

    class Meta:
        model = User
        fields = _ASKED

    field_order = (*_ASKED, "password1", "password2")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if NAME == "username":
            self.fields[NAME].label = "Name"
            self.fields[NAME].help_text = "Letters, digits and @ . + - _ only. Others see it beside what you write."
        if EMAIL in self.fields and EMAIL != NAME:
            email = self.fields[EMAIL]
            email.label = "E-mail"
            email.help_text = "" if email.required else "Optional."
            email.widget.attrs["autocomplete"] = "email"
        first, second = self.fields["password1"], self.fields["password2"]
        first.help_text = "At least 8 characters, and not a common one."
        second.label, second.help_text = "Password again", ""

    def clean(self) -> dict[str, Any]:
        """Refuses a name that differs from another one only in case: people could not tell them apart."""
        super().clean()
        name = self.cleaned_data.get(NAME)
        if name is not None and User._default_manager.filter(**{f"{NAME}__iexact": name}).exists():
            self.add_error(NAME, forms.ValidationError(TAKEN, code="taken"))
        return self.cleaned_data

    def made(self, admit: Callable[[Any], object] = lambda account: None) -> Any | None:
        """The new account, stored; or None, with the errors in the form.

        `admit` is called with it in the same transaction: what that raises, makes no account.
        """
        if not self.is_valid():
            return None
        account = self.save(commit=False)  # its password is hashed before the transaction: that takes a while
        try:
            with transaction.atomic():
                account.save()
                self.save_m2m()
                admit(account)
                return account
        except IntegrityError:  # somebody took the name after it was looked for
            self.add_error(NAME, forms.ValidationError(TAKEN, code="taken"))
            return None


class Slowed(AuthenticationForm):
    """Takes only so many attempts to sign in from one address: at one name, and ten times that at all names.

    Not at one name from everywhere: then anybody could lock anybody out.
    """

    def clean(self) -> dict[str, Any]:
        limit = conf.settings.sign_in_rate
        address, name = address_of(self.request), str(self.cleaned_data.get("username", "")).casefold()
        wait = rate_limits.take(f"sign-in:{address}", 10 * limit, SIGN_IN_SECONDS)
        wait = wait or rate_limits.take(f"sign-in:{address}:{name}", limit, SIGN_IN_SECONDS)
        if wait:
            raise forms.ValidationError(f"Too many attempts. Try again in {math.ceil(wait)} s.", code=TOO_FAST)
        return super().clean()


class SignInForm(Slowed):
    """With sentences that fit the page."""

    error_messages = {
        "invalid_login": "This name and password don’t belong together. Mind upper and lower case.",
        "inactive": "This account is switched off.",
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if NAME == "username":
            self.fields["username"].label = "Name"
