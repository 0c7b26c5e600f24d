"""What listen says of itself."""

from appliance.daemon.listen import channels_check
from appliance.model.health import HealthState
from appliance.model.instants import UtcNs
from appliance.pipeline.channels import ChannelFault, ChannelFaultKind


def test_faulty_channels_are_named_as_people_count_them_with_what_to_do():
    faults = (
        ChannelFault(ChannelFaultKind.DEAD, (2,)),
        ChannelFault(ChannelFaultKind.DEAD, (4,)),
        ChannelFault(ChannelFaultKind.SWAPPED, (0, 5)),
    )

    check = channels_check(faults, UtcNs(7))

    assert check.state is HealthState.DEGRADED
    assert check.words == (
        "channel 3 hears nothing; channel 5 hears nothing; channels 1 and 6 stand in each other's place"
    )
    assert check.number == 4.0
    assert check.remedy.count("check the microphone and its plug") == 1
    assert "exchange their plugs" in check.remedy


def test_channels_that_agree_are_fine():
    check = channels_check((), UtcNs(7))

    assert check.state is HealthState.OK
    assert check.remedy == ""
