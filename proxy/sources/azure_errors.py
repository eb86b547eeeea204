"""What the blob service's refusals mean, each as a sentence with what to change.

Source: Azure Storage, "Blob service error codes" and "Common REST API error codes".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from proxy.errors import FileGone, SourceError, SourceNonsense, SourceRefused, SourceUnavailable

SKEW = 300.0
"""Seconds by which a clock may be wrong before it is worth a word; the service accepts 15 minutes."""
_BEING_DELETED = 30.0

_NOT_FOUND, _GONE, _UNSATISFIABLE, _PRECONDITION = 404, 410, 416, 412
_UNAUTHORISED, _FORBIDDEN, _CONFLICT, _BAD = 401, 403, 409, 400
_CODE = re.compile(rb"<Code>\s*([A-Za-z]+)\s*</Code>")
_TENANT = re.compile(r"authorization_uri=\"?(\S+?)/oauth2|authorization_uri=\"?([^\s,\"]+)")


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked, and as whom."""

    source: str
    host: str
    container: str
    filename: str | None
    """The file that was to be opened; `None` where the container was asked."""
    credential: str
    """How the server signs in, in words."""
    writes: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the service answered."""

    status: int
    code: str
    """The service's own word for it; empty where it gave none."""
    body: bytes
    headers: Mapping[str, str]
    address: str
    """The address that the host's name led to; empty where that is not known."""
    now: float
    """This machine's clock, in seconds since the epoch."""


def read_code(headers: Mapping[str, str], body: bytes) -> str:
    """Give the service's code for an error: HEAD has it in a header only, and a proxy on the way in neither."""
    code = headers.get("x-ms-error-code", "").strip()
    if not code:
        match = _CODE.search(body)
        code = match[1].decode() if match else ""
    # The emulator has one code for a firewall and for a bad credential; only its words tell them apart.
    return "AuthenticationFailed" if code == "AuthorizationFailure" and b"failed to authenticate" in body else code


def explain(asked: Asked, refusal: Refusal) -> SourceError | FileGone:
    """Give our error for a refusal."""
    if asked.filename is not None and _is_gone(refusal):
        return FileGone(asked.source, asked.filename)
    if refusal.status in {_UNAUTHORISED, _FORBIDDEN} or refusal.code in _REFUSALS:
        return _refused(asked, refusal)
    match refusal.code:
        case "ContainerNotFound" | "ResourceNotFound":
            return _missing(asked)
        case "ContainerBeingDeleted" | "ContainerBeingDisabled":
            return SourceUnavailable(
                asked.source,
                f"the container {asked.container} is being deleted",
                remedy="create it anew, which the service allows about 30 seconds after that",
                retry_after=_BEING_DELETED,
            )
        case "BlobArchived" | "BlobBeingRehydrated":
            return SourceRefused(
                asked.source,
                f"{asked.filename} is in the archive tier, from which nothing can be read",
                remedy="move the blob to the hot, cool or cold tier; bringing it back takes hours",
            )
        case "InvalidHeaderValue" if b"x-ms-version" in refusal.body or b"api version" in refusal.body.lower():
            return SourceNonsense(
                asked.source,
                f"the service at {asked.host} does not speak the version it is asked in",
                remedy="set the source's `api_version` to one that it knows (an emulator or Azure Stack is older)",
            )
    if 300 <= refusal.status < 400:  # noqa: PLR2004 - redirects
        return SourceNonsense(
            asked.source,
            f"{asked.host} redirects elsewhere, where the credential must not go",
            remedy="check `account_url`: it is the account's blob endpoint, with https where the account wants that",
        )
    if refusal.status == _NOT_FOUND and asked.filename is None:
        return _missing(asked)
    return SourceNonsense(
        asked.source,
        f"it answered {refusal.status} {refusal.code}".rstrip() + f" at {asked.host}",
        remedy="check `account_url` and `container`, and that no proxy on the way answers instead",
    )


def _is_gone(refusal: Refusal) -> bool:
    if refusal.status in {_PRECONDITION, _UNSATISFIABLE, _GONE}:
        return True
    return refusal.status == _NOT_FOUND and refusal.code in {"BlobNotFound", "PathNotFound", ""}


def _missing(asked: Asked) -> SourceRefused:
    if asked.credential == "anonymous":
        return SourceRefused(
            asked.source,
            f"there is no container {asked.container} at {asked.host} that anybody may read",
            remedy=f"check the name, or set `credential`: without one only a public container can be read ({_PUBLIC})",
        )
    return SourceRefused(
        asked.source,
        f"there is no container {asked.container} at {asked.host}",
        remedy="create the container, or correct the source's `container` or `account_url`",
    )


