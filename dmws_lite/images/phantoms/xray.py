"""Simulated chest X-ray of a phantom: a 3-D thorax, projected by the law of Beer and Lambert.

A beam along z through a body with attenuation mu(x, y, z) arrives with the intensity

    I(x, y) = I0 exp(-L(x, y)),    L = integral of mu dz = sum over materials of mu_m * (path length in m, cm).

The path length through every solid (body, lungs, heart, diaphragm domes, spine, ribs as curved hollow tubes, ...) is
analytic. The detector then adds blur and scatter, I' = blur(I) + s * widely blurred I, and counts photons (Poisson,
drawn as a normal with variance I'/N0). The picture is -log(I') between two percentiles, bright where much was
absorbed, as a radiograph is shown.

Attenuation coefficients are mass attenuation (NIST XCOM / NISTIR 5632 tables, about 60 keV) times density:
soft tissue 0.205 cm2/g * 1.06 g/cm3 = 0.217 /cm, fat 0.197 * 0.95 = 0.188 /cm, inflated lung 0.205 * 0.26 = 0.053 /cm,
cortical bone 0.315 * 1.92 = 0.60 /cm, spongy bone about 0.30 /cm, titanium 0.77 * 4.5 = 3.4 /cm, air practically 0.
"""

from __future__ import annotations

import numpy as np

from ._field import Array, PixelGrid, Pose, blob, capsule, chord, draw_tree, ellipse, inside, smoothstep, tree, tubes

CLASSES = ("covid-like", "lung-opacity", "normal", "viral-pneumonia-like")

MU = {"soft": 0.217, "fat": 0.188, "lung": 0.053, "cortical": 0.60, "spongy": 0.30, "titanium": 3.4}


def _lungs(x: Array, y: Array, rng: np.random.Generator) -> dict[str, object]:
    """Path length (cm) through both lungs, before heart and mediastinum take their share, and the landmarks."""
    apex, base = -12.6 + rng.normal(0, 0.5), 10.4 + rng.normal(0, 1.0)
    width, depth = 12.6 + rng.normal(0, 0.6), 7.8 + rng.normal(0, 0.5)
    total, relative, across = 0.0, 0.0, 0.0
    domes = 0.0
    for side in (-1.0, 1.0):
        top = apex + rng.normal(0, 0.3)
        dome_top = base - 4.6 + (0.9 if side > 0 else 0.0) + rng.normal(0, 0.7)
        outer_width = width + rng.normal(0, 0.35)
        t = np.clip((y - top) / (base + 1.5 - top), 0, 1)
        outer = 4.6 + (outer_width - 4.6) * np.sin(np.pi / 2 * np.clip(t / 0.78, 0, 1)) ** 0.8
        inner = 1.7 + 2.6 * np.exp(-t / 0.07)
        half, middle = np.clip((outer - inner) / 2, 0.05, None), side * (outer + inner) / 2
        across_here = (x - middle) / half
        profile = np.clip(1 - across_here**2, 0, None) ** 0.38
        air = 2 * depth * np.clip(np.sin(np.pi * np.clip(t, 0, 1) ** 0.55), 0, 1) ** 0.45 * profile
        air = air * ((y > top) & (y < base + 1.5))
        # the diaphragm is a dome: an ellipsoid of liver or spleen that pushes the lung up, deepest in the middle
        dome = chord(x, y, (side * 6.3, dome_top + 6.5), (7.6, 6.5, 9.0))
        low = y > dome_top + 6.5
        dome = np.where(low & (np.abs(x - side * 6.3) < 7.6), 30.0, dome)
        total = total + np.clip(air - dome, 0, None)
        domes = domes + dome
        here = side * x > 0
        relative = relative + np.where(here, (y - top) / (dome_top + 2 - top), 0)
        across = across + np.where(here, across_here * side, 0)
    return {"air": total, "height": relative, "across": across, "apex": apex, "base": base, "width": width}


