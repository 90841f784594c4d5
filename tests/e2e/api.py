"""Media types of the control API that schemathesis does not know."""

import json

import schemathesis


@schemathesis.serializer("application/offset+octet-stream")
def part_of_an_upload(context, value):
    return value if isinstance(value, bytes) else str(value).encode()


@schemathesis.deserializer("application/x-ndjson")
def last_line(context, response):
    return json.loads(response.content.decode().strip().splitlines()[-1])
