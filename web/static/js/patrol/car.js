// Where this car is, and where an incident lies from it.

const EARTH_M = 6_371_000;
const FRESH_MS = 10_000;
const SURE_M = 50;
const MOVING_MPS = 8 / 3.6;
const COURSE_MPS = 1; // below this a receiver's course is noise
const COMPASS = ["n", "ne", "e", "se", "s", "sw", "w", "nw"];

export function createCar(onChange) {
  let fix = null;
  let problem = "waiting";

  function take({ coords, timestamp }) {
    fix = {
      lat: coords.latitude,
      lon: coords.longitude,
      sigma_m: coords.accuracy,
      speed_mps: coords.speed,
      heading: coords.speed > COURSE_MPS ? coords.heading : null,
      ms: timestamp,
    };
    problem = null;
    onChange();
  }

  function fail(error) {
    problem = error.code === error.PERMISSION_DENIED ? "denied" : "waiting";
    onChange();
  }

  function start() {
    if (!("geolocation" in navigator) || !isSecureContext) {
      problem = "insecure";
      onChange();
      return;
    }
    navigator.geolocation.watchPosition(take, fail, { enableHighAccuracy: true, maximumAge: 2_000 });
  }

  return {
    start,
    get fix() { return fix; },
    get problem() { return problem; },
    get ageMs() { return fix ? Date.now() - fix.ms : Infinity; },
    get isSure() { return Boolean(fix) && Date.now() - fix.ms < FRESH_MS && fix.sigma_m <= SURE_M; },
    get isMoving() { return Boolean(fix) && Date.now() - fix.ms < FRESH_MS && fix.speed_mps > MOVING_MPS; },
  };
}

// Distance and bearing on a sphere: within half a percent, far better than a car's fix needs.
export function fromTo(a, b) {
  const rad = Math.PI / 180;
  const [lat1, lat2] = [a.lat * rad, b.lat * rad];
  const dLon = (b.lon - a.lon) * rad;
  const h = Math.sin((lat2 - lat1) / 2) ** 2 + Math.cos(lat1) * Math.cos(lat2) * Math.sin(dLon / 2) ** 2;
  const y = Math.sin(dLon) * Math.cos(lat2);
  const x = Math.cos(lat1) * Math.sin(lat2) - Math.sin(lat1) * Math.cos(lat2) * Math.cos(dLon);
  const bearing = (Math.atan2(y, x) / rad + 360) % 360;
  return { metres: 2 * EARTH_M * Math.asin(Math.min(1, Math.sqrt(h))), bearing };
}

export const compassOf = (bearing) => COMPASS[Math.round(bearing / 45) % 8];
