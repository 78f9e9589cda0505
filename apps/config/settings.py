"""All settings, in one file; what differs between installations comes from the environment (docs/configuration.md)."""

from typing import Any
from urllib.parse import urlsplit

import django_stubs_ext
from csp.constants import NONCE, NONE, SELF

from apps.config import embedded, environment
from apps.config.environment import PROJECT, flag, home, number, text, words

# Lets QuerySet["Workload"] and ModelForm["Workload"] stand in annotations at run time too.
django_stubs_ext.monkeypatch()

TOLLGATE_HOME = home()
TOLLGATE_DATABASE = embedded.chosen_database()
TOLLGATE_PORT = number("PORT", 8000, least=1, most=65535)
TOLLGATE_BIND = text("TOLLGATE_BIND", "127.0.0.1")
TOLLGATE_PUBLIC_URL = text("TOLLGATE_PUBLIC_URL", f"http://127.0.0.1:{TOLLGATE_PORT}").rstrip("/")
UPLOAD_FOLDER = TOLLGATE_HOME / "uploads"
# A worker that is not heard of for so long is taken for dead, and another reads its import again from the start.
IMPORT_LEASE_SECONDS = number("TOLLGATE_IMPORT_LEASE_SECONDS", 60, least=2)
# Live folders may be read below these only: a path in a form must not reach the rest of the machine.
IMPORT_ROOTS = words("TOLLGATE_IMPORT_ROOTS", [str(TOLLGATE_HOME / "incoming")])

DEBUG = flag("TOLLGATE_DEBUG")
SECRET_KEY = environment.secret_key()
FIELD_KEYS = environment.field_keys()
FIELD_KEYS_GIVEN = bool(text("TOLLGATE_FIELD_KEYS"))
PUBLIC_HOST = urlsplit(TOLLGATE_PUBLIC_URL).hostname or "localhost"
ALLOWED_HOSTS = [*words("TOLLGATE_ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"]), PUBLIC_HOST]
if "*" in ALLOWED_HOSTS:
    raise environment.SetupError(
        "TOLLGATE_ALLOWED_HOSTS holds *, which lets anybody forge links in mails; name the hosts."
    )
CSRF_TRUSTED_ORIGINS = [TOLLGATE_PUBLIC_URL]

INSTALLED_APPS = [
    "apps.config",
    "apps.core",
    "apps.accounts",
    "apps.catalog",
    "apps.workloads",
    "apps.sources",
    "apps.usage",
    "apps.costs",
    "apps.economics",
    "apps.budgets",
    "apps.approvals",
    "apps.reviews",
    "apps.web",
    "apps.api",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "django.forms",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "csp",
    "django_filters",
    "django_htmx",
    "django_tables2",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "pgtrigger",
    "rest_framework",
    "template_partials",
]

MIDDLEWARE = [
    # First: a probe is answered whatever the state of hosts, sessions and the database.
    "apps.config.health.HealthMiddleware",
    "apps.web.middleware.LengthMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "apps.web.middleware.PartMiddleware",
    "apps.web.middleware.ActorMiddleware",
    "apps.web.middleware.SessionMiddleware",
    "apps.web.middleware.ErrorMiddleware",
    "apps.web.setup.SetupFirst",
]

ROOT_URLCONF = "apps.config.urls"
WSGI_APPLICATION = "apps.config.wsgi.application"
FORM_RENDERER = "django.forms.renderers.TemplatesSetting"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [PROJECT / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "csp.context_processors.nonce",
                "apps.web.context.frame",
            ],
        },
    },
]

# --- Data -------------------------------------------------------------------------------------------------------------

DATABASES: dict[str, dict[str, Any]] = {"default": embedded.database_settings(TOLLGATE_DATABASE)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
# In the database, because login limits count across all web processes.
CACHES = {"default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "config_cache"}}

CELERY_BROKER_URL = embedded.broker_url(TOLLGATE_DATABASE)
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 3600} if CELERY_BROKER_URL.startswith("redis") else {}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# A page must not hang while the broker is away: the due row is written anyway, and the sweep finds it.
CELERY_BROKER_CONNECTION_TIMEOUT = 2
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0, "interval_step": 0.2}
CELERY_RESULT_BACKEND = None
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"

