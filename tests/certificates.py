"""An authority of one's own, whose certificates are good, late, or another's."""

import ssl
import subprocess

CONFIG = """
[ca]
default_ca = own
[own]
database = index
new_certs_dir = .
rand_serial = yes
default_md = sha256
policy = any
x509_extensions = leaf
copy_extensions = copy
unique_subject = no
[any]
commonName = supplied
[leaf]
basicConstraints = CA:FALSE
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""
KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
GOOD, PAST = ("20200101000000Z", "20990101000000Z"), ("20200101000000Z", "20210101000000Z")


class Authority:
    """One who certifies names.

    folder:   an empty one.
    certificate: what who trusts it has to know, a path.
    """

    def __init__(self, folder):
        self.folder, self.certificate = folder, folder / "ca.pem"
        (folder / "ca.cnf").write_text(CONFIG)
        (folder / "index").touch()
        usage = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
        self._openssl("req", "-x509", *KEY, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2",
                      "-subj", "/CN=Own authority", *usage)  # fmt: skip

    def _openssl(self, *words):
        subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=self.folder)

    def certify(self, name, valid=GOOD):
        """Return (certificate, key) for a name, paths; valid are its first and its last moment."""
        mine = f"{name}-{valid[1]}"
        self._openssl("req", "-new", *KEY, "-keyout", f"{mine}.key", "-out", f"{mine}.csr",
                      "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}")  # fmt: skip
        self._openssl("ca", "-batch", "-notext", "-config", "ca.cnf", "-cert", "ca.pem", "-keyfile",
                      "ca.key", "-in", f"{mine}.csr", "-out", f"{mine}.pem", "-startdate", valid[0],
                      "-enddate", valid[1])  # fmt: skip
        return self.folder / f"{mine}.pem", self.folder / f"{mine}.key"


def context(pair):
    """Return what a server needs to show a certificate."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(*pair)
    return made
