"""Signatures of a version with OpenSSF model-signing and a local key, over the digest of every file of the version.

A signature is a Sigstore bundle attached to the version; ``model_signing verify key`` reads it too, beside a pulled
directory. model-signing is the extra ``sign``; only this module needs it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from registry.gates.errors import SigningUnavailable
from registry.gates.reports import SIGNATURE_TYPE
from vqc.errors import InvalidValue

if TYPE_CHECKING:
    from registry.core import Registry


def sign(registry: Registry, ref: str, directory: Path, key: Path, password: str | None = None) -> str:
    """Signs the version that ``ref`` names and attaches the signature; returns the signature's digest.

    ``directory`` is the version's verified directory, ``key`` an elliptic-curve private key (PEM).

    Raises:
        InvalidValue: an unusable key.
        SigningUnavailable: model-signing is not installed.
    """
    library = _library()
    try:
        signing = library.signing.Config().use_elliptic_key_signer(
            private_key=key, password=password.encode() if password else None
        )
    except (OSError, ValueError, TypeError) as error:
        raise InvalidValue("key", str(key), f"must be an elliptic-curve private key (PEM): {error}") from error
    everything = library.hashing.Config().set_ignored_paths(paths=[], ignore_git_paths=False)
    with tempfile.TemporaryDirectory(prefix="vqc-sign-") as folder:
        path = Path(folder) / "model.sig"
        signing.set_hashing_config(everything).sign(directory, path)
        return registry.attach(ref, SIGNATURE_TYPE, path.read_bytes())


def signature_problem(registry: Registry, ref: str, directory: Path, keys: Sequence[Path]) -> str | None:
    """None if a signature of the version verifies under one of the public ``keys`` (PEM), else why none does.

    The reason is empty if there is no signature at all. Every file of ``directory`` is hashed again.

    Raises:
        InvalidValue: an unusable key.
        SigningUnavailable: model-signing is not installed.
    """
    signatures = registry.referrers(ref, SIGNATURE_TYPE)
    if not signatures:
        return ""
    reasons = []
    for signature in reversed(signatures):
        for key in keys:
            reason = _mismatch(signature.content, directory, key)
            if reason is None:
                return None
            reasons.append(f"signature {signature.digest[:19]}, key {key.name}: {reason}")
    return "; ".join(reasons)


def _mismatch(bundle: bytes, directory: Path, key: Path) -> str | None:
    library = _library()
    try:
        verifying = library.verifying.Config().use_elliptic_key_verifier(public_key=key)
    except (OSError, ValueError) as error:
        raise InvalidValue(
            "signature.keys", str(key), f"must be an elliptic-curve public key (PEM): {error}"
        ) from error
    with tempfile.TemporaryDirectory(prefix="vqc-sign-") as folder:
        path = Path(folder) / "model.sig"
        path.write_bytes(bundle)
        try:
            verifying.verify(directory, path)
        except Exception as error:  # an untrusted bundle: any parser error means that it is not a valid signature
            return " ".join(str(error).split()) or type(error).__name__
    return None


def _library() -> Any:
    try:
        import model_signing
    except ImportError as error:
        raise SigningUnavailable from error
    return model_signing
