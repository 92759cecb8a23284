"""Simulated axial lung CT slice of a phantom, shown in a lung window.

A CT picture shows the attenuation coefficient mu of each voxel as a Hounsfield number,

    HU = 1000 (mu - mu_water) / mu_water,    mu_water about 0.206 /cm at 60 keV (NIST XCOM),

so that air is -1000, inflated lung about -850, ground-glass opacity -700 to -400, fat -100, muscle and consolidation
+30 to +60, blood with contrast agent +100 to +300 and bone +300 to +1000. The grey value in a window of centre C and
width W is (HU - C) / W + 1/2, cut to 0..1; the lung window used here is about C = -600, W = 1500.

Partial volume and the point spread function are a blur; the noise has the grain that filtered back-projection leaves
(white noise smoothed slightly, with a sigma of 15 to 50 HU).
"""

from __future__ import annotations

import numpy as np

from ._field import Array, PixelGrid, Pose, blend, blob, capsule, draw_tree, ellipse, inside, smoothstep, tree

CLASSES = ("cap-like", "covid-like", "normal")

HU = {"air": -1000.0, "lung": -850.0, "fat": -100.0, "muscle": 50.0, "blood": 120.0, "spongy": 250.0, "cortex": 700.0}


def _ring(x: Array, y: Array, radii: tuple[float, float], power: float) -> tuple[Array, Array]:
    """Relative radius (1 on the wall) of a rounded-rectangle outline and the angle from the front (radians)."""
    q = (np.abs(x / radii[0]) ** power + np.abs(y / radii[1]) ** power + 1e-9) ** np.float32(1 / power)
    return q, np.arctan2(x, -y)


def _arcs(angle: Array, centres: Array, widths: Array) -> Array:
    """Angular windows (0..1) around ``centres``, looked up in a table of 720 angles."""
    table = np.linspace(-np.pi, np.pi, 721)
    away = np.abs((table[:, None] - centres[None, :] + np.pi) % (2 * np.pi) - np.pi)
    values = smoothstep((widths[None, :] - away) / 0.06 + 0.5).max(1).astype(np.float32)
    return values[((angle + np.pi) * (720 / (2 * np.pi))).astype(np.int64)]


def _mediastinum(x: Array, y: Array, level: float, rng: np.random.Generator, radii: tuple[float, float]) -> dict:
    """Signed distances (cm) of heart, vessels and airways at ``level`` (0 = base of the lungs, 1 = aortic arch)."""
    size = np.exp(rng.normal(0, 0.08))
    b = radii[1]
    low = np.clip(1 - level / 0.62, 0, 1)
    heart_a, heart_b = (3.0 + 3.2 * low) * size, (2.6 + 1.9 * low) * size
    heart_x, heart_y = 0.7 + 1.6 * low + rng.normal(0, 0.3), -0.36 * b + 0.9 * low + rng.normal(0, 0.3)
    heart = ellipse(x, y, (heart_x, heart_y), (heart_a, heart_b), 0.35 + rng.normal(0, 0.1))
    front = capsule(x, y, (rng.normal(0, 0.3), -b), (0.4, heart_y), 0.55 + 0.5 * rng.uniform())
    column = ellipse(x, y, (0.2, 0.16 * b), (2.0 + 0.5 * level, 0.50 * b))
    spine = ellipse(x, y, (0.0, b * 0.86), (2.9, 2.7))
    aorta_at = (2.3 + rng.normal(0, 0.25), b * 0.52 + rng.normal(0, 0.3))
    aorta = ellipse(x, y, aorta_at, (1.25 * size, 1.3 * size))
    arch = capsule(x, y, (-0.6, -0.25 * b), (2.4, 0.28 * b), 1.15) if level > 0.86 else aorta
    soft = blend(blend(blend(heart, column, 0.8), blend(spine, np.minimum(aorta, arch), 0.5), 0.8), front, 0.6)
    if level > 0.62:
        airway = ellipse(x, y, (-0.2 + rng.normal(0, 0.2), 0.10 * b), (0.9, 0.95))
    elif level > 0.42:
        gap = 0.9 + 8 * (0.62 - level)
        airway = np.minimum(
            ellipse(x, y, (-gap, 0.14 * b), (0.95, 0.65), -0.4), ellipse(x, y, (gap + 0.2, 0.16 * b), (0.9, 0.6), 0.4)
        )
    else:
        airway = np.minimum(ellipse(x, y, (-3.2, 0.22 * b), (0.5, 0.4)), ellipse(x, y, (3.6, 0.26 * b), (0.45, 0.4)))
    return {"soft": soft, "heart": heart, "aorta": np.minimum(aorta, arch), "airway": airway, "aorta_at": aorta_at}


