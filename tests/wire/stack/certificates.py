"""Creates a CA, its certificates for servers on loopback, and a key for service account tokens.

    certificates.py FOLDER NAME...     FOLDER/ca.crt, FOLDER/tokens.key, and for each name FOLDER/NAME/tls.crt and tls.key
"""

import datetime
import ipaddress
import os
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime.datetime.now(datetime.timezone.utc)
folder, names = sys.argv[1], sys.argv[2:]


def write(path, content):
    with open(os.open(os.path.join(folder, path), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)


def key(path):
    made = ec.generate_private_key(ec.SECP256R1())
    if path:
        write(path, made.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()))
    return made


def certificate(subject, public, issuer, *extensions):
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in (subject, "cutover tests")]
    built = x509.CertificateBuilder().subject_name(names[0]).issuer_name(names[1]).public_key(public).serial_number(x509.random_serial_number())
    built = built.not_valid_before(NOW - datetime.timedelta(hours=1)).not_valid_after(NOW + datetime.timedelta(days=2))
    for extension, critical in extensions:
        built = built.add_extension(extension, critical)
    return built.sign(issuer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


authority = key(None)
identifier = x509.SubjectKeyIdentifier.from_public_key(authority.public_key())
write("ca.crt", certificate("cutover tests", authority.public_key(), authority, (x509.BasicConstraints(ca=True, path_length=None), True), (identifier, False)))
key("tokens.key")
loopback = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")])
server = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
for name in names:
    os.makedirs(os.path.join(folder, name), exist_ok=True)
    public = key(f"{name}/tls.key").public_key()
    issued = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key())
    write(f"{name}/tls.crt", certificate(name, public, authority, (loopback, False), (server, False), (issued, False)))
