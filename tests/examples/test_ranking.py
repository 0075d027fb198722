"""What an ablation says of its ranking."""

from examples.ablation.ranking import ranking_lines

FAST = ([10.0, 30.0, 60.0], [150.0, 120.0, 118.0])
SLOW = ([10.0, 30.0, 60.0], [200.0, 140.0, 121.0])
LAST = ([10.0, 30.0, 60.0], [210.0, 160.0, 158.0])


def test_a_variant_that_is_about_to_pass_is_named():
    (line,) = ranking_lines({"fast": [FAST], "slow": [SLOW]})
    assert line.startswith("the ranking is still changing: slow is 3.0 nats behind fast, and gained 17.0 nats on it")


def test_a_ranking_in_which_nobody_gains_is_settled():
    (line,) = ranking_lines({"last": [LAST, LAST], "fast": [FAST]})
    assert line.startswith("the ranking is settled")


def test_every_two_neighbours_are_looked_at():
    assert len(ranking_lines({"last": [LAST], "slow": [SLOW], "fast": [FAST]})) == 1


def test_too_few_validations_say_nothing():
    assert ranking_lines({"fast": [FAST], "short": [([1.0], [100.0])]}) == []
