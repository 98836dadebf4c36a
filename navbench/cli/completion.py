"""The command that teaches a shell to complete: `navbench completion`."""

import click
from click.shell_completion import get_completion_class

from navbench.cli.common import example
from navbench.cli.grouping import Command

SHELLS = ("bash", "zsh", "fish")


@click.command("completion", cls=Command, **example("navbench completion bash"))
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script by which a shell completes commands, options, directions, generators, presets and runs.

    \b
    bash:  echo 'eval "$(navbench completion bash)"' >> ~/.bashrc
    zsh:   echo 'eval "$(navbench completion zsh)"' >> ~/.zshrc
    fish:  navbench completion fish > ~/.config/fish/completions/navbench.fish

    It holds from the next shell on. Bash must be 4.4 or newer, and zsh must have run compinit.
    """
    kind = get_completion_class(shell)
    assert kind is not None  # click has all three
    click.echo(kind(ctx.find_root().command, {}, "navbench", "_NAVBENCH_COMPLETE").source())