def _skeleton(x: Array, y: Array, radii: tuple[float, float], edge: float, rng: np.random.Generator, power: float):
    """Share of bone (0..1) with its Hounsfield number: vertebra, ribs, sternum, shoulder blades."""
    a, b = radii
    q, angle = _ring(x, y, (a + 0.75, b + 0.75), power)
    turn = rng.uniform(0.0, 0.35)
    centres, widths = [], []
    for side in (-1.0, 1.0):
        for k in range(7):
            centres.append(side * (0.42 + turn + 0.36 * k + rng.normal(0, 0.04)))
            widths.append(rng.uniform(0.09, 0.17))
    ribs = _arcs(angle, np.array(centres), np.array(widths))
    off = (q - 1) * min(a, b)
    bone = ribs * inside(np.abs(off) - 0.42, edge)
    marrow = ribs * inside(np.abs(off) - 0.18, edge)
    hu = HU["cortex"] - 350 * marrow
    # vertebral body, arch with canal, processes; sternum
    spot = (0.0, b + 0.15)
    body = ellipse(x, y, spot, (1.9, 1.5))
    arch = np.minimum(
        np.abs(ellipse(x, y, (0, spot[1] + 2.2), (1.25, 1.15))) - 0.28,
        np.minimum(
            capsule(np.abs(x), y, (1.2, spot[1] + 2.3), (3.6, spot[1] + 2.5), 0.42),
            capsule(x, y, (0, spot[1] + 3.2), (0, spot[1] + 5.0), 0.32),
        ),
    )
    sternum = ellipse(x, y, (rng.normal(0, 0.2), -b - 0.9), (1.7, 0.55))
    plate = np.minimum(body, np.minimum(arch, sternum))
    share = inside(plate, edge)
    hu = np.where(share > 0.01, HU["cortex"] - 420 * inside(plate + 0.3, 0.3), hu)
    bone = np.maximum(bone, share)
    if rng.uniform() < 0.6:
        q2, _ = _ring(x, y, (a + 3.0, b + 2.2), 2.2)
        blade = _arcs(angle, np.array([-2.2, 2.2]) + rng.normal(0, 0.08), np.array([0.3, 0.3]))
        bone = np.maximum(bone, blade * inside(np.abs((q2 - 1) * b) - 0.3, edge))
    return bone, hu


def _wall_point(side: float, angle: float, depth: float, radii: tuple[float, float], power: float):
    """Point ``depth`` cm inside the chest wall at ``angle`` from the front (0..pi) on one side."""
    dx, dy = side * np.sin(angle), -np.cos(angle)
    r = (abs(dx / radii[0]) ** power + abs(dy / radii[1]) ** power) ** (-1 / power)
    return dx * (r - depth), dy * (r - depth)