def _ribs(grid: PixelGrid, pose: Pose, rng: np.random.Generator, apex: float, width: float) -> Array:
    """Cortical and spongy bone of ten pairs of ribs and of both clavicles, as line integral of extra mu."""
    pairs, points = 10, 100 * grid.fine
    k = np.arange(pairs, dtype=float)
    theta = np.linspace(0.05, 2.35, points)[None, :]
    pitch, drop = 2.15 + rng.normal(0, 0.1), 2.0 + rng.normal(0, 0.35)
    reach = np.minimum(5.4 + 2.75 * k**0.75, width + 0.6)[:, None]
    start = (apex - 0.4 + pitch * k)[:, None]
    y = start - 0.5 * np.sin(theta * 2) + drop * (0.35 + 0.06 * k[:, None]) * theta**1.55
    x = 1.6 + (reach - 1.6) * np.sin(np.clip(theta, 0, np.pi)) ** 0.85
    z = -8.0 * np.cos(theta) + 0 * x
    radius = np.full((pairs, 1), 0.56 + rng.normal(0, 0.04))
    both_y = np.concatenate((y + rng.normal(0, 0.12, (pairs, 1)), y + rng.normal(0, 0.12, (pairs, 1))))
    ribs = tubes(grid, pose, np.concatenate((-x, x)), both_y, np.concatenate((z, z)), np.tile(radius, (2, 1)), 0.75)
    s = np.linspace(0, 1, 70 * grid.fine)[None, :]
    tilt = rng.normal(0, 0.6, (2, 1))
    lift = rng.normal(0.9, 0.7)
    cx = np.concatenate((-(1.6 + 13.5 * s), 1.6 + 13.5 * s))
    cy = apex + 3.4 + rng.normal(0, 0.4) + tilt * s - lift * 2.6 * s**1.1 + 0.55 * np.sin(2 * np.pi * s)
    clavicles = tubes(grid, pose, cx, cy, 0 * cx, np.full((2, 1), 0.58), 0.6)
    return (MU["cortical"] - MU["soft"]) * (0.95 * ribs + 0.8 * clavicles)


def _bones(x: Array, y: Array, rng: np.random.Generator, edge: float) -> Array:
    """Spine with vertebral bodies and disc spaces, humeral heads and shoulder blades."""
    pitch, phase = 2.45 + rng.normal(0, 0.08), rng.uniform(0, 6)
    body = 0.5 + 0.5 * np.cos(2 * np.pi * y / pitch + phase)
    column = np.sqrt(np.clip(1 - (x / (1.55 + 0.12 * body)) ** 2, 0, None)) * (2.3 + 0.8 * smoothstep(body * 2))
    spinous = np.exp(-((x / 0.35) ** 2)) * smoothstep(np.cos(2 * np.pi * y / pitch + phase + 2.2))
    total = (MU["spongy"] - MU["soft"] + 0.03) * (column + 0.9 * spinous)
    height = -9.3 + rng.normal(0, 0.7)
    apart = 17.0 + rng.normal(0, 0.7)
    for side in (-1.0, 1.0):
        total = total + 0.11 * chord(x, y, (side * apart, height), (2.5, 2.6, 2.3))
        blade = np.maximum(
            ellipse(x, y, (side * (apart - 3.7), height + 5.2), (2.9, 6.0), side * 0.28), -side * (x - side * 11.2)
        )
        total = total + 0.07 * inside(blade, edge * 2) + 0.10 * inside(np.abs(blade) - 0.12, edge * 2)
    return total


def _devices(grid: PixelGrid, pose: Pose, x: Array, y: Array, rng: np.random.Generator, edge: float) -> Array:
    """Harmless extras in every class: electrodes with leads, a pacemaker or port, a feeding tube."""
    total = np.zeros_like(x)
    chance = rng.uniform(size=3)
    spot, ends = rng.uniform(-1, 1, (4, 2)), rng.uniform(-1, 1, (3, 4))
    if chance[0] < 0.3:
        s = np.linspace(0, 1, 90 * grid.fine)
        for (ex, ey), (a, b, c, _) in zip(spot[:3], ends, strict=True):
            dot = (9 * ex, 5 * ey + 1)
            total = total + 0.25 * inside(ellipse(x, y, dot, (0.75, 0.75)), edge)
            lead_x = dot[0] + s * (12 * a - dot[0]) + 2.5 * b * np.sin(3 * s)
            lead_y = dot[1] + s * (18 - dot[1]) + 2.0 * c * np.sin(4 * s)
            u, v = pose.image(lead_x, lead_y)
            line = grid.splat(u, v, np.full(s.shape, 0.06 * 17 / s.size / pose.scale**2))
            total = total + grid.blur(line, 0.6 * edge / pose.scale)
    if chance[1] < 0.08:
        side = 1 if spot[3, 0] > -0.4 else -1
        total = total + 0.9 * inside(ellipse(x, y, (side * 9.3, -7.2 + spot[3, 1]), (2.2, 1.8), 0.2), edge)
        wire = np.minimum(
            capsule(x, y, (side * 8.0, -7.5), (1.2, -7.0), 0.1), capsule(x, y, (1.2, -7.0), (1.0, 5.5), 0.1)
        )
        total = total + 0.45 * inside(wire, edge)
    if chance[2] < 0.15:
        total = total + 0.16 * inside(capsule(x, y, (0.3, -18), (0.5 + spot[3, 1], 11), 0.12), edge)
    return total


