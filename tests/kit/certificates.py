"""Certificates of an authority made for a test."""

import shutil
import subprocess

import pytest


def write_certificates(folder, *hosts):
    """Write `ca.pem`, and `NAME.pem` with `NAME.key` for each host and for a client."""
    if shutil.which("openssl") is None:
        pytest.skip("no certificates without openssl: apt-get install openssl")
    folder.mkdir(parents=True, exist_ok=True)
    _openssl(folder, "ca", "/CN=plant", "-x509", "-days", "2")
    for name in (*hosts, "client"):
        kind = "IP" if name[0].isdigit() else "DNS"
        extension = folder / f"{name}.ext"
        extension.write_text(f"subjectAltName={kind}:{name}\n")
        _openssl(folder, name, f"/CN={name}", suffix="csr")
        signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2")
        options = ("-in", f"{name}.csr", "-out", f"{name}.pem", "-extfile", str(extension))
        _run(folder, "x509", "-req", *signed, *options)
    return folder


def _openssl(folder, name, subject, *options, suffix="pem"):
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    files = ("-keyout", f"{name}.key", "-out", f"{name}.{suffix}")
    _run(folder, "req", *key, *files, "-subj", subject, *options)


def _run(folder, *words):
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)
