"""Waiting for a condition, with a deadline; never for time to pass."""

import http.client
import time

from .kube import ApiError


class NotInTime(AssertionError):
    pass


def eventually(what, ask, seconds=60, pause=0.1):
    """Asks until the answer is true and returns it. An AssertionError of `ask`, or somebody who does not
    answer just now, counts as "not yet" and is what the failure says if it stays."""
    deadline = time.monotonic() + seconds
    last = None
    while True:
        try:
            answer = ask()
            if answer:
                return answer
            last = answer
        except (AssertionError, OSError, http.client.HTTPException) as e:
            last = e
        except ApiError as e:
            if e.status not in (404, 429) and e.status < 500:
                raise
            last = e
        if time.monotonic() >= deadline:
            raise NotInTime(f"{what}: not within {seconds} s; last answer: {last}")
        time.sleep(pause)


def always(what, ask, until, pause=0.1, seconds=120):
    """Checks that `ask` stays true until the condition `until` holds."""
    deadline = time.monotonic() + seconds
    while True:
        ended = until()
        answer = ask()
        if ended:
            return
        assert answer, f"{what}: was {answer!r}"
        if time.monotonic() >= deadline:
            raise NotInTime(f"{what}: what it waits for did not come within {seconds} s")
        time.sleep(pause)
