// Whether the sun is up, to half a degree: enough to choose colours by (Meeus, Astronomical Algorithms, ch. 25, low accuracy).

const CIVIL_DEG = -3; // dusk on a dashboard, between sunset and the end of civil twilight

export function isNight(ms, lat, lon) {
  const rad = Math.PI / 180;
  const days = ms / 86_400_000 - 10_957.5; // since J2000.0
  const anomaly = (357.529 + 0.98560028 * days) * rad;
  const longitude = (280.459 + 0.98564736 * days + 1.915 * Math.sin(anomaly) + 0.02 * Math.sin(2 * anomaly)) * rad;
  const tilt = 23.439 * rad;
  const rise = Math.atan2(Math.cos(tilt) * Math.sin(longitude), Math.cos(longitude));
  const declination = Math.asin(Math.sin(tilt) * Math.sin(longitude));
  const sidereal = (280.46062 + 360.98564737 * days + lon) * rad;
  const altitude = Math.asin(Math.sin(lat * rad) * Math.sin(declination) + Math.cos(lat * rad) * Math.cos(declination) * Math.cos(sidereal - rise));
  return altitude < CIVIL_DEG * rad;
}
