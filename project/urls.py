from django.contrib import admin
from django.urls import include, path

from assistant.admin import SignInForm

admin.site.login_form = SignInForm

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("assistant.urls")),
]
