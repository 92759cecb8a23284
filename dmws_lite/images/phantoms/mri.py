"""Simulated axial brain MRI slice of a phantom, with the contrast of a T1-weighted picture after contrast agent.

A spoiled gradient echo with repetition time TR, flip angle a and short echo time gives the signal

    S = rho sin(a) (1 - E1) / (1 - cos(a) E1),    E1 = exp(-TR / T1),

so a short T1 (fat, white matter, tissue that took up gadolinium) is bright and a long T1 (cerebrospinal fluid, oedema)
is dark. T1 at 1.5 T, in ms, after Bottomley and others: fat 250, white matter 620, grey matter 1150,
cerebrospinal fluid 4000, muscle 900; enhancing tumour about 350. TR = 250 ms and a = 70 degrees are varied a little.

The coil sees near tissue stronger: the picture is multiplied with a bias field B(x, y) = exp(sum of a smooth random
field and a linear slope). Noise is Rician: the length of (B S + e1, e2) with normal e1, e2.
"""

from __future__ import annotations

import numpy as np

from ._field import Array, PixelGrid, Pose, blob, capsule, ellipse, inside, smoothstep

CLASSES = ("glioma-like", "meningioma-like", "notumor", "pituitary-like")

T1 = {"fat": 250.0, "white": 620.0, "grey": 1150.0, "csf": 4000.0, "muscle": 900.0, "enhanced": 350.0, "oedema": 1250.0}


def _signal(rng: np.random.Generator) -> dict[str, float]:
    """Signal of each tissue, white matter = 1, for a slightly random sequence."""
    tr, flip = 250.0 * np.exp(rng.normal(0, 0.25)), np.deg2rad(70 + rng.normal(0, 6))
    rho = {"fat": 0.9, "white": 0.72, "grey": 0.82, "csf": 1.0, "muscle": 0.75, "enhanced": 0.85, "oedema": 0.85}
    raw = {}
    for name, t1 in T1.items():
        e1 = np.exp(-tr / (t1 * np.exp(rng.normal(0, 0.04))))
        raw[name] = rho[name] * np.sin(flip) * (1 - e1) / (1 - np.cos(flip) * e1)
    return {name: float(value / raw["white"]) for name, value in raw.items()}


def _mix(image: Array, value: Array | float, share: Array) -> Array:
    return image + (value - image) * share


def _cortex(
    grid: PixelGrid, rng: np.random.Generator, x: Array, y: Array, depth: Array, signal: dict, edge: float
) -> Array:
    """Brain tissue: a folded ribbon of grey matter around white matter.

    The zero lines of a band-passed random field make a maze like the folds of the cortex; grey matter lies along
    them and the innermost line is the fluid in the sulcus. Folds reach 2 to 3 cm below the surface.
    """
    folds = grid.noise(rng, 17) + 0.5 * grid.noise(rng, 11)
    wide = np.abs(folds) / 1.1
    reach = smoothstep((2.7 + 0.5 * grid.noise(rng, 5) - depth) / 1.2)
    atrophy = rng.uniform(0.03, 0.16)
    grey = np.maximum(inside(wide - 0.50 * reach, 0.35), inside(depth - 0.32, edge))
    sulcus = smoothstep((atrophy * reach - wide) / 0.10 + 0.5) * (reach > 0.15)
    brain = _mix(np.full_like(x, signal["white"]), signal["grey"], grey)
    return _mix(brain, signal["csf"], 0.85 * sulcus)


def _ventricles(x: Array, y: Array, rng: np.random.Generator, level: float) -> Array:
    """Signed distance (cm) to the lateral and third ventricles; asymmetric and of varied width."""
    wide = np.exp(rng.normal(-0.1, 0.35))
    best = np.full_like(x, 9.0)
    for side in (-1.0, 1.0):
        w = wide * np.exp(rng.normal(0, 0.18))
        high = smoothstep((level - 0.55) / 0.35)
        points = [(1.5 - 0.2 * high, -3.1), (0.85 + 0.3 * high, -1.4), (1.2 + 0.1 * high, 1.3), (2.6 - 0.9 * high, 3.6)]
        sizes = (0.40 * w, 0.42 * w * (0.4 + 0.6 * high), 0.55 * w)
        for (ax, ay), (bx, by), r in zip(points[:-1], points[1:], sizes, strict=True):
            if r > 0.2 or high > 0.3:
                best = np.minimum(best, capsule(x, y, (side * ax, ay), (side * bx, by), r))
    third = capsule(x, y, (0, -0.4), (0, 1.2), 0.16 * wide) if level < 0.7 else best
    return np.minimum(best, third)


