"""An Idempotency-Key: the same key with the same body gets the same answer, and nothing is done twice."""

import hashlib
from collections.abc import Callable

from django.db import transaction
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.models import ApiToken
from apps.api.errors import problem
from apps.core.errors import BadInput
from apps.sources.models import Receipt

LONGEST_KEY = 255
PARAMETER = OpenApiParameter(
    "Idempotency-Key",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="The same key with the same body gets the same answer, without doing it again.",
)


def once(request: Request, work: Callable[[Request], Response]) -> Response:
    """Do it, or answer from the receipt where there is one. A second call at the same moment waits for the first one's
    commit.
    """
    key = request.headers.get("Idempotency-Key", "")
    if not key:
        return work(request)
    if len(key) > LONGEST_KEY:
        raise BadInput(f"An Idempotency-Key has at most {LONGEST_KEY} characters.")
    digest = hashlib.sha256(request.path.encode() + b"\n" + request.body).hexdigest()
    token = request.auth
    token_id = token.pk if isinstance(token, ApiToken) else 0
    with transaction.atomic():
        receipt, made = Receipt.objects.get_or_create(
            token_id=token_id, key=key, defaults={"digest": digest, "status": 0, "body": {}}
        )
        if not made:
            return _from_receipt(receipt, digest)
        response = work(request)
        Receipt.objects.filter(pk=receipt.pk).update(status=response.status_code, body=response.data)
    return response


def _from_receipt(receipt: Receipt, digest: str) -> Response:
    if receipt.digest != digest:
        return problem(
            422, "This Idempotency-Key came with another body before.", hint="Use a new key for a new request."
        )
    return Response(receipt.body, status=receipt.status)
