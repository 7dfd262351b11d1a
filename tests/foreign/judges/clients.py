"""Clients written in Python: `pyhanko-certvalidator` and `cryptography`.

Each line of standard input is a question, `CLIENT crl TRUST LEAF CRL...` or `CLIENT ocsp TRUST LEAF URL`; each line of
output is GOOD, REVOKED or REFUSED with a reason.
"""

import asyncio
import sys
import urllib.request

import asn1crypto.crl
import asn1crypto.ocsp
import asn1crypto.x509
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.x509 import ocsp
from pyhanko_certvalidator import CertificateValidator, ValidationContext
from pyhanko_certvalidator.errors import PathError, RevokedError, ValidationError


def read(file):
    with open(file, "rb") as opened:
        return opened.read()


def certificates(file):
    return x509.load_pem_x509_certificates(read(file))


def answer(ca, leaf, url):
    request = ocsp.OCSPRequestBuilder().add_certificate(leaf, ca, hashes.SHA1()).build()
    body = request.public_bytes(serialization.Encoding.DER)
    asked = urllib.request.Request(url, body, {"Content-Type": "application/ocsp-request"})
    with urllib.request.urlopen(asked, timeout=10) as reply:
        return reply.read()


def pyhanko(kind, trust, leaf, evidence):
    plain = lambda one: asn1crypto.x509.Certificate.load(one.public_bytes(serialization.Encoding.DER))
    found = {}
    if kind == "crl":
        found["crls"] = [asn1crypto.crl.CertificateList.load(read(file)) for file in evidence]
    else:
        found["ocsps"] = [asn1crypto.ocsp.OCSPResponse.load(answer(trust[0], leaf, evidence[0]))]
    roots = [plain(ca) for ca in trust]
    context = ValidationContext(trust_roots=roots, allow_fetching=False, revocation_mode="require", **found)
    try:
        asyncio.run(CertificateValidator(plain(leaf), validation_context=context).async_validate_path())
    except RevokedError:
        return "REVOKED"
    except (ValidationError, PathError) as error:
        return f"REFUSED {error}"
    return "GOOD"


def verify(key, response):
    message, signature, digest = response.tbs_response_bytes, response.signature, response.signature_hash_algorithm
    if isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(signature, message, ec.ECDSA(digest))
    else:
        key.verify(signature, message, padding.PKCS1v15(), digest)


def pyca(kind, trust, leaf, evidence):
    """There is no OCSP client in `cryptography`, but all the parts of one."""
    assert kind == "ocsp"
    (ca,) = trust
    response = ocsp.load_der_ocsp_response(answer(ca, leaf, evidence[0]))
    if response.response_status != ocsp.OCSPResponseStatus.SUCCESSFUL:
        return f"REFUSED {response.response_status}"
    (signer,) = response.certificates
    try:
        signer.verify_directly_issued_by(ca)
        verify(signer.public_key(), response)
    except (InvalidSignature, ValueError) as error:
        return f"REFUSED the signature: {error!r}"
    usage = signer.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    if x509.ExtendedKeyUsageOID.OCSP_SIGNING not in usage or response.serial_number != leaf.serial_number:
        return "REFUSED the signer, or it is about another certificate"
    return response.certificate_status.name


for line in sys.stdin.read().splitlines():
    client, kind, trust, leaf, *evidence = line.split(" ")
    ask = {"pyhanko": pyhanko, "pyca": pyca}[client]
    print(ask(kind, certificates(trust), certificates(leaf)[0], evidence).replace("\n", " "))