def _low_slice(
    grid: PixelGrid,
    x: Array,
    y: Array,
    rng: np.random.Generator,
    image: Array,
    signal: dict,
    edge: float,
    outer,
    orbits: bool,
):
    """Structures of a slice through the sella: orbits (if ``orbits``), bone ridges, stem, cerebellum, carotids."""
    a, b = outer
    uneven = grid.noise(rng, 12)
    front, back = -0.30 * b + rng.normal(0, 0.2), 0.22 * b + rng.normal(0, 0.3)
    # face: fat, muscle and air in front of the frontal base
    face = smoothstep((front - 0.9 - 0.07 * np.abs(x) ** 1.5 - y) / 0.5 + 0.5)
    nose = blob(x, y, (0, -b - 0.6), (1.2, 1.7), 0.0, 0 * x, 0.2)
    face = orbits * face * np.maximum(inside(ellipse(x, y, (0, 0.05 * b), (0.97 * a, 1.12 * b)), edge), nose)
    image = _mix(image, 0.55 * signal["muscle"] + 0.22 * grid.noise(rng, 14) + 0.15 * grid.noise(rng, 7), face)
    air = np.maximum(np.abs(x) - 1.25 - 0.2 * grid.noise(rng, 6), np.abs(y - front + 3.4) - 2.1)
    image = _mix(image, 0.06, inside(air, edge) * face)
    for side in (-1.0, 1.0):
        cone = blob(x, y, (side * 3.1, front - 3.0), (1.45, 2.3), side * 0.45, 0.12 * grid.noise(rng, 8), 0.3) * face
        globe = ellipse(x, y, (side * 3.3, front - 4.0), (1.15, 1.2))
        nerve = capsule(x, y, (side * 3.2, front - 2.8), (side * 1.6, front - 0.8), 0.18)
        image = _mix(image, signal["fat"] * 0.62, cone)
        image = _mix(image, 0.85 * signal["muscle"], inside(nerve, edge) * face)
        image = _mix(_mix(image, 0.8, inside(globe, edge) * face), signal["csf"], inside(globe + 0.16, edge) * face)
        # wing of the sphenoid bone parts the temporal lobe from the face; petrous bone parts it from the cerebellum
        wing = capsule(x, y, (side * 1.3, front - 0.3), (side * 5.2, front - 1.6), 0.22)
        petrous = capsule(x, y, (side * 2.4, back - 0.6), (side * 5.6, back + 0.9), 0.20)
        bone = np.minimum(wing if orbits else petrous, petrous) + 0.12 * uneven
        image = _mix(image, 0.3, 0.9 * inside(bone, 0.4))
        carotid = ellipse(x, y, (side * (1.25 + rng.normal(0, 0.1)), front + 0.6), (0.32, 0.35))
        image = _mix(image, rng.choice((0.12, 1.5)), inside(carotid, edge))
    # cerebellum with folia, brain stem, cisterns
    cerebellum = ellipse(x, y, (0, back + 2.6), (0.66 * a, 0.30 * b))
    ring = np.sqrt((x / 1.2) ** 2 + (y - back - 1.2) ** 2)
    folia = 0.5 + 0.5 * np.cos(2 * np.pi * ring / 0.75 + 0.8 * grid.noise(rng, 7))
    leaf = signal["grey"] + (signal["white"] - signal["grey"]) * (0.35 * folia + 0.65 * smoothstep((2.6 - ring) / 1.5))
    image = _mix(_mix(image, signal["csf"], inside(cerebellum - 0.25, edge)), leaf, inside(cerebellum, edge))
    stem = ellipse(x, y, (0, back - 0.9), (1.65, 1.35))
    cistern = np.minimum(stem - 0.35, ellipse(x, y, (0, front + 1.2), (1.5, 1.1)))
    image = _mix(image, signal["csf"] * 1.1, inside(cistern, edge))
    image = _mix(image, 0.93 * signal["white"], inside(stem, edge))
    fourth = ellipse(x, y, (0, back + 0.75), (0.75, 0.35))
    image = _mix(image, signal["csf"], inside(fourth, edge))
    return image, (0.0, front + 0.55)