def _lesions(
    grid: PixelGrid, rng: np.random.Generator, label: int, x: Array, y: Array, lungs: dict[str, object], air: Array
) -> Array:
    """Line integral of the extra attenuation of the disease patterns, and of harmless findings in every class."""
    name = CLASSES[label]
    width, apex, base = float(lungs["width"]), float(lungs["apex"]), float(lungs["base"])
    ragged, fine = 0.28 * grid.noise(rng, 10), grid.noise(rng, 26)
    strength = np.exp(rng.normal(0.0, 0.25))
    total = np.zeros_like(x)
    thickness = np.minimum(air, 8.0) / 8.0
    if name == "covid-like":
        for side in (-1.0, 1.0):
            for _ in range(rng.integers(3, 6)):
                across, height = rng.uniform(0.50, 0.98), np.clip(rng.normal(0.66, 0.22), 0.15, 1.0)
                centre = (side * (2.0 + across * (width - 2.6)), apex + height * (base - 2.4 - apex))
                radius = rng.uniform(1.4, 3.0)
                patch = blob(
                    x, y, centre, (radius, radius * rng.uniform(0.9, 1.5)), rng.uniform(-0.5, 0.5), ragged, 0.9
                )
                total = total + rng.uniform(0.55, 0.95) * patch
        total = np.minimum(total, 1.0) * (1 + 0.15 * fine)
    elif name == "lung-opacity":
        side = rng.choice((-1.0, 1.0))
        for _ in range(1 if rng.uniform() < 0.7 else 2):
            across, height = rng.uniform(0.30, 0.85), rng.uniform(0.22, 0.9)
            centre = (side * (2.0 + across * (width - 3.0)), apex + height * (base - 2.5 - apex))
            radius = rng.uniform(2.5, 4.4)
            patch = blob(
                x, y, centre, (radius * rng.uniform(1.0, 1.5), radius), rng.uniform(-0.6, 0.6), 0.7 * ragged, 0.6
            )
            if rng.uniform() < 0.5:  # a fissure cuts a lobar consolidation off along a straight line
                tilt, cut = rng.uniform(-0.5, 0.5), centre[1] + rng.uniform(-0.6, 0.6) * radius
                patch = patch * smoothstep((y - cut + tilt * (x - centre[0])) / 0.8 * rng.choice((-1.0, 1.0)) + 0.5)
            total = np.maximum(total, rng.uniform(1.6, 2.4) * patch)
    elif name == "viral-pneumonia-like":
        net = np.zeros_like(x)
        for cells, share in ((14, 0.6), (22, 0.6)):
            net = net + share * np.exp(-((grid.noise(rng, cells) / 0.29) ** 2))
        reach = rng.uniform(6.0, 9.0)
        shift = rng.normal(0, 1.2, 2)
        near = np.exp(-(((np.abs(x) - 4.5) / reach) ** 2) - (((y - shift[0]) / (reach * 1.15)) ** 2))
        total = (2.0 * net - 0.22) * near * (1 + 0.3 * ragged)
    total = total * strength
    # every class: small nodules, scars, a strip of collapsed lung at the base, uneven ventilation
    for _ in range(rng.integers(0, 4)):
        radius = rng.uniform(0.25, 0.7)
        centre = (rng.uniform(-11, 11), rng.uniform(-9, 7))
        total = total + rng.uniform(0.1, 0.4) * inside(ellipse(x, y, centre, (radius, radius)), 0.5)
    for _ in range(rng.integers(0, 3)):
        sx, sy, slope = rng.uniform(-10, 10), rng.uniform(-8, 8), rng.uniform(-1.5, 1.5)
        total = total + rng.uniform(0.08, 0.25) * inside(capsule(x, y, (sx, sy), (sx + 3.0, sy + slope), 0.12), 0.5)
    if rng.uniform() < 0.2:
        side, low = rng.choice((-1.0, 1.0)), base - 3.6
        strip = blob(x, y, (side * 6.0, low), (4.0, rng.uniform(0.5, 1.3)), side * 0.2, ragged, 1.2)
        total = total + rng.uniform(0.1, 0.3) * strip
    total = total + 0.05 * grid.noise(rng, 4) + 0.025 * fine * rng.uniform(0.3, 1.4)
    return total * thickness


