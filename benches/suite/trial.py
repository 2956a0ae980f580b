"""Runs a contender in a process of its own first: native code that dies there would take every result along here."""

import multiprocessing
import os
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection

from .contender import BUILD_SECONDS, Contender, Sample, Unavailable, last_words

Load = Callable[[], Contender]  # a function of a module, or a partial of one: it goes to another process


def check(load: Load, sample: Sample) -> None:
    """Raises `Unavailable` where loading fails, or running once."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_run, args=(load, sample, theirs))
    process.start()
    process.join(BUILD_SECONDS)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise Unavailable(f"one run was not done after {BUILD_SECONDS} s")
    if process.exitcode < 0:
        raise Unavailable(f"it dies of {signal.Signals(-process.exitcode).name}")
    if ours.poll():
        raise Unavailable(ours.recv())


def _run(load: Load, sample: Sample, answer: Connection) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # the answer says what matters of it
    try:
        contender = load()
        contender.write(sample)
        contender.run()
    except Unavailable as reason:
        answer.send(str(reason))
    except (Exception, SystemExit) as error:  # whatever a peer may raise is its reason
        answer.send(f"{type(error).__name__}: {last_words(str(error))}")
