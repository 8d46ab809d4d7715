"""Messages that no honest client sends, one scenario a call: python hostile.py SCENARIO, in the environment of covey_client.py.

Each call must be refused within a time, or have a sound answer; what the controller is like afterwards is seen by whoever runs this.
"""

import os
import random
import sys

import covey_client
import grpc
from covey.v1 import controller_pb2

CHANNEL = covey_client.connect(os.environ["COVEY_CONTROLLER"])
METHODS = controller_pb2.DESCRIPTOR.services_by_name["Controller"].methods
TIME = 30


def send(method, messages, metadata=()):
    """Sends bytes as they are; answers the code that came back, after at most a thousand answers."""
    path = f"/covey.v1.Controller/{method.name}"
    call = CHANNEL.stream_stream(path, request_serializer=bytes, response_deserializer=bytes)
    try:
        for count, _ in enumerate(call(iter(messages), timeout=TIME, metadata=metadata)):
            if count > 1000:
                break
    except grpc.RpcError as error:
        assert error.code() != grpc.StatusCode.DEADLINE_EXCEEDED, f"{method.name} was left without an answer"
        return error.code()
    return grpc.StatusCode.OK


def garbage():
    """Random bytes, cut and stretched messages, to every method."""
    source = random.Random(os.environ.get("SEED", "7"))
    broken = [
        b"",
        b"\xff" * 100,
        b"\x0a\xff\xff\xff\xff\x0f",
        b"\x0a\x04\xff\xfe\xfd\xfc",
        b"\x08" + b"\x80" * 11,
        b"\x0b" * 10_000,
        (b"\x0a\x7f" + b"\x0a\x7d") * 60,
        *(source.randbytes(source.randrange(1, 4000)) for _ in range(40)),
    ]
    endless = {"Watch", "WatchJobs", "Allocate", "RunStep"}
    for method in METHODS:
        for message in broken:
            if method.name == "Reconfigure" or (method.name in endless and not message):
                continue
            code = send(method, [message])
            allowed = ("OK", "INVALID_ARGUMENT", "INTERNAL", "NOT_FOUND", "PERMISSION_DENIED", "FAILED_PRECONDITION")
            assert code.name in allowed or method.name in endless, (method.name, code, message[:20])


def oversize():
    """One message beyond the bound, and one whose length is a lie."""
    for method in METHODS:
        code = send(method, [b"\0" * (17 << 20)])
        assert code in (grpc.StatusCode.OUT_OF_RANGE, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INTERNAL), (method.name, code)


def metadata():
    """Headers beyond all measure."""
    for size in (20_000, 1_000_000):
        code = send(METHODS[0], [b""], metadata=(("x-large", "x" * size),))
        assert code != grpc.StatusCode.OK, size
    many = [(f"x-{i}", "y" * 50) for i in range(2000)]
    assert send(METHODS[0], [b""], metadata=many) != grpc.StatusCode.OK


def unknown():
    """Methods and services that there are not."""
    for path in ("/covey.v1.Controller/Nothing", "/covey.v1.Nothing/Submit", "/", "/../../etc/passwd"):
        call = CHANNEL.unary_unary(path, request_serializer=bytes, response_deserializer=bytes)
        try:
            call(b"", timeout=TIME)
        except grpc.RpcError as error:
            assert error.code() in (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.PERMISSION_DENIED), (path, error.code())
        else:
            raise AssertionError(path)


if __name__ == "__main__":
    globals()[sys.argv[1]]()
