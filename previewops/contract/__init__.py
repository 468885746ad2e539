"""The payload contract: parse a payload, report all violations, give it typed access.

Pure: opens no file, socket or image. Importing is cheap: the first validation loads the JSON Schema library.
"""

from previewops.contract.explain import explain
from previewops.contract.parse import ParsedLine, parse_lines, parse_payload
from previewops.contract.payload import Payload
from previewops.contract.uris import AssetPolicy, BucketUri, DataUri, FileUri, UriNotAllowed, parse_uri
from previewops.contract.url import HttpUri
from previewops.contract.validate import find_violations, validate

__all__ = [
    "AssetPolicy",
    "BucketUri",
    "DataUri",
    "FileUri",
    "HttpUri",
    "ParsedLine",
    "Payload",
    "UriNotAllowed",
    "explain",
    "find_violations",
    "parse_lines",
    "parse_payload",
    "parse_uri",
    "validate",
]
