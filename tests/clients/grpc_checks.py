"""What Python's gRPC sees of a controller, one scenario a call: python grpc_checks.py SCENARIO, in the environment of covey_client.py."""

import os
import sys
import threading

import covey_client
import grpc
from covey.v1 import (
    cluster_pb2,
    control_pb2,
    controller_pb2,
    controller_pb2_grpc,
    errors_pb2,
    jobs_pb2,
    nodes_pb2,
    submit_pb2,
    watch_pb2,
)
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

CHANNEL = covey_client.connect(os.environ["COVEY_CONTROLLER"])
DESK = controller_pb2_grpc.ControllerStub(CHANNEL)


def refusal(call):
    """The code, reason and detail of a call that must be refused."""
    try:
        call()
    except grpc.RpcError as error:
        return (error.code().name, *covey_client.reason(error))
    raise AssertionError("it was not refused")


def health():
    stub = health_pb2_grpc.HealthStub(CHANNEL)
    for service in ("", "covey.v1.Controller"):
        answer = stub.Check(health_pb2.HealthCheckRequest(service=service))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING, answer


def reflection():
    database = ProtoReflectionDescriptorDatabase(CHANNEL)
    services = set(database.get_services())
    assert {"covey.v1.Controller", "covey.v1.NodeLink", "covey.v1.Membership", "grpc.health.v1.Health"} <= services, services
    file = database.FindFileContainingSymbol("covey.v1.Controller")
    methods = {method.name for service in file.service for method in service.method}
    assert methods == {method.name for method in controller_pb2.DESCRIPTOR.services_by_name["Controller"].methods}, methods
    assert "covey/v1/errors.proto" in {str(name) for name in database.FindFileContainingSymbol("covey.v1.Verdict").dependency}


def errors():
    code, reason, detail = refusal(lambda: DESK.Submit(iter([])))
    assert (code, reason) == ("INVALID_ARGUMENT", "FIELD_MISSING"), (code, reason, detail)
    bad = submit_pb2.SubmitPart(head=submit_pb2.SubmitHead(request_id=b"short"))
    code, reason, detail = refusal(lambda: DESK.Submit(iter([bad, bad])))
    assert (code, reason) == ("INVALID_ARGUMENT", "FIELD_INVALID"), (code, reason, detail)
    code, reason, detail = refusal(lambda: covey_client.submit(DESK, b"#!/bin/sh\n" + b"x" * (5 << 20), "large"))
    assert (code, reason) == ("INVALID_ARGUMENT", "TOO_LARGE") and "4194304" in detail, (code, reason, detail)
    ids = jobs_pb2.ListJobsRequest(ids=["4000"])
    assert next(DESK.ListJobs(ids)).unknown == ["4000"]
    verdicts = DESK.Hold(control_pb2.HoldRequest(ids=["4000"], verb=control_pb2.HOLD_VERB_HOLD)).verdicts
    assert [verdict.reason for verdict in verdicts] == [errors_pb2.ERROR_REASON_UNKNOWN_JOB], verdicts
    code, reason, _ = refusal(lambda: DESK.Hold(control_pb2.HoldRequest(ids=["5"])))
    assert (code, reason) == ("INVALID_ARGUMENT", "FIELD_MISSING")


def watch():
    """One stream tells the life of another job that is submitted while it is open."""
    seen, begun = [], threading.Event()
    stream = DESK.WatchJobs(watch_pb2.WatchJobsRequest(mine=True))
    name = f"seen-{os.getpid()}"

    def read():
        for news in stream:
            if news.complete:
                begun.set()
            rows = [row for job in news.jobs for row in job.rows if row.name == name]
            seen.extend(jobs_pb2.JobState.Name(row.state) for row in rows)
            if "JOB_STATE_COMPLETED" in seen:
                return

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    assert begun.wait(60), "a stream begins with what there is"
    covey_client.submit(DESK, b"#!/bin/sh\nexit 0\n", name)
    reader.join(60)
    stream.cancel()
    assert seen and seen[-1] == "JOB_STATE_COMPLETED", seen
    code, reason, _ = refusal(lambda: next(DESK.WatchJobs(watch_pb2.WatchJobsRequest(until_done=True))))
    assert (code, reason) == ("INVALID_ARGUMENT", "FIELD_MISSING")
    code, reason, _ = refusal(lambda: next(DESK.Watch(watch_pb2.WatchRequest(job_id=4000))))
    assert (code, reason) == ("NOT_FOUND", "UNKNOWN_JOB")


def not_mine():
    """What a user's token does not allow."""
    drain = nodes_pb2.UpdateNodesRequest(names=["linux0"], wish=nodes_pb2.NODE_WISH_DRAIN, reason="x")
    if os.geteuid() == 0:
        code, reason, _ = refusal(lambda: DESK.UpdateNodes(drain))
        assert (code, reason) == ("PERMISSION_DENIED", "NOT_ALLOWED"), (code, reason)


def nameless():
    """Without a token nothing is told: neither state nor the shape of the services."""
    ca = open(os.environ["COVEY_CA_FILE"], "rb").read()
    bare = grpc.secure_channel(os.environ["COVEY_CONTROLLER"].removeprefix("https://"), grpc.ssl_channel_credentials(ca))
    stub = controller_pb2_grpc.ControllerStub(bare)
    code, reason, detail = refusal(lambda: stub.GetCluster(cluster_pb2.GetClusterRequest()))
    assert (code, reason) == ("PERMISSION_DENIED", "NO_CREDENTIALS") and "covey user token create" in detail, (reason, detail)
    code, reason, _ = refusal(lambda: ProtoReflectionDescriptorDatabase(bare).get_services())
    assert (code, reason) == ("PERMISSION_DENIED", "NO_CREDENTIALS"), (code, reason)
    answer = health_pb2_grpc.HealthStub(bare).Check(health_pb2.HealthCheckRequest())
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


if __name__ == "__main__":
    globals()[sys.argv[1]]()