_FIREWALL = (
    "allow this network in the account's networking settings, or reach it over a private endpoint whose "
    "private DNS zone this network uses; with a SAS, check its permissions (read, list) and its IP range"
)
_PUBLIC = "its access level must be `container`, and the account must allow that"

# What is a matter of permission, with whatever status it comes.
_REFUSALS = frozenset(
    {
        "AccountIsDisabled",
        "AuthenticationFailed",
        "AuthorizationFailure",
        "AuthorizationPermissionMismatch",
        "InsufficientAccountPermissions",
        "InvalidAuthenticationInfo",
        "KeyBasedAuthenticationNotPermitted",
        "NoAuthenticationInformation",
        "PublicAccessNotPermitted",
    }
)


def _refused(asked: Asked, refusal: Refusal) -> SourceRefused:
    what, remedy = _why(asked, refusal)
    skew = _skew(refusal)
    if skew is not None and refusal.code in {"AuthenticationFailed", "InvalidAuthenticationInfo"}:
        what, remedy = f"{what}; {skew}", f"set this machine's clock right, then: {remedy}"
    return SourceRefused(asked.source, what, remedy=remedy)


def _why(asked: Asked, refusal: Refusal) -> tuple[str, str]:
    who, host = asked.credential, asked.host
    match refusal.code:
        case "AuthorizationFailure":
            where = f" ({host} is {refusal.address} from here)" if refusal.address else ""
            return (
                f"the firewall of the storage account {host} refuses us{where}",
                _FIREWALL,
            )
        case "AuthorizationPermissionMismatch" | "InsufficientAccountPermissions":
            role = "Storage Blob Data Contributor" if asked.writes else "Storage Blob Data Reader"
            what = "may not write metadata in" if asked.writes else "may not read"
            remedy = (
                f"give the identity the role {role} on the container or the account, and wait up to 10 minutes; "
                f"a SAS needs the permissions read and list{' and write' if asked.writes else ''}"
            )
            return f"the credential ({who}) {what} the container {asked.container} at {host}", remedy
        case "AuthenticationFailed" if who != "anonymous":
            return _not_accepted(asked, refusal)
        case "KeyBasedAuthenticationNotPermitted":
            return (
                f"the storage account {host} does not allow account keys, nor a SAS signed with one",
                'set `credential = "managed-identity"` and give the identity the role Storage Blob Data Reader',
            )
        case "PublicAccessNotPermitted" | "NoAuthenticationInformation" | "AuthenticationFailed":
            return (
                f"the storage account {host} does not allow anonymous access",
                'set `credential`, for example to "managed-identity" with the role Storage Blob Data Reader',
            )
        case "AccountIsDisabled":
            return f"the storage account {host} is disabled", "enable the account, or its subscription"
    if refusal.status == _UNAUTHORISED:
        return (
            f"the credential ({who}) is not accepted by {host}{_tenant(refusal)}",
            "check that the identity is of the account's tenant, and that `account_url` is the account's own",
        )
    return (
        f"it answered {refusal.status} {refusal.code}".rstrip() + f" at {host}",
        f"check that the credential ({who}) is valid, not expired, and may read the container {asked.container}",
    )


def _not_accepted(asked: Asked, refusal: Refusal) -> tuple[str, str]:
    if asked.credential == "SAS":
        if b"not valid in the specified time frame" in refusal.body:
            return (
                f"the SAS is expired, or not valid yet, at {asked.host}",
                "make a new SAS with the permissions read and list, and put it where the old one was read from",
            )
        return (
            f"the SAS is not accepted by {asked.host}",
            "make a new SAS (read, list) for this account; a key that was rotated ends all that were signed with it",
        )
    return (
        f"the credential ({asked.credential}) is not accepted by {asked.host}",
        "check that the key is one of this account's two and was not rotated; prefer a managed identity",
    )


def _tenant(refusal: Refusal) -> str:
    match = _TENANT.search(refusal.headers.get("WWW-Authenticate", ""))
    tenant = ((match[1] or match[2]) if match else "").rstrip("/").rpartition("/")[2]
    return f", which is of the tenant {tenant}" if tenant else ""


def _skew(refusal: Refusal) -> str | None:
    """Say how wrong this machine's clock is, where that may be the reason."""
    try:
        theirs = parsedate_to_datetime(refusal.headers.get("Date", "")).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
    ahead = refusal.now - theirs
    if abs(ahead) < SKEW:
        return None
    return (
        f"this machine's clock is {abs(ahead) / 60:.0f} minutes {'ahead of' if ahead > 0 else 'behind'} the service's"
    )
