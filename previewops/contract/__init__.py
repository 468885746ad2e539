"""The payload contract: read a payload, say everything that is wrong with it, give it typed access.

Plain functions of plain values: nothing here opens a file, a socket or an image. Importing is cheap; the JSON
Schema machinery is loaded by the first validation.
"""

from previewops.contract.explain import explain
from previewops.contract.parse import ParsedLine, parse_lines, parse_payload
from previewops.contract.payload import Payload, body_digest, canonical_bytes
from previewops.contract.uris import AssetPolicy, DataUri, FileUri, UriNotAllowed, parse_uri
from previewops.contract.url import HttpUri
from previewops.contract.validate import find_violations, validate

__all__ = [
    "AssetPolicy",
    "DataUri",
    "FileUri",
    "HttpUri",
    "ParsedLine",
    "Payload",
    "UriNotAllowed",
    "body_digest",
    "canonical_bytes",
    "explain",
    "find_violations",
    "parse_lines",
    "parse_payload",
    "parse_uri",
    "validate",
]
