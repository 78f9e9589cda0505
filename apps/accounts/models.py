"""Who works here: persons, the accounts they log in with, the tree of cost centres, and dated roles in it."""

import pgtrigger
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Lower, Now
from django.utils.crypto import salted_hmac


class Role(models.TextChoices):
    PLATFORM_ENGINEER = "platform_engineer", "Platform engineer"
    ANALYST = "analyst", "FinOps analyst"
    APPROVER = "approver", "Approver"
    REVIEWER = "reviewer", "Reviewer"
    AUDITOR = "auditor", "Auditor"
    ADMINISTRATOR = "administrator", "Administrator"


# What its holder may pass on while away.
PASSED_ON = frozenset({Role.APPROVER, Role.REVIEWER})


class Person(models.Model):
    """A human being; separation of duties counts persons, not accounts. Names stand only here and can be erased."""

    name = models.CharField(max_length=120)
    email = models.EmailField(blank=True, help_text="Where messages go. An account may log in with another one.")
    active = models.BooleanField(default=True)
    created_at = models.DateTimeField(db_default=Now())
    deactivated_at = models.DateTimeField(null=True, blank=True)
    erased_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "accounts_person"
        ordering = ("name", "id")
        constraints = (
            models.UniqueConstraint(name="accounts_person_email", fields=("email",), condition=~models.Q(email="")),
            models.CheckConstraint(name="accounts_person_email_lower", condition=models.Q(email=Lower("email"))),
            models.CheckConstraint(name="accounts_person_has_name", condition=~models.Q(name="")),
            models.CheckConstraint(
                name="accounts_person_erased_is_inactive",
                condition=models.Q(erased_at__isnull=True) | models.Q(active=False, email=""),
            ),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def initials(self) -> str:
        words = self.name.split()
        return "".join(word[0] for word in (words[:1] + words[1:][-1:])).upper()


class AccountManager(BaseUserManager["Account"]):
    def get_by_natural_key(self, username: str | None) -> "Account":
        return self.get(email=(username or "").lower())


class Account(AbstractBaseUser):
    """A way for a person to log in. It has no rights of its own and no superuser flag: rights come from roles."""

    email = models.EmailField(unique=True, help_text="What the person types to log in; lower case.")
    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="accounts")
    is_active = models.BooleanField(default=True)
    # Part of the session's hash: adding one ends every session of the account, on all devices, at their next click.
    session_epoch = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(db_default=Now())

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS = []

    objects = AccountManager()

    class Meta:
        db_table = "accounts_account"
        constraints = (
            models.CheckConstraint(name="accounts_account_email_lower", condition=models.Q(email=Lower("email"))),
        )

    def __str__(self) -> str:
        return self.email

    @property
    def is_staff(self) -> bool:
        """Asked for by libraries. Nobody is staff: there is no admin site and no way around the roles."""
        return False

    def _get_session_auth_hash(self, secret: str | None = None) -> str:
        """What a session must know to go on; Django compares it at every request."""
        value = f"{self.password}:{self.session_epoch}:{self.is_active}"
        return salted_hmac("apps.accounts.session", value, secret=secret, algorithm="sha256").hexdigest()


class CostCentre(models.Model):
    """A place in the organisation that pays. `path` has the ids from the root down, "/1/4/"; a prefix is a subtree."""

    code = models.CharField(max_length=40)
    name = models.CharField(max_length=120)
    parent = models.ForeignKey("self", on_delete=models.PROTECT, null=True, blank=True, related_name="children")
    path = models.CharField(max_length=400, editable=False)
    active = models.BooleanField(default=True)

    class Meta:
        db_table = "accounts_cost_centre"
        ordering = ("code",)
        indexes = (models.Index(fields=("path",), name="accounts_centre_path", opclasses=("varchar_pattern_ops",)),)
        constraints = (
            models.UniqueConstraint(Lower("code"), name="accounts_cost_centre_code"),
            models.CheckConstraint(
                name="accounts_cost_centre_names", condition=~models.Q(code="") & ~models.Q(name="")
            ),
            models.CheckConstraint(name="accounts_cost_centre_no_loop", condition=~models.Q(parent=models.F("id"))),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def depth(self) -> int:
        """0 for a root."""
        return self.path.count("/") - 2


class RoleGrantQuerySet(models.QuerySet["RoleGrant"]):
    def in_force(self) -> "RoleGrantQuerySet":
        """Grants that count at this instant, by the database's clock, of persons who are still here."""
        open_end = models.Q(valid_to__isnull=True) | models.Q(valid_to__gt=Now())
        return self.filter(open_end, valid_from__lte=Now(), person__active=True)


class RoleGrant(models.Model):
    """A person holds a role in a cost centre and everything below it, or everywhere, from one instant to another.

    Dated and never deleted: a decision of last March is judged by the roles of last March. Only the end may change.
    """

    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="grants")
    role = models.CharField(max_length=20, choices=Role.choices)
    cost_centre = models.ForeignKey(CostCentre, on_delete=models.PROTECT, null=True, blank=True, related_name="grants")
    valid_from = models.DateTimeField(db_default=Now())
    valid_to = models.DateTimeField(null=True, blank=True)
    granted_by = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="+")
    granted_at = models.DateTimeField(db_default=Now())
    ended_by = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    # No foreign key: approvals know accounts and not the other way round; decisions are never deleted.
    decision_id = models.BigIntegerField(null=True, unique=True, help_text="By which somebody else confirmed it.")
    # While its holder is away: never longer than their own, and by triggers of `approvals` over with it.
    passed_on_from = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="passed_on", help_text="Whose role it is."
    )

    objects = RoleGrantQuerySet.as_manager()

    class Meta:
        db_table = "accounts_role_grant"
        ordering = ("person", "role", "valid_from")
        constraints = (
            models.CheckConstraint(name="accounts_grant_role_known", condition=models.Q(role__in=Role.values)),
            models.CheckConstraint(
                name="accounts_grant_half_open",
                condition=models.Q(valid_to__isnull=True) | models.Q(valid_to__gte=models.F("valid_from")),
            ),
            # Administration and audit have no part: half an administrator could make themselves a whole one.
            models.CheckConstraint(
                name="accounts_grant_whole_organisation",
                condition=~models.Q(role__in=("administrator", "auditor")) | models.Q(cost_centre__isnull=True),
            ),
        )
        triggers = (
            pgtrigger.Protect(name="never_deleted", operation=pgtrigger.Delete),
            pgtrigger.Protect(
                name="only_the_end_changes",
                operation=pgtrigger.Update,
                condition=pgtrigger.AnyChange(
                    *("person", "role", "cost_centre", "valid_from", "granted_by", "granted_at", "decision_id"),
                    "passed_on_from",
                ),
            ),
        )

    def __str__(self) -> str:
        where = self.cost_centre or "whole organisation"
        return f"{self.person}: {self.get_role_display()}, {where}"


