"""Body told from arch by geometry alone, against phantoms that know."""

import numpy as np
import pytest

from tests.spine.world import ANOTHER_BODY, SCOLIOTIC, lumbar
from vfx_edge.evaluation import overlap
from vfx_edge.phantom import Part, Phantom
from vfx_edge.spine.body_and_arch import ARCH, BODY, centroids, split_parts, vertebra_frame
from vfx_edge.vocabulary import SACRUM


def vertebrae_only(made: Phantom) -> np.ndarray:
    return np.where(made.parts <= Part.POSTERIOR, made.labels, 0).astype(np.uint8)


def dice(made: Phantom, split: np.ndarray, level: str) -> float:
    mine = made.labels == made.truth.get(level).label
    true, got = mine & (made.parts == Part.BODY), mine & (split == BODY)
    return overlap.dice(true, got)


def whole(made: Phantom) -> list[str]:
    return [t.level for t in made.truth.levels if t.whole_in_view]


@pytest.mark.parametrize("more", [{}, SCOLIOTIC, ANOTHER_BODY],
                         ids=["plain", "scoliotic", "another body"])  # fmt: skip
def test_bodies_of_a_phantom(more: dict) -> None:
    made = lumbar(**more)
    labels = vertebrae_only(made)
    split = split_parts(labels)
    np.testing.assert_array_equal(split > 0, labels > 0)
    scores = {level: dice(made, split, level) for level in whole(made)}
    assert min(scores.values()) > 0.93, scores
    assert np.mean(list(scores.values())) > 0.96, scores


def test_left_and_right_are_treated_alike() -> None:
    labels = vertebrae_only(lumbar(**SCOLIOTIC))
    mirrored = split_parts(np.ascontiguousarray(labels[..., ::-1]))[..., ::-1]
    differs = (mirrored != split_parts(labels)) & (labels > 0)
    assert differs.sum() < 0.01 * (labels > 0).sum()


def test_a_vertebra_without_a_canal_borrows_its_neighbours() -> None:
    made = lumbar()
    labels = vertebrae_only(made)
    arch = (made.labels == made.truth.get("L1").label) & (made.parts == Part.POSTERIOR)
    labels[arch] = 0
    split = split_parts(labels)
    mine = labels == made.truth.get("L1").label
    assert (split[mine] == BODY).mean() > 0.95
    assert dice(made, split_parts(labels), "L2") > 0.93


def test_what_is_no_vertebra_has_no_parts() -> None:
    labels = vertebrae_only(lumbar())
    labels[:10, 20:40, 20:40] = SACRUM
    assert (split_parts(labels)[labels == SACRUM] == 0).all()


def test_masks_of_bodies_alone_are_bodies() -> None:
    made = lumbar()
    bodies = np.where(made.parts == Part.BODY, made.labels, 0).astype(np.uint8)
    np.testing.assert_array_equal(split_parts(bodies) == BODY, bodies > 0)


def test_one_vertebra_alone() -> None:
    made = lumbar()
    labels = vertebrae_only(made)
    labels[labels != made.truth.get("L2").label] = 0
    split = split_parts(labels)
    assert dice(made, split, "L2") > 0.9
    assert (split == ARCH).any()


def test_nothing_to_split() -> None:
    assert not split_parts(np.zeros((5, 6, 7), np.uint8)).any()
    assert centroids(np.zeros((5, 6, 7), np.uint8)) == {}


@pytest.mark.parametrize("up", [(1.0, 0.0, 0.0), (0.9, 0.4, -0.2), (0.8, -0.5, 0.5)])
def test_a_frame_is_orthonormal_and_keeps_its_sides(up: tuple[float, float, float]) -> None:
    frame = vertebra_frame(np.array(up))
    np.testing.assert_allclose(frame @ frame.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(frame[0], np.array(up) / np.linalg.norm(up))
    assert frame[1, 1] > 0
    assert frame[2, 2] > 0
