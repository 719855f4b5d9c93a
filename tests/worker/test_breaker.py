from worker.breaker import Breaker


def test_it_opens_after_three_failures_in_a_row():
    breaker = Breaker()
    states = []
    for now in (1.0, 2.0, 3.0):
        breaker.failed(now)
        states.append(breaker.state(now))
    assert states == ["closed", "closed", "open"]


def test_a_success_between_keeps_it_closed():
    breaker = Breaker()
    for now in (1.0, 2.0, 3.0, 4.0):
        breaker.failed(now)
        breaker.succeeded()
    assert breaker.state(5.0) == "closed"


def test_after_its_pause_one_try_decides():
    breaker = Breaker(threshold=1, pause_s=10.0)
    breaker.failed(0.0)
    assert (breaker.state(9.9), breaker.state(10.0)) == ("open", "half_open")
    breaker.failed(11.0)
    assert (breaker.state(20.9), breaker.state(21.0)) == ("open", "half_open")
    breaker.succeeded()
    assert breaker.state(21.0) == "closed"


def test_a_late_failure_of_an_earlier_try_does_not_lengthen_the_pause():
    breaker = Breaker(threshold=1, pause_s=10.0)
    breaker.failed(0.0)
    breaker.failed(8.0)
    assert breaker.state(10.0) == "half_open"
