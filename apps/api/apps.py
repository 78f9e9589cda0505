from importlib import import_module

from django.apps import AppConfig


class ApiConfig(AppConfig):
    name = "apps.api"
    label = "api"

    def ready(self) -> None:
        """The schema's extensions register themselves when they are loaded."""
        import_module("apps.api.schema")