def xray(grid: PixelGrid, label: int, rng: np.random.Generator) -> Array:
    """One simulated chest X-ray of a phantom, values 0..1, float32 (size, size).

    Args:
        grid: the pixel grid.
        label: index into ``CLASSES``.
        rng: the generator of this image; all variation comes from it.
    """
    pose = Pose.draw(rng, 15.0, 0.05, 3.0, 0.05, 0.02)
    x, y = pose.anatomy(grid)
    edge = pose.scale * grid.pixel
    lungs = _lungs(x, y, rng)

    # body: neck, shoulders, trunk; half thickness falls off towards the sides
    stout = rng.normal(0, 1)
    shoulder = smoothstep((y + 16.5 + rng.normal(0, 0.5)) / 4.5)
    trunk = 15.0 + 0.8 * stout + 0.5 * np.sin(y / 5) + 4.5 * smoothstep((-3.5 - y) / 6)
    half = 5.2 + (trunk - 5.2) * shoulder
    thick = (10.0 + 1.0 * stout) * (0.62 + 0.38 * smoothstep((y + 17) / 8))
    body = 2 * thick * np.clip(1 - np.abs(x / half) ** 3, 0, None) ** 0.5

    # organs that displace lung
    heart_x, heart_y = 2.2 + rng.normal(0, 0.6), 3.3 + rng.normal(0, 0.6)
    size = np.exp(rng.normal(0, 0.10))
    heart = chord(x, y, (heart_x, heart_y), (6.3 * size, 4.5 * size, 5.2 * size), 0.75 + rng.normal(0, 0.12))
    heart = np.maximum(heart, chord(x, y, (-1.2, heart_y - 0.3), (3.4 * size, 4.4, 4.2)))
    knob = chord(x, y, (2.3 + rng.normal(0, 0.2), -5.2), (1.9, 1.8 + rng.uniform(0, 0.8), 4.0))
    half_m = 2.5 + rng.normal(0, 0.25) + 0.25 * np.sin(y / 1.9 + rng.uniform(0, 6))
    central = 15.0 * np.clip(1 - (x / half_m) ** 2, 0, None) ** 0.4
    air = np.clip(lungs["air"] - heart - knob - central, 0, None)

    windpipe = capsule(x, y, (0.0, -19.0), (rng.normal(0, 0.3), -3.6), 0.85)
    fork = np.minimum(capsule(x, y, (0, -3.6), (-3.0, -0.8), 0.6), capsule(x, y, (0, -3.6), (3.4, -0.2), 0.6))
    airway = 1.5 * np.sqrt(np.clip(-windpipe / 0.85, 0, 1)) + 0.8 * np.sqrt(np.clip(-fork / 0.6, 0, 1))
    bubble = chord(x, y, (6.0 + rng.normal(0, 1), 8.8 + rng.normal(0, 0.7)), (2.3, 1.4, 2.0)) * (rng.uniform() < 0.55)

    total = MU["soft"] * 0.93 * body - (MU["soft"] - MU["lung"]) * np.minimum(air, 0.93 * body)
    total = total - MU["soft"] * (airway + 0.8 * bubble) * (body > 4)
    breast = rng.uniform() < 0.5
    low, big = 4.5 + rng.normal(0, 1.0), rng.uniform(0.6, 1.0) * breast
    for side in (-1.0, 1.0):
        total = total + MU["fat"] * big * 0.5 * chord(x, y, (side * 7.6, low), (5.6, 4.9, 3.6), side * 0.2)

    # vessels fan out from the hila; congestion varies in every class
    vessels = np.zeros_like(x)
    for side in (-1.0, 1.0):
        heading = (0 if side > 0 else np.pi) + np.array([-1.25, -0.6, 0.05, 0.6, 1.1]) + rng.normal(0, 0.15, 5)
        roots = (np.full(5, side * 3.2), np.full(5, -0.4) + rng.normal(0, 0.5, 5))
        branches = tree(rng, roots, heading, 3.4, 0.52, 5, 7 * grid.fine)
        vessels = vessels + draw_tree(grid, pose, branches, 0.28)
    vessels = 1.9 * np.minimum(vessels, 1.5) * np.minimum(air / 4, 1) * np.exp(rng.normal(-0.15, 0.2))
    total = total + (MU["soft"] - MU["lung"]) * vessels
    total = total + _lesions(grid, rng, label, x, y, lungs, air)

    within = np.minimum(body / 4, 1)
    total = total + _ribs(grid, pose, rng, float(lungs["apex"]), float(lungs["width"])) * within * rng.uniform(
        0.55, 0.9
    )
    total = total + _bones(x, y, rng, edge) * within + _devices(grid, pose, x, y, rng, edge)

    # detector: blur, scatter, photons
    sharp, scatter, photons = rng.uniform(0.5, 0.9), rng.uniform(0.05, 0.25), np.exp(rng.uniform(10.0, 11.7))
    marker, where, gamma = rng.uniform() < 0.6, rng.uniform(-1, 1, 3), np.exp(rng.normal(0, 0.10))
    low_cut, high_cut, gain = rng.uniform(0.5, 4), rng.uniform(96.5, 99.7), rng.uniform(0.86, 1.0)
    boost = rng.uniform(0.4, 0.8)
    collimate, borders = rng.uniform() < 0.25, rng.uniform(0.0, 0.12, 4)
    intensity = grid.blur(np.exp(-np.clip(total, 0, 8)), sharp * grid.pixel * max(1.0, grid.size / 160))
    intensity = intensity + scatter * grid.blur(intensity, 0.22)
    # photons are counted on the area of a 112-pixel grid, so the noise looks alike at every size
    spread = np.sqrt(intensity / photons) * rng.standard_normal(x.shape, dtype=np.float32)
    picture = -np.log(np.clip(intensity + spread, 2e-4, None))
    # as digital radiography does: raise local contrast so that ribs and vessels survive the wide range
    picture = picture + boost * (picture - grid.blur(picture, 0.16))
    bottom, top = np.percentile(picture[:: max(1, grid.size // 56), :: max(1, grid.size // 56)], (low_cut, high_cut))
    picture = np.clip((picture - bottom) / (top - bottom), 0, 1) ** gamma * gain
    if collimate:
        u, v = grid.axis[None, :], grid.axis[:, None]
        keep = (u > borders[0] - 1) & (u < 1 - borders[1]) & (v > borders[2] - 1) & (v < 1 - borders[3])
        picture = np.where(keep, picture, 0.02)
    if marker:
        picture = np.maximum(picture, _letter(grid, where))
    return picture.astype(np.float32)


def _letter(grid: PixelGrid, where: Array) -> Array:
    """Side marker: the letter L at the upper right or R at the upper left, as lead letters lie on the cassette."""
    left = where[0] < 0
    x = grid.axis[None, :] - (-0.86 if left else 0.80) - 0.05 * where[1]
    y = grid.axis[:, None] + 0.84 - 0.06 * where[2]
    h, w = 0.055, 0.035
    strokes = [((-w, -h), (-w, h))]
    if left:
        strokes += [((-w, -h), (w, -h)), ((w, -h), (w, 0)), ((w, 0), (-w, 0)), ((-w, 0), (w, h))]
    else:
        strokes += [((-w, h), (w, h))]
    distance = np.min([capsule(x, y, a, b, 0.010) for a, b in strokes], axis=0)
    return 0.95 * inside(distance, grid.pixel)
