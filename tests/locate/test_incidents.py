"""Which sources are one incident."""

from appliance.locate import locate_incidents
from appliance.model.incidents import Category
from tests.locate.picked import AIR, poses, shots

ONE, ACROSS = (-190.0, -160.0), (200.0, 170.0)


def test_two_who_shoot_at_each_other_across_the_net_are_one_incident():
    picks = shots(ONE, [2.0, 3.1, 4.3]) + shots(ACROSS, [2.6, 3.7, 4.9])
    (incident,) = locate_incidents(picks, poses(), AIR)
    assert (incident.rounds, incident.shooters) == (6, 2)


def test_strings_far_apart_that_follow_each_other_are_two_incidents():
    picks = shots(ONE, [2.0, 2.5, 3.1]) + shots(ACROSS, [7.5, 8.1, 8.6])
    assert [i.rounds for i in locate_incidents(picks, poses(), AIR)] == [3, 3]


def test_a_disturbance_beside_gunfire_is_no_second_shooter():
    fire = shots((60.0, -40.0), [2.0, 2.7, 3.5], gunshot_probability=0.95)
    bangs = shots((-90.0, 110.0), [2.35, 3.1], gunshot_probability=0.03)
    incidents = locate_incidents(fire + bangs, poses(), AIR)
    assert [(i.category, i.rounds, i.shooters) for i in incidents] == [
        (Category.GUNFIRE, 3, 1),
        (Category.OTHER, 2, 1),
    ]