def ct(grid: PixelGrid, label: int, rng: np.random.Generator) -> Array:
    """One simulated lung CT slice of a phantom, values 0..1, float32 (size, size).

    Args:
        grid: the pixel grid.
        label: index into ``CLASSES``.
        rng: the generator of this image; all variation comes from it.
    """
    name = CLASSES[label]
    pose = Pose.draw(rng, 14.6, 0.09, 5.0, 0.05, 0.03)
    x, y = pose.anatomy(grid)
    edge = pose.scale * grid.pixel * 1.2
    level = rng.uniform(0.05, 1.0)
    narrow = 1 - 0.10 * level
    radii = ((12.7 + rng.normal(0, 0.5)) * narrow, (9.5 + rng.normal(0, 0.6)) * narrow)
    power = rng.uniform(2.15, 2.6)

    # skin, fat, muscle, chest wall
    fat, lean = np.exp(rng.normal(0.45, 0.45)), rng.uniform(1.6, 2.5)
    q_skin, _ = _ring(x, y - 0.4, (radii[0] + lean + fat, radii[1] + lean + 0.7 * fat), 2.3)
    q_muscle, _ = _ring(x, y - 0.5, (radii[0] + lean, radii[1] + lean), 2.2)
    skin, muscle = (q_skin - 1) * radii[1], (q_muscle - 1) * radii[1]
    hu = np.full_like(x, HU["air"])
    table = np.abs(y - radii[1] - lean - fat * 0.7 - 1.3 - 0.006 * x**2) - 0.25
    hu = hu + 700 * inside(table, edge) * (rng.uniform() < 0.5)
    grain = grid.noise(rng, 14)
    hu = hu + (HU["fat"] - hu) * inside(skin, edge)
    hu = hu + (HU["muscle"] - 60 * np.clip(grain, 0, 1) - hu) * inside(muscle, edge)

    # lungs: inside the chest wall and outside the mediastinum
    q_wall, _ = _ring(x, y, radii, power)
    wall = (q_wall - 1) * radii[1]
    parts = _mediastinum(x, y, level, rng, radii)
    lung_distance = np.maximum(wall, -parts["soft"] + 0.15 * grain)
    if level < 0.35:  # dome of the liver, and less often the spleen, at the base
        rise = (0.35 - level) / 0.35
        dome = ellipse(x, y, (-6.2, -1.2 + rng.normal(0, 0.5)), (5.6 * rise + 0.2, 5.2 * rise + 0.2))
        spleen = ellipse(x, y, (7.4, 2.5), (3.4 * rise, 3.6 * rise)) if rise > 0.5 else dome
        lung_distance = np.maximum(lung_distance, -np.minimum(dome, spleen))
    lung = inside(lung_distance, edge)
    inflated = HU["lung"] + rng.normal(0, 28) + 18 * grid.noise(rng, 6) + 14 * grid.noise(rng, 22)
    dependent = rng.uniform(0, 100) * smoothstep((y / radii[1] + 0.15) / 1.3) ** 2  # gravity: denser at the back
    tissue = inflated + dependent

    # vessels in the plane and across it
    trees, dots = np.zeros_like(x), 40
    for side in (-1.0, 1.0):
        heading = (0 if side > 0 else np.pi) + side * np.array([-1.15, -0.55, 0.0, 0.6, 1.1]) + rng.normal(0, 0.2, 5)
        roots = (np.full(5, side * (2.9 + 0.6 * (1 - level))), np.full(5, 0.14 * radii[1]) + rng.normal(0, 0.5, 5))
        branches = tree(rng, roots, heading, 2.7, 0.30, 5, 7 * grid.fine)
        keep = np.repeat(rng.uniform(size=branches[0].size // (7 * grid.fine)) < 0.45, 7 * grid.fine)
        trees = trees + draw_tree(grid, pose, tuple(part[keep] for part in branches), 0.2)
    px, py = rng.uniform(-1, 1, dots) * radii[0], rng.uniform(-1, 1, dots) * radii[1]
    radius = 0.36 * np.exp(-0.08 * np.hypot(px, py)) * rng.uniform(0.5, 1.1, dots)
    u, v = pose.image(px, py)
    across = grid.blur(grid.splat(u, v, np.pi * radius**2 / pose.scale**2), 0.22 / pose.scale)
    vessels = np.clip(1.35 * trees + 1.3 * across, 0, 1)

    extra, airtree = _lesions(grid, pose, rng, name, x, y, radii, power)
    extra = np.clip(extra + _harmless(grid, rng, x, y, radii, power, wall), 0, 1)
    consolidated = HU["muscle"] - 30 + 25 * grain
    tissue = tissue + (consolidated - tissue) * extra
    tissue = tissue + (HU["muscle"] - tissue) * vessels
    tissue = tissue + (-900 - tissue) * airtree
    if rng.uniform() < 0.2:  # bullae: round air pockets
        for _ in range(3):
            bx, by = _wall_point(rng.choice((-1.0, 1.0)), rng.uniform(0.3, 2.7), rng.uniform(0.6, 3), radii, power)
            tissue = tissue + (-985 - tissue) * inside(ellipse(x, y, (bx, by), (rng.uniform(0.4, 1.3),) * 2), edge)

    inner = HU["fat"] + (HU["muscle"] - HU["fat"]) * np.clip(0.75 + 0.7 * grid.noise(rng, 9), 0, 1)
    blood = HU["blood"] + rng.uniform(-80, 160)
    inner = inner + (blood - inner) * np.maximum(inside(parts["heart"] + 0.5, edge), inside(parts["aorta"], edge))
    hu = hu + (inner - hu) * inside(wall - 0.2, edge)
    bone, bone_hu = _skeleton(x, y, radii, edge, rng, power)
    hu = hu + (bone_hu - hu) * bone
    hu = hu + (tissue - hu) * lung
    hu = hu + (-990 - hu) * inside(parts["airway"], edge) * inside(wall, edge)

    sigma, noise_sd = rng.uniform(0.35, 0.65) * grid.pixel * max(1.0, grid.size / 160), rng.uniform(15, 50)
    centre, width, gain = -600 + rng.normal(0, 55), 1500 * np.exp(rng.normal(0, 0.10)), rng.uniform(0.9, 1.0)
    hu = grid.blur(hu, sigma)
    hu = hu + noise_sd * 1.6 * grid.blur(rng.standard_normal(x.shape, dtype=np.float32), 0.5 * grid.pixel)
    return (np.clip((hu - centre) / width + 0.5, 0, 1) * gain).astype(np.float32)


def _lesions(grid: PixelGrid, pose: Pose, rng: np.random.Generator, name: str, x: Array, y: Array, radii, power: float):
    """Share of lung filled by disease (0..1) and by air bronchograms (0..1)."""
    ragged, fine = 0.32 * grid.noise(rng, 9), grid.noise(rng, 24)
    strength = np.exp(rng.normal(-0.05, 0.30))
    total, airtree = np.zeros_like(x), np.zeros_like(x)
    if name == "covid-like":
        for side in (-1.0, 1.0):
            for _ in range(rng.integers(2, 5)):
                turn = np.clip(rng.normal(1.95, 0.6), 0.4, 2.75)
                length, deep = rng.uniform(1.5, 3.6), rng.uniform(1.0, 2.0)
                cx, cy = _wall_point(side, turn, deep * 0.5, radii, power)
                along = np.arctan2(cy / radii[1] ** 2, cx / radii[0] ** 2) + np.pi / 2
                patch = blob(x, y, (cx, cy), (length, deep), along, ragged, 0.8)
                total = np.maximum(total, rng.uniform(0.30, 0.55) * patch)
        total = total * (1 + 0.15 * fine)
    elif name == "cap-like":
        side, turn = rng.choice((-1.0, 1.0)), rng.uniform(0.5, 2.7)
        radius = rng.uniform(2.0, 4.0)
        cx, cy = _wall_point(side, turn, radius * rng.uniform(0.4, 1.1), radii, power)
        patch = blob(x, y, (cx, cy), (radius * rng.uniform(1.0, 1.4), radius), rng.uniform(0, 3), ragged, 0.55)
        halo = blob(x, y, (cx, cy), (radius * 1.4, radius * 1.3), 0.0, 1.3 * ragged, 1.0)
        total = np.maximum(rng.uniform(0.75, 1.0) * patch, 0.22 * halo)
        root = (side * 3.2, 0.15 * radii[1])
        away = np.hypot(cx - root[0], cy - root[1])
        start = (cx - 0.75 * radius * (cx - root[0]) / away, cy - 0.75 * radius * (cy - root[1]) / away)
        heading = np.arctan2(cy - root[1], cx - root[0])
        branches = tree(rng, start, heading, radius * 0.8, 0.24, 3, 10 * grid.fine)
        airtree = np.clip(2.0 * draw_tree(grid, pose, branches, 0.2), 0, 0.85) * patch * (rng.uniform() < 0.75)
    return total * strength, airtree


def _harmless(grid: PixelGrid, rng: np.random.Generator, x: Array, y: Array, radii, power: float, wall: Array) -> Array:
    """Findings without meaning for the class: nodules, scars, fissures, thick pleura, a little dependent collapse."""
    total = np.zeros_like(x)
    ragged = 0.3 * grid.noise(rng, 9)
    for _ in range(rng.integers(0, 4)):
        cx, cy = _wall_point(rng.choice((-1.0, 1.0)), rng.uniform(0.3, 2.8), rng.uniform(0.3, 4.5), radii, power)
        r = rng.uniform(0.25, 0.65)
        total = np.maximum(total, rng.uniform(0.3, 1.0) * inside(ellipse(x, y, (cx, cy), (r, r)), 0.4))
    for _ in range(rng.integers(0, 3)):
        cx, cy = _wall_point(rng.choice((-1.0, 1.0)), rng.uniform(0.4, 2.7), 0.0, radii, power)
        end = (cx * rng.uniform(0.55, 0.8) + rng.normal(0, 1), cy * rng.uniform(0.55, 0.8) + rng.normal(0, 1))
        total = np.maximum(total, rng.uniform(0.3, 0.8) * inside(capsule(x, y, (cx, cy), end, 0.12), 0.4))
    if rng.uniform() < 0.3:
        side, turn = rng.choice((-1.0, 1.0)), rng.uniform(1.9, 2.7)
        cx, cy = _wall_point(side, turn, 0.2, radii, power)
        patch = blob(x, y, (cx, cy), (rng.uniform(1.0, 2.8), rng.uniform(0.4, 0.9)), -side * 0.5, ragged, 0.9)
        total = np.maximum(total, rng.uniform(0.2, 0.6) * patch)
    if rng.uniform() < 0.25:
        side, bow = rng.choice((-1.0, 1.0)), rng.uniform(-1.5, 2.5)
        line = np.abs(y - bow + 0.03 * (x - side * 6) ** 2) - 0.06
        total = np.maximum(total, 0.35 * inside(line, 0.4) * (side * x > 2))
    if rng.uniform() < 0.2:
        total = np.maximum(total, 0.7 * inside(-wall - rng.uniform(0.15, 0.5), 0.4) * (y > rng.uniform(0, 4)))
    return total
