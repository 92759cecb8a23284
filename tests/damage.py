"""Damage for tests: the same file with a flipped bit, a hole, a wrong value ..., the same for the same seed."""

import copy
import json
import random

ODD = (None, True, False, 0, -1, 1, 10**20, 1e308, 0.5, float("nan"), float("inf"), "", "x", "..", [], {}, [[]], [None],
       {"a": 1}, "9" * 30, -0.0, 2**63)  # fmt: skip


def damaged_bytes(content, rng):
    """Return bytes that differ from ``content`` as a disk, a network or an editor would have it."""
    n = len(content)
    place, length = rng.randrange(n), rng.randrange(1, max(2, min(64, n)))
    kind = rng.randrange(6)
    if kind == 0:
        return content[:place] + bytes([content[place] ^ 1 << rng.randrange(8)]) + content[place + 1 :]
    if kind == 1:
        return content[:place]
    if kind == 2:
        return content[:place] + content[place + length :]
    if kind == 3:
        return content[:place] + content[place : place + length] + content[place:]
    if kind == 4:
        return content[:place] + bytes(length) + content[place + length :]
    return content[:place] + rng.randbytes(length) + content[place:]


def damaged_json(value, rng):
    """Return a copy of a JSON value with one entry replaced, removed, added or exchanged for another."""
    value = copy.deepcopy(value)
    at = value
    while True:
        keys = list(at) if isinstance(at, dict) else range(len(at))
        key = rng.choice(list(keys))
        if isinstance(at[key], dict | list) and at[key] and rng.random() < 0.6:
            at = at[key]
            continue
        break
    kind = rng.randrange(4)
    if kind == 0:
        del at[key]
    elif kind == 1 and isinstance(at, dict):
        at[f"{key}x"] = at.pop(key)
    elif kind == 2:
        other = rng.choice(list(keys))
        at[key], at[other] = at[other], at[key]
    else:
        at[key] = rng.choice(ODD)
    return value


def variants(content, n, seed=0, sealed=None):
    """Give ``n`` damaged versions of a file's bytes; every second one of a JSON file is damaged in its values.

    Args:
        content: of the file.
        n: how many.
        seed: of the damage.
        sealed: for JSON, gives a mapping a fresh checksum, so that the values themselves must be checked; every second
            one of these has none at all.
    """
    rng = random.Random(seed)
    try:
        value = json.loads(content)
    except ValueError:
        value = None
    for number in range(n):
        if value is None or number % 2 == 0:
            changed = damaged_bytes(content, rng)
            while changed == content:  # zeros where there were zeros
                changed = damaged_bytes(content, rng)
            yield changed
            continue
        changed = damaged_json(value, rng)
        if isinstance(changed, dict):
            changed.pop("checksum", None)
            if sealed is not None and number % 4 == 1:
                changed = sealed(changed)
        yield json.dumps(changed).encode()