class TokenScope(models.TextChoices):
    """What a token may do at most; its person's rights still apply below it. None of them administers anything."""

    READ = "read", "Read the register, costs and usage"
    USAGE_WRITE = "usage:write", "Send usage"
    OUTCOMES_WRITE = "outcomes:write", "Send outcomes"


class ApiTokenQuerySet(models.QuerySet["ApiToken"]):
    def usable(self) -> "ApiTokenQuerySet":
        return self.filter(revoked_at__isnull=True, expires_at__gt=Now(), person__active=True)


class ApiToken(models.Model):
    """A key for a program. Only its SHA-256 is kept, so nobody can read it back; it always expires."""

    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="tokens")
    name = models.CharField(max_length=80)
    prefix = models.CharField(max_length=12, help_text="The first characters, to recognise it in a configuration.")
    sha256 = models.CharField(max_length=64, unique=True)
    scopes = ArrayField(models.CharField(max_length=20, choices=TokenScope.choices))
    # A slug instead of a foreign key: accounts know no sources.
    source_slug = models.CharField(max_length=80, blank=True, help_text="Limits the token to one source.")
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    objects = ApiTokenQuerySet.as_manager()

    class Meta:
        db_table = "accounts_api_token"
        ordering = ("-created_at",)
        constraints = (
            models.CheckConstraint(
                name="accounts_token_expires", condition=models.Q(expires_at__gt=models.F("created_at"))
            ),
            models.CheckConstraint(name="accounts_token_has_scope", condition=models.Q(scopes__len__gt=0)),
        )

    def __str__(self) -> str:
        return f"{self.prefix}… {self.name}"


class Invitation(models.Model):
    """A one-time link by which a person sets the password of a first account. Sending again voids the earlier link."""

    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="invitations")
    email = models.EmailField()
    sha256 = models.CharField(max_length=64, unique=True)
    invited_by = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="+")
    sent_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True, blank=True)
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "accounts_invitation"
        ordering = ("-sent_at",)
        constraints = (
            models.UniqueConstraint(
                name="accounts_invitation_one_open",
                fields=("person",),
                condition=models.Q(accepted_at__isnull=True, withdrawn_at__isnull=True),
            ),
        )

    def __str__(self) -> str:
        return f"{self.person} <{self.email}>"


class ResetRequest(models.Model):
    """Somebody asked for a new password for an address, anybody's or nobody's; gone once the worker has seen to it."""

    LONGEST = 320

    email = models.EmailField(max_length=LONGEST)
    asked_at = models.DateTimeField(db_default=Now())
    due_at = models.DateTimeField(db_default=Now(), help_text="When the worker may take it; later while one tries.")

    class Meta:
        db_table = "accounts_reset_request"

    def __str__(self) -> str:
        return self.email


class SavedViewQuerySet(models.QuerySet["SavedView"]):
    def visible_to_person(self, person_id: int | None) -> "SavedViewQuerySet":
        return self.filter(models.Q(person_id=person_id) | models.Q(shared=True))


class SavedView(models.Model):
    """Filters, columns, sort and density of a page under a name: all of it stands in the query string."""

    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="saved_views")
    page = models.CharField(max_length=60, help_text="The name of the URL, such as 'web:workloads'.")
    name = models.CharField(max_length=60)
    query = models.CharField(max_length=2000, blank=True)
    shared = models.BooleanField(default=False)
    created_at = models.DateTimeField(db_default=Now())

    objects = SavedViewQuerySet.as_manager()

    class Meta:
        db_table = "accounts_saved_view"
        ordering = ("name",)
        constraints = (models.UniqueConstraint(name="accounts_saved_view_name", fields=("person", "page", "name")),)

    def __str__(self) -> str:
        return self.name
