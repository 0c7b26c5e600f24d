import numpy as np
import pymap3d
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.model.space import Geodetic
from appliance.physics.geodesy import LocalFrame

ORIGINS = [(40.4406, -79.9959, 300.0), (-33.86, 151.2, 10.0), (0.0, 180.0, 0.0), (89.9, 10.0, 50.0), (-90.0, 0.0, 0.0)]


@pytest.mark.parametrize("origin", ORIGINS)
def test_offsets_agree_with_pymap3d(origin):
    frame = LocalFrame(Geodetic(*origin))
    place = Geodetic(origin[0] * 0.9999, origin[1] * 0.9999, origin[2] + 20.0)
    expected = pymap3d.geodetic2enu(place.lat_deg, place.lon_deg, place.alt_m, *origin)
    np.testing.assert_allclose(frame.to_enu(place), expected, atol=1e-6)


@given(
    st.floats(-90, 90),
    st.floats(-179.9, 179.9),
    st.floats(-2000, 2000),
    st.floats(-2000, 2000),
    st.floats(-50, 50),
)
def test_places_come_back_from_the_local_frame(lat_deg, lon_deg, east_m, north_m, up_m):
    frame = LocalFrame(Geodetic(lat_deg, lon_deg, 100.0))
    np.testing.assert_allclose(
        frame.to_enu(frame.to_geodetic(east_m, north_m, up_m)), [east_m, north_m, up_m], atol=1e-6
    )


def test_many_places_are_the_same_as_one_by_one():
    frame = LocalFrame(Geodetic(50.0, 8.0, 100.0))
    places = [Geodetic(50.001, 8.002, 110.0), Geodetic(49.999, 7.998, 90.0)]
    np.testing.assert_array_equal(frame.many_to_enu(places), [frame.to_enu(p) for p in places])
    assert frame.many_to_enu([]).shape == (0, 3)
