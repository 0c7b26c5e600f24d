// Degrees to metres on a plane around the site, x east and y north, and shapes in metres.

const M_PER_DEG = 111_195; // mean Earth radius 6371 km; a map of a town needs no better

export function createPlane(lat0, lon0) {
  const perLon = M_PER_DEG * Math.cos((lat0 * Math.PI) / 180);
  return (lat, lon) => [(lon - lon0) * perLon, (lat - lat0) * M_PER_DEG];
}

// The outline of an ellipse with semi-axes in metres whose major one points along a bearing.
export function ellipsePath([x, y], { major_m: major, minor_m: minor, bearing_deg: bearing }) {
  const [east, north] = direction(bearing);
  const points = [];
  for (let i = 0; i < 48; i += 1) {
    const angle = (i * Math.PI) / 24;
    const along = major * Math.cos(angle);
    const across = minor * Math.sin(angle);
    points.push([x + along * east + across * north, y + along * north - across * east]);
  }
  return `${path(points)}z`;
}

// The sector in which a node heard something: two sigmas to each side.
export function wedgePath([x, y], bearing, sigma, length) {
  const half = Math.min(60, Math.max(1.5, 2 * sigma));
  const points = [[x, y]];
  for (let i = -6; i <= 6; i += 1) {
    points.push(along([x, y], bearing + (half * i) / 6, length));
  }
  return `${path(points)}z`;
}

// The point at a distance along a bearing.
export function along([x, y], bearing, length) {
  const [east, north] = direction(bearing);
  return [x + length * east, y + length * north];
}

// How far an ellipse reaches north of its centre.
export function northReach({ major_m: major, minor_m: minor, bearing_deg: bearing }) {
  const [east, north] = direction(bearing);
  return Math.hypot(major * north, minor * east);
}

export function direction(bearing) {
  const angle = (bearing * Math.PI) / 180;
  return [Math.sin(angle), Math.cos(angle)];
}

export function path(points) {
  return `M${points.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L")}`;
}

export function boundsOf(points) {
  const xs = points.map(([x]) => x);
  const ys = points.map(([, y]) => y);
  return { west: Math.min(...xs), east: Math.max(...xs), south: Math.min(...ys), north: Math.max(...ys) };
}
