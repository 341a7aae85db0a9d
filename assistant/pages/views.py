"""The pages. Each authenticates, finds what it shows through the person's own sessions, and draws a template.

What happens inside a session the page's script does, over the API and the WebSocket.
"""

from __future__ import annotations

import functools
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth import get_user_model, login
from django.contrib.auth.decorators import login_required
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView, LogoutView
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import NON_FIELD_ERRORS
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt, ensure_csrf_cookie
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods
from ninja.utils import check_csrf

from assistant import access, conf
from assistant.api.reading import link_for
from assistant.lifecycle import people
from assistant.lifecycle.refusal import Refused
from assistant.models import ApiToken, ChatSession, Invitation
from assistant.pages.forms import TOO_FAST, AccountForm, SignInForm

User = get_user_model()

LISTED_SESSIONS = 50  # the rest is loaded as one scrolls
NO_SESSION = UUID(int=0)  # stands in the session's URL where the script puts an id
PASSWORDS = "django.contrib.auth.backends.ModelBackend"


def needs_setup() -> bool:
    """Whether nobody has an account yet: the first one made becomes the administrator's."""
    return not User._default_manager.exists()


def sign_up_is_open() -> bool:
    return conf.settings.signup == "open"


# --- sessions ---


@require_GET
@never_cache
def home(request: HttpRequest) -> HttpResponse:
    """The latest session, or the welcome; before anybody has an account, the set-up."""
    if not request.user.is_authenticated:
        return redirect("assistant:setup" if needs_setup() else "assistant:login")
    latest = ChatSession.objects.listed_for(request.user).first()
    return redirect("assistant:session", latest.pk) if latest else redirect("assistant:new-session")


@require_GET
@login_required(login_url="assistant:login")
@ensure_csrf_cookie
@never_cache
def new_session(request: HttpRequest) -> HttpResponse:
    """A composer without a session: the first message makes one."""
    return render(request, "assistant/welcome.html", _room(request))


@require_GET
@login_required(login_url="assistant:login")
@ensure_csrf_cookie
@never_cache
def session(request: HttpRequest, session_id: UUID) -> HttpResponse:
    opened = get_object_or_404(ChatSession.objects.for_user(request.user), pk=session_id)
    return render(request, "assistant/session.html", {**_room(request), "session": opened})


def _room(request: HttpRequest) -> dict[str, Any]:
    return {
        "sessions": ChatSession.objects.listed_for(request.user)[:LISTED_SESSIONS],
        "max_length": conf.settings.max_length,
        "max_files": conf.settings.attachment_max_count,
        "max_file_mb": conf.settings.attachment_max_mb,
        "no_session": NO_SESSION,
        "csrf_cookie": settings.CSRF_COOKIE_NAME,
    }


# --- accounts ---


class SignIn(LoginView):
    """Django's sign-in; on a fresh installation it leads to the set-up instead."""

    template_name = "assistant/login.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True
    next_page = "assistant:home"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return redirect("assistant:setup") if needs_setup() else super().get(request, *args, **kwargs)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(**kwargs) | {"sign_up_is_open": sign_up_is_open()}

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        status = 429 if form.has_error(NON_FIELD_ERRORS, TOO_FAST) else 422
        return self.render_to_response(self.get_context_data(form=form), status=status)


class SignOut(LogoutView):
    next_page = "assistant:login"


@require_http_methods(["GET", "POST"])
@sensitive_post_parameters()
@never_cache
def setup(request: HttpRequest) -> HttpResponse:
    """The first account, which administers everything. Gone as soon as there is one."""
    if not needs_setup():
        return redirect("assistant:home")
    form = AccountForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            _one_at_a_time()
            if not needs_setup():
                return redirect("assistant:home")
            user = form.save(commit=False)
            user.is_staff = user.is_superuser = True
            user.save()
        login(request, user, backend=PASSWORDS)
        return redirect("assistant:home")
    return _form_page(request, "assistant/setup.html", form)


def _one_at_a_time() -> None:
    """Makes the transactions of two first accounts follow each other, so that the second one finds the first.

    There is no user yet whose row could be locked, so it is the row that stands for all users. (On SQLite nothing is
    locked here: a transaction holds the only write lock from its start.)
    """
    ContentType.objects.select_for_update().filter(
        app_label=User._meta.app_label, model=User._meta.model_name
    ).first()


