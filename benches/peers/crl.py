"""Times the CRL builder of Python's `cryptography`: crl.py ENTRIES RUNS. Prints JSON."""

import datetime
import hashlib
import json
import sys
import time

import cryptography
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

entries, runs = int(sys.argv[1]), int(sys.argv[2])
key = ec.generate_private_key(ec.SECP256R1())
now = datetime.datetime(2026, 1, 1)
reasons = [None, x509.ReasonFlags.key_compromise, x509.ReasonFlags.superseded]


def revoked(n: int) -> x509.RevokedCertificate:
    serial = int.from_bytes(hashlib.sha256(n.to_bytes(8, "big")).digest()[:16], "big") >> 1
    date = now - datetime.timedelta(seconds=n % 30_000_000 + 1)
    builder = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(date)
    if reason := reasons[n % 3]:
        builder = builder.add_extension(x509.CRLReason(reason), critical=False)
    return builder.build()


name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Bench CA")])
every = [revoked(n) for n in range(entries)]
for _ in range(runs):
    start = time.monotonic()
    builder = x509.CertificateRevocationListBuilder(name, now, now + datetime.timedelta(days=7), [], every)
    builder = builder.add_extension(x509.CRLNumber(1), critical=False)
    builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
    crl = builder.sign(key, hashes.SHA256())
    seconds = time.monotonic() - start
    size = len(crl.public_bytes(serialization.Encoding.DER))
    print(json.dumps({"seconds": seconds, "bytes": size, "version": cryptography.__version__}))
