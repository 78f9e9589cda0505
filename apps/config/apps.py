from django.apps import AppConfig


class ConfigConfig(AppConfig):
    name = "apps.config"
    label = "config"

    def ready(self) -> None:
        from apps.config import checks  # noqa: F401, PLC0415  registering needs the apps
