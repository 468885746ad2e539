"""A plain REST API for comparison: starlette_peer.py REDIS_URL PORT

One route, on Starlette, uvicorn, uvloop and httptools as previewops uses them: parses the body, validates it against
the same JSON Schema with jsonschema, and stores it by one Redis call.
"""

import json
import sys

import uvicorn
from jsonschema import Draft202012Validator
from redis.asyncio import Redis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from previewops.schemas import schema


def main() -> None:
    """Serves until a signal."""
    redis = Redis.from_url(sys.argv[1])
    validator = Draft202012Validator(schema())

    async def submit(request: Request) -> JSONResponse:
        body = await request.body()
        document = json.loads(body)
        errors = [error.message for error in validator.iter_errors(document)]
        if errors:
            return JSONResponse({"errors": errors}, 422)
        await redis.set(f"peer:{document['jobId']}", body, nx=True)
        return JSONResponse({"jobId": document["jobId"], "state": "waiting"}, 202)

    app = Starlette(routes=[Route("/api/preview/jobs", submit, methods=["POST"])])
    uvicorn.run(
        app, host="127.0.0.1", port=int(sys.argv[2]), loop="uvloop", http="httptools", log_level="error"
    )


if __name__ == "__main__":
    main()