# --- People -----------------------------------------------------------------------------------------------------------

AUTH_USER_MODEL = "accounts.Account"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"

ACCOUNT_ADAPTER = "apps.accounts.adapter.AccountAdapter"
ACCOUNT_FORMS = {"reset_password": "apps.web.accounts.ForgottenPasswordForm"}
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
# Accounts come from invitations, which prove the address.
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS = False
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_LOGOUT_ON_GET = False
ACCOUNT_LOGOUT_ON_PASSWORD_CHANGE = True
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"
ACCOUNT_REAUTHENTICATION_TIMEOUT = 900
ACCOUNT_SESSION_REMEMBER = False
ACCOUNT_DEFAULT_HTTP_PROTOCOL = urlsplit(TOLLGATE_PUBLIC_URL).scheme
ACCOUNT_RATE_LIMITS = {
    "login": "30/m/ip",
    "login_failed": "20/m/ip,5/15m/key",
    "reset_password": "20/m/ip,5/m/key",
    "reset_password_from_key": "20/m/ip",
    "reauthenticate": "10/m/user",
    "change_password": "5/m/user",
}
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]

# Idle for 30 minutes ends a session; the limit of twelve hours in all is kept by a middleware.
SESSION_COOKIE_AGE = 30 * 60
SESSION_SAVE_EVERY_REQUEST = True
SESSION_ABSOLUTE_SECONDS = 12 * 60 * 60
SESSION_COOKIE_NAME = f"tollgate_session_{TOLLGATE_DATABASE}"
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_NAME = f"tollgate_csrf_{TOLLGATE_DATABASE}"

# --- Safety of the pages ----------------------------------------------------------------------------------------------

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF, NONCE],
        "style-src": [SELF, NONCE],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    },
}
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
HTTPS = TOLLGATE_PUBLIC_URL.startswith("https://")
SECURE_SSL_REDIRECT = HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
if flag("TOLLGATE_TRUSTED_PROXY"):
    # Only when a proxy is known to set (and overwrite) it: otherwise anybody could claim to come by https.
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    ALLAUTH_TRUSTED_PROXY_COUNT = 1
# On http://127.0.0.1 a browser would drop secure cookies and could not follow a redirect to https: HSTS (W004),
# redirect (W008), secure session and CSRF cookies (W012, W016) start with TOLLGATE_PUBLIC_URL=https://...
SILENCED_SYSTEM_CHECKS = [] if HTTPS else ["security.W004", "security.W008", "security.W012", "security.W016"]

DATA_UPLOAD_MAX_MEMORY_SIZE = 10 * 1024 * 1024
UPLOAD_MAX_BYTES = number("TOLLGATE_MAX_UPLOAD_MB", 2048, least=1) * 1024 * 1024

# --- Pages' files, languages, mail, logs ------------------------------------------------------------------------------

STATIC_URL = "static/"
STATIC_ROOT = PROJECT / ".build" / "static"
STATICFILES_DIRS = [PROJECT / "static"]
STATICFILES_FINDERS = [
    "django.contrib.staticfiles.finders.FileSystemFinder",
    "django.contrib.staticfiles.finders.AppDirectoriesFinder",
    "apps.config.static.VendorFinder",
]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": UPLOAD_FOLDER}},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_TZ = True

DEFAULT_FROM_EMAIL = text("EMAIL_FROM", f"Tollgate <tollgate@{PUBLIC_HOST}>")
SERVER_EMAIL = DEFAULT_FROM_EMAIL
EMAIL_BACKEND = "apps.config.mail.ConsoleAndFileBackend"
EMAIL_TIMEOUT = 10
if MAIL_SERVER := environment.mail():
    EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    globals().update(MAIL_SERVER)

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": text("TOLLGATE_LOG_LEVEL", "INFO").upper()},
    "loggers": {
        "django": {"handlers": [], "propagate": True, "level": "WARNING"},
        "celery": {"level": "WARNING"},
        "celery.apps.worker": {"level": "INFO"},
        "httpx": {"level": "WARNING"},
    },
}

# --- JSON -------------------------------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["apps.api.auth.TokenAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "apps.api.errors.problem_handler",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Tollgate",
    "DESCRIPTION": "Who owns each use of AI, and what it costs.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}
