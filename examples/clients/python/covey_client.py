"""A client of Covey's controller by gRPC: it submits, watches, lists and cancels, and polls for nothing.

    python3 covey_client.py submit SCRIPT [--name NAME] [--array LIST] [--watch]
    python3 covey_client.py watch JOB... | --mine
    python3 covey_client.py cancel JOB...

It finds the controller as the commands do: COVEY_CONTROLLER=unix:///path/controller.sock on its machine, where the kernel says who calls; or
https://host:6817 with the CA in COVEY_CA_FILE and a token (covey user token create) in COVEY_TOKEN_FILE. What the messages mean is in proto/covey/v1.
"""

import argparse
import os
import pathlib
import sys
import time
import uuid

import grpc
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status

sys.path.insert(0, os.environ.get("COVEY_STUBS", str(pathlib.Path(__file__).with_name("stubs"))))
from covey.v1 import cancel_pb2, controller_pb2_grpc, errors_pb2, jobs_pb2, spec_pb2, submit_pb2, watch_pb2  # noqa: E402

# As much as a message of the controller may have.
OPTIONS = [("grpc.max_receive_message_length", 16 * 1024 * 1024)]
PIECE = 1024 * 1024


def connect(address: str) -> grpc.Channel:
    """A connection to unix:///path or https://host:port; nothing is sent until the first call."""
    if address.startswith("unix:"):
        # By default grpcio names the escaped path as the authority of each call, which HTTP/2 does not allow: the server would reset it.
        options = [*OPTIONS, ("grpc.default_authority", "localhost")]
        return grpc.insecure_channel("unix:" + address.removeprefix("unix:").removeprefix("//"), options)
    config = pathlib.Path(os.environ.get("XDG_CONFIG_HOME", "~/.config")).expanduser() / "covey"
    ca = pathlib.Path(os.environ.get("COVEY_CA_FILE", config / "ca.pem")).read_bytes()
    token = pathlib.Path(os.environ.get("COVEY_TOKEN_FILE", config / "token")).read_text().strip()
    # The CA of this one cluster is trusted and no other, and the token travels over TLS alone.
    credentials = grpc.composite_channel_credentials(
        grpc.ssl_channel_credentials(ca), grpc.access_token_call_credentials(token.removeprefix("SLURM_JWT="))
    )
    return grpc.secure_channel(address.removeprefix("https://"), credentials, OPTIONS)


def reason(error: grpc.RpcError) -> tuple[str, str]:
    """Why a call was refused: the name of an ErrorReason (proto/covey/v1/errors.proto), and a sentence for people."""
    status = rpc_status.from_call(error)
    for detail in status.details if status else []:
        info = ErrorInfo()
        if detail.Unpack(info) and info.domain == "covey":
            return info.reason, info.metadata.get("detail", error.details())
    return error.code().name, error.details()


def submit(desk, script: bytes, name: str, array: str = "", environment: dict[str, str] | None = None) -> int:
    """Submits a script and answers the job's number. Repeated until somebody has heard it: one request is one job."""
    spec = spec_pb2.JobSpec(
        name=name,
        array=array,
        user=spec_pb2.User(),  # The controller knows who calls.
        work=spec_pb2.Work(script=spec_pb2.Work.Script()),
        files=spec_pb2.Files(work_dir=os.getcwd(), umask=0o022),
    )
    variables = "".join(f"{key}={value}\0" for key, value in (environment or {"PATH": os.defpath}).items())
    parts = [submit_pb2.SubmitPart(head=submit_pb2.SubmitHead(request_id=uuid.uuid4().bytes, spec=spec))]
    parts += [submit_pb2.SubmitPart(script=script[i : i + PIECE]) for i in range(0, len(script), PIECE)]
    parts += [submit_pb2.SubmitPart(environment=variables.encode())]
    for pause in (0.1, 0.5, 2, 5, None):
        try:
            return desk.Submit(iter(parts)).job_id
        except grpc.RpcError as error:
            if pause is None or error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED):
                raise
            time.sleep(pause)


def watch(desk, jobs: list[str], mine: bool = False):
    """Yields (name, state, row) as tasks change, until all named jobs have ended; without names for ever."""
    wanted = watch_pb2.WatchJobsRequest(jobs=jobs_pb2.ListJobsRequest(ids=jobs), mine=mine, until_done=bool(jobs))
    told = {}
    for news in desk.WatchJobs(wanted):
        for row in (row for job in news.jobs for row in job.rows):
            task = str(row.index) if row.HasField("index") else f"[{row.remainder}]"
            name = f"{row.array_id}_{task}" if row.array_id else str(row.id)
            state = jobs_pb2.JobState.Name(row.state).removeprefix("JOB_STATE_")
            if told.get(name) != state:
                told[name] = state
                yield name, state, row


def cancel(desk, jobs: list[str]) -> dict[str, str]:
    """Cancels jobs and tasks; answers the reasons of those that were refused."""
    reasons = desk.Cancel(cancel_pb2.CancelRequest(ids=jobs)).reasons
    names = (errors_pb2.ErrorReason.Name(number).removeprefix("ERROR_REASON_") for number in reasons)
    return {job: name for job, name in zip(jobs, names) if name != "UNSPECIFIED"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    submits = commands.add_parser("submit")
    submits.add_argument("script", type=pathlib.Path)
    submits.add_argument("--name")
    submits.add_argument("--array", default="")
    submits.add_argument("--watch", action="store_true")
    for name in ("watch", "cancel"):
        commands.add_parser(name).add_argument("jobs", nargs="*" if name == "watch" else "+")
    commands.choices["watch"].add_argument("--mine", action="store_true")
    asked = parser.parse_args()
    desk = controller_pb2_grpc.ControllerStub(connect(os.environ["COVEY_CONTROLLER"]))
    try:
        if asked.command == "cancel":
            refused = cancel(desk, asked.jobs)
            print(*(f"{job}: {why}" for job, why in refused.items()), sep="\n", file=sys.stderr, end="\n" if refused else "")
            return 1 if refused else 0
        jobs = getattr(asked, "jobs", [])
        if asked.command == "submit":
            jobs = [str(submit(desk, asked.script.read_bytes(), asked.name or asked.script.name, asked.array))]
            print("submitted", jobs[0], flush=True)
        if asked.command == "watch" or asked.watch:
            for name, state, row in watch(desk, jobs, getattr(asked, "mine", False)):
                print(name, state, row.reason if state == "PENDING" else row.nodes, flush=True)
        return 0
    except grpc.RpcError as error:
        print("{}: {}".format(*reason(error)), file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
