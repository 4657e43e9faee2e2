"""Pictures of hands that show 0 to 5 fingers, drawn by code: a stand-in for the SIGNS pictures."""

import numpy as np

from jaxnn.data.datasets import Dataset
from jaxnn.system.checks import whole_number

_SIZE = 64

_CHUNK = 24  # pictures drawn at once: few enough for their arrays to stay in the processor's cache

# A hand is measured in palm widths, x to the little finger, y to the finger tips. A part has three
# joints: it starts at a point, and two bones follow, each with a direction (degrees from y to x)
# and a length, once as in a raised finger and once as in a folded one. Farther parts come first.
_PARTS = "FPLRMIT"  # Forearm, Palm, Little, Ring, Middle and Index finger, Thumb

_START, _RADII, _FOLDED_DEGREES, _FOLDED_LENGTHS, _RAISED_DEGREES, _RAISED_LENGTHS = np.split(
    # start, radii at the three joints, folded: degrees, lengths, raised: degrees, lengths
    np.array(
        [
            [0.00, -0.50, 0.32, 0.38, 0.60, 180, 180, 1.10, 3.50, 180, 180, 1.10, 3.50],
            [0.00, -0.40, 0.34, 0.38, 0.38, 16, -81, 0.46, 0.26, 16, -81, 0.46, 0.26],
            [0.35, 0.22, 0.11, 0.10, 0.08, 10, 188, 0.18, 0.36, 16, 15, 0.42, 0.34],
            [0.13, 0.34, 0.13, 0.11, 0.09, 5, 182, 0.20, 0.44, 7, 6, 0.55, 0.45],
            [-0.11, 0.38, 0.13, 0.12, 0.09, 0, 178, 0.20, 0.46, -1, -1, 0.58, 0.50],
            [-0.35, 0.30, 0.13, 0.12, 0.09, -5, 174, 0.20, 0.42, -9, -8, 0.55, 0.45],
            [-0.24, -0.40, 0.22, 0.14, 0.10, -30, 52, 0.42, 0.45, -44, -28, 0.55, 0.45],
        ]
    ),
    [2, 5, 7, 9, 11],
    axis=1,
)

_DEGREES_NOISE = np.array([8, 1, 4, 4, 4, 4, 4])[:, None]  # a palm hardly bends

# For each number the fingers that people raise to show it, the usual ways listed repeatedly.
_POSES = [[""], ["I"], 3 * ["IM"] + ["TI"], 2 * ["TIM"] + ["IMR", "MRL"], ["IMRL"], ["TIMRL"]]

_LIGHT_SKIN, _DARK_SKIN = np.array([[0.80, 0.58, 0.45], [0.44, 0.28, 0.20]])


def generated_signs(seed: int = 0) -> tuple[Dataset, Dataset, tuple[int, ...]]:
    """Draws 1,080 training and 120 test pictures of hands, in place of the course's SIGNS files.

    Args:
      seed: a whole number >= 0; the same seed draws the same pictures.

    Returns:
      train, test, with x (N, 64, 64, 3) in 0..1, and the classes 0 to 5, as `load_signs` does.
    """
    x_train, y_train, x_test, y_test = generated_pictures(seed)
    train, test = (
        Dataset(np.divide(x, 255, dtype=np.float32), y, len(_POSES))
        for x, y in ((x_train, y_train), (x_test, y_test))
    )
    return train, test, tuple(range(len(_POSES)))


