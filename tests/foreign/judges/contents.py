"""What Python's `cryptography` reads in CRLs.

The arguments are a CA certificate, PEM, and CRLs, DER; each line of output is a CRL as JSON.
"""

import json
import sys

from cryptography import x509


def read(file):
    with open(file, "rb") as opened:
        return opened.read()


def points(value):
    return [name.value for name in value.full_name]


def contents(crl, ca):
    found = {"valid": crl.is_signature_valid(ca.public_key()), "extensions": [], "entries": []}
    for extension in crl.extensions:
        value = extension.value
        found["extensions"].append([type(value).__name__, extension.critical])
        match value:
            case x509.CRLNumber() | x509.DeltaCRLIndicator():
                found[type(value).__name__] = value.crl_number
            case x509.AuthorityKeyIdentifier():
                found["key"] = value.key_identifier.hex()
            case x509.IssuingDistributionPoint():
                found["points"] = points(value)
                # Everything but the name is what it is when it is left out.
                assert value == x509.IssuingDistributionPoint(value.full_name, *[None, False, False, None, False, False])
            case x509.FreshestCRL():
                found["freshest"] = [name for point in value for name in points(point)]
    for entry in crl:
        reasons = [extension.value.reason.value for extension in entry.extensions]
        found["entries"].append([f"{entry.serial_number:x}", *reasons])
    return found


ca = x509.load_pem_x509_certificate(read(sys.argv[1]))
for file in sys.argv[2:]:
    print(json.dumps(contents(x509.load_der_x509_crl(read(file)), ca)))
