"""Pieces that the three phantoms share: the pixel grid, positioning, soft edges, random fields, tubes and trees.

Everything is a pure function of its arguments and of the random generator that is handed in. The number of random
draws never depends on the image size (pixel noise is drawn last), so one seed shows the same anatomy at every size.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.ndimage import gaussian_filter

Array = np.ndarray


@dataclass
class PixelGrid:
    """Square pixel grid with coordinates in [-1, 1] (x to the right, y down) and cached interpolation kernels.

    Args:
        size: pixels along one side.
    """

    size: int
    _kernels: dict[int, Array] = field(default_factory=dict, repr=False)

    @property
    def pixel(self) -> float:
        """Width of one pixel, in half-field units."""
        return 2.0 / self.size

    @property
    def axis(self) -> Array:
        """Pixel centres along one side, float32, shape (size,)."""
        return ((np.arange(self.size) + 0.5) * self.pixel - 1.0).astype(np.float32)

    @property
    def fine(self) -> int:
        """How many times more points a drawn curve needs than at 112 pixels, at least 1."""
        return max(1, round(self.size / 112))

    def blur(self, image: Array, sigma: float) -> Array:
        """Gaussian blur of ``image`` (size, size); ``sigma`` in half-field units, edge values repeated."""
        return gaussian_filter(image, max(sigma / self.pixel, 0.25), mode="nearest", truncate=3.0)

    def noise(self, rng: np.random.Generator, cells: int) -> Array:
        """Smooth random field (size, size), mean 0 and variance 1, with about ``cells`` bumps along a side.

        White noise on a (cells + 4)^2 lattice is interpolated with a Gaussian kernel, so its draw count is
        independent of the image size.
        """
        if cells not in self._kernels:
            knots = (np.arange(cells + 4) - 1.5) * (2.0 / cells) - 1.0
            kernel = np.exp(-0.5 * ((self.axis[:, None] - knots[None, :]) * cells / 1.1) ** 2)
            self._kernels[cells] = (kernel / np.sqrt((kernel**2).sum(1, keepdims=True))).astype(np.float32)
        kernel = self._kernels[cells]
        lattice = rng.standard_normal((cells + 4, cells + 4), dtype=np.float32)
        # einsum, not @: a threaded BLAS spends far longer on waking its threads than on matrices this small
        return np.einsum("ik,jk->ij", np.einsum("ik,kj->ij", kernel, lattice), kernel)

    def splat(self, x: Array, y: Array, weight: Array) -> Array:
        """Add up point weights per unit area (half-field units), bilinearly; points outside are dropped."""
        n = self.size
        column, row = (np.ravel(x) + 1.0) / self.pixel + 0.5, (np.ravel(y) + 1.0) / self.pixel + 0.5
        weight = np.broadcast_to(weight, np.shape(x)).ravel()
        # one ring of spare pixels takes what falls outside
        column, row = np.clip(column, 0.0, n + 0.999), np.clip(row, 0.0, n + 0.999)
        left, top = column.astype(np.int64), row.astype(np.int64)
        right_part, low_part = column - left, row - top
        first = top * (n + 2) + left
        cells = np.concatenate((first, first + 1, first + n + 2, first + n + 3))
        upper, lower = weight * (1 - low_part), weight * low_part
        shares = (upper * (1 - right_part), upper * right_part, lower * (1 - right_part), lower * right_part)
        total = np.bincount(cells, np.concatenate(shares), minlength=(n + 2) ** 2)
        return (total.reshape(n + 2, n + 2)[1:-1, 1:-1] / self.pixel**2).astype(np.float32)


@dataclass(frozen=True)
class Pose:
    """Where the body lies in the picture: bending, shift, rotation and scale, exactly invertible.

    Image point (x, y), half-field units, to anatomy in cm: bend x' = x + f(y), y' = y + g(x'), then
    (X, Y) = scale * R(angle) (x' - shift_x, y' - shift_y). Two successive shears bend smoothly and, unlike a
    free displacement field, can be undone without iterating, which points of drawn curves need.
    """

    scale: float
    angle: float
    shift: tuple[float, float]
    waves: tuple[float, float, float, float, float, float]

    @classmethod
    def draw(
        cls, rng: np.random.Generator, scale: float, zoom: float, degrees: float, shift: float, bend: float
    ) -> Pose:
        """Random pose: ``scale`` cm per half field times 1 +- ``zoom``, rotation, shift and bend (half-field units)."""
        u = rng.uniform(-1, 1, 10)
        waves = (bend * u[4], 2.2 + u[5], 3 * u[6], bend * u[7], 2.2 + u[8], 3 * u[9])
        return cls(scale * (1 + zoom * u[0]), np.deg2rad(degrees) * u[1], (shift * u[2], shift * u[3]), waves)

    def anatomy(self, grid: PixelGrid) -> tuple[Array, Array]:
        """Anatomical coordinates (cm) of every pixel, two float32 arrays (size, size)."""
        a, b, c, d, e, f = self.waves
        x = grid.axis[None, :] + np.float32(a) * np.sin(np.float32(b) * grid.axis[:, None] + np.float32(c))
        y = grid.axis[:, None] + np.float32(d) * np.sin(np.float32(e) * x + np.float32(f))
        x, y = x - np.float32(self.shift[0]), y - np.float32(self.shift[1])
        cos, sin = np.float32(np.cos(self.angle) * self.scale), np.float32(np.sin(self.angle) * self.scale)
        return cos * x + sin * y, cos * y - sin * x

    def image(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Image coordinates (half-field units) of anatomical points in cm: the inverse of :meth:`anatomy`."""
        a, b, c, d, e, f = self.waves
        cos, sin = np.cos(self.angle) / self.scale, np.sin(self.angle) / self.scale
        u, v = cos * x - sin * y + self.shift[0], cos * y + sin * x + self.shift[1]
        v = v - d * np.sin(e * u + f)
        return u - a * np.sin(b * v + c), v


def inside(distance: Array, width: float) -> Array:
    """Share of a pixel that lies inside a surface: 1 where the signed ``distance`` (cm) < -width/2, 0 outside."""
    return np.clip(0.5 - distance / width, 0.0, 1.0)


def smoothstep(value: Array) -> Array:
    """Cubic step from 0 (value <= 0) to 1 (value >= 1)."""
    t = np.clip(value, 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def rotated(x: Array, y: Array, centre: tuple[float, float], angle: float) -> tuple[Array, Array]:
    """Coordinates relative to ``centre`` in axes turned by ``angle`` (radians)."""
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    dx, dy = x - np.float32(centre[0]), y - np.float32(centre[1])
    return cos * dx + sin * dy, cos * dy - sin * dx


def ellipse(x: Array, y: Array, centre: tuple[float, float], radii: tuple[float, float], angle: float = 0.0) -> Array:
    """Approximate signed distance (cm) to an ellipse, negative inside: (q - 1) * smaller radius, q = |(u/a, v/b)|."""
    u, v = rotated(x, y, centre, angle)
    a, b = np.float32(radii[0]), np.float32(radii[1])
    return (np.sqrt((u / a) ** 2 + (v / b) ** 2) - np.float32(1)) * min(a, b)


def chord(x: Array, y: Array, centre: tuple[float, float], radii: tuple[float, float, float], angle=0.0) -> Array:
    """Path length (cm) of a beam along z through an ellipsoid with half axes (a, b, c): 2 c sqrt(1 - u^2 - v^2)."""
    u, v = rotated(x, y, centre, angle)
    a, b, c = (np.float32(r) for r in radii)
    return 2 * c * np.sqrt(np.clip(1 - (u / a) ** 2 - (v / b) ** 2, 0, None))


def capsule(x: Array, y: Array, start: tuple[float, float], end: tuple[float, float], radius: float) -> Array:
    """Signed distance (cm) to a straight stroke with round ends."""
    ex, ey = end[0] - start[0], end[1] - start[1]
    t = np.clip(((x - start[0]) * ex + (y - start[1]) * ey) / max(ex * ex + ey * ey, 1e-6), 0, 1)
    return np.sqrt((x - start[0] - t * ex) ** 2 + (y - start[1] - t * ey) ** 2) - radius


def blend(a: Array, b: Array, k: float) -> Array:
    """Smooth union of two signed distances: the minimum, rounded over a width of ``k`` cm."""
    h = np.clip(0.5 + (b - a) / (2 * k), 0.0, 1.0)
    return b + (a - b) * h - k * h * (1 - h)


def blob(x: Array, y: Array, centre, radii, angle: float, ragged: Array, softness: float) -> Array:
    """Patch (0..1) with an irregular edge: an ellipse whose radius is modulated by ``ragged`` (a random field)."""
    u, v = rotated(x, y, centre, angle)
    q = np.sqrt((u / np.float32(radii[0])) ** 2 + (v / np.float32(radii[1])) ** 2)
    return smoothstep((1 - q + ragged) / softness + 0.5)


def tubes(grid: PixelGrid, pose: Pose, x: Array, y: Array, z: Array, radius: Array, hollow: float) -> Array:
    """Line integral (cm of bone) through curved tubes seen along z.

    The chord through a tube of radius r with a marrow of radius 0.75 r, at relative offset v, is
    2 r (sqrt(1 - v^2) - hollow * sqrt(0.75^2 - v^2)); the tube is drawn as strands over v, each weighted with the
    true length in 3-D, so a rib that turns into the beam direction gets brighter as it does on a radiograph.

    Args:
        x, y, z: centre lines in cm, shape (tubes, points).
        radius: shape (tubes, 1), cm.
        hollow: 0 for solid bone, 1 for an empty marrow.
    """
    strands = 6 * grid.fine + 1
    v = (np.arange(strands) + 0.5) / strands * 2 - 1
    profile = np.sqrt(1 - v**2) - hollow * np.sqrt(np.clip(0.75**2 - v**2, 0, None))
    dx, dy, dz = np.gradient(x, axis=1), np.gradient(y, axis=1), np.gradient(z, axis=1)
    flat = np.sqrt(dx**2 + dy**2) + 1e-6
    length = np.sqrt(flat**2 + dz**2)
    px = x[..., None] - (dy / flat * radius)[..., None] * v
    py = y[..., None] + (dx / flat * radius)[..., None] * v
    weight = (2 * radius * length * 2 * radius / strands)[..., None] * profile
    u, w = pose.image(px, py)
    return grid.splat(u, w, weight / pose.scale**2)


def tree(
    rng: np.random.Generator,
    root: tuple[Array, Array],
    angle: Array,
    length: float,
    radius: float,
    levels: int,
    points: int,
    spread: float = 0.55,
) -> tuple[Array, Array, Array, Array]:
    """Branching vessels or bronchi in the image plane.

    Returns four flat arrays: x, y (cm), step (cm of length that each point stands for) and radius (cm).
    Each branch bends, then splits into two thinner and shorter ones.
    """
    x0, y0 = (np.atleast_1d(np.asarray(r, float)) for r in root)
    angle = np.atleast_1d(np.asarray(angle, float))
    lengths, radii = np.full(angle.shape, length), np.full(angle.shape, radius)
    found: list[tuple[Array, Array, Array, Array]] = []
    t = (np.arange(points) + 1.0) / points
    for _ in range(levels):
        heading = angle[:, None] + rng.normal(0, 0.35, angle.size)[:, None] * t
        step = np.broadcast_to((lengths / points)[:, None], heading.shape)
        x = x0[:, None] + np.cumsum(np.cos(heading) * step, 1)
        y = y0[:, None] + np.cumsum(np.sin(heading) * step, 1)
        found.append((x.ravel(), y.ravel(), step.ravel(), np.repeat(radii, points)))
        fork = spread * rng.uniform(0.5, 1.3, (2, angle.size)) * np.array([[1.0], [-1.0]])
        angle = (heading[:, -1] + fork).ravel()
        x0, y0 = np.tile(x[:, -1], 2), np.tile(y[:, -1], 2)
        lengths = np.tile(lengths, 2) * rng.uniform(0.6, 0.95, angle.size)
        radii = np.tile(radii, 2) * 0.74
    return tuple(np.concatenate(part) for part in zip(*found, strict=True))  # type: ignore[return-value]


def draw_tree(grid: PixelGrid, pose: Pose, points: tuple[Array, Array, Array, Array], split: float) -> Array:
    """Line integral (cm) through the tubes of :func:`tree`; those with a radius above ``split`` (cm) are blurred more.

    A round vessel has the cross-section pi r^2, so its integral over the width is pi r^2 whatever its profile.
    """
    x, y, step, radius = points
    u, v = pose.image(x, y)
    weight = np.pi * radius**2 * step / pose.scale**2
    thick = radius > split
    thin_image = grid.splat(u[~thick], v[~thick], weight[~thick])
    thick_image = grid.splat(u[thick], v[thick], weight[thick])
    return grid.blur(thin_image, 0.55 * split / pose.scale) + grid.blur(thick_image, 1.1 * split / pose.scale)