def generated_pictures(
    seed: int = 0, num_train: int = 1080, num_test: int = 120
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Draws training and test pictures of hands that show 0 to 5 fingers.

    A hand is seven parts: forearm, palm, four fingers and thumb. A part is two capsules: lines
    from joint to joint, thickened by a radius that changes along the way. All that is seen follows
    from a pixel's signed distance to these capsules (negative inside): the anti-aliased edge, the
    round shading, the dark line where one part lies on another, the soft shadow on the wall. A
    raised finger stretches its two bones; a folded one turns the second bone back, so that a short
    knuckle lies in front of the palm.

    Random are: left or right hand, place, size, turn and tilt, the spread, bend and length of the
    fingers, which of them are raised, skin, wall, light and the noise of the camera.

    Args:
      seed: a whole number >= 0; the same seed draws the same pictures.
      num_train, num_test: how many pictures; a multiple of 6 has equally many of every class.

    Returns:
      x_train uint8 (num_train, 64, 64, 3), y_train int64 (num_train,), x_test and y_test likewise.

    Raises:
      ValueError: for any other seed.

    >>> x_train, y_train, x_test, y_test = generated_pictures(seed=1, num_train=12, num_test=6)
    >>> x_train.shape, x_train.dtype, np.bincount(y_train)
    ((12, 64, 64, 3), dtype('uint8'), array([2, 2, 2, 2, 2, 2]))
    """
    # Two streams, so that the test pictures do not depend on num_train.
    train, test = np.random.default_rng(whole_number("seed", seed)).spawn(2)
    return *_pictures(train, num_train), *_pictures(test, num_test)


def _pictures(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    y = rng.permutation(np.arange(count, dtype=np.int64) % len(_POSES))
    x = np.empty((count, _SIZE, _SIZE, 3), np.uint8)
    for start in range(0, count, _CHUNK):
        rows = slice(start, start + _CHUNK)
        x[rows] = _photographed(rng, *_placed(rng, *_hands(rng, y[rows])))
    return x, y


def _hands(rng: np.random.Generator, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Joints (N, parts, 3, 2) and radii (N, parts, 3) in palm widths, from back to front."""
    n = len(y)
    poses = [_POSES[label][rng.integers(len(_POSES[label]))] for label in y]
    raised = np.array([[part in pose for part in _PARTS] for pose in poses])
    spread = rng.uniform(0.8, 1.5, (n, 1, 1))
    degrees = np.where(raised[..., None], _RAISED_DEGREES * spread, _FOLDED_DEGREES)
    for bones in (1, 2):  # the whole finger leans, and it bends a little
        degrees = degrees + _DEGREES_NOISE * rng.normal(0, 1, (n, len(_PARTS), bones))
    lengths = np.where(raised[..., None], _RAISED_LENGTHS, _FOLDED_LENGTHS)
    lengths = lengths * rng.normal(1, 0.06, lengths.shape)
    start = np.tile(_START[:, None], (n, 1, 1, 1))
    joints = np.concatenate([start, lengths[..., None] * _direction(degrees)], axis=2).cumsum(2)

    # A raised finger begins behind the edge of the palm; what is folded, and the thumb, lies on it.
    behind = raised & (np.array(list(_PARTS)) != "T")
    order = np.argsort(~behind, axis=1, kind="stable")
    return np.take_along_axis(joints, order[..., None, None], axis=1), _RADII[order]


def _direction(degrees: np.ndarray) -> np.ndarray:
    return np.stack([np.sin(np.deg2rad(degrees)), np.cos(np.deg2rad(degrees))], axis=-1)


def _placed(
    rng: np.random.Generator, joints: np.ndarray, radii: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mirrors, tilts, turns and scales the hands to pixels: x to the right, y down."""
    n = len(joints)
    side, tilt = rng.choice([-1.0, 1.0], n), rng.uniform(0.8, 1.05, n)
    size, place = rng.uniform(17, 21, n), rng.uniform([28, 37], [36, 43], (n, 2))
    up = _direction(rng.normal(0, 12, n))
    right = np.stack([up[:, 1], -up[:, 0]], axis=-1)
    axes = np.stack([right * side[:, None], up * tilt[:, None]], axis=1) * [1, -1]
    pixels = place[:, None, None] + joints @ (axes * size[:, None, None])[:, None]
    return pixels.astype(np.float32), (radii * size[:, None, None]).astype(np.float32)


def _photographed(rng: np.random.Generator, joints: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Returns pictures, uint8 (N, 64, 64, 3), of hands in front of a wall."""
    n = len(joints)

    def uniform(low: float, high: float) -> np.ndarray:
        return rng.uniform(low, high, (n, 1, 1)).astype(np.float32)

    light = (_direction(rng.uniform(-70, 70, n)) * [1, -1]).astype(np.float32)  # from above
    shade, distance = _painted(joints, radii, light)

    # The shadow is the hand itself, moved away from the light; the distance makes its edge soft.
    pixel = np.arange(_SIZE)
    shift = np.rint(light * rng.uniform(2, 7, (n, 1))).astype(int)[:, :, None]
    column, row = np.clip(pixel + shift, 0, _SIZE - 1).swapaxes(0, 1)
    moved = distance[np.arange(n)[:, None, None], row[:, :, None], column[:, None, :]]
    shadow = np.clip(0.5 - moved / 8, 0, 1)
    across = (pixel / _SIZE - 0.5).astype(np.float32)
    slope = across * light[:, :1, None] + across[:, None] * light[:, 1:, None]
    wall_shade = 1 + uniform(0, 0.25) * slope - uniform(0.1, 0.4) * shadow

    exposure, gray, dark = uniform(0.95, 1.05), uniform(0.78, 0.88)[..., 0], uniform(0, 1)[..., 0]
    wall = gray * rng.normal([1.03, 1, 0.96], 0.012, (n, 3))
    skin = _LIGHT_SKIN + dark * (_DARK_SKIN - _LIGHT_SKIN) + rng.normal(0, 0.012, (n, 3))
    hand = np.clip(0.5 - distance, 0, 1)
    picture = np.empty((n, _SIZE, _SIZE, 3), np.float32)
    for channel, redness in enumerate((0.85, 1.0, 1.15)):  # skin is redder where it is darker
        of_wall, of_skin = (c[:, channel, None, None].astype(np.float32) for c in (wall, skin))
        behind, front = of_wall * wall_shade, of_skin * shade ** np.float32(redness)
        picture[..., channel] = exposure * (behind + hand * (front - behind))
    picture += 0.012 * rng.standard_normal(picture.shape, np.float32)
    return np.rint(255 * np.clip(picture, 0, 1)).astype(np.uint8)


def _painted(
    joints: np.ndarray, radii: np.ndarray, light: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the brightness of the skin and the distance to the hands, both (N, 64, 64)."""
    shade = np.ones((len(joints), _SIZE, _SIZE), np.float32)
    distance = np.full_like(shade, np.inf)
    for part in range(len(_PARTS)):
        first = _capsule(joints[:, part, :2], radii[:, part, :2])
        second = _capsule(joints[:, part, 1:], radii[:, part, 1:])
        nearer = first[0] < second[0]
        to_part, x, y = (np.where(nearer, a, b) for a, b in zip(first, second, strict=True))
        rim = x * x + y * y  # 0 on the bone, 1 at the edge, where the skin turns away
        tone = 1 + 0.22 * (x * light[:, :1, None] + y * light[:, 1:, None] - rim * rim)
        shade *= 1 - 0.4 * np.clip(1 - to_part / 2.5, 0, 1)  # a dark line around what lies on it
        shade += np.clip(0.5 - to_part, 0, 1) * (tone - shade)
        distance = np.minimum(distance, to_part)
    return np.maximum(shade, 0.05), distance


def _capsule(ends: np.ndarray, radii: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns each pixel's signed distance to a capsule, and its x and y from the bone in radii."""
    (x0, y0), (x1, y1) = ends.transpose(1, 2, 0)[..., None, None]
    r0, r1 = radii.T[..., None, None]
    pixel = np.arange(_SIZE, dtype=np.float32)
    x, y = pixel - x0, pixel[:, None] - y0
    bone_x, bone_y = x1 - x0, y1 - y0
    square = bone_x**2 + bone_y**2
    along = np.clip(x * (bone_x / square) + y * (bone_y / square), 0, 1)
    x, y = x - along * bone_x, y - along * bone_y
    radius = r0 + along * (r1 - r0)
    return np.sqrt(x * x + y * y) - radius, x / radius, y / radius
