"""Drives submitit the way its users do: submitit_jobs.py SCENARIO, in a folder of its own.

Each scenario is a function; it ends by an exception where the cluster did not behave as Slurm does.
"""

import os
import pathlib
import sys
import time

import submitit

PATIENCE_S = 90


def wait_for(what, holds):
    """Looks until it holds, for submitit itself looks but every few seconds."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited in vain: {what}")
        time.sleep(0.05)


def ends_as(job, state):
    """Waits until sacct, asked by submitit, gives this state."""
    told = set()

    def holds():
        told.add(job.get_info(mode="force").get("State", "UNKNOWN"))
        return any(one == state or one.startswith(f"{state} ") for one in told)

    try:
        wait_for(f"{job.job_id} is {state}", holds)
    except TimeoutError as error:
        raise TimeoutError(f"{error}; told: {told}") from None


def executor(**parameters):
    made = submitit.SlurmExecutor(folder="logs/%j", max_num_timeout=1)
    made.update_parameters(**{"time": 5, "mem": "500M", **parameters})
    return made


def add(a, b):
    print(f"adding {a} and {b}")
    return a + b


def job():
    submitted = executor(job_name="sum", comment="one job", cpus_per_task=2).submit(add, 5, 7)
    assert submitted.result() == 12
    assert "adding 5 and 7" in submitted.stdout()
    ends_as(submitted, "COMPLETED")
    assert submitted.get_info()["NodeList"].startswith("linux"), submitted.get_info()


def array():
    jobs = executor(array_parallelism=2).map_array(add, range(5), range(10, 15))
    first = jobs[0].job_id.split("_")[0]
    assert [one.job_id for one in jobs] == [f"{first}_{index}" for index in range(5)]
    assert [one.result() for one in jobs] == [10, 12, 14, 16, 18]
    for one in jobs:
        ends_as(one, "COMPLETED")


def rank():
    here = submitit.JobEnvironment()
    return here.global_rank, here.local_rank, here.num_tasks, here.num_nodes, len(here.hostnames)


def two_tasks():
    submitted = executor(ntasks_per_node=2).submit(rank)
    assert submitted.results() == [(0, 0, 2, 1, 1), (1, 1, 2, 1, 1)], submitted.results()
    spread = executor(ntasks_per_node=1, nodes=2).submit(rank)
    assert spread.results() == [(0, 0, 2, 2, 2), (1, 0, 2, 2, 2)], spread.results()
    ends_as(spread, "COMPLETED")


def divide(a, b):
    return a / b


def exception():
    submitted = executor().submit(divide, 1, 0)
    told = submitted.exception()
    assert isinstance(told, submitit.core.utils.FailedJobError) and "ZeroDivisionError" in str(told), told
    ends_as(submitted, "FAILED")


def say_and_wait(said):
    pathlib.Path(said).touch()
    time.sleep(600)


def cancel():
    one = executor().submit(say_and_wait, os.path.abspath("said"))
    array = executor(array_parallelism=1).map_array(say_and_wait, [os.path.abspath(name) for name in ("first", "last")])
    wait_for("both run", lambda: os.path.exists("said") and os.path.exists("first"))
    ends_as(array[1], "PENDING")
    one.cancel()
    array[1].cancel()
    for ended in (one, array[1]):
        ends_as(ended, "CANCELLED")
        told = ended.exception()
        assert isinstance(told, submitit.core.utils.UncompletedJobError) and "CANCELLED" in str(told), told
    ends_as(array[0], "RUNNING")
    array[0].cancel(check=False)
    ends_as(array[0], "CANCELLED")


class Counting(submitit.helpers.Checkpointable):
    """Counts its own runs; the last of them gives the count back."""

    def __init__(self, runs):
        self.runs = runs
        self.run = 0

    def __call__(self, folder):
        self.run += 1
        pathlib.Path(folder, f"run{self.run}").touch()
        if self.run == self.runs:
            return self.run, os.environ.get("SLURM_RESTART_COUNT")
        time.sleep(600)


def in_folder(name):
    folder = pathlib.Path(name).resolve()
    folder.mkdir()
    return folder


def preempted():
    """TERM and USR2 from outside: the job saves itself and asks to be requeued."""
    folder = in_folder("preempted")
    submitted = executor().submit(Counting(2), folder)
    wait_for("the first run", (folder / "run1").exists)
    submitted._interrupt(timeout=False)
    assert submitted.result() == (2, "1")
    ends_as(submitted, "COMPLETED")
    log = submitted.stdout() + submitted.stderr()
    assert "Bypassing signal SIGTERM" in log and "Requeued job" in log, log


def out_of_time():
    """USR2 by the time limit, as `--signal=USR2@50` asks: requeued once, as one time-out is allowed."""
    folder = in_folder("out_of_time")
    submitted = executor(time=1, signal_delay_s=50).submit(Counting(2), folder)
    assert submitted.result() == (2, "1")
    assert "timed-out" in submitted.stderr(), submitted.stderr()
    # The second time-out by scancel, of a job that is allowed one: it is not requeued, and says so.
    again = executor().submit(Counting(3), in_folder("again"))
    wait_for("run 1", pathlib.Path("again", "run1").exists)
    again._interrupt(timeout=True)
    wait_for("run 2", pathlib.Path("again", "run2").exists)
    again._interrupt(timeout=True)
    told = again.exception()
    assert "timed-out too many times" in str(told), told


if __name__ == "__main__":
    globals()[sys.argv[1]]()
