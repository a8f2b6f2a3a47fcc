"""Who may use the OPC UA server: its own certificate, a user with a password, and their rights."""

import hmac
import os
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeseg.files import shown
from edgeseg.log import log

if TYPE_CHECKING:
    from asyncua.crypto.permission_rules import SimpleRoleRuleset, User

DAYS = 3650
"""A new certificate has to be trusted again in every client."""


def self_signed(folder: Path, uri: str, host: str) -> tuple[Path, Path]:
    """Return the files of a key and its certificate; made if they are missing or have expired."""
    from asyncua.crypto.cert_gen import (
        dump_private_key_as_pem,
        generate_private_key,
        generate_self_signed_app_certificate,
    )
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509.oid import ExtendedKeyUsageOID

    key_file, file = folder / "key.pem", folder / "certificate.der"
    if key_file.is_file() and file.is_file() and _is_current(file, uri):
        return key_file, file
    folder.mkdir(parents=True, exist_ok=True)
    key = generate_private_key()
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri), x509.DNSName(host)]
    usage = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    made = generate_self_signed_app_certificate(key, "edgeseg", {}, names, usage, days=DAYS)
    key_file.unlink(missing_ok=True)
    with os.fdopen(os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
        opened.write(dump_private_key_as_pem(key))
    file.write_bytes(made.public_bytes(Encoding.DER))
    log.info(f"OPC UA: made {shown(file)}, which clients must trust")
    return key_file, file


def _is_current(file: Path, uri: str) -> bool:
    """Whether a certificate is for this server, and is valid for another day."""
    from cryptography import x509

    try:
        found = x509.load_der_x509_certificate(file.read_bytes())
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound):
        return False
    ends = found.not_valid_after_utc > datetime.now(timezone.utc) + timedelta(days=1)
    return ends and uri in names.get_values_for_type(x509.UniformResourceIdentifier)


def users(name: str, password: str, *, anonymous: bool) -> Any:
    """Return asyncua's manager of users: one with a password, and everybody if `anonymous`."""
    from asyncua.crypto.permission_rules import User, UserRole

    class Users:
        def get_user(
            self,
            iserver: Any,
            username: str | None = None,
            password: "str | bytes | None" = None,
            certificate: Any = None,
        ) -> "User | None":
            if username is None:
                return User(UserRole.Anonymous) if anonymous else None
            if name and _equal(username, name) and _equal(password or "", wanted):
                return User(UserRole.User, name)
            log.warning(f"OPC UA: refused the user {ascii(username)[:60]}")
            return None

    wanted = password
    return Users()


def _equal(given: str | bytes, wanted: str) -> bool:
    found = given.encode() if isinstance(given, str) else given
    return hmac.compare_digest(found, wanted.encode())


def permissions() -> "SimpleRoleRuleset":
    """Return the rights: users read and call methods, everybody else reads; nobody adds nodes."""
    from asyncua import ua
    from asyncua.crypto.permission_rules import USER_TYPES, SimpleRoleRuleset, UserRole

    calls = {
        ua.ObjectIds.CallRequest_Encoding_DefaultBinary,
        ua.ObjectIds.WriteRequest_Encoding_DefaultBinary,
    }
    rules = SimpleRoleRuleset()
    read = {ua.NodeId(each) for each in USER_TYPES if each not in calls}
    rules._permission_dict[UserRole.Anonymous] = read
    return rules