@require_http_methods(["GET", "POST"])
@sensitive_post_parameters()
@never_cache
def signup(request: HttpRequest) -> HttpResponse:
    """An account for whoever comes, where ASSISTANT_SIGNUP is open."""
    if request.user.is_authenticated or needs_setup():
        return redirect("assistant:home")
    if not sign_up_is_open():
        raise Http404("Sign-up is closed.")
    form = AccountForm(request.POST or None)
    if request.method == "POST" and (user := form.made()):
        login(request, user, backend=PASSWORDS)
        return redirect("assistant:home")
    return _form_page(request, "assistant/signup.html", form)


def _form_page(request: HttpRequest, template: str, form: AccountForm, **context: Any) -> HttpResponse:
    return render(request, template, {"form": form, **context}, status=422 if form.errors else 200)


# --- invitations ---


@csrf_exempt
@require_http_methods(["GET", "POST"])
@sensitive_post_parameters()
@never_cache
def invite(request: HttpRequest, token: str) -> HttpResponse:
    """Shows an invitation; a POST by somebody signed in accepts it, one by nobody makes an account and accepts.

    A program accepts with its Bearer token and is answered in JSON. Such a request needs no CSRF token, for no page
    of somebody else's can make a browser send it; every other POST is checked here, since the decorator exempts all.
    Any other Authorization is not ours (a browser sends Basic to a proxy that asks for a password).
    """
    if bearer := access.bearer(request.headers.get("Authorization", "")):
        return _accept_as_program(request, token, bearer)
    if request.method == "POST" and (refusal := check_csrf(request)):
        return refusal
    invitation = Invitation.find(token)
    if invitation is None:
        return render(request, "assistant/invite_over.html", status=404)
    if request.user.is_authenticated:
        return _accept(request, invitation) if request.method == "POST" else _offer(request, invitation)
    form = AccountForm(request.POST or None)
    return (
        _make_account(request, invitation, form)
        if request.method == "POST"
        else _invite_page(request, invitation, form)
    )


def _make_account(request: HttpRequest, invitation: Invitation, form: AccountForm) -> HttpResponse:
    """An account and its use of the invitation are made together, or neither: of eight at once one comes in."""
    try:
        user = form.made(functools.partial(people.join, invitation))
    except Refused as refusal:
        return _invite_over(request, refusal)
    if user is None:
        return _invite_page(request, invitation, form)
    login(request, user, backend=PASSWORDS)
    return redirect("assistant:session", invitation.session_id)


def _offer(request: HttpRequest, invitation: Invitation) -> HttpResponse:
    try:
        people.check_invited(invitation, request.user)
    except Refused as refusal:
        return _invite_over(request, refusal)
    return _invite_page(request, invitation, None)


def _invite_over(request: HttpRequest, refusal: Refused) -> HttpResponse:
    return render(request, "assistant/invite_over.html", {"refusal": refusal}, status=refusal.status)


def _invite_page(request: HttpRequest, invitation: Invitation, form: AccountForm | None) -> HttpResponse:
    sign_in = f"{reverse('assistant:login')}?next={request.path}"
    context = {"invitation": invitation, "form": form, "sign_in": sign_in}
    return render(request, "assistant/invite.html", context, status=422 if form and form.errors else 200)


def _accept(request: HttpRequest, invitation: Invitation) -> HttpResponse:
    try:
        people.join(invitation, request.user)
    except Refused as refusal:
        return _invite_over(request, refusal)
    return redirect("assistant:session", invitation.session_id)


def _accept_as_program(request: HttpRequest, token: str, bearer: str) -> HttpResponse:
    user = ApiToken.user_of(bearer)
    if user is None:
        return JsonResponse({"code": "not_signed_in", "detail": "This token is not valid."}, status=401)
    if request.method != "POST":
        return JsonResponse({"code": "method_not_allowed", "detail": "POST accepts an invitation."}, status=405)
    invitation = Invitation.find(token)
    if invitation is None:
        return JsonResponse({"code": "not_found", "detail": "This invitation is over."}, status=404)
    try:
        participant = people.join(invitation, user)
    except Refused as refusal:
        return JsonResponse({"code": refusal.code, "detail": refusal.detail}, status=refusal.status)
    return JsonResponse({"session": str(participant.session_id), "participant": participant.as_json()})


# --- reading along ---


@require_GET
@never_cache
def shared(request: HttpRequest, token: str) -> HttpResponse:
    """A session as anybody sees it who has its share link. No search engine may list it, and it says nothing of you."""
    try:
        link = link_for(token)
        response = render(request, "assistant/shared.html", {"session": link.session, "token": token})
    except Http404:
        response = render(request, "assistant/shared_over.html", status=404)
    except Refused as refusal:
        response = render(request, "assistant/shared_over.html", {"refusal": refusal}, status=refusal.status)
        response["Retry-After"] = str(refusal.retry_after)
    response["X-Robots-Tag"] = "noindex, nofollow"
    return response
