from django.contrib import admin
from django.templatetags.static import static
from django.urls import include, path
from django.views.generic import RedirectView

from assistant.admin import SignInForm

admin.site.login_form = SignInForm

urlpatterns = [
    path("admin/", admin.site.urls),
    path("favicon.ico", RedirectView.as_view(url=static("assistant/mark.svg"))),  # of the admin's pages
    path("", include("assistant.urls")),
]
