from worker.turns import TurnLog


def test_seconds_count_from_the_users_last_sound():
    turns = TurnLog()
    turns.stamp("llm_first", 10.7)
    turns.stamp("voice_first", 10.9)
    turns.user_turn(stopped_at=10.0, transcript_delay=0.5, turn_delay=0.6)
    turns.stamp("speaking", 10.95)
    assert turns.answered(interrupted=False).seconds == {
        "transcript": 0.5,
        "turn_committed": 0.6,
        "llm_first": 0.7,
        "voice_first": 0.9,
        "speaking": 0.95,
    }


def test_an_answer_begun_anew_replaces_the_stamps_of_the_first():
    turns = TurnLog()
    turns.stamp("llm_first", 1.0)
    turns.stamp("llm_first", 2.0)
    assert turns.answered(interrupted=True).stamps == {"llm_first": 2.0}


def test_the_next_turn_starts_with_a_clean_sheet():
    turns = TurnLog()
    turns.stamp("llm_first", 1.0)
    turns.answered(interrupted=False)
    report = turns.answered(interrupted=False)
    assert (report.turn, report.stamps, report.seconds) == (2, {}, {})


def test_a_typed_turn_starts_when_it_was_sent():
    turns = TurnLog()
    turns.stamp("voice_first", 3.0)  # of an answer that was cut
    turns.typed(5.0)
    turns.user_turn(stopped_at=None, transcript_delay=None, turn_delay=None)
    turns.stamp("llm_first", 5.25)
    assert turns.answered(interrupted=False).seconds == {"llm_first": 0.25}


def test_what_a_cut_answer_left_behind_is_not_of_the_next_turn():
    turns = TurnLog()
    turns.stamp("voice_first", 3.0)
    turns.stamp("llm_first", 10.2)  # begun early for this very turn
    turns.user_turn(stopped_at=10.0, transcript_delay=None, turn_delay=0.5)
    assert turns.answered(interrupted=False).stamps == {"user_stopped": 10.0, "turn_committed": 10.5, "llm_first": 10.2}