def mri(grid: PixelGrid, label: int, rng: np.random.Generator) -> Array:
    """One simulated brain MRI slice of a phantom, values 0..1, float32 (size, size).

    Args:
        grid: the pixel grid.
        label: index into ``CLASSES``.
        rng: the generator of this image; all variation comes from it.
    """
    name = CLASSES[label]
    pose = Pose.draw(rng, 10.3, 0.07, 8.0, 0.085, 0.03)
    x, y = pose.anatomy(grid)
    edge = pose.scale * grid.pixel * 1.2
    signal = _signal(rng)
    # a mass at the sella shows only in low slices, so the other classes get many low slices as well
    low = bool(rng.uniform() < (1.0 if name == "pituitary-like" else 0.90))
    level = rng.uniform(0.0, 0.3) if low else rng.uniform(0.35, 1.0)
    a, b = 6.6 + rng.normal(0, 0.25), 8.3 + rng.normal(0, 0.35)
    shrink = 1 - 0.10 * smoothstep((level - 0.6) / 0.4)
    a, b = a * shrink, b * shrink

    # outline with a slowly varying radius; depth = cm below the surface of the brain
    angle = np.arctan2(x, -y)
    c = rng.normal(0, 1, 4) * np.array([0.018, 0.014, 0.010, 0.008])
    wave = 1 + c[0] * np.cos(angle) + c[1] * np.cos(2 * angle) + c[2] * np.sin(angle) + c[3] * np.cos(3 * angle)
    wave = wave + 0.022 * np.cos(3 * angle)  # broader behind than in front
    q = np.sqrt((x / a) ** 2 + (y / b) ** 2) / wave
    depth = (1 - q) * (a + b) / 2
    skull_width, scalp_width = rng.uniform(0.45, 0.8), rng.uniform(0.4, 0.9)
    scalp_gain = rng.uniform(0.55, 1.15)

    image = np.full_like(x, 0.0)
    image = _mix(image, signal["fat"] * scalp_gain, inside(-depth - 0.25 - skull_width - scalp_width, edge))
    skin = np.abs(depth + 0.2 + skull_width + scalp_width) - 0.10
    image = _mix(image, 0.7, inside(skin, edge))
    image = _mix(image, 0.10, inside(-depth - 0.25 - skull_width, edge))
    diploe = np.abs(depth + 0.25 + skull_width / 2) - 0.14
    image = _mix(image, rng.uniform(0.2, 0.8), 0.7 * inside(diploe, edge))
    image = _mix(image, signal["csf"], inside(-depth - 0.25, edge))

    orbits = level < 0.17
    tumour = _tumour(rng, name, x, y, (a, b), depth, orbits)
    # mass effect: tissue is pushed away from the mass, so the folds and ventricles around it are displaced
    px, py = x + tumour["push_x"], y + tumour["push_y"]
    brain = _cortex(grid, rng, px, py, depth, signal, edge)
    sella = (0.0, -0.24 * b)
    if not low:
        for side in (-1.0, 1.0):
            nuclei = np.minimum(
                ellipse(px, py, (side * 2.3, -0.9), (0.8, 1.7), side * -0.3),
                np.minimum(
                    ellipse(px, py, (side * 1.1, 1.0), (0.8, 1.2), side * 0.35),
                    ellipse(px, py, (side * 1.75, -2.6), (0.5, 0.9), side * 0.2),
                ),
            )
            fade = 0.75 * (1 - smoothstep((level - 0.6) / 0.25))
            brain = _mix(brain, signal["grey"] * 1.03, fade * inside(nuclei, 0.35))
        brain = _mix(brain, signal["csf"] * 0.9, inside(_ventricles(px, py, rng, level), edge))
        if level < 0.75 and rng.uniform() < 0.6:  # choroid plexus takes up contrast agent
            for side in (-1.0, 1.0):
                spot = (side * rng.uniform(1.6, 2.4), rng.uniform(1.8, 3.0))
                brain = _mix(brain, 1.3, 0.8 * inside(ellipse(px, py, spot, (0.2, 0.45), side * -0.5), edge))
        gap = np.abs(px + 0.08 * np.sin(py)) - rng.uniform(0.05, 0.16)
        ends = np.maximum(gap, 2.9 * (1 - 0.9 * smoothstep((level - 0.75) / 0.2)) - np.abs(py + 0.2))
        brain = _mix(brain, signal["csf"] * 0.8, inside(ends, edge))
        falx = np.maximum(np.abs(px) - 0.05, 3.2 - np.abs(py))
        brain = _mix(brain, rng.uniform(0.3, 1.2), 0.7 * inside(falx, edge))
    image = _mix(image, brain, inside(-depth, edge))
    if low:
        image, sella = _low_slice(grid, px, py, rng, image, signal, edge, (a, b), orbits)
    image = _harmless(grid, rng, x, y, image, signal, depth, edge, (a, b))
    image = _paint(grid, rng, tumour, sella, name, x, y, image, signal, depth, edge)

    # coil, noise and display
    slope = rng.normal(0, 0.13, 2)
    bias = np.exp(0.13 * grid.noise(rng, 2) + slope[0] * grid.axis[None, :] + slope[1] * grid.axis[:, None])
    sharp, noise_sd = rng.uniform(0.35, 0.75), rng.uniform(0.010, 0.035)
    gamma, white_level, ghost = np.exp(rng.normal(0, 0.10)), rng.uniform(0.45, 0.62), rng.uniform(0, 0.03)
    image = grid.blur(np.clip(image, 0, None) * bias, sharp * grid.pixel * max(1.0, grid.size / 160))
    image = image + ghost * np.roll(image, grid.size // 3, 0)
    e = noise_sd * rng.standard_normal((2, *x.shape), dtype=np.float32)
    image = np.sqrt((image + e[0]) ** 2 + e[1] ** 2)
    return (np.clip(image * white_level, 0, 1) ** gamma).astype(np.float32)


def _tumour(rng: np.random.Generator, name: str, x: Array, y: Array, radii, depth: Array, orbits: bool) -> dict:
    """Place of the mass and the displacement of the tissue around it."""
    a, b = radii
    u = rng.uniform(size=6)
    # 0 is the front; in slices through the orbits the front is face, so a brain tumour lies further back
    turn = np.pi * (0.32 + 1.36 * u[0] if orbits else 2 * u[0])
    plan = {"radius": 0.0, "centre": (0.0, 0.0), "strength": float(np.clip(np.exp(rng.normal(0.15, 0.25)), 0.5, 1.5))}
    if name == "glioma-like":
        plan["radius"] = 1.7 + 1.3 * u[1]
        part = 0.30 + 0.35 * u[2]
        plan["centre"] = (a * part * np.sin(turn), -b * part * np.cos(turn))
    elif name == "meningioma-like":
        plan["radius"] = 1.4 + 1.1 * u[1]
        sink = 1 - 0.55 * plan["radius"] / ((a + b) / 2)
        plan["centre"] = (a * sink * np.sin(turn), -b * sink * np.cos(turn))
        if u[3] < 0.2:  # on the falx instead of the convexity
            plan["centre"] = (np.sign(u[4] - 0.5) * 0.7 * plan["radius"], (0.4 + 0.35 * u[5]) * b * np.sign(u[2] - 0.5))
    elif name == "pituitary-like":
        plan["radius"] = 0.55 + 0.45 * u[1]
    dx, dy = x - plan["centre"][0], y - plan["centre"][1]
    r = np.sqrt(dx**2 + dy**2) + 0.1
    mass = 0.0 if name == "pituitary-like" else 0.35 * plan["radius"]
    reach = np.exp(-((r / (2.2 * plan["radius"] + 0.5)) ** 2)) * smoothstep(depth / 1.0)
    plan["push_x"], plan["push_y"] = -mass * reach * dx / r, -mass * reach * dy / r
    return plan


def _paint(grid, rng, tumour, sella, name, x, y, image, signal, depth, edge) -> Array:
    """Draw the mass of the class; random draws are the same in every class but for their use."""
    ragged, coarse, fine = grid.noise(rng, 9), grid.noise(rng, 6), grid.noise(rng, 22)
    radius, strength, centre = tumour["radius"], tumour["strength"], tumour["centre"]
    u = rng.uniform(size=6)
    bright = signal["white"] + strength * (signal["enhanced"] - signal["white"])
    brain = inside(-depth, edge)
    if name == "glioma-like":
        stretch = np.exp(0.5 * (u[0] - 0.5))
        dx, dy = (x - centre[0]) / stretch, (y - centre[1]) * stretch
        turned = np.sqrt(dx**2 + dy**2) - radius * (1 + 0.20 * ragged)
        swelling = smoothstep(1.0 - (turned - 0.2) / (0.8 + 1.0 * u[1]) + 0.3 * coarse)
        image = _mix(image, signal["oedema"], (0.6 + 0.4 * u[2]) * swelling * brain)
        image = _mix(image, signal["grey"] + 0.10 * fine, 0.9 * inside(turned, 0.3) * brain)
        rim_width = 0.20 + 0.22 * u[3]
        rim = np.exp(-(((turned + rim_width) / rim_width) ** 2)) * smoothstep(0.75 + 0.5 * coarse)
        necrosis = inside(turned + 2.1 * rim_width, 0.3)
        image = _mix(image, signal["csf"] * 1.15 + 0.08 * fine, 0.85 * necrosis * brain)
        image = _mix(image, bright, rim * brain)
    elif name == "meningioma-like":
        stretch = np.exp(0.3 * (u[0] - 0.5))
        turned = np.sqrt(((x - centre[0]) / stretch) ** 2 + ((y - centre[1]) * stretch) ** 2) - radius * (
            1 + 0.05 * coarse
        )
        rim = inside(turned - 0.14, edge)
        image = _mix(image, signal["csf"], 0.5 * rim * brain)
        image = _mix(image, bright + 0.05 * fine, inside(turned, edge) * inside(-depth - 0.1, edge))
        tail = np.exp(-((depth / 0.16) ** 2)) * smoothstep(1 - (turned - 0.1) / 1.3)
        image = _mix(image, bright, 0.8 * tail)
    elif name == "pituitary-like":
        centre = (sella[0] + 0.7 * (u[0] - 0.5), sella[1] + 0.9 * (u[4] - 0.5))
        shape = blob(x, y, centre, (radius * (0.95 + 0.3 * u[2]), radius), 0.0, 0.10 * ragged, 0.25)
        image = _mix(image, bright * (0.72 + 0.15 * u[3]) + 0.05 * fine, shape)
    return image


def _harmless(grid, rng, x, y, image, signal, depth, edge, radii) -> Array:
    """Findings of every class: bright vessels and sinuses, the normal gland, cysts, lacunes, old infarcts, fat."""
    a, b = radii
    brain = inside(-depth, edge)
    # sagittal sinus behind, sometimes in front; cortical veins and arteries as dots
    image = _mix(image, 1.5, rng.uniform(0.2, 1.0) * inside(ellipse(x, y, (0, b * 0.99), (0.45, 0.35)), edge))
    for _ in range(4):
        turn, part, r = rng.uniform(0, 2 * np.pi), rng.uniform(0.15, 1.0), rng.uniform(0.10, 0.18)
        spot = (a * part * np.sin(turn), -b * part * np.cos(turn))
        image = _mix(image, rng.uniform(1.1, 1.6), inside(ellipse(x, y, spot, (r, r)), edge) * brain)
    if rng.uniform() < 0.5:  # vein through the white matter or along the surface
        start = (rng.uniform(-4, 4), rng.uniform(-5, 5))
        end = (start[0] + rng.normal(0, 1.5), start[1] + rng.normal(0, 1.5))
        image = _mix(image, 1.35, inside(capsule(x, y, start, end, 0.07), edge) * brain)
    gland = (rng.normal(0, 0.1), -0.24 * b + rng.normal(0, 0.2))  # stalk or gland; at other levels a midline vessel
    image = _mix(image, rng.uniform(1.0, 1.5), 0.9 * inside(ellipse(x, y, gland, (rng.uniform(0.25, 0.5),) * 2), edge))
    chance = rng.uniform(size=4)
    for _ in range(3):
        spot, r, kind = (rng.uniform(-4, 4), rng.uniform(-5, 5)), rng.uniform(0.15, 0.45), rng.uniform()
        if kind < 0.3:
            image = _mix(image, signal["oedema"] * 0.85, 0.8 * inside(ellipse(x, y, spot, (r, r * 0.8)), 0.3) * brain)
    turn, size = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 1.3)
    if chance[0] < 0.10:  # arachnoid cyst: fluid at the surface
        image = _mix(
            image,
            signal["csf"],
            brain * inside(ellipse(x, y, (a * np.sin(turn), -b * np.cos(turn)), (size,) * 2), edge),
        )
    if chance[1] < 0.10:  # old infarct: a dark patch without a rim
        spot = (0.6 * a * np.sin(turn + 2), -0.6 * b * np.cos(turn + 2))
        image = _mix(
            image,
            signal["oedema"] * 0.75,
            0.85 * brain * blob(x, y, spot, (size, size * 0.8), turn, 0.3 * grid.noise(rng, 9), 0.5),
        )
    if chance[2] < 0.15:  # lipoma of the scalp or a skull lesion: bright, outside the brain
        spot = (1.13 * a * np.sin(turn + 4), -1.13 * b * np.cos(turn + 4))
        image = _mix(image, signal["fat"], inside(ellipse(x, y, spot, (0.55 * size, 0.55 * size)), edge) * (1 - brain))
    if chance[3] < 0.12:  # thick bright falx or dura after surgery
        image = _mix(
            image, 1.3, np.exp(-(((depth - 0.05) / 0.12) ** 2)) * smoothstep(np.cos(np.arctan2(x, -y) - turn) * 2)
        )
    return image
