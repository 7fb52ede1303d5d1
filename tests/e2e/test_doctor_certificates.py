"""How doctor's connection to the database is protected: by TLS, and by a certificate if there is
one."""

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from chunkwise.doctor.database import Database as Doctor
from chunkwise.errors import SettingsError
from chunkwise.secret import Secret
from local.stack import Database

DOWNLOAD = "Download the root certificate"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a server named localhost, which vouches for itself; its key lies beside it."""
    folder = tmp_path_factory.mktemp("certificate")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext"),
            *("subjectAltName=DNS:localhost", "-keyout", str(folder / "key.pem")),
            *("-out", str(folder / "root.crt")),
        ],
        check=True,
        capture_output=True,
    )
    return folder / "root.crt"


@pytest.fixture
def port(certificate: Path) -> Iterator[int]:
    """Of a database that takes TLS, and closes the connection once it is there."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.recv(8)
                connection.sendall(b"S")
                try:
                    context.wrap_socket(connection, server_side=True).close()
                except OSError:
                    continue

    thread = threading.Thread(target=serve)
    thread.start()
    yield server.getsockname()[1]
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join()


def refusal(host: str, port: int, query: str = "", certificate: Path | None = None) -> str:
    """Why the connection was not made; of one that is, the server ends it."""
    with pytest.raises(SettingsError) as raised:
        Doctor.connect(Secret(f"postgresql://postgres:pw@{host}:{port}/x{query}"), certificate)
    return f"{raised.value.message} {raised.value.hint}"


def test_a_server_that_the_certificate_does_not_vouch_for_is_refused(port: int) -> None:
    assert DOWNLOAD in refusal("localhost", port, "?sslmode=verify-full")
    assert DOWNLOAD in refusal("localhost", port, "?sslmode=verify-ca")
    assert DOWNLOAD not in refusal("localhost", port, "?sslmode=require")


def test_with_its_certificate_a_server_has_to_have_the_name_too(
    port: int, certificate: Path
) -> None:
    in_url = f"?sslmode=verify-full&sslrootcert={certificate}"
    assert DOWNLOAD not in refusal("localhost", port, in_url)
    assert DOWNLOAD in refusal("127.0.0.1", port, in_url)
    assert DOWNLOAD not in refusal("127.0.0.1", port, "?sslmode=verify-ca", certificate)
    assert DOWNLOAD in refusal("127.0.0.1", port, "?sslmode=verify-full", certificate)


def test_a_mode_that_is_none_and_a_file_that_holds_none_are_named(tmp_path: Path) -> None:
    assert "sslmode of DATABASE_URL is 'verify'" in refusal("localhost", 1, "?sslmode=verify")
    empty = tmp_path / "empty.crt"
    empty.write_text("nothing")
    assert f"{empty} holds no certificate" in refusal("127.0.0.1", 1, "?sslmode=verify-ca", empty)


def test_doctor_says_how_its_connection_is_protected(database: Database) -> None:
    doctor = Doctor.connect(Secret(database.dsn))
    doctor.close()
    assert doctor.security == "not encrypted (sslmode=disable)"
