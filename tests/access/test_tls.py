from pathlib import Path

import pytest
from credentials import Pki

from guard_service.access.tls import read_tls
from guard_service.errors import AccessInvalid


def test_files_that_belong_together_are_read(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    certificate, key = pki.server()
    tls = read_tls(certificate, key, pki.ca)
    assert (tls.key, tls.client_ca) == (key.read_bytes(), pki.ca.read_bytes())
    assert "PRIVATE KEY" not in repr(tls)


def test_a_key_of_another_certificate_and_files_that_are_none_are_refused(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    (certificate, key), (_, other) = pki.server(), pki.server("other")
    (tmp_path / "empty.pem").touch()
    for files in (
        (certificate, other, None),
        (certificate, tmp_path / "missing.key", None),
        (tmp_path / "empty.pem", key, None),
        (certificate, key, tmp_path / "empty.pem"),
    ):
        with pytest.raises(AccessInvalid, match="tls_certificate"):
            read_tls(*files)
