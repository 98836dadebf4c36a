"""Help that can be looked through: a command's options in groups, by what they are about."""

import click

GROUPS = {
    "Generator": ("generator", "truncation", "noise", "classes", "labels", "instances", "size"),
    "Directions": ("direction", "t", "method", "layer", "latent", "space", "target", "calibrate", "rediscover",
                   "directions", "run", "eigenvectors", "annotation"),
    "Measurement": ("reference", "resize", "convert", "extractor", "extractor-weights", "scorer", "distance", "racing",
                    "allow-stochastic"),
    "Names": ("names", "export", "agreement", "key"),
    "Pictures": ("picture",),
    "Sizes": ("preset", "samples", "shifts", "rows", "codes", "held-out", "steps", "count", "top", "images", "seed"),
    "Computing": ("device", "workers", "ray", "precision", "batch", "port"),
    "Output": ("out", "folded", "open", "card", "fresh", "force", "csv", "json", "quiet"),
}  # fmt: skip
"""What options are about -> their names, the same in every command."""
REST = "Options"
"""What all others are under."""
_FEW = 6
"""Up to so many options are one list."""


class Command(click.Command):
    """A command whose help lists its options by groups, if they are more than a few."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a section per group, in the order of `GROUPS`; what is in none comes last."""
        sections: dict[str, list[tuple[str, str]]] = {name: [] for name in (*GROUPS, REST)}
        options = [parameter for parameter in self.get_params(ctx) if isinstance(parameter, click.Option)]
        for option in options:
            if (record := option.get_help_record(ctx)) is not None:
                sections[group_of(option) if len(options) > _FEW + 1 else REST].append(record)  # --help is one
        for name, records in sections.items():
            if records:
                with formatter.section(name):
                    formatter.write_dl(records)


class Family(click.Group):
    """A group of commands of this kind."""

    command_class = Command


def group_of(option: click.Option) -> str:
    """The group of an option, by its long name."""
    names = {text.removeprefix("--") for text in option.opts}
    return next((group for group, members in GROUPS.items() if names & {*members}), REST)
