"""How a run starts: a suite with the command line's values in it, the compute, and the one call that runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from navbench.cli.common import given
from navbench.cli.loading import loading
from navbench.cli.output import console, progress_console
from navbench.library import Library
from navbench.methods import is_labelled
from navbench.places import Place
from navbench.progress import stage

if TYPE_CHECKING:
    from navbench.compute import Compute
    from navbench.generators.options import Options
    from navbench.staff import Staff
    from navbench.suite import Subject, Suite


def overridden(source: str, precision: str | None, batch: int | None, **values: Any) -> Suite:
    """A suite with the command line's values in place of its own."""
    with loading():
        from navbench import suite

    return suite.read(source).with_values(**given(precision=precision, batch=batch, **values))


def with_subjects(chosen: Suite, generator: str | None, options: Options, **others: Any) -> Suite:
    """The suite with the command line's generator, its options, and other values of it in place of its own."""
    from navbench.suite import Subject

    subjects = list(chosen.generators)
    if generator is not None:
        same = [subject for subject in subjects if generator in (subject.alias, subject.name)]
        methods = [method for method in subjects[0].methods if not is_labelled(method)]  # what they read is another's
        subjects = same or [Subject(name=generator, methods=tuple(methods))]
    contents = [with_options(subject, options) | given(**others) for subject in subjects]
    return chosen.with_values(generators=contents)


def described(chosen: Suite, generator: str | None) -> bool:
    """Whether a suite itself says what is measured of the generator that is named; without one, that is all of it."""
    return generator is None or any(generator in (subject.alias, subject.name) for subject in chosen.generators)


def with_instruments(chosen: Suite, staff: Staff, place: Place | None) -> Suite:
    """The suite of one generator, with the instruments that fit its images, which stderr says.

    Those of the run at the place are taken again, without a look at any image.
    """
    with loading():
        from navbench.runner.instruments import as_before, fitting

    subject = as_before(chosen.generators[0], place) if place is not None else None
    if subject is None:
        subject, sentence = fitting(chosen.generators[0], compute_for(chosen, staff))
    else:
        scorer = f"scorer {subject.scorer}" if subject.scorer else "no scorer"
        sentence = f"The run in {place} has {scorer}, and so has this one; --fresh looks at samples anew."
    click.echo(sentence, err=True)
    return chosen.with_values(generators=[subject.model_dump(mode="json")])


def with_options(subject: Subject, options: Options) -> dict[str, Any]:
    """The content of a subject, with the options that were given in place of its own."""
    content = subject.model_dump(mode="json")
    return content | {"options": content["options"] | options.model_dump(mode="json", exclude_defaults=True)}


def compute_for(chosen: Suite, staff: Staff) -> Compute:
    """The compute of a suite; on a CPU, this process is from now on refused more memory than there is.

    At float32, CUDA is kept from rounding to TF32.
    """
    import torch

    from navbench import memory
    from navbench.compute import Compute

    device = staff.devices[0]
    if device == "cpu":
        memory.bound()
    torch.backends.cudnn.allow_tf32 = False
    return Compute(device, chosen.precision, chosen.batch, staff.sharing)


def executed(chosen: Suite, out: Place, found: Library, staff: Staff, *, fresh: bool) -> str:
    """Run a suite in a folder, or go on with it, and write its report; where the page is."""
    with loading():
        from navbench.report.html import publish
        from navbench.runner.run import Run, check_folder

    compute = compute_for(chosen, staff)
    check_folder(out, chosen, fresh=fresh)
    Run(out, chosen, compute, found, progress_console, staff).execute(fresh=fresh)
    with stage(progress_console, "report") as tick:
        page = publish(out)
        tick(1, 1)
    return page


def run_suite(chosen: Suite, out: Place, found: Library, staff: Staff, *, fresh: bool) -> None:
    """The same, and print where the page is."""
    console.print(f"Report: {executed(chosen, out, found, staff, fresh=fresh)}")
