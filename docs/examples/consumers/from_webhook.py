"""python from_webhook.py inbox.db 8080 whsec_..."""

import base64
import hashlib
import hmac
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

from inbox import Inbox

TOLERANCE_S = 300


def is_signed(key: bytes, headers: dict[str, str], body: bytes) -> bool:
    """Whether whoever has our secret sent just this, and lately."""
    sent_at = headers["webhook-timestamp"]
    signed = f"{headers['webhook-id']}.{sent_at}.".encode() + body
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    wanted = "v1," + base64.b64encode(digest).decode()
    signatures = headers["webhook-signature"].split()
    is_known = any(hmac.compare_digest(wanted, each) for each in signatures)
    return is_known and abs(time.time() - int(sent_at)) < TOLERANCE_S


def serve(inbox: Inbox, port: str, secret: str) -> None:
    key = base64.b64decode(secret.removeprefix("whsec_"))

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if is_fine := is_signed(key, dict(self.headers), body):
                inbox.take(body)
            self.send_response(204 if is_fine else 401)
            self.end_headers()

    HTTPServer(("127.0.0.1", int(port)), Receiver).serve_forever()


if __name__ == "__main__":
    serve(Inbox(sys.argv[1]), *sys.argv[2:])
