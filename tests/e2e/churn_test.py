"""kill -9, again and again, while Pods come and go."""

from lib.churn import Churn
from lib.framework import test

# Fixed, so that a failure can be repeated; tests/chaos draws its own.
SEED = 20240607


@test("50 kills of scheduler, plugin and programs, 5 of kubelet, while 100 Pods come and go")
def kills(t):
    churn = Churn(
        t, SEED, {"extender": 13, "kube-scheduler": 1, "plugin": 16, "program": 20, "kubelet": 5}
    )
    churn.run(pods=100)
    assert sum(churn.killed.values()) == 55, churn.killed
