"""The payload contract: read a payload, say everything that is wrong with it, give it typed access.

Plain functions of plain values: nothing here opens a file, a socket or an image. Importing is cheap; the JSON
Schema machinery is loaded by the first validation.
"""

from previewops.contract.explain import explain
from previewops.contract.parse import ParsedLine, parse_lines, parse_payload
from previewops.contract.payload import Payload, body_digest, canonical_bytes
from previewops.contract.uris import AssetPolicy, DataUri, FileUri, UriRefused, parse_uri
from previewops.contract.validate import validate, violations
from previewops.contract.web import WebUri

__all__ = [
    "AssetPolicy",
    "DataUri",
    "FileUri",
    "ParsedLine",
    "Payload",
    "UriRefused",
    "WebUri",
    "body_digest",
    "canonical_bytes",
    "explain",
    "parse_lines",
    "parse_payload",
    "parse_uri",
    "validate",
    "violations",
]
