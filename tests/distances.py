"""What the tests of kernel distances and of precision and recall ask of all pairs."""

from navbench.metrics.pairwise import PairwiseReference


def kernel_distance(features, reference, **options):
    """The kernel distance of features (n, D) from a reference's (m, D)."""
    return PairwiseReference.of(reference, **options).measure(features)[0]


def precision_recall(features, reference, **options):
    """Precision, recall, density and coverage of features (n, D) against a reference's (m, D)."""
    return PairwiseReference.of(reference, **options).measure(features)[1]
