"""The pages people open in a browser. `assistant.urls` includes them."""

from django.urls import path

from assistant.pages import mcp_sign_in, usage_pages, views

app_name = "assistant"

urlpatterns = [
    path("", views.home, name="home"),
    path("new/", views.new_session, name="new-session"),
    path("s/<uuid:session_id>/", views.session, name="session"),
    path("usage/", usage_pages.own, name="usage"),
    path("setup/", views.setup, name="setup"),
    path("signup/", views.signup, name="signup"),
    path("login/", views.SignIn.as_view(), name="login"),
    path("logout/", views.SignOut.as_view(), name="logout"),
    path("invite/<str:token>/", views.invite, name="invite"),
    path("shared/<str:token>/", views.shared, name="shared"),
    path("mcp/oauth/callback", mcp_sign_in.callback, name="mcp-callback"),
]
